//! A server for each session (`docs/mcp.md`, 12.9).
//!
//! The workload's own server tells what the workload can do, and serves no session. Each session is opened in a proxy of
//! its own, [`Kind::Instance`], behind the listener and the checks of the workload's, [`Kind::Front`]. They share one
//! budget of memory.
use std::cmp::Reverse;
use std::sync::Arc;

use axum::http::HeaderMap;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use crate::http::admission::SESSION_ID;
use crate::protocol::options::Busy;
use crate::stdio::broker::State;
use crate::stdio::family::{Family, Kind, NoInstance, Others};
use crate::stdio::shared::Shared;
use crate::stdio::undelivered::UndeliveredCounts;

/// A proxy with a server of its own, in which no session is open yet.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) proxy: Arc<Shared>,
    /// Ends the server when it is dropped, unless a session was opened.
    unclaimed: DropGuard,
}

impl Started {
    /// A session was opened, whose end is the server's from now on.
    pub(crate) fn claim(self) {
        self.unclaimed.disarm();
    }
}

impl Family<Shared> {
    /// Starts a server for a client that offers these capabilities.
    pub(crate) async fn start(self: &Arc<Self>, front: &Shared, offered: Value) -> Result<Started, Busy> {
        let proxy = Arc::new(Shared::instance(front, self.clone(), offered));
        // A client that goes meanwhile takes this future along, and nobody else would ever end its server.
        let unclaimed = proxy.over.clone().drop_guard();
        self.take_in(&proxy);
        let started = self.source.start(proxy.clone()).await;
        started.map(|()| Started { proxy, unclaimed }).map_err(|error| match error {
            NoInstance::TooMany => Busy::TooManySessions,
            NoInstance::Failed => Busy::NoServer,
        })
    }

    /// Ends idle sessions until as many servers are about to end as are wanted. If there are too few, returns when the next one may
    /// go, as things are.
    pub(crate) fn make_room(&self, wanted: usize, others: Others) -> Option<Instant> {
        let ending = self.proxies().iter().filter(|proxy| proxy.over.is_cancelled()).count();
        (ending..wanted).find_map(|_| self.end_idle_session(others).err()).flatten()
    }

    /// Ends a session: one that never called anything, or else the one without a call and without a stream that is idle
    /// longest. If there is none, the error is when there may be one.
    ///
    /// Situation: a place has just been given to a session, others wait on, and its client has had no time to call. Conclusion:
    /// it is spared for a while, and none that has called goes in its place.
    fn end_idle_session(&self, others: Others) -> Result<(), Option<Instant>> {
        let now = Instant::now();
        let (mut resting, mut times) = (Vec::new(), Vec::new());
        let mut is_coming = others == Others::NeverCalled;
        for proxy in self.proxies() {
            proxy.locked(|state| {
                is_coming |= state.awaits_session();
                for (id, session) in &state.sessions {
                    let new_until = session.is_new_until().filter(|until| *until > now);
                    is_coming |= new_until.is_some();
                    times.extend(new_until);
                    let Some(at) = session.may_go_at() else { continue };
                    if at > now {
                        times.push(at);
                    } else {
                        resting.push((session.rank(), session.has_called, id.clone(), proxy.clone()));
                    }
                }
            });
        }
        let may_go = resting.iter().filter(|(_, has_called, ..)| !(*has_called && is_coming));
        match may_go.min_by_key(|(rank, ..)| *rank) {
            Some((.., id, proxy)) => {
                proxy.with(|state| state.end_session(id.as_str()));
                Ok(())
            }
            None => Err(times.into_iter().min()),
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
    fn free_memory(&self, front: &Shared) {
        while front.budget.is_over() {
            let bodies = front.budget.bodies_by_holder();
            let holder = |proxy: Arc<Shared>| {
                let most = proxy.locked(|state| state.holds_most(&bodies))?;
                Some((most, proxy))
            };
            let top = self.proxies().into_iter().filter_map(holder).max_by_key(|(most, _)| most.held);
            if front.budget.drop_body(&bodies, top.as_ref().map(|(most, _)| most.as_holder())) {
                continue;
            }
            let Some((most, proxy)) = top else { break };
            proxy.locked_and_flushed(|state| state.shed(&most.session, most.held));
        }
    }

    /// Makes room until lines for servers hold no more than they may: the server for which most waits loses it first.
    fn free_lines(&self, front: &Shared) {
        while front.budget.are_lines_over() {
            let waiting = |proxy: Arc<Shared>| (proxy.locked(|state| state.waiting_lines()), proxy);
            let mut holders: Vec<_> =
                self.proxies().into_iter().map(waiting).filter(|(bytes, _)| *bytes > 0).collect();
            holders.sort_by_key(|(bytes, _)| Reverse(*bytes));
            if !holders.iter().any(|(_, proxy)| proxy.shed_lines()) {
                break;
            }
        }
    }
}

impl State {
    /// True if its server is there and its session is about to be opened.
    fn awaits_session(&self) -> bool {
        let is_open = self.over.as_ref().is_some_and(|over| !over.is_cancelled());
        is_open && self.upstream.is_some() && self.sessions.is_empty()
    }

    /// True if a session has no call in flight.
    pub(crate) fn rests(&self) -> bool {
        self.sessions.values().any(|session| session.calls.is_empty())
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
    pub(crate) fn free_memory(&self) {
        match &self.kind {
            Kind::Alone => self.locked_and_flushed(State::free_memory),
            Kind::Front(instances) | Kind::Instance(instances) => instances.free_memory(self),
        }
    }

    /// Makes room where more lines wait for servers than may. Called without the lock. A single server has no others beside
    /// it: its own lines are refused.
    pub(crate) fn free_lines(&self) {
        match &self.kind {
            Kind::Alone => {}
            Kind::Front(instances) | Kind::Instance(instances) => instances.free_lines(self),
        }
    }

    fn shed_lines(&self) -> bool {
        self.locked_and_flushed(State::shed_lines)
    }

    /// Works on the state, then writes what that had to say to the server.
    fn locked_and_flushed<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let (result, outbox) = self.locked(|state| (work(state), state.take_dirty_outbox()));
        if let Some(outbox) = outbox {
            outbox.flush();
        }
        result
    }
}
