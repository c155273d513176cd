//! The server on a port of loopback: the same tools, for whoever has the token that the REST API asks for.
//!
//! Behind the gate of the REST API: `Host`, `Origin`, the token, bodies of JSON alone.
use crate::api::{Way, make_token, pass};
use crate::commands::Host;
use crate::mcp::server::Server;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http_body_util::Limited;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wharf_model::{Error, ErrorKind, Result};
use wharf_proxy::{Access, Limits, Listener};

/// Its place.
pub const PATH: &str = "/mcp";
/// A larger message is refused.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// More sessions are not opened; one that rests is forgotten after five minutes.
const SESSIONS_MAX: usize = 64;
const SESSION: &str = "mcp-session-id";

/// The server, once it listens.
pub struct HttpServing {
    host: Arc<Host>,
    listener: TcpListener,
    address: SocketAddr,
    token: String,
}

impl HttpServing {
    /// Listens on a port of loopback, 0 for any that is free.
    ///
    /// # Errors
    /// The port cannot be had, or is not of loopback.
    pub async fn bind(host: Arc<Host>, address: SocketAddr) -> Result<Self> {
        if !address.ip().is_loopback() {
            let message = format!("{address} is not of loopback: everybody on the network could ask there");
            return Err(Error::new(ErrorKind::Usage, message));
        }
        let failed = |error: &std::io::Error| {
            let kind = match error.kind() {
                std::io::ErrorKind::AddrInUse => ErrorKind::Conflict,
                _ => ErrorKind::Failed,
            };
            Error::caused(kind, format!("nobody can be served on {address}"), error)
        };
        let listener = TcpListener::bind(address).await.map_err(|error| failed(&error))?;
        let bound = listener.local_addr().map_err(|error| failed(&error))?;
        let token = make_token(&host.context()?.config().state())?;
        Ok(Self { host, listener, address: bound, token })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until it is told to end.
    ///
    /// # Errors
    /// The port cannot be listened at any more.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<()> {
        let sessions = Arc::new(LocalSessionManager::default());
        let host = self.host;
        let mut config = StreamableHttpServerConfig::default();
        config.cancellation_token = shutdown.child_token();
        let service =
            StreamableHttpService::new(move || Ok(Server::new(host.clone())), sessions.clone(), config);
        let way = Arc::new(Way::port(self.address, &self.token));
        let routes = Router::new()
            .nest_service(PATH, service)
            .layer(from_fn(bounded))
            .layer(from_fn_with_state(sessions, refuse_too_many))
            .layer(from_fn_with_state(way, pass));
        let (limits, access) = (Limits::default(), Access::default());
        let served = wharf_proxy::serve(Listener::Port(self.listener), routes, &limits, &access, shutdown);
        served
            .await
            .map_err(|error| Error::caused(ErrorKind::Failed, "nobody can be served any more", &error))
    }
}

async fn bounded(request: Request, next: Next) -> Response {
    next.run(request.map(|body| Body::new(Limited::new(body, BODY_BYTES_MAX)))).await
}

/// A client with a session goes on; a new one may have to wait.
async fn refuse_too_many(
    State(sessions): State<Arc<LocalSessionManager>>,
    request: Request,
    next: Next,
) -> Response {
    if !request.headers().contains_key(SESSION) && sessions.sessions.read().await.len() >= SESSIONS_MAX {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    next.run(request).await
}
