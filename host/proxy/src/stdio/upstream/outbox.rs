//! The way to the server's stdin: whole lines, in order, bounded in bytes.
//!
//! The task that adds a line also writes it when the pipe takes it at once: no other one has to wake up for a message. When
//! the pipe is full the pump task takes over and writes everything queued meanwhile in one go. A line is never cut: the
//! writing itself is not part of any request's future, so a client that goes away cannot interrupt it.
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::http::budget::Budget;
use crate::http::lines::LinesOfServer;

/// A line of at most so many bytes is taken wherever none waits before it: a server that reads hears of pings and cancellations,
/// however many lines wait for others.
const SHORT_LINE: usize = 4 * 1024;

/// A server that has read nothing for so long, though something waits for it, may not read at all.
const STUCK_AFTER: Duration = Duration::from_secs(5);

type Sink = Box<dyn AsyncWrite + Send + Unpin>;

/// The reason why a line was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutboxError {
    /// The server does not read fast enough.
    #[error("the server's input is full")]
    Full,
    /// The pipe has ended.
    #[error("the server's input is closed")]
    Closed,
}

struct Writing {
    sink: Option<Sink>,
    buffer: Vec<u8>,
    written: usize,
    /// The pipe was full: only the pump may poll it, or its waker would be lost.
    blocked: bool,
    /// When it last was found full.
    full_at: Instant,
}

/// A queue of lines in front of one stdin.
pub(crate) struct Outbox {
    queue: Mutex<Vec<u8>>,
    writing: Mutex<Writing>,
    most_bytes: usize,
    /// Charged with the bytes that wait.
    budget: Arc<Budget>,
    lines: LinesOfServer,
    closed: AtomicBool,
    /// The other side has closed the pipe, or it broke.
    broken: AtomicBool,
    work: Notify,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Outbox").field("lines", &self.lines).finish_non_exhaustive()
    }
}

impl Outbox {
    pub(crate) fn new(sink: Sink, most_bytes: usize, budget: Arc<Budget>) -> Self {
        Self {
            queue: Mutex::new(Vec::new()),
            writing: Mutex::new(Writing {
                sink: Some(sink),
                buffer: Vec::new(),
                written: 0,
                blocked: false,
                full_at: Instant::now(),
            }),
            most_bytes,
            lines: budget.lines_of_server(),
            budget,
            closed: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            work: Notify::new(),
        }
    }

    fn lock_queue(&self) -> MutexGuard<'_, Vec<u8>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lines.held()
    }

    /// Queues one line (newline included). Call [`Self::flush`] after the caller's own lock is released.
    pub(crate) fn push(&self, line: Vec<u8>) -> Result<(), OutboxError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(OutboxError::Closed);
        }
        let mut queue = self.lock_queue();
        let waiting = self.waiting();
        if waiting > 0 && waiting + line.len() > self.most_bytes {
            return Err(OutboxError::Full);
        }
        if waiting == 0 && line.len() <= SHORT_LINE {
            self.budget.add_short_line(&self.lines, line.len());
        } else if !self.budget.add_line(&self.lines, line.len()) {
            return Err(OutboxError::Full);
        }
        if queue.is_empty() {
            *queue = line;
        } else {
            queue.extend_from_slice(&line);
        }
        Ok(())
    }

    /// Writes queued lines, as far as the pipe takes them now.
    pub(crate) fn flush(&self) {
        loop {
            let mut writing = match self.writing.try_lock() {
                Ok(writing) => writing,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                // Its holder looks at the queue once more after letting go.
                Err(TryLockError::WouldBlock) => return,
            };
            if writing.blocked {
                return;
            }
            if self.pump(&mut writing, &mut Context::from_waker(Waker::noop())).is_pending() {
                drop(writing);
                self.work.notify_one();
                return;
            }
            drop(writing);
            if self.lock_queue().is_empty() {
                return;
            }
        }
    }

    /// True if the pipe ended without having been closed from here.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// True if the server has read nothing for a while, though something waits for it.
    pub(crate) fn is_stuck(&self) -> bool {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        writing.blocked && writing.full_at.elapsed() >= STUCK_AFTER
    }

    /// Takes over whenever the pipe was full; ends when the pipe does.
    pub(crate) async fn run(&self) {
        while !self.closed.load(Ordering::Acquire) {
            self.work.notified().await;
            poll_fn(|context| {
                let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
                self.pump(&mut writing, context)
            })
            .await;
            self.flush();
        }
    }

    fn pump(&self, writing: &mut Writing, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if writing.written == writing.buffer.len() {
                writing.next_buffer(&mut self.lock_queue());
            }
            let Writing { sink: Some(sink), buffer, written, blocked, full_at } = writing else {
                self.is_gone(writing.buffer.len() - writing.written);
                writing.written = writing.buffer.len();
                writing.blocked = false;
                return Poll::Ready(());
            };
            let idle = buffer.is_empty();
            let result = if idle {
                Pin::new(sink).poll_flush(context).map_ok(|()| 0)
            } else {
                Pin::new(sink).poll_write(context, &buffer[*written..])
            };
            *blocked = result.is_pending();
            match result {
                Poll::Pending => {
                    *full_at = Instant::now();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(_)) if idle => return Poll::Ready(()),
                Poll::Ready(Ok(count)) if count > 0 => {
                    *written += count;
                    self.is_gone(count);
                }
                Poll::Ready(result) => self.fail(writing, result.err()),
            }
        }
    }

    /// Notes that so many bytes wait no more.
    fn is_gone(&self, bytes: usize) {
        self.budget.give_back_lines(&self.lines, bytes);
    }

    fn fail(&self, writing: &mut Writing, error: Option<io::Error>) {
        tracing::debug!(error = error.map(tracing::field::display), "the server's input has ended");
        self.closed.store(true, Ordering::Release);
        self.broken.store(true, Ordering::Release);
        writing.sink = None;
        // The pump ends, and the task that runs it notices.
        self.work.notify_one();
    }

    /// Gives up the long lines of which nothing is written yet. `given_up` is shown each of them, and may have a short line for
    /// its place. Returns the number of bytes that this freed.
    pub(crate) fn shed(&self, mut given_up: impl FnMut(Bytes) -> Option<Vec<u8>>) -> usize {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut queue = self.lock_queue();
        let begun = writing.begun();
        let rests = [Bytes::from(writing.buffer.split_off(begun)), Bytes::from(std::mem::take(&mut *queue))];
        // The memory of what goes is not kept.
        writing.buffer.shrink_to_fit();
        for line in rests.iter().flat_map(lines) {
            if line.len() <= SHORT_LINE {
                queue.extend_from_slice(&line);
            } else if let Some(other) = given_up(line) {
                queue.extend_from_slice(&other);
            }
        }
        let before: usize = rests.iter().map(Bytes::len).sum();
        let freed = before.saturating_sub(queue.len());
        self.is_gone(freed);
        freed
    }

    /// Ends the pipe at once, in the middle of a line if need be.
    pub(crate) fn discard(&self) {
        self.closed.store(true, Ordering::Release);
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut queue = self.lock_queue();
        (writing.sink, writing.buffer, writing.written) = (None, Vec::new(), 0);
        *queue = Vec::new();
        self.is_gone(self.waiting());
    }

    /// Lets queued lines go out, then ends the pipe: the server reads the end of its input.
    pub(crate) async fn close(&self, within: Duration) {
        self.closed.store(true, Ordering::Release);
        let drained = poll_fn(|context| {
            let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            self.pump(&mut writing, context)
        });
        let is_drained = timeout(within, drained).await.is_ok();
        let sink = self.writing.lock().unwrap_or_else(PoisonError::into_inner).sink.take();
        if let Some(mut sink) = sink {
            let ended = timeout(within, sink.shutdown()).await;
            tracing::debug!(is_drained, ended = ended.is_ok(), "closed the server's input");
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.is_gone(self.waiting());
    }
}

/// The lines of a text, newlines included.
fn lines(text: &Bytes) -> impl Iterator<Item = Bytes> {
    text.split_inclusive(|byte| *byte == b'\n').map(|line| text.slice_ref(line))
}

impl Writing {
    /// The end of the line of which a part is written; the end of what is written if there is none.
    fn begun(&self) -> usize {
        let (written, rest) = self.buffer.split_at(self.written);
        if written.last().is_none_or(|byte| *byte == b'\n') {
            return self.written;
        }
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        self.written + end
    }

    fn next_buffer(&mut self, queue: &mut Vec<u8>) {
        // The memory of one large message is not kept.
        if self.buffer.capacity() > 1024 * 1024 {
            self.buffer = Vec::new();
        }
        self.buffer.clear();
        self.written = 0;
        std::mem::swap(&mut self.buffer, queue);
    }
}

#[cfg(test)]
mod tests;
