//! The proxy in front of the workload, of either kind.
use std::{io, os::fd::OwnedFd, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixStream, unix::pipe},
};
use tokio_util::sync::CancellationToken;
use wharf_descriptors::for_connections;
use wharf_model::RunConfig;
use wharf_model::chain;
use wharf_proxy::{Access, HttpProxy, Limits, ProxyOptions, StdioProxy, Upstream, serve};
use wharf_runtimes::RawStream;

/// The proxy of one workload; clones share it.
#[derive(Clone)]
pub(crate) enum WorkloadProxy {
    /// In front of a server that speaks over stdin and stdout.
    Stdio(StdioProxy),
    /// In front of a server that listens on a port.
    Http(HttpProxy),
}

impl WorkloadProxy {
    pub(crate) fn stdio(run: &RunConfig, access: &Access) -> Self {
        Self::Stdio(StdioProxy::new(options(run, access)))
    }

    pub(crate) fn http(run: &RunConfig, access: &Access, server: Upstream) -> Self {
        Self::Http(HttpProxy::new(options(run, access), server))
    }

    /// Serves clients until it is cancelled.
    pub(crate) async fn serve(self, listener: TcpListener, access: Access, end: CancellationToken) {
        // A connection to a server with a port takes another one to the server.
        let (router, descriptors) = match &self {
            Self::Stdio(proxy) => (proxy.router(), 1),
            Self::Http(proxy) => (proxy.router(), 2),
        };
        let limits = Limits::default();
        let connections = for_connections(limits.connections, descriptors);
        if connections < limits.connections {
            tracing::info!(connections, "few descriptors may be open, and so few connections");
        }
        if let Err(error) = serve(listener, router, &Limits { connections, ..limits }, &access, end).await {
            tracing::error!(%error, "the proxy ended");
        }
    }

    /// Resolves when the server can no longer be spoken to; never for a server with a port.
    pub(crate) async fn disconnected(&self) {
        match self {
            Self::Stdio(proxy) => proxy.disconnected().await,
            Self::Http(_) => std::future::pending().await,
        }
    }

    /// Tells the server, and who waits for it, that it is over: what is in flight is answered, stdin is closed.
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

    /// One real request to the server.
    pub(crate) async fn ping(&self, deadline: Duration) -> std::result::Result<Duration, String> {
        let answer = match self {
            Self::Stdio(proxy) => proxy.ping(deadline).await,
            Self::Http(proxy) => proxy.ping(deadline).await,
        };
        answer.map_err(|error| chain(&error))
    }
}

fn options(run: &RunConfig, access: &Access) -> ProxyOptions {
    ProxyOptions {
        workload: run.name.to_string(),
        access: access.clone(),
        allowed_hosts: Vec::new(),
        allowed_origins: run.allowed_origins.clone(),
        limits: Limits::default(),
        client_capabilities: None,
    }
}

pub(crate) type Reader = Box<dyn AsyncRead + Send + Unpin>;
pub(crate) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// The two sides of an attached workload.
pub fn sides(stream: RawStream) -> io::Result<(Reader, Writer)> {
    match stream {
        RawStream::Copied { reader, writer } => Ok((reader, writer)),
        RawStream::Descriptors { reader: Some(reader), writer: Some(writer) } => {
            Ok((reading(reader)?, writing(writer)?))
        }
        RawStream::Descriptors { .. } => Err(io::Error::other("the runtime attached one side only")),
    }
}

/// A descriptor that is read.
pub fn reading(descriptor: OwnedFd) -> io::Result<Reader> {
    let is_pipe = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&descriptor)?.st_mode).is_fifo();
    Ok(if is_pipe {
        widen(&descriptor);
        Box::new(pipe::Receiver::from_owned_fd(descriptor)?)
    } else {
        Box::new(socket(descriptor)?)
    })
}

fn writing(descriptor: OwnedFd) -> io::Result<Writer> {
    let is_pipe = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&descriptor)?.st_mode).is_fifo();
    Ok(if is_pipe {
        widen(&descriptor);
        Box::new(pipe::Sender::from_owned_fd(descriptor)?)
    } else {
        Box::new(socket(descriptor)?)
    })
}

/// Lets a pipe hold more than the usual 64 KiB, so that a large message needs fewer turns of both sides. The kernel may
/// refuse (a user's pipes have a limit in all), which costs speed only.
fn widen(pipe: &OwnedFd) {
    const PIPE_BYTES: usize = 256 * 1024;
    if let Err(error) = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES) {
        tracing::debug!(%error, "a pipe keeps its size");
    }
}

fn socket(descriptor: OwnedFd) -> io::Result<UnixStream> {
    let socket = std::os::unix::net::UnixStream::from(descriptor);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

#[cfg(test)]
mod tests {
    use super::{reading, widen};

    #[tokio::test]
    async fn a_pipe_holds_a_large_message() {
        let (receiver, sender) = rustix::pipe::pipe().unwrap();
        let most: usize =
            std::fs::read_to_string("/proc/sys/fs/pipe-max-size").unwrap().trim().parse().unwrap();
        let _reader = reading(receiver).unwrap();
        assert!(most < 256 * 1024 || rustix::pipe::fcntl_getpipe_size(&sender).unwrap() >= 256 * 1024);
    }

    #[test]
    fn what_is_no_pipe_is_left_alone() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        widen(&one.into());
    }
}
