//! A response body that reads one stream of a session until it ends, with comments while it is quiet.
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep};

use crate::http::pieces::Pieces;
use crate::http::serve::ConnectionAbort;
use crate::stdio::event_log::{StreamKind, StreamNo, Taken};
use crate::stdio::session::SessionId;
use crate::stdio::shared::Shared;
use crate::stdio::undelivered::Reason;

/// Events that are joined for the connection, in bytes.
const CHUNK: usize = 64 * 1024;
/// The time between two comments on a connection whose client has ended its side.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// A comment, which clients skip.
pub(crate) const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// The reader of one stream. Dropping it (the connection has gone) is no cancellation: the stream can be resumed.
pub(crate) struct EventBody {
    proxy: Arc<Shared>,
    session: SessionId,
    stream: StreamNo,
    reader: u64,
    quiet: Pin<Box<Sleep>>,
    /// The rest of the events that were taken.
    taken: Pieces,
    /// The connection that it is written to.
    connection: Option<ConnectionAbort>,
}

impl EventBody {
    /// Becomes the reader of a stream from after `seen` on; `None` when there is no such stream or event.
    pub(crate) fn attach(
        proxy: &Arc<Shared>,
        session: SessionId,
        stream: StreamNo,
        seen: Option<u64>,
        abort: Option<&ConnectionAbort>,
    ) -> Option<Self> {
        let token = abort.map(|abort| abort.token.clone());
        let reader = proxy.with(|state| {
            let known = state.sessions.get_mut(&session)?;
            let found = known.streams.get_mut(&stream)?;
            let reader = found.attach(seen, token)?;
            state.undelivered.note_many(Reason::LogBurst, found.take_missed());
            if found.kind() == StreamKind::Get {
                known.send_unseen(&state.limits);
            }
            Some(reader)
        })?;
        let mut body = Self {
            proxy: proxy.clone(),
            session,
            stream,
            reader,
            quiet: Box::pin(sleep(Duration::ZERO)),
            taken: Pieces(Bytes::new()),
            connection: abort.cloned(),
        };
        body.rest();
        Some(body)
    }

    fn take(&self, context: &Context<'_>) -> Taken {
        self.proxy.with(|state| {
            let Some(session) = state.sessions.get_mut(&self.session) else { return Taken::Ended };
            let Some(stream) = session.streams.get_mut(&self.stream) else { return Taken::Ended };
            let taken = stream.take(self.reader, CHUNK, context.waker(), &state.limits);
            if matches!(taken, Taken::Events(_)) {
                session.used_at = Instant::now();
            }
            taken
        })
    }

    fn rest(&mut self) {
        let mut interval = self.proxy.options.limits.keep_alive;
        // Most clients whose side has ended are gone, which only writing shows.
        if self.connection.as_ref().is_some_and(|connection| connection.phase.is_half_closed()) {
            interval = interval.min(PROBE_INTERVAL);
        }
        let next = Instant::now() + interval;
        self.quiet.as_mut().reset(next);
    }
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(piece) = self.taken.next_piece() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match self.take(context) {
            Taken::Events(events) => {
                self.rest();
                let connection = self.connection.as_ref().map(|connection| &connection.token);
                self.taken = Pieces(self.proxy.track_delivery(&self.session, connection, events));
                Poll::Ready(self.taken.next_piece().map(|piece| Ok(Frame::data(piece))))
            }
            Taken::Ended => Poll::Ready(None),
            Taken::Dropped => Poll::Ready(Some(Err(io::Error::other("the reader lagged too far behind")))),
            Taken::Nothing => {
                std::task::ready!(self.quiet.as_mut().poll(context));
                self.rest();
                // Its acceptance shows that somebody is still there.
                self.proxy.with(|state| {
                    if let Some(session) = state.sessions.get_mut(&self.session) {
                        session.used_at = Instant::now();
                    }
                });
                Poll::Ready(Some(Ok(Frame::data(KEEP_ALIVE))))
            }
        }
    }
}

impl Drop for EventBody {
    fn drop(&mut self) {
        self.proxy.with(|state| {
            let Some(session) = state.sessions.get_mut(&self.session) else { return };
            if let Some(stream) = session.streams.get_mut(&self.stream) {
                stream.detach(self.reader, &state.limits);
            }
            session.forget_streams(Instant::now(), &state.limits);
        });
    }
}
