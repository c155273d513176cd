//! Reading a request's body within its bounds.
use axum::body::{Body, HttpBody};
use axum::http::header::{CONNECTION, CONTENT_LENGTH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::http::respond::rpc_error;
use crate::protocol::message::code;
use crate::protocol::options::Limits;

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// Longer than the limit.
    TooLarge,
    /// Too slow.
    TooSlow,
    /// The connection broke.
    Broken,
}

impl BodyError {
    /// The answer; the connection is closed, for the rest of the body is still on it.
    pub(crate) fn response(self) -> Response {
        let (status, text) = match self {
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body came too slowly"),
            Self::Broken => (StatusCode::BAD_REQUEST, "the body broke off"),
        };
        let mut response = rpc_error(status, None, code::INVALID_REQUEST, text);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// Whether the declared length is within the limit.
pub(crate) fn check_length(headers: &HeaderMap, limits: &Limits) -> Result<(), BodyError> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limits.body_bytes as u64) {
        return Err(BodyError::TooLarge);
    }
    Ok(())
}

/// Reads a body. One that arrives in one piece is not copied.
pub(crate) async fn read_body(body: Body, limits: &Limits) -> Result<Bytes, BodyError> {
    timeout(limits.body_read, collect(body, limits.body_bytes)).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn collect(mut body: Body, most: usize) -> Result<Bytes, BodyError> {
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        let so_far = rest.as_ref().map_or(first.len(), BytesMut::len);
        if so_far + data.len() > most {
            return Err(BodyError::TooLarge);
        }
        match &mut rest {
            Some(rest) => rest.extend_from_slice(&data),
            None if first.is_empty() => first = data,
            None => {
                // What is still to come is within the limit: the declared length is.
                let coming = usize::try_from(body.size_hint().lower()).unwrap_or(0).min(most);
                let joined = rest.insert(BytesMut::with_capacity(so_far + data.len() + coming));
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&data);
            }
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}
