//! [`Upstream`]: where a server behind the reverse proxy is, and how connections to it are made. Made by the supervisor for
//! each start of a workload; asked for a connection by the proxy's HTTP client, and by the supervisor until the server
//! answers. Must not know how a runtime carries connections that are not TCP on this machine.
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::Uri;
use hyper::rt::ReadBufCursor;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a server of this machine's network may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A connection to a server: dropping it ends it, and its `shutdown` ends the writing side alone.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection that is being made.
pub type Dialing = Pin<Box<dyn Future<Output = io::Result<Box<dyn Duplex>>> + Send>>;

/// Makes connections to one server that has no address on this machine's network. Implemented by the supervisor.
pub trait Dialer: Send + Sync {
    /// A new connection. Dropping the future gives it up. The implementation sets the deadline.
    fn dial(&self) -> Dialing;
}

/// A server that speaks HTTP, and the way to it. Clones lead to the same server.
#[derive(Clone)]
pub struct Upstream {
    way: Way,
    /// The server's name in `Host`, whatever name the client used: an address of loopback, which servers with a check of
    /// their own accept.
    authority: SocketAddr,
}

#[derive(Clone)]
enum Way {
    Tcp,
    Dialed(Arc<dyn Dialer>),
}

impl Upstream {
    /// A server that is reached over TCP.
    pub fn tcp(address: SocketAddr) -> Self {
        Self { way: Way::Tcp, authority: address }
    }

    /// A server that listens on this port of its own, to which somebody else makes the connections.
    pub fn dialed(port: u16, dialer: Arc<dyn Dialer>) -> Self {
        Self { way: Way::Dialed(dialer), authority: (std::net::Ipv4Addr::LOCALHOST, port).into() }
    }

    /// The server's own name for itself, as `ip:port`: for `Host`.
    pub fn authority(&self) -> SocketAddr {
        self.authority
    }

    /// A new connection.
    ///
    /// # Errors
    /// Nobody listens, or does not accept in time.
    pub async fn connect(&self) -> io::Result<Box<dyn Duplex>> {
        match &self.way {
            Way::Tcp => {
                let connected = timeout(CONNECT_WITHIN, TcpStream::connect(self.authority)).await;
                let stream = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Way::Dialed(dialer) => dialer.dial().await,
        }
    }
}

/// For messages: the address, or the port where there is none.
impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.way {
            Way::Tcp => self.authority.fmt(f),
            Way::Dialed(_) => write!(f, "port {}", self.authority.port()),
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The same for hyper's client, which names a server in each request: there is but one.
impl tower_service::Service<Uri> for Upstream {
    type Response = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let upstream = self.clone();
        Box::pin(async move { upstream.connect().await.map(|stream| Stream(TokioIo::new(stream))) })
    }
}

/// A connection as hyper takes it.
pub struct Stream(TokioIo<Box<dyn Duplex>>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl hyper::rt::Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }
}
