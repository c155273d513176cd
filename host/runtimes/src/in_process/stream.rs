//! Turns a byte stream of a plugin into Tokio's reader and writer.
use crate::in_process::handed_over as handed;
use crate::in_process::handed_over::Earlier;
use crate::in_process::plugin_thread::PluginThread;
use crate::raw_stream::RawStream;
use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    runtime::Handle,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use wharf_abi::StreamBox;

/// The number of bytes under way in each direction.
const BUFFER_BYTES: usize = 256 * 1024;
/// The largest read.
const READ_BYTES: u32 = 64 * 1024;
/// How long the plugin may take to accept the written bytes after the host has dropped both sides.
const WRITER_GIVE_UP_WAIT: Duration = Duration::from_secs(5);

/// Turns a plugin's stream into the host's. `host` keeps the time, since the plugin's thread has no clock.
///
/// # Errors
/// The reason why the descriptors that the plugin hands over are no stream.
pub(crate) fn adopt(
    stream: StreamBox,
    thread: &PluginThread,
    earlier: &Earlier,
    host: &Handle,
) -> Result<RawStream, String> {
    let descriptors = stream.take_descriptors();
    if !descriptors.is_empty() {
        let (reader, writer) = handed::take(&descriptors, earlier)?;
        return Ok(RawStream::Descriptors { reader, writer });
    }
    let stream = Arc::new(stream);
    // One pair of ends for each direction: dropping an end closes that direction and leaves the other open.
    let (reader, to_host) = duplex(BUFFER_BYTES);
    let (writer, from_host) = duplex(BUFFER_BYTES);
    let failure = Arc::new(OnceLock::new());
    let (no_reader, no_writer) = (CancellationToken::new(), CancellationToken::new());
    thread.run_detached(copy_in(stream.clone(), to_host, failure.clone()));
    let given_up = given_up(host.clone(), no_reader.clone(), no_writer.clone());
    thread.run_detached(async move {
        // Without the second branch, a write that the plugin never completes would keep the stream, and everything behind
        // it, for ever.
        tokio::select! {
            () = copy_out(stream, from_host) => {}
            () = given_up => tracing::debug!("bytes that a plugin does not take are dropped"),
        }
    });
    let reader = Reader { bytes: reader, failure, _held: no_reader.drop_guard() };
    let writer = Writer { bytes: writer, _held: no_writer.drop_guard() };
    Ok(RawStream::Copied { reader: Box::new(reader), writer: Box::new(writer) })
}

/// Resolves some time after the host has dropped both sides.
async fn given_up(host: Handle, no_reader: CancellationToken, no_writer: CancellationToken) {
    no_writer.cancelled().await;
    no_reader.cancelled().await;
    // The timer runs on the host's Tokio runtime: a timer is bound to the runtime on which it is made, and that of the
    // plugin's thread has no clock. If the host has ended meanwhile, nobody waits any more.
    let _ = host.spawn(async { tokio::time::sleep(WRITER_GIVE_UP_WAIT).await }).await;
}

/// The side that is written to the plugin.
struct Writer {
    bytes: DuplexStream,
    _held: DropGuard,
}

impl AsyncWrite for Writer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_shutdown(cx)
    }
}

/// The side that is read from the plugin. If the stream breaks, reading ends with an error and not like at a normal end.
struct Reader {
    bytes: DuplexStream,
    failure: Arc<OnceLock<String>>,
    _held: DropGuard,
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.bytes).poll_read(cx, buf))?;
        match self.failure.get() {
            Some(why) if buf.filled().len() == before && buf.remaining() > 0 => {
                Poll::Ready(Err(io::Error::other(why.clone())))
            }
            _ => Poll::Ready(Ok(())),
        }
    }
}

async fn copy_in(stream: Arc<StreamBox>, mut to_host: DuplexStream, failure: Arc<OnceLock<String>>) {
    loop {
        let mut nothing = [0];
        let read = tokio::select! {
            read = stream.read(READ_BYTES) => read,
            // The host writes nothing into this pair. A read that ends means that the host has dropped its reader, which
            // must be noticed even if the stream is silent.
            _ = to_host.read(&mut nothing) => break,
        };
        match read.into_result() {
            Ok(bytes) if bytes.is_empty() => break,
            Ok(bytes) => {
                if to_host.write_all(&bytes).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                let _ = failure.set(match serde_json::from_str::<wharf_sdk::Error>(&error) {
                    Ok(error) => error.message,
                    Err(_) => "the plugin's stream broke".to_owned(),
                });
                break;
            }
        }
    }
    let _: io::Result<()> = to_host.shutdown().await;
}

async fn copy_out(stream: Arc<StreamBox>, mut from_host: DuplexStream) {
    let mut chunk = vec![0; READ_BYTES as usize];
    while let Ok(read @ 1..) = from_host.read(&mut chunk).await {
        if stream.write(chunk[..read].to_vec().into()).await.into_result().is_err() {
            break;
        }
    }
    let _ = stream.finish().await.into_result();
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    /// The paused clock advances by itself to the next timer; the test would hang if there were no timer on the host's
    /// runtime.
    #[tokio::test(start_paused = true)]
    async fn a_wait_on_the_plugin_thread_uses_the_clock_of_the_host() {
        let thread = PluginThread::start().unwrap();
        let (no_reader, no_writer) = (CancellationToken::new(), CancellationToken::new());
        let begun = Instant::now();
        let waiting = thread.run(given_up(Handle::current(), no_reader.clone(), no_writer.clone()));
        no_reader.cancel();
        no_writer.cancel();
        waiting.await.expect("it ended on the thread before its time");
        assert!(begun.elapsed() >= WRITER_GIVE_UP_WAIT);
    }
}
