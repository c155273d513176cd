//! [`Passing`]: the body of an HTTP server's answer on its way to a client, which ends when that client is gone.
//!
//! A client that has ended its side of the connection still gets its answer, and most of those are gone, which only writing
//! shows; and one whose machine went away has ended nothing. Situation: the server is silent, so that nothing is written.
//! Conclusion: between events a comment is written, at short intervals once the client has ended its side; and where none can
//! be, the answer ends once the server has been silent since then for as long as a client may be away.
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::http::serve::ConnectionAbort;
use crate::protocol::options::Limits;
use crate::stdio::downstream::sse::{KEEP_ALIVE, PROBE_INTERVAL};

/// The content type of a stream of events.
const EVENTS: &[u8] = b"text/event-stream";

/// True if an answer with these headers is a stream of events.
pub(crate) fn is_events(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes().get(..EVENTS.len());
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS))
    })
}

/// The body of a server's answer.
pub(crate) struct Passing<B> {
    body: B,
    /// Resolves when the client has ended its side of the connection; `None` once it has.
    closing: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Runs while the server is silent.
    silence: Option<Pin<Box<Sleep>>>,
    /// The time between two comments to a client that has not ended its side.
    keep_alive: Duration,
    /// How long the server may be silent once it has.
    away: Duration,
    /// The place in a stream of events; `None` of a body in which no comment can be.
    end: Option<EventEnd>,
}

impl<B: Body> Passing<B> {
    /// The body of an answer with these headers, to the client of this connection.
    pub(crate) fn new(
        body: B,
        headers: &HeaderMap,
        connection: Option<&ConnectionAbort>,
        limits: &Limits,
    ) -> Self {
        let phase = connection.map(|connection| connection.phase.clone());
        let closing = async move {
            match phase {
                Some(phase) => phase.half_closed().await,
                None => std::future::pending().await,
            }
        };
        let takes_comments = is_events(headers)
            && !headers.contains_key(CONTENT_ENCODING)
            && body.size_hint().exact().is_none();
        let end = takes_comments.then(EventEnd::default);
        let (keep_alive, away) = (limits.keep_alive, limits.ring_keep);
        Self { body, closing: Some(Box::pin(closing)), silence: None, keep_alive, away, end }
    }
}

impl<B> Passing<B> {
    /// What there is to say while the server says nothing.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, BoxError>> {
        if let Some(closing) = &mut self.closing
            && closing.as_mut().poll(context).is_ready()
        {
            (self.closing, self.silence) = (None, None);
        }
        let takes_comment = self.end.as_ref().is_some_and(EventEnd::is_reached);
        let time = match (self.closing.is_some(), takes_comment) {
            (true, true) => self.keep_alive,
            (true, false) => return Poll::Pending,
            (false, true) => PROBE_INTERVAL.min(self.away),
            (false, false) => self.away,
        };
        let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(time)));
        ready!(silence.as_mut().poll(context));
        self.silence = None;
        Poll::Ready(if takes_comment { Ok(KEEP_ALIVE) } else { Err("the client is gone".into()) })
    }
}

impl<B> Body for Passing<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            return self.poll_silence(context).map(|said| Some(said.map(Frame::data)));
        };
        self.silence = None;
        if let (Some(end), Some(Ok(frame))) = (&mut self.end, &frame)
            && let Some(data) = frame.data_ref()
        {
            end.pass(data);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The last bytes of a stream of events.
#[derive(Debug, Default)]
struct EventEnd(Vec<u8>);

impl EventEnd {
    const MOST: usize = 4;

    fn pass(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&bytes[bytes.len().saturating_sub(Self::MOST)..]);
        self.0.drain(..self.0.len().saturating_sub(Self::MOST));
    }

    /// True between two events: after an empty line, or before anything else. Lines end with CR, LF, or both.
    fn is_reached(&self) -> bool {
        let is_after = |end: &&[u8]| self.0.ends_with(end);
        self.0.is_empty() || [&b"\n\n"[..], b"\r\r", b"\n\r\n"].iter().any(is_after)
    }
}

#[cfg(test)]
mod tests {
    use super::EventEnd;

    #[test]
    fn a_comment_may_stand_between_events_alone() {
        for (pieces, may) in [
            (&[][..], true),
            (&["data: a\n\n"], true),
            (&["data: a\r\n\r\n"], true),
            (&["data: a\r\r"], true),
            (&["data: a", "\n", "\n"], true),
            (&["id: 1\n"], false),
            (&["id: 1\n\n", "data"], false),
            (&["data: a\r\n"], false),
            (&["data: a\r\n", "\r"], false),
        ] {
            let mut end = EventEnd::default();
            for piece in pieces {
                end.pass(piece.as_bytes());
            }
            assert_eq!(end.is_reached(), may, "{pieces:?}");
        }
    }
}
