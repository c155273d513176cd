//! Messages of a session: requests answered here or begun at the server, notifications, answers.
use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::http::budget::TableEntry;
use crate::http::respond;
use crate::http::respond::{empty, invalid, rpc_error, unavailable, unknown_session};
use crate::http::serve::ConnectionAbort;
use crate::protocol::message::{Id, Message, Rewrite, Shape, code, error_text, result_text};
use crate::protocol::operation_counts::{Method, Outcome};
use crate::protocol::options::Busy;
use crate::protocol::own_error::SERVER_GONE;
use crate::stdio::broker::{CallError, INITIALIZED, State};
use crate::stdio::call::{Answer, Call, Reply, may_ask};
use crate::stdio::downstream::sse::EventBody;
use crate::stdio::session::{LogLevel, Principal, SessionId};
use crate::stdio::shared::Shared;

/// What has become of a request.
pub(crate) enum Begun {
    /// Answered here: the complete JSON-RPC response, and how it is counted.
    Answered(Vec<u8>, Outcome),
    /// At the server; the reply that was given along will hear of it.
    Waiting,
    /// Not begun.
    Refused(CallError),
}

/// A POST of one message in a session.
pub(crate) async fn single(
    proxy: &Arc<Shared>,
    parts: &Parts,
    session: &str,
    principal: &Principal,
    message: Message,
) -> Response {
    let limits = &proxy.options.limits;
    match message.shape() {
        Shape::Request { id, .. } => {
            let id = &id.clone();
            let (sender, answer) = oneshot::channel();
            let connection = parts.extensions.get::<ConnectionAbort>().map(|abort| abort.token.clone());
            let begun = proxy.with(|state| {
                let session = state.known_session(session, principal)?;
                Some((begin(state, &session, &message, Reply::Held(sender), connection), session))
            });
            drop(message);
            match begun {
                None => unknown_session(Some(id)),
                Some((Begun::Answered(text, _), _)) => respond::json(StatusCode::OK, text),
                Some((Begun::Refused(error), _)) => refused(proxy, id, error),
                Some((Begun::Waiting, session)) => wait(proxy, parts, id, session, answer).await,
            }
        }
        Shape::Notification { .. } => {
            let taken = proxy.with(|state| {
                let session = state.known_session(session, principal)?;
                Some(notification(state, &session, &message))
            });
            match taken {
                None => unknown_session(None),
                Some(Ok(())) => empty(StatusCode::ACCEPTED),
                Some(Err(busy)) => unavailable(None, busy, limits),
            }
        }
        Shape::Response { id, .. } => {
            let taken = proxy.with(|state| {
                let session = state.known_session(session, principal)?;
                Some(state.client_answers(&session, &message))
            });
            match taken {
                None => unknown_session(Some(id)),
                Some(Ok(true)) => empty(StatusCode::ACCEPTED),
                Some(Err(busy)) => unavailable(Some(id), busy, limits),
                Some(Ok(false)) => {
                    invalid(Some(id), "no request of that id waits for an answer of this session")
                }
            }
        }
    }
}

/// Holds the head back until the first message: an answer at once is plain JSON, anything else begins a stream.
async fn wait(
    proxy: &Arc<Shared>,
    parts: &Parts,
    id: &Id,
    session: SessionId,
    answer: oneshot::Receiver<Answer>,
) -> Response {
    match answer.await {
        Ok(Answer::Json(text)) => respond::json(StatusCode::OK, text),
        Ok(Answer::Stream(number)) => {
            let abort = parts.extensions.get::<ConnectionAbort>();
            match EventBody::attach(proxy, session, number, None, abort) {
                Some(body) => respond::events(Body::new(body)),
                None => unknown_session(Some(id)),
            }
        }
        // There is no response to a cancelled request: the stream that would have held it just ends.
        Ok(Answer::Cancelled) => respond::events(Body::empty()),
        Err(_) => rpc_error(StatusCode::OK, Some(id), code::INTERNAL, SERVER_GONE),
    }
}

pub(crate) fn refused(proxy: &Shared, id: &Id, error: CallError) -> Response {
    match error {
        CallError::Busy(busy) => unavailable(Some(id), busy, &proxy.options.limits),
        CallError::IdInUse => invalid(Some(id), ID_IN_USE),
        CallError::IdTooLong => invalid(None, ID_TOO_LONG),
        CallError::SessionEnded => unknown_session(Some(id)),
    }
}

/// The error of an id that is too long, which is not repeated.
pub(crate) const ID_TOO_LONG: &str = "the id is too long";
/// The error of an id that is used twice.
pub(crate) const ID_IN_USE: &str = "a request with this id is in flight";

/// Answers a request here or begins it at the server. A request at the server is counted when it ends.
pub(crate) fn begin(
    state: &mut State,
    session: &SessionId,
    message: &Message,
    reply: Reply,
    connection: Option<CancellationToken>,
) -> Begun {
    let began = Instant::now();
    let begun = answer_or_forward(state, session, message, reply, connection);
    let outcome = match &begun {
        Begun::Waiting => return begun,
        Begun::Answered(_, outcome) => *outcome,
        Begun::Refused(error) => error.outcome(),
    };
    let method = Method::of(message.method().unwrap_or_default());
    state.operations.note(method, outcome, began.elapsed());
    begun
}

fn answer_or_forward(
    state: &mut State,
    session: &SessionId,
    message: &Message,
    reply: Reply,
    connection: Option<CancellationToken>,
) -> Begun {
    let (Some(id), Some(method)) = (message.id(), message.method()) else {
        return Begun::Refused(CallError::SessionEnded);
    };
    let error = |code, text: &str| error(id, code, text);
    let most = state.limits.id_bytes;
    if method.len() > most || message.meta("progressToken").is_some_and(|token| token.len() > most) {
        return error(code::INVALID_REQUEST, "the method or the progress token is too long");
    }
    if id.as_json().len() > most {
        return Begun::Refused(CallError::IdTooLong);
    }
    if method != "ping" {
        state.client_is_ready();
    }
    let subscribes = match method {
        "ping" if state.is_ready() => return done(id),
        "ping" => return error(code::INTERNAL, "the server is not running"),
        "initialize" => return error(code::INVALID_REQUEST, "the session is open already"),
        "server/discover" | "subscriptions/listen" => {
            return error(code::METHOD_NOT_FOUND, "method not found");
        }
        _ if method.starts_with("tasks/") => return error(code::METHOD_NOT_FOUND, "tasks are not offered"),
        "logging/setLevel" if !state.server_has("logging") => {
            return error(code::METHOD_NOT_FOUND, "the server does not log to clients");
        }
        "logging/setLevel" => return set_level(state, session, message, id),
        "resources/subscribe" => match subscribe(state, session, message, id) {
            Ok(subscribes) => subscribes,
            Err(begun) => return begun,
        },
        "resources/unsubscribe" => {
            if !unsubscribe(state, session, message) {
                return done(id);
            }
            None
        }
        _ => None,
    };
    forward(state, session, message, (reply, connection), subscribes)
}

/// The empty result.
fn done(id: &Id) -> Begun {
    Begun::Answered(result_text(id.as_json(), b"{}"), Outcome::Done)
}

fn error(id: &Id, code: i32, text: &str) -> Begun {
    Begun::Answered(error_text(Some(id.as_json()), code, text), Outcome::of_code(code))
}

fn set_level(state: &mut State, session: &SessionId, message: &Message, id: &Id) -> Begun {
    let Some(level) = message.param_str("level").and_then(|level| LogLevel::parse(&level)) else {
        return error(id, code::INVALID_PARAMS, "level is none of the eight log levels");
    };
    if let Some(session) = state.sessions.get_mut(session) {
        session.level = Some(level);
    }
    if state.sync_level() {
        state.note_work(session);
    }
    done(id)
}

/// The subscription that the server is asked for, if the request names one. `Err`: it is answered here, since it is refused or
/// others have it already.
fn subscribe(
    state: &mut State,
    session: &SessionId,
    message: &Message,
    id: &Id,
) -> Result<Option<(String, TableEntry)>, Begun> {
    let Some(uri) = message.param_str("uri") else { return Ok(None) };
    if uri.len() > state.limits.uri_bytes {
        return Err(error(id, code::INVALID_PARAMS, "the URI is too long"));
    }
    let most = state.limits.subscriptions_per_session;
    let Some(known) = state.sessions.get_mut(session) else {
        return Err(Begun::Refused(CallError::SessionEnded));
    };
    if known.subscriptions.len() >= most && !known.subscriptions.contains_key(&*uri) {
        return Err(Begun::Refused(CallError::Busy(Busy::TooManySubscriptions)));
    }
    // Two texts: the session's, and that of the table of all sessions.
    let Some(entry) = state.budget.table_entry(2 * uri.len()) else {
        return Err(Begun::Refused(CallError::Busy(Busy::NoMemory)));
    };
    if state.subscriptions.join(&uri, session) {
        known.subscriptions.insert(uri.into_owned(), entry);
        return Err(done(id));
    }
    Ok(Some((uri.into_owned(), entry)))
}

/// Takes the session's subscription away. False if the server is not asked: others keep it, whether this session had it or
/// not.
fn unsubscribe(state: &mut State, session: &SessionId, message: &Message) -> bool {
    let (Some(uri), Some(known)) = (message.param_str("uri"), state.sessions.get_mut(session)) else {
        return true;
    };
    known.subscriptions.remove(&*uri);
    state.subscriptions.leave(&uri, session)
}

fn forward(
    state: &mut State,
    session: &SessionId,
    message: &Message,
    (reply, connection): (Reply, Option<CancellationToken>),
    subscribes: Option<(String, TableEntry)>,
) -> Begun {
    let (Some(id), Some(method)) = (message.id(), message.method()) else {
        return Begun::Refused(CallError::SessionEnded);
    };
    let upstream_id = state.next_id();
    let raw = upstream_id.to_string();
    let progress_token: Option<Box<[u8]>> =
        message.meta("progressToken").filter(|token| *token != b"null").map(Into::into);
    let change = Rewrite {
        id: Some(raw.as_bytes()),
        progress_token: progress_token.as_ref().map(|_| raw.as_bytes()),
        param: None,
        strip: true,
    };
    let line = message.line(&change);
    let now = Instant::now();
    let (subscribes, subscription) = subscribes.unzip();
    let call = Call {
        session: session.clone(),
        id: id.clone(),
        method: Method::of(method),
        progress_token,
        may_ask: may_ask(method),
        subscribes: subscribes.clone(),
        began: now,
        active: now,
        reply,
        subscription,
        connection,
        gone_since: None,
    };
    match state.begin_call(upstream_id, call, line) {
        Ok(()) => {
            if let Some(uri) = subscribes {
                state.subscriptions.asked(&uri);
            }
            Begun::Waiting
        }
        Err(error) => Begun::Refused(error),
    }
}

/// The methods that the protocol defines as requests of a client.
fn is_known_request(method: &str) -> bool {
    matches!(method, "initialize" | "ping" | "completion/complete" | "logging/setLevel" | "server/discover")
        || ["tools/", "prompts/", "resources/", "tasks/", "subscriptions/"]
            .iter()
            .any(|room| method.starts_with(room))
}

/// Takes a notification of a client, and counts it.
pub(crate) fn notification(state: &mut State, session: &SessionId, message: &Message) -> Result<(), Busy> {
    let began = Instant::now();
    let taken = take_notification(state, session, message);
    let outcome = if taken.is_ok() { Outcome::Done } else { Outcome::Internal };
    state.operations.note(Method::of(message.method().unwrap_or_default()), outcome, began.elapsed());
    taken
}

fn take_notification(state: &mut State, session: &SessionId, message: &Message) -> Result<(), Busy> {
    state.client_is_ready();
    match message.method().unwrap_or_default() {
        // The client is the server's only one: its roots are the server's.
        "notifications/roots/list_changed" if state.has_one_client() => {
            state.send(message.line(&Rewrite { strip: true, ..Rewrite::default() }))?;
        }
        // Wharf's own handshake is a shared server's only one; roots are not offered, tasks neither.
        INITIALIZED | "notifications/roots/list_changed" | "notifications/tasks/status" => {}
        "notifications/cancelled" => {
            let id = message.param("requestId").and_then(Id::from_json);
            let known = state.sessions.get(session);
            // Only in this session: other clients use the same ids.
            if let Some(upstream_id) = known.and_then(|known| known.calls.get(&id?).copied()) {
                let reason = message.param_str("reason").unwrap_or("the client cancelled it".into());
                state.cancel_call(upstream_id, &reason);
            }
        }
        "notifications/progress" => state.client_progresses(session, message),
        // A request without an id is no notification; a server might take it for the request.
        method if is_known_request(method) => {}
        _ => {
            state.send(message.line(&Rewrite { strip: true, ..Rewrite::default() }))?;
            state.note_work(session);
        }
    }
    Ok(())
}
