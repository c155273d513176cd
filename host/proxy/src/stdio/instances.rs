//! A server for each session (`docs/mcp.md`, 12.9).
//!
//! The workload's own server tells what the workload can do, and serves no session. Each session is opened in a proxy of
//! its own, [`Kind::Instance`], behind the listener and the checks of the workload's, [`Kind::Front`]. They share one
//! budget of memory.
use std::sync::Arc;

use axum::http::HeaderMap;

use crate::http::admission::SESSION_ID;
use crate::protocol::options::Busy;
use crate::stdio::broker::State;
use crate::stdio::family::{Family, Kind, NoInstance};
use crate::stdio::shared::Shared;
use crate::stdio::undelivered::UndeliveredCounts;

impl Family<Shared> {
    /// A proxy with a server of its own, in which no session is open yet. At the limit one goes whose session is idle.
    pub(crate) async fn start(self: &Arc<Self>, front: &Shared) -> Result<Arc<Shared>, Busy> {
        if self.source.is_full() {
            self.end_idle_session();
        }
        let shared = Arc::new(Shared::instance(front, self.clone()));
        self.take_in(&shared);
        let started = self.source.start(shared.clone()).await;
        started.map(|()| shared).map_err(|error| match error {
            NoInstance::TooMany => Busy::TooManySessions,
            NoInstance::Failed => Busy::NoServer,
        })
    }

    /// Ends a session without a call and without a stream: one that never called anything, or else the one that is idle
    /// longest.
    fn end_idle_session(&self) {
        let idle = |proxy: Arc<Shared>| {
            let (id, rank) = proxy.with(|state| {
                let idle = state.sessions.iter().filter(|(_, session)| session.is_idle());
                let idle = idle.map(|(id, session)| (id.clone(), (session.has_called, session.used_at)));
                idle.min_by_key(|(_, rank)| *rank)
            })?;
            Some((rank, id, proxy))
        };
        let first = self.proxies().into_iter().filter_map(idle).min_by_key(|(rank, ..)| *rank);
        if let Some((_, id, proxy)) = first {
            proxy.with(|state| state.end_session(id.as_str()));
        }
    }

    /// The counts of all of them.
    pub(crate) fn counts(&self) -> UndeliveredCounts {
        let mut sum = self.kept_counts();
        for proxy in self.proxies() {
            proxy.with(|state| {
                if !state.is_shut {
                    sum.add(&state.undelivered);
                }
            });
        }
        sum
    }

    /// Makes room until no more is held than may be: whoever holds most loses it, in whichever of them.
    fn relieve(&self, front: &Shared) {
        while front.budget.is_over() {
            let holder = |proxy: Arc<Shared>| {
                let (id, held) = proxy.locked(|state| state.holds_most())?;
                Some((held, id, proxy))
            };
            let top = self.proxies().into_iter().filter_map(holder).max_by_key(|(held, ..)| *held);
            if front.budget.largest_body() > top.as_ref().map_or(0, |(held, ..)| *held) {
                front.budget.drop_largest_body();
                continue;
            }
            let Some((held, id, proxy)) = top else { break };
            proxy.locked(|state| state.shed(&id, held));
        }
    }
}

impl Shared {
    /// The proxy in which the session is that a request names; this one where it names none of another.
    pub(crate) fn serving(self: &Arc<Self>, headers: &HeaderMap) -> Arc<Self> {
        let named = || headers.get(SESSION_ID)?.to_str().ok().map(str::trim);
        match &self.kind {
            Kind::Front(instances) => named().and_then(|session| instances.of(session)),
            Kind::Alone | Kind::Instance(_) => None,
        }
        .unwrap_or_else(|| self.clone())
    }

    /// Makes room where more is held than may be. Called without the lock.
    pub(crate) fn relieve(&self) {
        match &self.kind {
            Kind::Alone => self.locked(State::relieve),
            Kind::Front(instances) | Kind::Instance(instances) => instances.relieve(self),
        }
    }
}
