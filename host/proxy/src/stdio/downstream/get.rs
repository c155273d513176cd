//! GET opens or resumes a stream; DELETE ends a session.
use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

use crate::http::admission as gate;
use crate::http::admission::LAST_EVENT_ID;
use crate::http::classify::EraHeaders;
use crate::http::respond;
use crate::http::respond::{empty, invalid, unavailable, unknown_session};
use crate::http::serve::ConnectionAbort;
use crate::protocol::options::Busy;
use crate::protocol::revision::{Revision, is_modern};
use crate::stdio::downstream::principal::principal;
use crate::stdio::downstream::sse::EventBody;
use crate::stdio::event_log::{EventId, StreamKind};
use crate::stdio::session::SessionId;
use crate::stdio::shared::Shared;

/// GET.
pub(crate) fn get(proxy: &Arc<Shared>, parts: &Parts, headers: EraHeaders<'_>) -> Response {
    if headers.version.is_some_and(is_modern) {
        return respond::method_not_allowed();
    }
    if !gate::accepts_events(&parts.headers) {
        return crate::http::respond::not_acceptable("text/event-stream");
    }
    let session = match find_session(proxy, parts, headers) {
        Ok(session) => session,
        Err(response) => return *response,
    };
    let abort = parts.extensions.get::<ConnectionAbort>();
    let body = match parts.headers.get(LAST_EVENT_ID) {
        Some(seen) => {
            let seen = seen.to_str().ok().and_then(EventId::parse);
            let resumed = seen
                .and_then(|seen| EventBody::attach(proxy, session, seen.stream, Some(seen.sequence), abort));
            match resumed {
                Some(body) => body,
                None => return invalid(None, "Last-Event-ID names nothing that this session can resume"),
            }
        }
        None => match open(proxy, session, abort) {
            Ok(body) => body,
            Err(busy) => return unavailable(None, busy, &proxy.options.limits),
        },
    };
    respond::events(Body::new(body))
}

fn open(proxy: &Arc<Shared>, session: SessionId, abort: Option<&ConnectionAbort>) -> Result<EventBody, Busy> {
    let number = proxy.with(|state| {
        if state.is_shut {
            return Err(Busy::NotRunning);
        }
        let known = state.sessions.get(&session).ok_or(Busy::NotRunning)?;
        let is_open =
            |stream: &&crate::stdio::event_log::Stream| stream.kind() == StreamKind::Get && stream.is_read();
        if known.streams.values().filter(is_open).count() >= state.limits.streams_per_session {
            return Err(Busy::TooManyStreams);
        }
        state.open_stream(&session, StreamKind::Get).ok_or(Busy::NotRunning)
    })?;
    EventBody::attach(proxy, session, number, None, abort).ok_or(Busy::NotRunning)
}

/// DELETE.
pub(crate) fn delete(proxy: &Arc<Shared>, parts: &Parts, headers: EraHeaders<'_>) -> Response {
    if headers.version.is_some_and(is_modern) {
        return respond::method_not_allowed();
    }
    match find_session(proxy, parts, headers) {
        Ok(session) => {
            proxy.with(|state| state.end_session(session.as_str()));
            empty(StatusCode::NO_CONTENT)
        }
        Err(response) => *response,
    }
}

fn find_session(proxy: &Shared, parts: &Parts, headers: EraHeaders<'_>) -> Result<SessionId, Box<Response>> {
    let Some(session) = headers.session else {
        return Err(Box::new(invalid(None, "Mcp-Session-Id missing: open a session with initialize")));
    };
    if headers.version.is_some_and(|version| Revision::parse(version).is_none()) {
        return Err(Box::new(invalid(None, "MCP-Protocol-Version names no revision served here")));
    }
    let principal = principal(&parts.headers);
    proxy
        .with(|state| state.known_session(session, &principal))
        .ok_or_else(|| Box::new(unknown_session(None)))
}
