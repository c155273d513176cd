//! Reads the logs that launchers write, from their files, rotated ones included, and follows them without polling.
//!
//! Invariants: memory is bounded whatever the files hold; a reader that goes away ends the reading; nothing is written.
mod files;
mod follow;
mod lines;
mod source;

use source::Source;
use std::{
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWriteExt, DuplexStream, ReadBuf},
    task::AbortHandle,
};
use wharf_sdk::{ByteStream, Error, LogOptions, Result};

/// The number of bytes that wait for a slow reader.
const PENDING_BYTES: usize = 64 * 1024;

/// Opens the log of a workload. A workload without output yet has an empty log.
pub(crate) fn open(log: &Path, state: &Path, options: LogOptions) -> Result<ByteStream> {
    Ok(ByteStream::reading(LogReader::open(log, state.to_owned(), options)?))
}

/// The stream that a caller reads.
pub(crate) struct LogReader {
    output: DuplexStream,
    task: AbortHandle,
}

impl LogReader {
    /// Starts reading. A log that is followed ends when `state` records the end of the workload, or is removed.
    pub(crate) fn open(log: &Path, state: PathBuf, options: LogOptions) -> Result<Self> {
        let failed =
            |error: std::io::Error| Error::io(&format!("the log '{}' cannot be read", log.display()), &error);
        // The watch begins before the files are opened, so that no change in between is missed.
        let follow = options.follow.then(|| follow::Changes::of(log, state)).transpose().map_err(failed)?;
        let source = Source::open(log, options, follow).map_err(failed)?;
        let (output, input) = tokio::io::duplex(PENDING_BYTES);
        let task = tokio::spawn(copy(source, input)).abort_handle();
        Ok(Self { output, task })
    }
}

async fn copy(mut source: Source, mut input: DuplexStream) {
    loop {
        match source.next().await {
            Ok(Some(text)) => {
                if input.write_all(&text).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "the log cannot be read further");
                return;
            }
        }
    }
}

impl AsyncRead for LogReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.output).poll_read(cx, buffer)
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
