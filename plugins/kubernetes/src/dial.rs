//! Connections to the port of a workload: each is a port-forward of its own, over the WebSocket of its pod.
//!
//! A node reaches the port over the pod's own loopback, so a server is reached whatever address it listens on. It carries no
//! end of one direction: half a second after either side has ended, it ends both. So nothing is told of the host's end
//! (this runtime does not claim `dial-half-close`), and a connection ends with the server's side, or by being dropped.
use crate::{
    cluster::Cluster,
    error::{ask, chain},
};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, ReadHalf, WriteHalf};
use wharf_sdk::{ByteStream, Error, Result};

/// How long the reason may take to come once the bytes have ended: it comes over another way than they do.
const REASON: Duration = Duration::from_millis(20);

/// A new connection to a port of a pod.
///
/// # Errors
/// The API server refuses, or does not answer. That nobody listens is told later, by the end of the stream.
pub(crate) async fn open(cluster: &Cluster, pod: &str, port: u16) -> Result<ByteStream> {
    const DOING: &str = "the port of the pod cannot be reached";
    let mut forwarder = ask(DOING, cluster.pods().portforward(pod, &[port])).await?;
    let (Some(stream), Some(refused)) = (forwarder.take_stream(port), forwarder.take_error(port)) else {
        return Err(Error::internal("a port-forward without its port"));
    };
    let forwarding = tokio::spawn(async move { forwarder.join().await.err().map(|error| chain(&error)) });
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

/// The bytes of the server. When the last one has been read, why there are no more, unless the server has just ended.
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

/// The bytes for the server.
struct Writing(WriteHalf<DuplexStream>);

impl AsyncWrite for Writing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    /// Kept back; see above.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
