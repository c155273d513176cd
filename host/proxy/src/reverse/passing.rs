//! [`Passing`]: the body of an HTTP server's answer on its way to a client, which ends when that client is gone.
//!
//! A client that has ended its side of the connection still gets its answer, and most of those are gone, which only writing
//! shows. Situation: the server is silent, so that nothing is written. Conclusion: between events a comment is written, and
//! where none can be, the answer ends once the server has been silent for as long as a client may be away.
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
use crate::stdio::downstream::sse::{KEEP_ALIVE, PROBE_INTERVAL};

/// The body of a server's answer.
pub(crate) struct Passing<B> {
    body: B,
    /// Resolves when the client has ended its side of the connection; `None` once it has.
    closing: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Runs while the server is silent after that.
    silence: Option<Pin<Box<Sleep>>>,
    /// How long the server may be silent then.
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
        away: Duration,
    ) -> Self {
        let phase = connection.map(|connection| connection.phase.clone());
        let closing = async move {
            match phase {
                Some(phase) => phase.half_closed().await,
                None => std::future::pending().await,
            }
        };
        let is_events =
            headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let takes_comments =
            is_events && !headers.contains_key(CONTENT_ENCODING) && body.size_hint().exact().is_none();
        let end = takes_comments.then(EventEnd::default);
        Self { body, closing: Some(Box::pin(closing)), silence: None, away, end }
    }
}

impl<B> Passing<B> {
    /// What there is to say while the server says nothing.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, BoxError>> {
        if let Some(closing) = &mut self.closing {
            ready!(closing.as_mut().poll(context));
            self.closing = None;
        }
        let takes_comment = self.end.as_ref().is_some_and(EventEnd::is_reached);
        let time = if takes_comment { PROBE_INTERVAL.min(self.away) } else { self.away };
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
