//! Connections to the port of a workload. Each one is a port-forward of its own, over the WebSocket of the API server for
//! the pod.
//!
//! The node connects over the pod's loopback, so it reaches a server whatever address it listens on. A port-forward cannot
//! pass on the end of one direction: half a second after one side has ended, it ends both. So the end of the host's side is
//! not passed on (this runtime does not claim `dial-half-close`), and a connection ends when the server's side ends, or
//! when it is dropped.
use crate::{cluster::Cluster, error::ask};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, ReadHalf, WriteHalf};
use wharf_sdk::{ByteStream, Error, Result};

/// For so long, a reader waits for the reason after the last byte: bytes and reason arrive over different channels.
const REASON: Duration = Duration::from_millis(20);

/// Opens a connection to a port of a pod.
///
/// # Errors
/// The API server refuses, or does not answer. If nobody listens on the port, the stream ends with an error later.
pub(crate) async fn open(cluster: &Cluster, pod: &str, port: u16) -> Result<ByteStream> {
    const DOING: &str = "the port of the pod cannot be reached";
    let mut forwarder = ask(DOING, cluster.pods().portforward(pod, &[port])).await?;
    let (Some(stream), Some(refused)) = (forwarder.take_stream(port), forwarder.take_error(port)) else {
        return Err(Error::internal("a port-forward without its port"));
    };
    let forwarding =
        tokio::spawn(async move { forwarder.join().await.err().map(|error| wharf_sdk::error_chain(&error)) });
    let broken = async move {
        tokio::select! {
            biased;
            Some(why) = refused => Some(why),
            Ok(Some(why)) = forwarding => Some(why),
            () = tokio::time::sleep(REASON) => None,
        }
    };
    let (reader, writer) = tokio::io::split(stream);
    Ok(ByteStream::new(Reading { half: reader, broken: Some(Box::pin(broken)) }, Writing(writer)))
}

/// The bytes from the server. After the last one, reading fails with the reason if the connection broke; it ends if the
/// server has ended it.
struct Reading {
    half: ReadHalf<DuplexStream>,
    broken: Option<Pin<Box<dyn Future<Output = Option<String>> + Send>>>,
}

impl AsyncRead for Reading {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.half).poll_read(cx, buf))?;
        if buf.filled().len() > before || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let Some(broken) = &mut self.broken else { return Poll::Ready(Ok(())) };
        let why = ready!(broken.as_mut().poll(cx));
        self.broken = None;
        Poll::Ready(why.map_or(Ok(()), |why| Err(io::Error::other(why))))
    }
}

/// The bytes to the server.
struct Writing(WriteHalf<DuplexStream>);

impl AsyncWrite for Writing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    /// The end is kept back; see the module's documentation.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
