//! POST: checks, classification, and messages that belong to no session yet.
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::http::admission as gate;
use crate::http::admission::SESSION_ID;
use crate::http::body::{BodyError, Memory, check_length, is_longer, read_body};
use crate::http::budget::{Account, Holder};
use crate::http::classify::{Era, EraHeaders, MODERN_REFUSAL, Misfit, classify};
use crate::http::respond;
use crate::http::respond::{closing, empty, invalid, malformed, rpc_error, unavailable, unknown_session};
use crate::http::serve::ConnectionAbort;
use crate::protocol::forgiven::without_mark;
use crate::protocol::message::{Id, Message, code, result_text};
use crate::protocol::operation_counts::{Method, Outcome};
use crate::protocol::options::Busy;
use crate::protocol::options::Limits;
use crate::protocol::revision::{Revision, is_modern};
use crate::stdio::client_capabilities::ClientCapabilities;
use crate::stdio::downstream::principal::principal;
use crate::stdio::downstream::{batch, request};
use crate::stdio::family::{Family, Kind};
use crate::stdio::session::{Principal, Session, SessionId};
use crate::stdio::shared::Shared;

/// `docs/mcp.md`, 2.3 and 2.4: size, then types.
pub(crate) fn check_post_head(parts: &Parts, limits: &Limits) -> Result<(), Box<Response>> {
    check_length(&parts.headers, limits.body_bytes).map_err(|error| Box::new(error.response()))?;
    if !gate::is_json(&parts.headers) {
        return Err(Box::new(respond::unsupported_media_type()));
    }
    if !gate::accepts_both(&parts.headers) {
        return Err(Box::new(respond::not_acceptable("application/json and text/event-stream")));
    }
    Ok(())
}

/// A POST to this proxy, or to the one of those behind it in which the session is that it names.
pub(crate) async fn post(front: &Arc<Shared>, parts: &Parts, body: Body) -> Response {
    let proxy = &front.serving(&parts.headers);
    let limits = &proxy.options.limits;
    if let Err(response) = check_post_head(parts, limits) {
        return *response;
    }
    let headers = match gate::era_headers(&parts.headers) {
        Ok(headers) => headers,
        Err(error) => return invalid(None, &error.to_string()),
    };
    let principal = principal(&parts.headers);
    let is_known =
        headers.session.is_some_and(|id| proxy.with(|state| state.session(id, &principal).is_some()));
    let most = if is_known { limits.body_bytes } else { limits.opening_bytes.min(limits.body_bytes) };
    let known = headers.session.filter(|_| is_known);
    // An opening is shorter.
    let long_of = known.filter(|_| is_longer(&parts.headers, limits.opening_bytes));
    if let Some(refused) = long_of.and_then(|session| refused_unread(proxy, headers, session)) {
        return refused;
    }
    let holder = known.map_or(Holder::NoSession, |id| proxy.budget.session(id));
    let memory = Memory { budget: &proxy.budget, holder, free_memory: &|| proxy.free_memory() };
    let body = match check_length(&parts.headers, most) {
        Ok(()) => read_body(body, most, limits, &memory).await,
        Err(error) => Err(error),
    };
    let body = match body {
        Ok(body) => body.bytes,
        // Only `initialize` belongs to no session, and that is small.
        Err(BodyError::TooLarge) if !is_known && headers.session.is_some() => {
            return closing(unknown_session(None));
        }
        Err(error) => return error.response(),
    };
    let body = without_mark(&body);
    if body.trim_ascii_start().first() == Some(&b'[') {
        return batch::post(proxy, parts, headers, &principal, &body);
    }
    let message = match Message::parse(&body, limits.json_depth) {
        Ok(message) => message,
        Err(error) => return malformed(&error),
    };
    // The body is dropped as soon as it was passed on, since the call may last.
    drop(body);
    let answered_here = |outcome| {
        if let Some(method) = message.method() {
            proxy.options.operations.note(Method::of(method), outcome, Duration::ZERO);
        }
    };
    match classify(headers, &message) {
        Era::LegacySession(session) => request::single(proxy, parts, session, &principal, message).await,
        // Whatever session it names (`docs/mcp.md`, 1.4): the server of that one is that one's alone.
        Era::LegacyOpening => {
            let connection = parts.extensions.get::<ConnectionAbort>().map(|abort| abort.token.clone());
            initialize(front, principal, connection, message).await
        }
        // The stateless era enters here.
        Era::Modern => {
            answered_here(Outcome::MethodNotFound);
            rpc_error(StatusCode::BAD_REQUEST, message.id(), code::METHOD_NOT_FOUND, MODERN_REFUSAL)
        }
        Era::ModernNotification => {
            answered_here(Outcome::Done);
            empty(StatusCode::ACCEPTED)
        }
        Era::Neither(misfit) => {
            answered_here(Outcome::InvalidRequest);
            invalid(message.id(), misfit.reason())
        }
    }
}

/// The answer to a large body that is refused unread: its revision is not served, or its session could begin no call.
fn refused_unread(proxy: &Shared, headers: EraHeaders<'_>, session: &str) -> Option<Response> {
    if headers.version.is_some_and(|version| !is_modern(version) && Revision::parse(version).is_none()) {
        return Some(closing(invalid(None, Misfit::UnservedRevision.reason())));
    }
    let busy = proxy.with(|state| state.takes_no_call(session))?;
    Some(closing(unavailable(None, busy, &proxy.options.limits)))
}

/// Opens a session. The server is not asked: its one handshake is wharf's (`docs/mcp.md`, 4.1 and 4.2).
async fn initialize(
    proxy: &Arc<Shared>,
    principal: Principal,
    connection: Option<CancellationToken>,
    message: Message,
) -> Response {
    let limits = &proxy.options.limits;
    let mut operation = proxy.options.operations.begin(Method::INITIALIZE);
    if message.text().len() > limits.opening_bytes {
        operation.outcome = Outcome::InvalidRequest;
        return BodyError::TooLarge.response();
    }
    let Some(id) = message.id() else { return invalid(None, "initialize needs an id") };
    let Some(requested) = message.param_str("protocolVersion") else {
        operation.outcome = Outcome::InvalidParams;
        return rpc_error(StatusCode::OK, Some(id), code::INVALID_PARAMS, "protocolVersion is missing");
    };
    let requested = Revision::parse(&requested).unwrap_or(Revision::NEWEST);
    let offered = message.param("capabilities");
    let capabilities = ClientCapabilities::from_json(offered);
    let opening = Opening { requested, capabilities, principal, connection };
    let id = id.clone();
    let opened = match &proxy.kind {
        Kind::Front(family) => {
            let Some(offered) = ClientCapabilities::passed_on(offered) else {
                operation.outcome = Outcome::InvalidParams;
                let text = "the capabilities are too long";
                return rpc_error(StatusCode::OK, Some(&id), code::INVALID_PARAMS, text);
            };
            drop(message);
            open_with_server(proxy, family, (&opening, offered), &id).await
        }
        Kind::Alone | Kind::Instance(_) => open(proxy, &opening, &id).map(|(_, response)| response),
    };
    operation.outcome = if opened.is_ok() { Outcome::Done } else { Outcome::Internal };
    opened.unwrap_or_else(|busy| unavailable(Some(&id), busy, limits))
}

/// The client's part of an `initialize`.
struct Opening {
    requested: Revision,
    capabilities: ClientCapabilities,
    principal: Principal,
    /// Ends the connection that waits for the answer.
    connection: Option<CancellationToken>,
}

/// Opens a session in a server of its own, which is started now and ended with the session.
async fn open_with_server(
    front: &Arc<Shared>,
    family: &Arc<Family<Shared>>,
    (opening, offered): (&Opening, Value),
    id: &Id,
) -> Result<Response, Busy> {
    if !front.with(|state| state.is_ready()) {
        return Err(Busy::NotRunning);
    }
    let started = family.start(front, offered).await?;
    let (session, response) = open(&started.proxy, opening, id)?;
    family.has(session, &started.proxy);
    started.claim();
    Ok(response)
}

fn open(proxy: &Arc<Shared>, opening: &Opening, id: &Id) -> Result<(SessionId, Response), Busy> {
    let Opening { requested, capabilities, principal, connection } = opening;
    let (session, account, result) = proxy.with(|state| {
        let Some(upstream) = state.upstream.as_ref().filter(|_| state.is_ready()) else {
            return Err(Busy::NotRunning);
        };
        let revision = upstream.revision.min(*requested);
        let result = upstream.welcome_for(revision);
        let account = Account::new(&state.budget);
        let session = Session::new(revision, *capabilities, *principal, account.clone(), Instant::now());
        let opened = state.open_session(session)?;
        if state.sync_level() {
            state.note_work(&opened);
        }
        Ok((opened, account, result))
    })?;
    proxy.watch.notify_one();
    let text = account.hold(result_text(id.as_json(), &result));
    let text = proxy.track_delivery(&session, connection.as_ref(), text);
    let mut response = respond::json(StatusCode::OK, text);
    let value = HeaderValue::from_str(session.as_str()).map_err(|_| Busy::NoRandomness)?;
    response.headers_mut().insert(SESSION_ID, value);
    Ok((session, response))
}
