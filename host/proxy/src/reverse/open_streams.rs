//! [`OpenStreams`]: the streams of events that an HTTP server is giving out, each by its session and its client's connection.
//!
//! Asked to end those whose clients are gone before one of them is resumed. It holds no more than what is open: each stream is
//! taken out when its body is dropped.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::http::admission::{SESSION_ID, header_text};
use crate::http::serve::ConnectionAbort;
use crate::stdio::downstream::principal::principal;
use crate::stdio::session::Principal;

/// How long a stream that is ended may take for it.
const END_WITHIN: Duration = Duration::from_millis(200);

/// The key of a stream: its session, by the digest of the id, and its principal, as the session check has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamKey {
    session: [u8; 32],
    principal: Principal,
}

impl StreamKey {
    /// The key of the stream that a request with these headers asks for; `None` without a session.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let session = header_text(headers, &SESSION_ID).ok()??;
        Some(Self { session: Sha256::digest(session.as_bytes()).into(), principal: principal(headers) })
    }
}

/// The streams of all sessions.
#[derive(Debug, Default)]
pub(crate) struct OpenStreams {
    open: Mutex<Open>,
    /// Told when one has ended.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    by_number: HashMap<u64, OpenStream>,
}

#[derive(Debug)]
struct OpenStream {
    key: StreamKey,
    /// The client's.
    connection: ConnectionAbort,
}

/// Goes with the body of a stream, and is dropped after it.
#[derive(Debug)]
pub(crate) struct Noted {
    streams: Arc<OpenStreams>,
    number: u64,
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.streams.lock().by_number.remove(&self.number);
        self.streams.ended.notify_waiters();
    }
}

impl OpenStreams {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a stream that goes to the client of this connection.
    pub(crate) fn note(self: &Arc<Self>, key: StreamKey, connection: ConnectionAbort) -> Noted {
        let mut open = self.lock();
        let number = open.next;
        open.next += 1;
        open.by_number.insert(number, OpenStream { key, connection });
        Noted { streams: self.clone(), number }
    }

    /// Ends those streams of a session whose clients have ended their side of the connection, and waits until their bodies are
    /// dropped. A connection is cut off as a whole, for its stream may be stuck in a write; its client can ask for nothing
    /// more on it.
    pub(crate) async fn end_left(&self, key: StreamKey) {
        let left = self.left(key);
        for (_, connection) in &left {
            connection.token.cancel();
        }
        let all_have_ended = async {
            loop {
                let ended = self.ended.notified();
                if !self.is_any_open(&left) {
                    return;
                }
                ended.await;
            }
        };
        if timeout(END_WITHIN, all_have_ended).await.is_err() {
            tracing::debug!("a stream that was cut off has not ended in time");
        }
    }

    fn left(&self, key: StreamKey) -> Vec<(u64, ConnectionAbort)> {
        let open = self.lock();
        let of_session = open.by_number.iter().filter(|(_, stream)| stream.key == key);
        of_session
            .filter(|(_, stream)| stream.connection.phase.is_half_closed())
            .map(|(number, stream)| (*number, stream.connection.clone()))
            .collect()
    }

    fn is_any_open(&self, streams: &[(u64, ConnectionAbort)]) -> bool {
        let open = self.lock();
        streams.iter().any(|(number, _)| open.by_number.contains_key(number))
    }
}
