//! [`StdioProxy`]: one shared stdio server behind streamable HTTP.
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::protocol::options::ProxyOptions;
use crate::protocol::own_error::SHUTTING_DOWN;
use crate::stdio::family::{Kind, Others, Source, Starting};
use crate::stdio::shared::Shared;
use crate::stdio::undelivered::Undelivered;
use crate::stdio::upstream::connection::{ConnectError, PingError, ServerInfo};

/// The maker of servers for sessions.
pub trait InstanceSource: std::fmt::Debug + Send + Sync {
    /// Starts a server for one session in a proxy that was made for it. The server is to be ended when [`StdioProxy::over`]
    /// resolves, which it also does when what is returned is dropped.
    fn start(&self, proxy: StdioProxy) -> Starting;
}

/// A source as the proxies know it.
#[derive(Debug)]
struct InProxies(Arc<dyn InstanceSource>);

impl Source<Shared> for InProxies {
    fn start(&self, shared: Arc<Shared>) -> Starting {
        self.0.start(StdioProxy { shared })
    }
}

/// One shared stdio server behind streamable HTTP. Clones are the same proxy.
#[derive(Debug, Clone)]
pub struct StdioProxy {
    pub(crate) shared: Arc<Shared>,
}

impl StdioProxy {
    /// A proxy without a server yet: requests are answered 503 until [`Self::connect`].
    pub fn new(options: ProxyOptions) -> Self {
        Self { shared: Arc::new(Shared::new(options, None)) }
    }

    /// As [`Self::new`], with a server for each session. The server of [`Self::connect`] serves no session.
    pub fn per_session(options: ProxyOptions, source: Arc<dyn InstanceSource>) -> Self {
        Self { shared: Arc::new(Shared::new(options, Some(Box::new(InProxies(source))))) }
    }

    /// Resolves when the session is over that this proxy was made for ([`InstanceSource::start`]), or is never opened.
    pub async fn over(&self) {
        self.shared.over.cancelled().await;
    }

    /// Ends idle sessions of the workload until as many servers are about to end as are waited for: those that never called
    /// anything first, then those that are idle longest, and none whose client may be about to call. If there are too few,
    /// returns when the next one may go; others may before, which [`Self::others_rest`] tells.
    pub fn make_room(&self, wanted: usize, others: Others) -> Option<Instant> {
        match &self.shared.kind {
            Kind::Instance(family) => family.make_room(wanted, others),
            Kind::Alone | Kind::Front(_) => None,
        }
    }

    /// Resolves when a session of the workload may have become idle, or was opened. One at a time may wait for that.
    pub async fn others_rest(&self) {
        match &self.shared.kind {
            Kind::Instance(family) => family.rests.notified().await,
            Kind::Alone | Kind::Front(_) => std::future::pending().await,
        }
    }

    /// Takes a new server process into use: makes wharf's own handshake within `deadline`.
    ///
    /// Called again after a restart. When the new process answers the handshake as the one before, sessions live
    /// on (levels and subscriptions are replayed, list changes announced); else they end.
    ///
    /// # Errors
    /// The server did not become usable; its pipes are dropped.
    pub async fn connect<R, W>(
        &self,
        stdout: R,
        stdin: W,
        deadline: Duration,
    ) -> Result<ServerInfo, ConnectError>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        self.shared.connect(stdout, stdin, deadline).await
    }

    /// Resolves when the current server's stdout or stdin has ended, at once if none is connected.
    pub async fn disconnected(&self) {
        let mut generation = self.shared.generation.subscribe();
        let current = *generation.borrow_and_update();
        if current.is_some() {
            // An error means that the sender is gone, which `self` prevents.
            let _ = generation.wait_for(|now| *now != current).await;
        }
    }

    /// Ends the use of the present server: answers calls in flight with -32603, then closes its stdin. A second call
    /// changes nothing.
    pub async fn close_upstream(&self, reason: &str) {
        self.shared.close_upstream(reason).await;
    }

    /// Sends one real `ping` to the server.
    ///
    /// # Errors
    /// No answer came.
    pub async fn ping(&self, deadline: Duration) -> Result<Duration, PingError> {
        self.shared.ping(deadline).await
    }

    /// How long the server has written nothing; `None` without a server. (While it writes, no ping is needed.)
    pub fn quiet_for(&self) -> Option<Duration> {
        self.shared.with(|state| state.upstream.as_ref().map(|upstream| upstream.heard_at.elapsed()))
    }

    /// Messages of the server that reached no client since the proxy was made, by reason.
    pub fn undelivered(&self) -> Vec<Undelivered> {
        let mut counts = self.shared.with(|state| state.undelivered.clone());
        if let Kind::Front(instances) = &self.shared.kind {
            counts.add(&instances.counts());
        }
        counts.all()
    }

    /// Resolves when much memory was held for clients and the server, and is no more. One at a time may wait for that.
    pub async fn at_rest(&self) {
        self.shared.budget.at_rest().await;
    }

    /// The HTTP front: `/mcp`, and 404 elsewhere.
    pub fn router(&self) -> axum::Router {
        crate::stdio::downstream::entry::router(self.shared.clone())
    }

    /// Ends all sessions and their streams, and the use of the server. Nothing new is taken afterwards.
    pub async fn shutdown(&self) {
        self.shared.close_upstream(SHUTTING_DOWN).await;
        let ended = self.shared.with(|state| {
            let is_first = !std::mem::replace(&mut state.is_shut, true);
            for id in state.session_ids() {
                state.end_session(id.as_str());
            }
            is_first.then(|| state.undelivered.clone())
        });
        if let (Kind::Instance(instances), Some(counts)) = (&self.shared.kind, ended) {
            instances.keep_counts(&counts);
        }
    }
}
