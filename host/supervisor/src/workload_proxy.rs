//! [`WorkloadProxy`]: the proxy in front of the workload, for both kinds of server. The supervisor makes it at the first
//! start.
use crate::client::protocol::Undelivered;
use crate::config::ProxySettings;
use crate::counts::Counts;
use crate::session_servers::SessionServers;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use wharf_descriptors::for_connections;
use wharf_model::RunConfig;
use wharf_model::chain;
use wharf_proxy::{Access, HttpProxy, Limits, Listener, ProxyOptions, StdioProxy, serve};
use wharf_runtimes::give_back_memory;

/// The share of all connections that is reserved for the user's own socket: one in this many.
const OWN_SHARE: usize = 4;

/// The proxy of one workload; clones share it.
#[derive(Clone)]
pub(crate) enum WorkloadProxy {
    /// In front of a server on stdin and stdout.
    Stdio(StdioProxy),
    /// In front of a server that listens on a port.
    Http(HttpProxy),
}

impl WorkloadProxy {
    /// With session servers, each session has one of them.
    pub(crate) fn stdio(options: ProxyOptions, servers: Option<&SessionServers>) -> Self {
        Self::Stdio(match servers {
            Some(servers) => StdioProxy::per_session(options, Arc::new(servers.clone())),
            None => StdioProxy::new(options),
        })
    }

    /// Serves clients until it is cancelled: on a port, and on the user's own socket if there is one.
    pub(crate) async fn serve(
        self,
        (port, own_socket): (TcpListener, Option<UnixListener>),
        access: Access,
        end: CancellationToken,
    ) {
        // Each connection to a server with a port needs a second one, to the server.
        let (router, descriptors) = match &self {
            Self::Stdio(proxy) => (proxy.router(), 1),
            Self::Http(proxy) => (proxy.router(), 2),
        };
        let limits = Limits::default();
        let connections = for_connections(limits.connections, descriptors);
        if connections < limits.connections {
            tracing::info!(connections, "few descriptors may be open, and so few connections");
        }
        // Anybody may use up the places of the port; those of the socket are reserved for its user.
        let own = if own_socket.is_some() { (connections / OWN_SHARE).max(1) } else { 0 };
        let on_port = Limits { connections: connections.saturating_sub(own).max(1), ..limits.clone() };
        let on_socket = Limits { connections: own, ..limits };
        let on_port = serve(Listener::Port(port), router.clone(), &on_port, &access, end.clone());
        let on_socket = async {
            match own_socket {
                Some(socket) => serve(Listener::OwnSocket(socket), router, &on_socket, &access, end).await,
                None => Ok(()),
            }
        };
        let mut served = pin!(async { tokio::join!(on_port, on_socket) });
        let (on_port, on_socket) = loop {
            tokio::select! {
                served = &mut served => break served,
                // Memory that large messages have left is of no use to a supervisor at rest, and there may be many.
                () = self.at_rest() => give_back_memory(),
            }
        };
        for (served, place) in [(on_port, "port"), (on_socket, "Unix socket")] {
            if let Err(error) = served {
                tracing::error!(%error, place, "the proxy ended");
            }
        }
    }

    /// Resolves when much memory was held for messages, and is no more.
    async fn at_rest(&self) {
        match self {
            Self::Stdio(proxy) => proxy.at_rest().await,
            Self::Http(proxy) => proxy.at_rest().await,
        }
    }

    /// Resolves when the server's stream has ended; never for a server with a port.
    pub(crate) async fn disconnected(&self) {
        match self {
            Self::Stdio(proxy) => proxy.disconnected().await,
            Self::Http(_) => std::future::pending().await,
        }
    }

    /// Tells clients that the server is ending: calls in flight are answered, stdin is closed.
    pub(crate) async fn close_upstream(&self, reason: &str) {
        if let Self::Stdio(proxy) = self {
            proxy.close_upstream(reason).await;
        }
    }

    /// Ends all sessions.
    pub(crate) async fn shut_down(&self) {
        if let Self::Stdio(proxy) = self {
            proxy.shutdown().await;
        }
    }

    /// The server's messages that reached no client. A server with a port sends to its clients directly.
    pub(crate) fn undelivered(&self) -> Vec<Undelivered> {
        let Self::Stdio(proxy) = self else { return Vec::new() };
        let all = proxy.undelivered().into_iter();
        all.map(|one| Undelivered { what: one.what.to_owned(), why: one.why.to_owned(), count: one.count })
            .collect()
    }

    /// Sends one real request to the server.
    pub(crate) async fn ping(&self, deadline: Duration) -> std::result::Result<Duration, String> {
        let answer = match self {
            Self::Stdio(proxy) => proxy.ping(deadline).await,
            Self::Http(proxy) => proxy.ping(deadline).await,
        };
        answer.map_err(|error| chain(&error))
    }
}

/// The options of a workload's proxy.
pub(crate) fn proxy_options(
    run: &RunConfig,
    access: &Access,
    settings: &ProxySettings,
    counts: &Counts,
) -> ProxyOptions {
    ProxyOptions {
        workload: run.name.to_string(),
        access: access.clone(),
        allowed_hosts: [&run.allowed_hosts[..], &settings.allowed_hosts].concat(),
        allowed_origins: [&run.allowed_origins[..], &settings.allowed_origins].concat(),
        target_path: (!run.target_path.is_empty()).then(|| run.target_path.clone()),
        limits: settings.limits(),
        client_capabilities: None,
        operations: counts.operations.clone(),
    }
}
