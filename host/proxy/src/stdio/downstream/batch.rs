//! Batches: a JSON array of messages, which only revision 2025-03-26 knows. Every message of it is handled by itself; all
//! answers come back on one stream.
use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use bytes::Bytes;

use crate::http::classify::EraHeaders;
use crate::http::respond;
use crate::http::respond::malformed;
use crate::http::respond::{empty, invalid, unknown_session};
use crate::http::serve::ConnectionAbort;
use crate::protocol::json;
use crate::protocol::message::{Message, MessageError, Shape, code, error_text};
use crate::protocol::revision::Revision;
use crate::stdio::broker::{CallError, State};
use crate::stdio::call::Reply;
use crate::stdio::downstream::request::{Begun, ID_IN_USE, ID_TOO_LONG, begin, notification};
use crate::stdio::downstream::sse::EventBody;
use crate::stdio::event_log::{StreamKind, StreamNo};
use crate::stdio::session::{Principal, SessionId};
use crate::stdio::shared::Shared;

/// A POST of an array.
pub(crate) fn post(
    proxy: &Arc<Shared>,
    parts: &Parts,
    headers: EraHeaders<'_>,
    principal: &Principal,
    body: &Bytes,
) -> Response {
    let is_served = headers.version.is_none_or(|version| Revision::parse(version).is_some());
    let Some(session) = headers.session.filter(|_| is_served) else {
        return invalid(None, "a batch needs a session of revision 2025-03-26");
    };
    let messages = match split(proxy, body) {
        Ok(messages) => messages,
        Err(error) => return malformed(&error),
    };
    let known = proxy.with(|state| {
        let id = state.known_session(session, principal)?;
        let has_batches = state.sessions.get(&id)?.revision.has_batches();
        Some((id, has_batches))
    });
    let session = match known {
        None => return unknown_session(None),
        Some((_, false)) => return invalid(None, "this session's revision has no batches"),
        Some((session, true)) => session,
    };
    if messages.is_empty() || messages.len() > proxy.options.limits.in_flight_per_session {
        return invalid(None, "a batch holds at least one message and not more than may be in flight");
    }
    let requests = messages.iter().filter(|message| matches!(message.shape(), Shape::Request { .. })).count();
    if requests == 0 {
        proxy.with(|state| {
            for message in &messages {
                take_unanswered(state, &session, message);
            }
        });
        return empty(StatusCode::ACCEPTED);
    }
    let Some(number) = proxy.with(|state| open(state, &session, requests)) else {
        return unknown_session(None);
    };
    let abort = parts.extensions.get::<ConnectionAbort>();
    // The reader first: answers given here must find it, or a long batch would push its own out of the ring.
    let Some(stream) = EventBody::attach(proxy, session.clone(), number, None, abort) else {
        return unknown_session(None);
    };
    proxy.with(|state| {
        for message in &messages {
            take(state, &session, number, message);
        }
    });
    respond::events(Body::new(stream))
}

fn split(proxy: &Shared, body: &Bytes) -> Result<Vec<Message>, MessageError> {
    // One level more, for the array itself.
    let depth = proxy.options.limits.json_depth;
    let (scan, result) = json::scan(body, depth.saturating_add(1));
    result.map_err(MessageError::Json)?;
    let invalid = |reason| MessageError::Invalid { id: None, reason, is_answer: false };
    if scan.elements.len() > proxy.options.limits.in_flight_per_session {
        return Err(invalid("too many messages in one batch"));
    }
    let elements =
        scan.elements.iter().map(|element| Message::parse(&scan.text.slice(element.clone()), depth));
    // The whole batch or nothing: no id names an error of the whole.
    let messages = elements.collect::<Result<Vec<_>, _>>().map_err(|error| match error {
        MessageError::Invalid { reason, .. } => invalid(reason),
        MessageError::Json(error) => MessageError::Json(error),
    })?;
    if messages.iter().any(|message| message.method() == Some("initialize") || message.has_modern_meta()) {
        return Err(invalid("initialize and stateless requests are no part of a batch"));
    }
    Ok(messages)
}

fn open(state: &mut State, session: &SessionId, requests: usize) -> Option<StreamNo> {
    let number = state.open_stream(session, StreamKind::Post)?;
    state.sessions.get_mut(session)?.streams.get_mut(&number)?.open_calls = requests;
    Some(number)
}

fn take(state: &mut State, session: &SessionId, number: StreamNo, message: &Message) {
    let Shape::Request { id, .. } = message.shape() else {
        take_unanswered(state, session, message);
        return;
    };
    let text = match begin(state, session, message, Reply::Stream(number), None) {
        Begun::Waiting => return,
        Begun::Answered(text, _) => text,
        Begun::Refused(CallError::IdInUse) => {
            error_text(Some(id.as_json()), code::INVALID_REQUEST, ID_IN_USE)
        }
        Begun::Refused(CallError::IdTooLong) => error_text(None, code::INVALID_REQUEST, ID_TOO_LONG),
        Begun::Refused(CallError::Busy(busy)) => {
            error_text(Some(id.as_json()), code::INTERNAL, &busy.to_string())
        }
        Begun::Refused(CallError::SessionEnded) => {
            error_text(Some(id.as_json()), code::INVALID_REQUEST, "session not found")
        }
    };
    state.push_last(session, number, Some((text.as_slice(), id.clone())));
}

fn take_unanswered(state: &mut State, session: &SessionId, message: &Message) {
    if matches!(message.shape(), Shape::Response { .. }) {
        if let Err(busy) = state.client_answers(session, message) {
            tracing::debug!(%busy, "an answer of a batch was not passed on");
        }
    } else if let Err(busy) = notification(state, session, message) {
        tracing::debug!(%busy, "a notification of a batch was not passed on");
    }
}
