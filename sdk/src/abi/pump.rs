//! Copies a byte stream of the author's with tasks of the plugin's own Tokio runtime.
//!
//! The host polls only bounded channels, so no code of the author's runs on the host's threads, and a slow side holds the
//! other one up.
use super::{forward, tokio_runtime};
use crate::stream::{ByteStream, Kind};
use crate::types::Error;
use abi_stable::std_types::{RResult, RString, RVec};
use std::{
    future::Future,
    os::fd::{IntoRawFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{Mutex as AsyncMutex, mpsc, oneshot},
    task::AbortHandle,
};
use wharf_abi::{FfiFuture, Stream};

/// How many chunks may wait in each direction.
const QUEUED_CHUNKS: usize = 8;
/// The largest chunk.
const CHUNK_BYTES: usize = 64 * 1024;
/// How long the writer may take to write the queued chunks after the host has dropped the stream.
const WRITER_GIVE_UP_WAIT: Duration = Duration::from_secs(5);

type Chunk = std::result::Result<Vec<u8>, Error>;

/// The host's end of a stream.
pub(super) struct Pump {
    descriptors: Mutex<Option<(Option<OwnedFd>, Option<OwnedFd>)>>,
    incoming: Arc<AsyncMutex<Incoming>>,
    outgoing: Mutex<Option<mpsc::Sender<Vec<u8>>>>,
    /// Copies from the author's reader.
    reading: Option<AbortHandle>,
    /// Dropped together with the stream: the end of this channel tells the writer's task of it.
    _held: oneshot::Sender<()>,
}

struct Incoming {
    channel: Option<mpsc::Receiver<Chunk>>,
    /// Bytes that did not fit into an earlier read with a small `max`.
    rest: Vec<u8>,
}

impl Pump {
    /// Begins to copy. Must be called on the plugin's own Tokio runtime, where it spawns its tasks.
    pub(super) fn start(stream: ByteStream) -> Self {
        let (held, dropped) = oneshot::channel();
        let mut pump = Self {
            descriptors: Mutex::new(None),
            incoming: Arc::new(AsyncMutex::new(Incoming { channel: None, rest: Vec::new() })),
            outgoing: Mutex::new(None),
            reading: None,
            _held: held,
        };
        match stream.0 {
            Kind::Descriptors { reader, writer } => {
                pump.descriptors = Mutex::new(Some((reader, writer)));
            }
            Kind::Copied { reader, writer } => {
                if let Some(reader) = reader {
                    let (sender, receiver) = mpsc::channel(QUEUED_CHUNKS);
                    pump.incoming =
                        Arc::new(AsyncMutex::new(Incoming { channel: Some(receiver), rest: Vec::new() }));
                    let copy = tokio::spawn(here(copy_in(reader, sender.clone())));
                    pump.reading = Some(copy.abort_handle());
                    // A panic of the author's reader becomes an error of the next read; otherwise the reader of the stream
                    // would take it for the end.
                    tokio::spawn(async move {
                        if let Err(error) = copy.await
                            && error.is_panic()
                        {
                            let _ = sender.send(Err(tokio_runtime::task_error(error))).await;
                        }
                    });
                }
                if let Some(writer) = writer {
                    let (sender, receiver) = mpsc::channel(QUEUED_CHUNKS);
                    pump.outgoing = Mutex::new(Some(sender));
                    tokio::spawn(here(async move {
                        tokio::select! {
                            () = copy_out(writer, receiver) => {}
                            () = farewell(dropped) => tracing::debug!("bytes that nobody reads are dropped"),
                        }
                    }));
                }
            }
        }
        pump
    }
}

/// Resolves some time after the host has dropped the stream, which ends the writer's task. Without it, a workload that no
/// longer reads would keep that task for ever.
async fn farewell(dropped: oneshot::Receiver<()>) {
    let _ = dropped.await;
    tokio::time::sleep(WRITER_GIVE_UP_WAIT).await;
}

/// Lets a copying task log to the host of the runtime that opened the stream.
fn here(copy: impl Future<Output = ()>) -> impl Future<Output = ()> {
    forward::inherited(forward::current(), copy)
}

async fn copy_in(mut reader: Box<dyn AsyncRead + Send + Unpin>, sender: mpsc::Sender<Chunk>) {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let outcome = match (&mut reader).take(CHUNK_BYTES as u64).read_buf(&mut chunk).await {
            Ok(0) => return,
            Ok(_) => Ok(chunk),
            Err(error) => Err(Error::io("reading from the workload", &error)),
        };
        let failed = outcome.is_err();
        if sender.send(outcome).await.is_err() || failed {
            return;
        }
    }
}

async fn copy_out(mut writer: Box<dyn AsyncWrite + Send + Unpin>, mut receiver: mpsc::Receiver<Vec<u8>>) {
    while let Some(chunk) = receiver.recv().await {
        if let Err(error) = async {
            writer.write_all(&chunk).await?;
            writer.flush().await
        }
        .await
        {
            tracing::debug!(%error, "writing to the workload failed");
            return;
        }
    }
    let _ = writer.shutdown().await;
}

impl Stream for Pump {
    fn read(&self, max: u32) -> FfiFuture<RResult<RVec<u8>, RString>> {
        let incoming = self.incoming.clone();
        FfiFuture::new(async move {
            let mut incoming = incoming.lock().await;
            if incoming.rest.is_empty() {
                let received = match &mut incoming.channel {
                    Some(channel) => channel.recv().await,
                    None => None,
                };
                match received {
                    None => return RResult::ROk(RVec::new()),
                    Some(Err(error)) => return RResult::RErr(tokio_runtime::error_document(&error)),
                    Some(Ok(chunk)) => incoming.rest = chunk,
                }
            }
            let keep = incoming.rest.len().min(max.max(1) as usize);
            let rest = incoming.rest.split_off(keep);
            RResult::ROk(std::mem::replace(&mut incoming.rest, rest).into())
        })
    }

    fn write(&self, bytes: RVec<u8>) -> FfiFuture<RResult<(), RString>> {
        let sender = self.outgoing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        FfiFuture::new(async move {
            let sent = match sender {
                Some(sender) => sender.send(bytes.into()).await.is_ok(),
                None => false,
            };
            if sent {
                RResult::ROk(())
            } else {
                RResult::RErr(tokio_runtime::error_document(&Error::unavailable(
                    "the workload reads no more",
                )))
            }
        })
    }

    fn finish(&self) -> FfiFuture<RResult<(), RString>> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner).take();
        FfiFuture::new(async { RResult::ROk(()) })
    }

    fn take_descriptors(&self) -> RVec<i32> {
        match self.descriptors.lock().unwrap_or_else(PoisonError::into_inner).take() {
            None => RVec::new(),
            Some((reader, writer)) => {
                let raw = |fd: Option<OwnedFd>| fd.map_or(-1, IntoRawFd::into_raw_fd);
                vec![raw(reader), raw(writer)].into()
            }
        }
    }
}

impl Drop for Pump {
    /// Ends the copying; the author's reader and writer are dropped by the tasks that own them.
    fn drop(&mut self) {
        // Once its queue is closed, a writer still writes the queued chunks and shuts down, for [`WRITER_GIVE_UP_WAIT`] at
        // most.
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reading) = &self.reading {
            reading.abort();
        }
    }
}
