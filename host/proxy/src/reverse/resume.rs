//! A client's GET that goes on with a stream whose connection broke (`docs/mcp.md`, 11.13).
//!
//! Situation: the client has closed its connection, which may mean that it still reads, so the proxy goes on reading the
//! server's stream; and servers refuse a second reader of a stream with 409. Conclusion: a GET with `Last-Event-ID` first ends
//! the streams of its session whose clients have ended their side. Situation: the proxy or the server may notice the end of a
//! connection later than a request that was sent after it on another one. Conclusion: a GET that the server refuses is sent
//! again after a moment.
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use tokio::time::sleep;

use crate::http::admission::LAST_EVENT_ID;
use crate::http::serve::ConnectionAbort;
use crate::reverse::open_streams::{Noted, StreamKey};
use crate::reverse::passing::is_events;
use crate::reverse::shared::{Answer, HttpShared, ToServer};

/// How often a GET that is refused is sent again.
const MORE_TIMES: u32 = 2;
/// The pause before that.
const PAUSE: Duration = Duration::from_millis(100);

impl HttpShared {
    /// Sends a client's request on. Where it resumes a stream, what is left of that one ends first.
    pub(crate) async fn send_of_client(&self, parts: &Parts, request: ToServer) -> Answer {
        let resumes = parts.method == Method::GET && parts.headers.contains_key(LAST_EVENT_ID);
        let key = if resumes { StreamKey::of(&parts.headers) } else { None };
        let Some(key) = key else { return self.send(request).await };
        for _ in 0..MORE_TIMES {
            self.streams.end_left(key).await;
            let answer = self.send(request.clone()).await?;
            if answer.status() != StatusCode::CONFLICT {
                return Ok(answer);
            }
            drop(answer);
            sleep(PAUSE).await;
        }
        self.streams.end_left(key).await;
        self.send(request).await
    }

    /// Notes that a request is answered with a stream; `None` if the answer is no stream, or none that could be ended.
    pub(crate) fn note_stream(&self, parts: &Parts, answer: &HeaderMap) -> Option<Noted> {
        let connection = parts.extensions.get::<ConnectionAbort>()?;
        let key = StreamKey::of(&parts.headers)?;
        is_events(answer).then(|| self.streams.note(key, connection.clone()))
    }
}
