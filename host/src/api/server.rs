//! Serves: opens the places to listen at, and goes on until it is told to end.
use crate::api::app::{document, router};
use crate::api::audit::Audit;
use crate::api::ended_by::learn_from_the_last_end;
use crate::api::feed::Feed;
use crate::api::gate::Way;
use crate::api::http_thread::on_own_thread;
use crate::api::listings::Listings;
use crate::api::metrics::Metrics;
use crate::api::operations::Operations;
use crate::api::reconciler::reconcile_for_ever;
use crate::api::socket::{NEEDS_A_DISK, ServeLock, SocketPlace};
use crate::api::state::{Api, WAITS_MAX};
use crate::api::token::make_token;
use crate::api::workload_counts::WorkloadCounts;
use crate::commands::Host;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use wharf_model::{Error, ErrorKind, Result};
use wharf_proxy::{Access, Limits, Listener};
use wharf_records::StateDir;

/// How long operations may go on after the end was asked for.
const OPERATIONS_DRAIN: Duration = Duration::from_secs(10);
/// How long a connection may rest between two requests.
const CONNECTION_REST: Duration = Duration::from_secs(60);
/// Connections open at once at each place.
const CONNECTIONS_MAX: usize = 1024;

/// Where to listen, and what to do besides.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// At this Unix socket.
    pub socket: Option<PathBuf>,
    /// At this port of loopback, 0 for any that is free.
    pub port: Option<SocketAddr>,
    /// Reconcile about this often.
    pub reconcile_every: Option<Duration>,
}

/// The server, once it listens.
pub struct Serving {
    api: Arc<Api>,
    /// With its path.
    socket: Option<(SocketPlace, UnixListener)>,
    port: Option<(TcpListener, SocketAddr, String)>,
    reconcile_every: Option<Duration>,
    _lock: ServeLock,
}

/// The document that describes the API, as it is served.
pub fn openapi() -> serde_json::Value {
    document()
}

impl Serving {
    /// Listens where it is told to. Called within a Tokio runtime.
    ///
    /// # Errors
    /// Another process serves these records, a place cannot be had, or the port is not of loopback.
    pub async fn bind(host: Arc<Host>, options: &ServeOptions) -> Result<Self> {
        let state = host.context()?.config().state();
        let (folder, lock) = locked(&state)?;
        let port = match options.port {
            None => None,
            Some(address) if !address.ip().is_loopback() => {
                let message =
                    format!("{address} is not of loopback: everybody on the network could ask there");
                return Err(Error::new(ErrorKind::Usage, message).hint(
                    "put a reverse proxy with TLS in front of it, or forward the Unix socket with ssh",
                ));
            }
            Some(address) => {
                let taken = |error: &std::io::Error| {
                    let kind = match error.kind() {
                        std::io::ErrorKind::AddrInUse => ErrorKind::Conflict,
                        _ => ErrorKind::Failed,
                    };
                    Error::caused(kind, format!("nobody can be served on {address}"), error)
                };
                let listener = TcpListener::bind(address).await.map_err(|error| taken(&error))?;
                let address = listener.local_addr().map_err(|error| taken(&error))?;
                Some((listener, address, make_token(&state)?))
            }
        };
        let socket = options.socket.as_deref().map(SocketPlace::bind).transpose()?;
        let metrics = Arc::new(Metrics::default());
        let audit = Audit::open(&folder.join("audit.log"));
        let operations = Operations::load(host.clone(), &state, audit, metrics.clone())?;
        host.live_long();
        learn_from_the_last_end(&host, &folder)?;
        let ending = CancellationToken::new();
        let feed = Feed::new(host.clone(), ending.clone());
        let waits = Semaphore::new(WAITS_MAX);
        let workload_counts = WorkloadCounts::default();
        let listings = Listings::default();
        let api = Arc::new(Api { host, operations, feed, listings, metrics, workload_counts, ending, waits });
        Ok(Self { api, socket, port, reconcile_every: options.reconcile_every, _lock: lock })
    }

    /// The port that it listens on.
    pub fn port(&self) -> Option<SocketAddr> {
        self.port.as_ref().map(|(_, address, _)| *address)
    }

    /// Serves until `shutdown` is cancelled: then nothing more is taken, and what is under way gets a few seconds. Workloads
    /// run on.
    ///
    /// # Errors
    /// A place cannot be listened at any more.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<()> {
        let Self { api, socket, port, reconcile_every, _lock } = self;
        let limits =
            Limits { connections: CONNECTIONS_MAX, connection_rest: CONNECTION_REST, ..Limits::default() };
        let access = Access::default();
        let broken =
            |error: std::io::Error| Error::caused(ErrorKind::Failed, "nobody can be served any more", &error);
        // Made here: what the routes do is done by the workers of this runtime.
        let socket = socket.map(|(place, listener)| (place, listener, router(&api, Way::Socket)));
        let port =
            port.map(|(listener, address, token)| (listener, router(&api, Way::port(address, &token))));
        let end = shutdown.clone();
        let serving = on_own_thread(move || async move {
            let by_socket = async {
                let Some((place, listener, routes)) = socket else { return Ok(()) };
                let listener = Listener::OwnSocket(here_unix(listener)?);
                let served = wharf_proxy::serve(listener, routes, &limits, &access, end.clone()).await;
                drop(place);
                served
            };
            let by_port = async {
                let Some((listener, routes)) = port else { return Ok(()) };
                let listener = Listener::Port(here_port(listener)?);
                wharf_proxy::serve(listener, routes, &limits, &access, end.clone()).await
            };
            tokio::try_join!(by_socket, by_port).map(drop)
        });
        let reconciling = reconcile_every
            .map(|every| tokio::spawn(reconcile_for_ever(api.clone(), every, shutdown.clone())));
        let streams = shutdown.clone();
        let ending = api.ending.clone();
        let ended = tokio::spawn(async move {
            streams.cancelled().await;
            ending.cancel();
        });
        let served = serving.await.map_err(broken);
        ended.abort();
        api.ending.cancel();
        if let Some(reconciling) = reconciling {
            // An operation that has begun goes on under its locks, or the next command finishes it.
            reconciling.abort();
        }
        api.operations.shut_down(OPERATIONS_DRAIN).await;
        served
    }
}

/// The folder of the API, which only this process writes to from now on.
fn locked(state: &StateDir) -> Result<(PathBuf, ServeLock)> {
    match state.make_api() {
        Ok(folder) => ServeLock::take(&folder).map(|lock| (folder, lock)),
        Err(error) if error.source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            Ok((state.api(), ServeLock::of_nothing()))
        }
        Err(error) => {
            let doing = "the folder of the API cannot be made";
            Err(Error::caused(ErrorKind::Failed, doing, &error).hint(NEEDS_A_DISK))
        }
    }
}

/// A listener of another Tokio runtime, for this one.
fn here_unix(listener: UnixListener) -> io::Result<UnixListener> {
    UnixListener::from_std(listener.into_std()?)
}

/// The same of a port.
fn here_port(listener: TcpListener) -> io::Result<TcpListener> {
    TcpListener::from_std(listener.into_std()?)
}
