//! The listener: connections with their bounds, and a graceful end.
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Method;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::access::Access;
use crate::http::connection::{BeingServed, Incoming, Phase, Stream, Timed};
use crate::http::places::Places;
use crate::protocol::options::Limits;

/// Given to every request: the connection that it came on.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionAbort {
    /// Ends the connection, even one that is stuck in a write.
    pub(crate) token: CancellationToken,
    pub(crate) phase: Arc<Phase>,
}

/// Given to a request that came through the Unix socket, which the user's own processes alone can open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ThroughOwnSocket;

/// Given to a request that came through the Unix socket: the process that opened the other end.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its user.
    pub user: u32,
    /// Its pid then, if the system tells.
    pub pid: Option<i32>,
}

/// The place that a proxy listens at.
pub enum Listener {
    /// A port: everybody who can connect is asked what the proxy's access demands.
    Port(TcpListener),
    /// A Unix socket that its user alone may open: who is connected is this user, and is asked for no secret.
    OwnSocket(UnixListener),
}

impl Listener {
    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Port(listener) => Ok(Either::Left(listener.accept().await?.0)),
            Self::OwnSocket(listener) => {
                let stream = listener.accept().await?.0;
                // The file's mode says the same; this holds too where somebody has changed that.
                if is_own(&stream)? {
                    Ok(Either::Right(stream))
                } else {
                    Err(io::ErrorKind::ConnectionRefused.into())
                }
            }
        }
    }
}

/// True if the other end was opened by this user, or by root, who may do everything.
fn is_own(stream: &UnixStream) -> io::Result<bool> {
    let peer = stream.peer_cred()?.uid();
    Ok(peer == rustix::process::geteuid().as_raw() || peer == 0)
}

/// How long to wait when the system has no descriptor left for a connection.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(200);

/// The most that is buffered of a connection in each direction, and not charged to the budget.
pub(crate) const CONNECTION_BUFFER: usize = 128 * 1024;

#[cfg(target_os = "linux")]
const VANISHED_AFTER_MS: u32 = 60_000;

/// Serves a router until `shutdown` is cancelled; then takes no connection more, and gives those that are open
/// the limit's time to finish. (Open streams finish when [`crate::stdio::proxy::StdioProxy::shutdown`] is called first.) `access` is
/// that of the router's proxy: when it is replaced, connections that are open are cut off.
///
/// # Errors
/// The listener is unusable.
pub async fn serve(
    listener: Listener,
    router: Router,
    limits: &Limits,
    access: &Access,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let places = Arc::new(Places::new(limits.connections));
    let connections = TaskTracker::new();
    let abort_all = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) if is_passing(&error) => {
                tracing::warn!(%error, "cannot accept a connection now");
                tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        // From before its first request on: what that was allowed by the old rule goes with the connection.
        let replaced = access.replaced();
        let abort = abort_all.child_token();
        let phase = Arc::new(Phase::new(places.epoch));
        let place = tokio::select! {
            () = shutdown.cancelled() => break,
            place = places.take(&phase, &abort) => place,
        };
        let connection = connection(stream, phase, router.clone(), limits.clone(), shutdown.clone(), abort);
        connections.spawn(async move {
            tokio::select! {
                () = connection => {}
                () = replaced => tracing::debug!("a connection is cut off: access to the proxy has changed"),
            }
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.drain, connections.wait()).await.is_err() {
        tracing::debug!(left = connections.len(), "connections are cut off");
        abort_all.cancel();
        connections.wait().await;
    }
    Ok(())
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn is_passing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error.raw_os_error().is_some_and(|code| {
        [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&Errno::from_raw_os_error(code))
    })
}

async fn connection(
    stream: Stream,
    phase: Arc<Phase>,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
    abort: CancellationToken,
) {
    let peer = match &stream {
        Either::Left(stream) => {
            set_options(stream);
            None
        }
        Either::Right(stream) => Some(stream.peer_cred()),
    };
    let is_own_socket = peer.is_some();
    let peer = peer.and_then(Result::ok).map(|peer| Peer { user: peer.uid(), pid: peer.pid() });
    let socket = Timed::new(stream, phase.clone(), limits.header_read, limits.connection_rest);
    let routes = TowerToHyperService::new(router);
    let marker = ConnectionAbort { token: abort.clone(), phase: phase.clone() };
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        // A stream that a GET has opened is for a client that is there.
        phase.serving(request.method() != Method::GET);
        request.extensions_mut().insert(marker.clone());
        if is_own_socket {
            request.extensions_mut().insert(ThroughOwnSocket);
        }
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let request = request.map(|body| Incoming::new(body, phase.clone()));
        let answer = hyper::service::Service::call(&routes, request);
        let phase = phase.clone();
        async move { answer.await.map(|response| BeingServed::response(response, phase)) }
    });
    let serving = http1::Builder::new()
        // The socket has its own clock.
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_buf_size(CONNECTION_BUFFER)
        .serve_connection(TokioIo::new(socket), service);
    let mut serving = pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        () = abort.cancelled() => return,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                result = serving => result,
                () = abort.cancelled() => return,
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}

fn set_options(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was not set");
    }
    // A client that vanished without a word acknowledges no keep-alive: its streams end after this time.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, VANISHED_AFTER_MS) {
        tracing::debug!(%error, "TCP_USER_TIMEOUT was not set");
    }
}
