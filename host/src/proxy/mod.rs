//! TEMPORARY signatures until the proxy is merged.
use std::{net::SocketAddr, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};
#[derive(Clone, Default)]
pub struct Limits {}
pub struct ProxyOptions {
    pub workload: String,
    pub allowed_hosts: Vec<String>,
    pub allowed_origins: Vec<String>,
    pub limits: Limits,
    pub client_capabilities: Option<serde_json::Value>,
}
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("x")]
    Exited {},
    #[error("x")]
    TimedOut {},
    #[error("g")]
    Garbage,
}
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct PingError;
pub struct ServerInfo;
#[derive(Clone)]
pub struct StdioProxy;
impl StdioProxy {
    pub fn new(_: ProxyOptions) -> Self {
        Self
    }
    pub async fn connect<R: AsyncRead + Send + Unpin + 'static, W: AsyncWrite + Send + Unpin + 'static>(
        &self,
        _: R,
        _: W,
        _: Duration,
    ) -> Result<ServerInfo, ConnectError> {
        Ok(ServerInfo)
    }
    pub async fn disconnected(&self) {}
    pub async fn close_upstream(&self, _: &str) {}
    pub async fn ping(&self, _: Duration) -> Result<Duration, PingError> {
        Err(PingError)
    }
    pub fn router(&self) -> axum::Router {
        axum::Router::new()
    }
    pub async fn shutdown(&self) {}
}
#[derive(Clone)]
pub struct HttpProxy;
impl HttpProxy {
    pub fn new(_: ProxyOptions, _: SocketAddr) -> Self {
        Self
    }
    pub fn router(&self) -> axum::Router {
        axum::Router::new()
    }
    pub async fn ping(&self, _: Duration) -> Result<Duration, PingError> {
        Err(PingError)
    }
}
pub async fn serve(
    _: tokio::net::TcpListener,
    _: axum::Router,
    _: &Limits,
    _: tokio_util::sync::CancellationToken,
) -> std::io::Result<()> {
    Ok(())
}
