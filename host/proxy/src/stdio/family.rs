//! The proxies of one workload that has a server for each session: which session is in which of them. What they do is in
//! [`crate::stdio::instances`]; of the proxies themselves nothing is known here.
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::stdio::session::SessionId;
use crate::stdio::undelivered::UndeliveredCounts;

/// Resolves when a server serves in the proxy that was given for it.
pub type Starting = Pin<Box<dyn Future<Output = Result<(), NoInstance>> + Send>>;

/// The reason why a session gets no server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoInstance {
    /// The limit of servers is reached, and none of them is idle.
    #[error("too many servers")]
    TooMany,
    /// It could not be started.
    #[error("the server could not be started")]
    Failed,
}

/// The sessions that may go where others wait for places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// Those alone that never called anything: servers are being started, whose sessions will be such for a while.
    NeverCalled,
    /// All that are idle.
    Idle,
}

/// The maker of servers, in proxies of a type.
pub(crate) trait Source<P>: fmt::Debug + Send + Sync {
    /// Starts a server in a proxy of its own.
    fn start(&self, proxy: Arc<P>) -> Starting;
}

/// The place of a proxy in its workload.
#[derive(Debug)]
pub(crate) enum Kind<P> {
    /// It has the one server.
    Alone,
    /// It listens, and opens each session in another one.
    Front(Arc<Family<P>>),
    /// One of those others, which has the server of one session.
    Instance(Arc<Family<P>>),
}

/// The proxies of one workload.
#[derive(Debug)]
pub(crate) struct Family<P> {
    pub(crate) source: Box<dyn Source<P>>,
    /// Told when a session may have become idle, or was opened.
    pub(crate) rests: Notify,
    members: Mutex<Members<P>>,
}

#[derive(Debug)]
struct Members<P> {
    proxies: Vec<Weak<P>>,
    sessions: HashMap<SessionId, Weak<P>>,
    /// The counts of those that have ended.
    undelivered: UndeliveredCounts,
}

impl<P> Family<P> {
    pub(crate) fn new(source: Box<dyn Source<P>>) -> Arc<Self> {
        let members = Members {
            proxies: Vec::new(),
            sessions: HashMap::new(),
            undelivered: UndeliveredCounts::default(),
        };
        Arc::new(Self { source, rests: Notify::new(), members: Mutex::new(members) })
    }

    fn members(&self) -> MutexGuard<'_, Members<P>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The proxies that exist.
    pub(crate) fn proxies(&self) -> Vec<Arc<P>> {
        self.members().proxies.iter().filter_map(Weak::upgrade).collect()
    }

    /// Takes a new one in.
    pub(crate) fn take_in(&self, proxy: &Arc<P>) {
        let mut members = self.members();
        members.proxies.retain(|proxy| proxy.strong_count() > 0);
        members.sessions.retain(|_, proxy| proxy.strong_count() > 0);
        members.proxies.push(Arc::downgrade(proxy));
    }

    /// Notes in which proxy a session is.
    pub(crate) fn has(&self, session: SessionId, proxy: &Arc<P>) {
        self.members().sessions.insert(session, Arc::downgrade(proxy));
    }

    /// The proxy in which a session is.
    pub(crate) fn of(&self, session: &str) -> Option<Arc<P>> {
        self.members().sessions.get(session)?.upgrade()
    }

    /// Keeps the counts of a proxy that has ended.
    pub(crate) fn keep_counts(&self, counts: &UndeliveredCounts) {
        self.members().undelivered.add(counts);
    }

    /// The counts of those that have ended.
    pub(crate) fn kept_counts(&self) -> UndeliveredCounts {
        self.members().undelivered.clone()
    }
}
