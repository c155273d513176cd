//! Reads a request's body within its limits.
use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::http::budget::{BodyCharge, Budget, Holder, Listed};
use crate::http::respond::{closing, rpc_error};
use crate::protocol::message::code;
use crate::protocol::options::Limits;

/// The reason why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// Longer than the limit.
    TooLarge,
    /// Too slow.
    TooSlow,
    /// The connection broke.
    Broken,
    /// It had to make room for others.
    NoMemory,
}

impl BodyError {
    /// The answer; the connection is closed, for the rest of the body is still on it.
    pub(crate) fn response(self) -> Response {
        let (status, text) = match self {
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body came too slowly"),
            Self::Broken => (StatusCode::BAD_REQUEST, "the body broke off"),
            Self::NoMemory => (StatusCode::SERVICE_UNAVAILABLE, "no memory is left for the body"),
        };
        closing(rpc_error(status, None, code::INVALID_REQUEST, text))
    }
}

/// Refuses a declared length over a limit.
pub(crate) fn check_length(headers: &HeaderMap, most: usize) -> Result<(), BodyError> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > most as u64) {
        return Err(BodyError::TooLarge);
    }
    Ok(())
}

/// True if a body says that it is longer than so many bytes. Where no call could be begun, its refusal need not wait for it; any
/// other one is read, for the id that its error should have, and since it may hold something that needs no place.
pub(crate) fn is_longer(headers: &HeaderMap, most: usize) -> bool {
    check_length(headers, most).is_err()
}

/// The memory that a body is charged to while it is read.
pub(crate) struct Memory<'a> {
    pub(crate) budget: &'a Arc<Budget>,
    /// The holder of the body.
    pub(crate) holder: Holder,
    /// Makes room after the budget was exceeded.
    pub(crate) free_memory: &'a (dyn Fn() + Sync),
}

/// A body that was read.
pub(crate) struct WholeBody {
    pub(crate) bytes: Bytes,
    /// None of one that came in one piece.
    charge: Option<BodyCharge>,
}

/// Smaller bodies are not charged while they wait for a server: what HTTP buffers of their connection is more.
const SMALL_BODY: usize = 16 * 1024;

impl WholeBody {
    /// The body, charged as long as anything refers to it; and its place among those that may have to make room.
    pub(crate) fn charged(self, memory: &Memory<'_>) -> (Bytes, Option<Listed>) {
        let Self { bytes, charge } = self;
        if bytes.len() <= SMALL_BODY {
            return (bytes, None);
        }
        let charge = charge.unwrap_or_else(|| {
            let mut charge = memory.budget.read_body(memory.holder);
            charge.add(bytes.len());
            charge
        });
        if memory.budget.is_over() {
            (memory.free_memory)();
        }
        let listed = charge.listed();
        (Bytes::from_owner(Charged { bytes, _charge: charge }), Some(listed))
    }
}

struct Charged {
    bytes: Bytes,
    _charge: BodyCharge,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a body of at most so many bytes. One that arrives in one piece is not copied.
pub(crate) async fn read_body(
    body: Body,
    most: usize,
    limits: &Limits,
    memory: &Memory<'_>,
) -> Result<WholeBody, BodyError> {
    timeout(limits.body_read, collect(body, most, memory)).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn collect(mut body: Body, most: usize, memory: &Memory<'_>) -> Result<WholeBody, BodyError> {
    let first = next_piece(&mut body, most).await?.unwrap_or_default();
    if body.is_end_stream() {
        return Ok(WholeBody { bytes: first, charge: None });
    }
    let mut charge = memory.budget.read_body(memory.holder);
    let dropped = charge.dropped.clone();
    let mut whole = BytesMut::new();
    let mut piece = Some(first);
    while let Some(data) = piece {
        charge.add(data.len());
        if memory.budget.is_over() {
            (memory.free_memory)();
        }
        whole.extend_from_slice(&data);
        let left = most - whole.len();
        piece = tokio::select! {
            biased;
            () = dropped.cancelled() => return Err(BodyError::NoMemory),
            piece = next_piece(&mut body, left) => piece?,
        };
    }
    Ok(WholeBody { bytes: whole.freeze(), charge: Some(charge) })
}

/// The next bytes of a body; `None` at its end.
async fn next_piece(body: &mut Body, most: usize) -> Result<Option<Bytes>, BodyError> {
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        if data.len() > most {
            return Err(BodyError::TooLarge);
        }
        if !data.is_empty() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}
