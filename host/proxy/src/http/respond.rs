//! Answers in HTTP's and JSON-RPC's words.
use crate::protocol::message::MessageError;
use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE,
    RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;

use crate::http::pieces::Pieces;
use crate::http::refusal::Refusal;
use crate::protocol::message::{Id, code, error_text};
use crate::protocol::options::Busy;
use crate::protocol::options::Limits;

/// `Allow` of a 405.
pub(crate) const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("POST, GET, DELETE");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A status alone.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// One JSON text, complete, `Content-Length` known.
pub(crate) fn json(status: StatusCode, text: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Body::new(Pieces(text.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// A JSON-RPC error.
pub(crate) fn rpc_error(status: StatusCode, id: Option<&Id>, code: i32, message: &str) -> Response {
    json(status, error_text(id.map(Id::as_json), code, message))
}

/// 400 with -32600.
pub(crate) fn invalid(id: Option<&Id>, message: &str) -> Response {
    rpc_error(StatusCode::BAD_REQUEST, id, code::INVALID_REQUEST, message)
}

/// 404: a session that never was, has ended, or is somebody else's. The client opens a new one.
pub(crate) fn unknown_session(id: Option<&Id>) -> Response {
    rpc_error(StatusCode::NOT_FOUND, id, code::INVALID_REQUEST, "session not found")
}

/// 503 with `Retry-After`.
pub(crate) fn unavailable(id: Option<&Id>, busy: Busy, limits: &Limits) -> Response {
    let mut response = rpc_error(StatusCode::SERVICE_UNAVAILABLE, id, code::INTERNAL, &busy.to_string());
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(limits.retry_after.as_secs().max(1)));
    response
}

/// The answer to a request that the gate refuses, without an id: the body was not read.
pub(crate) fn refused(refusal: Refusal) -> Response {
    let error = |status, what| rpc_error(status, None, code::INVALID_REQUEST, what);
    match refusal {
        Refusal::Path => closing(empty(StatusCode::NOT_FOUND)),
        Refusal::NoHost => error(StatusCode::BAD_REQUEST, "a request needs one Host"),
        Refusal::Coding => error(StatusCode::NOT_IMPLEMENTED, "no transfer coding but chunked is known here"),
        Refusal::Host => error(
            StatusCode::FORBIDDEN,
            "Host not allowed: this is not a name of this proxy; who runs it can add one",
        ),
        Refusal::Origin => error(
            StatusCode::FORBIDDEN,
            "Origin not allowed: pages of this origin may not ask this proxy; who runs it can add one",
        ),
        // RFC 6750 section 3.1: a request without a token gets no error code.
        Refusal::NoToken => {
            let response = error(StatusCode::UNAUTHORIZED, "a bearer token is needed");
            closing(challenge(response, "Bearer realm=\"wharf\""))
        }
        Refusal::WrongToken => {
            let response = error(StatusCode::UNAUTHORIZED, "the bearer token is not accepted");
            closing(challenge(response, "Bearer realm=\"wharf\", error=\"invalid_token\""))
        }
    }
}

/// Makes this the last answer on its connection: a client that has shown no secret must not keep one of the few places.
pub(crate) fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn challenge(mut response: Response, how: &'static str) -> Response {
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(how));
    response
}

/// 415: the body is not what every client sends.
pub(crate) fn unsupported_media_type() -> Response {
    let text = "Content-Type is to be application/json in UTF-8, without Content-Encoding";
    rpc_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, code::INVALID_REQUEST, text)
}

/// 406: the client would not take the answer.
pub(crate) fn not_acceptable(wanted: &str) -> Response {
    let text = format!("Accept is to name {wanted}");
    rpc_error(StatusCode::NOT_ACCEPTABLE, None, code::INVALID_REQUEST, &text)
}

/// 405 with `Allow`.
pub(crate) fn method_not_allowed() -> Response {
    let text = "POST, GET and DELETE are served here, GET and DELETE in sessions alone";
    let mut response = rpc_error(StatusCode::METHOD_NOT_ALLOWED, None, code::INVALID_REQUEST, text);
    response.headers_mut().insert(ALLOW, ALLOWED_METHODS);
    response
}

/// A stream of events.
pub(crate) fn events(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// Lets an allowed page read an answer. Never `*`.
pub(crate) fn allow_origin(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Mcp-Session-Id"));
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

/// The answer to an allowed page that asks which requests it may send.
pub(crate) fn preflight() -> Response {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "Content-Type, Accept, Authorization, Mcp-Session-Id, MCP-Protocol-Version, Last-Event-ID",
        ),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// The answer to a body that is no message.
pub(crate) fn malformed(error: &MessageError) -> Response {
    match error {
        MessageError::Json(error) => {
            rpc_error(StatusCode::BAD_REQUEST, None, code::PARSE, &error.to_string())
        }
        MessageError::Invalid { id, reason, .. } => invalid(id.as_ref(), reason),
    }
}
