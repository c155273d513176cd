//! The requests that are in flight at the server, their sessions, and where their answers go.
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::http::budget::TableEntry;
use crate::protocol::message::{Id, Message};
use crate::protocol::operation_counts::Method;
use crate::stdio::event_log::StreamNo;
use crate::stdio::session::SessionId;

/// The first result for a waiting POST; its HTTP head is held back until then.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The final response, complete.
    Json(Bytes),
    /// Something came before it: read this stream.
    Stream(StreamNo),
    /// The call was cancelled: there will be no response.
    Cancelled,
}

/// The destination of messages for a call.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Nothing was sent yet.
    Held(oneshot::Sender<Answer>),
    /// To this stream of the session.
    Stream(StreamNo),
    /// The client left before it got a stream to resume.
    Nobody,
}

/// A client's request at the server.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) session: SessionId,
    /// The client's id.
    pub(crate) id: Id,
    pub(crate) method: Method,
    /// The client's progress token, if it wants progress.
    pub(crate) progress_token: Option<Box<[u8]>>,
    /// True if the server may ask the client something on its behalf.
    pub(crate) may_ask: bool,
    /// The resource that it subscribes to.
    pub(crate) subscribes: Option<String>,
    pub(crate) began: Instant,
    /// When something last came for it.
    pub(crate) active: Instant,
    pub(crate) reply: Reply,
    /// The entry of its resource in the session's table.
    pub(crate) subscription: Option<TableEntry>,
    /// Ends the connection that waits for the answer.
    pub(crate) connection: Option<CancellationToken>,
    /// Since when its client is known to be gone.
    pub(crate) gone_since: Option<Instant>,
}

/// The server's answer to a request of wharf's own.
pub(crate) type OwnReply = Result<Message, NoAnswer>;

/// The reason why a request of wharf's own gets no answer any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// The server ended before it answered.
    #[error("the server ended before it answered")]
    ServerEnded,
    /// Its answer is there and cannot be used.
    #[error("the answer cannot be used: {why}")]
    Unusable {
        /// The fault.
        why: String,
        /// The beginning of the answer, escaped.
        excerpt: String,
    },
}

/// An upstream id that is taken. Ids are never used twice: a late answer to a forgotten one is dropped.
#[derive(Debug)]
pub(crate) enum Pending {
    /// A client waits.
    Client(Call),
    /// Wharf itself waits. (Where it does not, nothing is noted and the answer is dropped.)
    Own(oneshot::Sender<OwnReply>),
    /// Nobody waits any more for this session's call, but the server has not answered it and may be at work on it.
    AbandonedCall(SessionId),
}

/// Methods during which a server may ask its client (2026-07-28 basic/patterns/mrtr, applied to all eras).
pub(crate) fn may_ask(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read")
}
