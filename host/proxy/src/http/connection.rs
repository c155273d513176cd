//! One connection's clock: how long a request's head may take once it has begun, and how long a connection may
//! rest between requests. (Hyper's own timeout counts both as one: it would cut pooled connections after 10 s.)
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body as AxumBody;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::either::Either;

/// A client's end, on a port or on the Unix socket.
pub(crate) type Stream = Either<TcpStream, UnixStream>;

const RESTING: u64 = 0;
const HEAD: u64 = 1;
const SERVING: u64 = 2;
const PHASES: u64 = 0b11;

/// What a connection is doing, and how often that has changed.
#[derive(Debug, Default)]
pub(crate) struct Phase(AtomicU64);

impl Phase {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, phase: u64) -> u64 {
        // Only the connection's own task changes it.
        let next = (self.now() & !PHASES) + PHASES + 1 + phase;
        self.0.store(next, Ordering::Release);
        next
    }

    /// A request's head is complete.
    pub(crate) fn serving(&self) {
        self.set(SERVING);
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
}

impl Timed {
    pub(crate) fn new(stream: Stream, phase: Arc<Phase>, head: Duration, rest: Duration) -> Self {
        // The first head is awaited from the beginning.
        let struck = phase.set(HEAD);
        Self { stream, phase, clock: Box::pin(sleep(head)), struck, head, rest }
    }

    fn set_clock(&mut self, phase: u64, within: Duration) {
        self.clock.as_mut().reset(Instant::now() + within);
        self.struck = phase;
    }

    /// Nothing came: is it time?
    fn poll_clock(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let phase = self.phase.now();
        let is_head = phase & PHASES == HEAD;
        if self.struck != phase && (is_head || self.struck & PHASES == HEAD) {
            self.set_clock(phase, if is_head { self.head } else { self.rest });
        }
        loop {
            std::task::ready!(self.clock.as_mut().poll(context));
            if self.struck == phase && phase & PHASES != SERVING {
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
        Pin::new(&mut self.stream).poll_shutdown(context)
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

/// A response body; the connection rests when it is done with.
pub(crate) struct Served {
    body: AxumBody,
    phase: Arc<Phase>,
}

impl Served {
    pub(crate) fn new(body: AxumBody, phase: Arc<Phase>) -> Self {
        Self { body, phase }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.phase.set(RESTING);
    }
}

impl Body for Served {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
