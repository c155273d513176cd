//! Finds the way to a workload's port: an address on this machine, or connections that the runtime carries. Called at each
//! start, when the runtime has given the address. Must not know the protocol on the connections.
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wharf_model::{Error, ErrorKind, Result, chain};
use wharf_proxy::{Dialer, Dialing, Duplex, Upstream};
use wharf_runtimes::RuntimeClient;
use wharf_sdk::{Address, Capability, Handle, Observation};

/// Connections to a port of one workload, made by its runtime.
struct Dialed {
    client: Arc<RuntimeClient>,
    handle: Handle,
    port: u16,
}

impl Dialer for Dialed {
    fn dial(&self) -> Dialing {
        let (client, handle, port) = (Arc::clone(&self.client), self.handle.clone(), self.port);
        Box::pin(async move {
            let stream = client.dial(&handle, port).await.map_err(|error| io::Error::other(chain(&error)))?;
            let (reader, writer) = stream.into_sides()?;
            let both = tokio::io::join(reader, writer);
            Ok(match client.stamp().has(&Capability::DIAL_HALF_CLOSE) {
                true => Box::new(both) as Box<dyn Duplex>,
                false => Box::new(Whole(both)),
            })
        })
    }
}

/// A connection that its runtime can end only as a whole. The end of the host's side is kept back, since it would cut off
/// the server's last bytes. Dropping the connection ends it.
struct Whole<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for Whole<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Whole<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// The way to the workload's port, by the address that its runtime gave.
///
/// # Errors
/// Of kind [`ErrorKind::Runtime`], if the runtime gave none, or one of a kind that this version does not know.
pub(crate) fn upstream(
    client: &Arc<RuntimeClient>,
    handle: &Handle,
    seen: &Observation,
    port: u16,
) -> Result<Upstream> {
    let unknown = |what: &str| {
        let message = format!("the runtime '{}' {what}", client.name());
        Err(Error::new(ErrorKind::Runtime, message))
    };
    match seen.address {
        Some(Address::Tcp { address }) => Ok(Upstream::tcp(address)),
        Some(Address::Dial) => {
            let dialed = Dialed { client: Arc::clone(client), handle: handle.clone(), port };
            Ok(Upstream::dialed(port, Arc::new(dialed)))
        }
        Some(Address::Unknown) => unknown("names a way to the workload's port that this wharf does not know"),
        None => unknown("does not say where the workload's port can be reached"),
    }
}

#[cfg(test)]
mod tests {
    use super::Whole;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_connection_that_ends_as_a_whole_is_not_ended_by_the_end_of_what_is_written() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut whole = Whole(ours);
        whole.write_all(b"question").await.unwrap();
        whole.shutdown().await.unwrap();
        let mut question = [0; 8];
        theirs.read_exact(&mut question).await.unwrap();
        let more = tokio::time::timeout(std::time::Duration::from_millis(50), theirs.read_u8()).await;
        assert!(more.is_err(), "the server is told of an end: {more:?}");
        theirs.write_all(b"answer").await.unwrap();
        let mut answer = [0; 6];
        whole.read_exact(&mut answer).await.unwrap();
        assert_eq!((&question, &answer), (b"question", b"answer"));
        drop(whole);
        assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0);
    }
}
