//! A byte stream that goes through a plugin, as Tokio's reader and writer.
#![expect(unsafe_code, reason = "taking over descriptors from a plugin")]
use super::connection::RawStream;
use super::lane::Lane;
use std::{
    io,
    os::fd::{FromRawFd, OwnedFd},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use wharf_abi::StreamBox;

/// What may be under way in each direction.
const BUFFER_BYTES: usize = 256 * 1024;
/// The largest read.
const READ_BYTES: u32 = 64 * 1024;

/// Turns a plugin's stream into the host's.
pub(super) fn adopt(stream: StreamBox, lane: &Lane) -> RawStream {
    if let [reader, writer] = *stream.take_descriptors().as_slice() {
        // SAFETY: by the interface's contract the plugin gave up these descriptors, once, for the caller to own.
        let own = |raw: i32| (raw >= 0).then(|| unsafe { OwnedFd::from_raw_fd(raw) });
        return RawStream::Descriptors { reader: own(reader), writer: own(writer) };
    }
    let stream = Arc::new(stream);
    // One pair for each direction: dropping an end is then that direction's end, and leaves the other open.
    let (reader, to_host) = duplex(BUFFER_BYTES);
    let (writer, from_host) = duplex(BUFFER_BYTES);
    let failure = Arc::new(OnceLock::new());
    lane.run_detached(copy_in(stream.clone(), to_host, failure.clone()));
    lane.run_detached(copy_out(stream, from_host));
    let reader = Reader { bytes: reader, failure };
    RawStream::Copied { reader: Box::new(reader), writer: Box::new(writer) }
}

/// What came through the plugin. A stream that broke ends in an error and not like one that ended.
struct Reader {
    bytes: DuplexStream,
    failure: Arc<OnceLock<String>>,
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
            // The host writes nothing here: this is its reader's end, and a silent stream must notice it too.
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
