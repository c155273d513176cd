//! Stdin and stdout of a workload, over a WebSocket to its pod.
//!
//! A cluster attaches only to running containers. So an attach before the start returns a stream at once, and the start
//! connects that stream as soon as the container runs; the server waits for its first message until then.
use crate::{cluster::Cluster, error::ask, pods::CONTAINER};
use kube::api::{AttachParams, AttachedProcess};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy},
    sync::oneshot,
};
use wharf_sdk::{ByteStream, Result};

/// The number of bytes under way; a slow side slows the other one down.
const BUFFER: usize = 64 * 1024;

/// Streams that were asked for before their container ran, by the workload's uid.
#[derive(Default)]
pub(crate) struct Attachments(Mutex<HashMap<String, oneshot::Sender<AttachedProcess>>>);

impl Attachments {
    /// Returns a stream that the next start connects.
    pub(crate) fn promise(&self, uid: &str) -> ByteStream {
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        let (connected, when) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned(), connected);
        tokio::spawn(async move {
            // Without a start, the stream simply ends.
            if let Ok(attached) = when.await {
                join(ours, attached).await;
            }
        });
        stream(theirs)
    }

    /// Connects the stream that was promised, if there is one.
    pub(crate) async fn connect(&self, cluster: &Cluster, uid: &str, pod: &str) -> Result<()> {
        let Some(promised) = self.take(uid).filter(|promised| !promised.is_closed()) else { return Ok(()) };
        let attached = open(cluster, pod).await?;
        // If the receiver is gone, the attached stream is dropped, which ends the container's stdin.
        drop(promised.send(attached));
        Ok(())
    }

    /// Drops a promised stream, so that it ends.
    pub(crate) fn forget(&self, uid: &str) {
        drop(self.take(uid));
    }

    fn take(&self, uid: &str) -> Option<oneshot::Sender<AttachedProcess>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid)
    }
}

/// The stream of a running container.
pub(crate) async fn now(cluster: &Cluster, pod: &str) -> Result<ByteStream> {
    let attached = open(cluster, pod).await?;
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    tokio::spawn(join(ours, attached));
    Ok(stream(theirs))
}

async fn open(cluster: &Cluster, pod: &str) -> Result<AttachedProcess> {
    let params = AttachParams::default().container(CONTAINER).stdin(true).stdout(true).stderr(false);
    let params = params.max_stdin_buf_size(BUFFER).max_stdout_buf_size(BUFFER);
    ask("the pod cannot be attached", cluster.pods().attach(pod, &params)).await
}

fn stream(theirs: DuplexStream) -> ByteStream {
    let (reader, writer) = tokio::io::split(theirs);
    ByteStream::new(reader, writer)
}

/// Copies until the container's side ends, or the host reads no more. The end of the host's side is the end of stdin.
async fn join(ours: DuplexStream, mut attached: AttachedProcess) {
    let status = attached.take_status();
    let (Some(mut stdin), Some(mut stdout)) = (attached.stdin(), attached.stdout()) else { return };
    // Situation: the connection breaks off, for instance because the API server ends. The client library then drops the
    // status without a value, but does not end stdout. Conclusion: a status that is dropped without a value is taken for
    // the end of stdout, too.
    let broken = async move {
        if let Some(status) = status
            && status.await.is_none()
        {
            return;
        }
        std::future::pending::<()>().await;
    };
    let (mut from_host, mut to_host) = tokio::io::split(ours);
    let inward = async {
        if copy(&mut from_host, &mut stdin).await.is_ok() {
            drop(stdin.shutdown().await);
        }
        // The end of stdin must not end the other direction.
        std::future::pending::<()>().await;
    };
    let outward = async {
        let mut broken = std::pin::pin!(broken);
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = tokio::select! {
                // Bytes that have arrived are passed on before the break.
                biased;
                read = stdout.read(&mut buffer) => read,
                () = &mut broken => break,
            };
            let length = read.unwrap_or_default();
            if length == 0 || to_host.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
        drop(to_host.shutdown().await);
    };
    tokio::select! {
        () = inward => {}
        () = outward => {}
    }
}
