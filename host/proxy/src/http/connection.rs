//! One connection: its clock, its two ends, and its place among all connections.
//!
//! The clock says how long a request's head may take once it has begun, and how long a connection may rest between
//! requests. (Hyper's own timeout counts both as one: it would cut pooled connections after 10 s.) A client that has ended
//! its side of the connection still gets its answer, and one that is still sending an unwanted body can read the reason.
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::Body as AxumBody;
use axum::http::Response;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::either::Either;

use crate::http::guarded::Guarded;

/// A client's end, on a port or on the Unix socket.
pub(crate) type Stream = Either<TcpStream, UnixStream>;

const RESTING: u64 = 0;
const HEAD: u64 = 1;
const SERVING: u64 = 2;
const STREAMING: u64 = 3;
const PHASES: u64 = 0b11;

/// How long the rest of a request is read and dropped after an answer that did not wait for it (RFC 9112, section 9.6):
/// closing a connection with unread bytes resets it, and the answer may be lost with it.
const LINGER: Duration = Duration::from_secs(5);

/// The present work of a connection, with the number of times that it has changed.
#[derive(Debug)]
pub(crate) struct Phase {
    state: AtomicU64,
    /// Milliseconds from `epoch` to the last change.
    since: AtomicU64,
    /// The same moment for all connections of a listener.
    epoch: Instant,
    /// A body is coming in.
    has_body_left: AtomicBool,
    /// Its client waits for an answer, and may end its own side meanwhile.
    is_answer_due: AtomicBool,
    half_closed: AtomicBool,
    half_closing: Notify,
    /// Has the connection look at its input again after the answer: its end was kept back.
    after_answer: Mutex<Option<Waker>>,
}

impl Phase {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self {
            state: AtomicU64::new(RESTING),
            since: AtomicU64::new(0),
            epoch,
            has_body_left: AtomicBool::new(false),
            is_answer_due: AtomicBool::new(false),
            half_closed: AtomicBool::new(false),
            half_closing: Notify::new(),
            after_answer: Mutex::new(None),
        }
    }

    fn now(&self) -> u64 {
        self.state.load(Ordering::Acquire)
    }

    fn set(&self, phase: u64) -> u64 {
        // Only the connection's own task changes it.
        let next = (self.now() & !PHASES) + PHASES + 1 + phase;
        self.since.store(self.epoch.elapsed().as_millis().try_into().unwrap_or(u64::MAX), Ordering::Release);
        self.state.store(next, Ordering::Release);
        next
    }

    /// A request's head is complete. `is_answer_due`: its client may end its side and still wants the answer.
    pub(crate) fn serving(&self, is_answer_due: bool) {
        self.is_answer_due.store(is_answer_due, Ordering::Release);
        self.set(SERVING);
    }

    /// Its place in the order in which connections make room: first those that rest, longest first, then streams, which
    /// can be resumed, then bodies that are not complete. `None` while it is being served.
    pub(crate) fn dispensable(&self) -> Option<(u8, u64)> {
        let since = self.since.load(Ordering::Acquire);
        match self.now() & PHASES {
            RESTING | HEAD => Some((0, since)),
            STREAMING => Some((1, since)),
            _ if self.has_body_left.load(Ordering::Acquire) => Some((2, since)),
            _ => None,
        }
    }

    /// True if its client has ended its side of the connection.
    pub(crate) fn is_half_closed(&self) -> bool {
        self.half_closed.load(Ordering::Acquire)
    }

    /// Resolves when its client has ended its side of the connection.
    pub(crate) async fn half_closed(&self) {
        let closing = self.half_closing.notified();
        if !self.is_half_closed() {
            closing.await;
        }
    }

    /// Takes note of an end of the input; true if the client is to get its answer all the same.
    fn takes_end(&self, waker: &Waker) -> bool {
        let is_serving = self.now() & PHASES >= SERVING;
        let is_taken = is_serving
            && self.is_answer_due.load(Ordering::Acquire)
            && !self.has_body_left.load(Ordering::Acquire);
        if is_taken {
            *self.after_answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
            if !self.half_closed.swap(true, Ordering::AcqRel) {
                self.half_closing.notify_waiters();
            }
        }
        is_taken
    }

    /// An answer is given out.
    fn resting(&self) {
        self.set(RESTING);
        if self.is_half_closed()
            && let Some(waker) = self.after_answer.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            waker.wake();
        }
    }
}

/// A socket that fails with `TimedOut` when a head or the next request does not come in time.
///
/// The clock for resting runs on while requests are served, so that a request costs no timer: when it strikes and
/// nothing has changed since it last did, the connection has rested for its time (and less than twice as long).
pub(crate) struct Timed {
    stream: Stream,
    phase: Arc<Phase>,
    clock: Pin<Box<Sleep>>,
    /// The phase that the clock was set in, or last struck in.
    struck: u64,
    head: Duration,
    rest: Duration,
    /// The writing side has been shut down.
    is_shut: bool,
}

impl Timed {
    pub(crate) fn new(stream: Stream, phase: Arc<Phase>, head: Duration, rest: Duration) -> Self {
        // The first head is awaited from the beginning.
        let struck = phase.set(HEAD);
        Self { stream, phase, clock: Box::pin(sleep(head)), struck, head, rest, is_shut: false }
    }

    fn set_clock(&mut self, phase: u64, within: Duration) {
        self.clock.as_mut().reset(Instant::now() + within);
        self.struck = phase;
    }

    /// Called when nothing was received: fails if the time is over.
    fn poll_clock(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let phase = self.phase.now();
        let is_head = phase & PHASES == HEAD;
        if self.struck != phase && (is_head || self.struck & PHASES == HEAD) {
            self.set_clock(phase, if is_head { self.head } else { self.rest });
        }
        loop {
            std::task::ready!(self.clock.as_mut().poll(context));
            if self.struck == phase && phase & PHASES < SERVING {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.set_clock(phase, self.rest);
        }
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => self.poll_clock(context),
            Poll::Ready(Ok(()))
                if buffer.remaining() > 0
                    && buffer.filled().len() == before
                    && self.phase.takes_end(context.waker()) =>
            {
                // The answer ends this, or writing to a client that is gone.
                Poll::Pending
            }
            ready => {
                if self.phase.now() & PHASES == RESTING && buffer.filled().len() > before {
                    self.phase.set(HEAD);
                }
                ready
            }
        }
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            std::task::ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.is_shut = true;
            self.clock.as_mut().reset(Instant::now() + LINGER);
        }
        if !self.phase.has_body_left.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        let mut dropped = [0; 16 * 1024];
        while self.clock.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut dropped);
            match std::task::ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// A request's body, of which the connection knows whether it has ended.
pub(crate) struct Incoming {
    body: hyper::body::Incoming,
    phase: Arc<Phase>,
}

impl Incoming {
    pub(crate) fn new(body: hyper::body::Incoming, phase: Arc<Phase>) -> Self {
        phase.has_body_left.store(!body.is_end_stream(), Ordering::Release);
        Self { body, phase }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() || self.body.is_end_stream() {
            self.phase.has_body_left.store(false, Ordering::Release);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response's body; the connection rests when it is done with.
pub(crate) type Served = Guarded<AxumBody, BeingServed>;

/// Dropped when a response is done with.
pub(crate) struct BeingServed(Arc<Phase>);

impl BeingServed {
    /// A response that is to be given out.
    pub(crate) fn response(response: Response<AxumBody>, phase: Arc<Phase>) -> Response<Served> {
        let content_type = response.headers().get(CONTENT_TYPE);
        if content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream")) {
            phase.set(STREAMING);
        }
        response.map(|body| Guarded { body, _guard: Self(phase) })
    }
}

impl Drop for BeingServed {
    fn drop(&mut self) {
        self.0.resting();
    }
}
