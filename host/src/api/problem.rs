//! Errors as `application/problem+json` (RFC 9457): what failed, its status, and what to do next as links.
//!
//! Called by every route. The one table from kinds of errors to statuses of HTTP is here, as that to exit codes is in
//! `wharf_model::ErrorKind`.
use crate::api::schemas::Refer;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use wharf_model::{Advice, Error, ErrorKind};

/// Where the routes begin.
pub(crate) const BASE: &str = "/api/v1beta";
/// The media type of an error.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An error, by RFC 9457.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `urn:wharf:problem:` and the kind.
    #[serde(rename = "type")]
    pub(crate) id: String,
    /// The meaning of the kind.
    pub(crate) title: String,
    /// The status of HTTP.
    pub(crate) status: u16,
    /// The failure and its cause, in one line.
    pub(crate) detail: String,
    /// The kind: those of the command line, and a few of HTTP's own.
    pub(crate) kind: &'static str,
    /// The command line's exit code for this kind; absent where HTTP alone has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<u8>,
    /// The next steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(schema_with = Refer::advice)]
    pub(crate) advice: Vec<Advice>,
    /// The same as requests, as far as this API has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<Link>,
}

/// A request that gets somebody on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Link {
    /// The kind of step: the member `do` of the advice.
    pub(crate) rel: &'static str,
    /// Its method.
    pub(crate) method: &'static str,
    /// Its target.
    pub(crate) href: String,
}

/// The reason why a request is refused before any command sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such route.
    NoRoute,
    /// The route has other methods.
    Method,
    /// A foreign `Host` or `Origin`.
    Forbidden,
    /// No token, or a wrong one.
    Unauthorized,
    /// The body is not JSON by its type.
    MediaType,
    /// The body is too large.
    TooLarge,
    /// The body did not come in time.
    Slow,
    /// An idempotency key that was used for another request.
    KeyReused,
    /// Too much is under way.
    Busy,
}

impl Refusal {
    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NoRoute => (StatusCode::NOT_FOUND, "no_such_route", "there is no such route"),
            Self::Method => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "the route has no such method")
            }
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "the request comes from elsewhere"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "a token is needed"),
            Self::MediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "the body must be application/json",
            ),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is too large"),
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not come in time"),
            Self::KeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "key_reused",
                "the Idempotency-Key was used for another request",
            ),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "too much is under way"),
        }
    }

    /// As a problem.
    pub(crate) fn because(self, detail: impl Into<String>) -> Problem {
        let (status, kind, title) = self.parts();
        Problem {
            id: format!("urn:wharf:problem:{kind}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            kind,
            exit_code: None,
            advice: Vec::new(),
            links: Vec::new(),
        }
    }
}

/// The status and the name of a kind of error.
pub(crate) const fn status_of(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        ErrorKind::Usage => (StatusCode::BAD_REQUEST, "usage"),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        ErrorKind::Conflict => (StatusCode::CONFLICT, "conflict"),
        ErrorKind::Owner => (StatusCode::SERVICE_UNAVAILABLE, "owner"),
        ErrorKind::Runtime => (StatusCode::BAD_GATEWAY, "runtime"),
        ErrorKind::Deadline => (StatusCode::GATEWAY_TIMEOUT, "deadline"),
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, kind) = status_of(error.kind);
        Self {
            id: format!("urn:wharf:problem:{kind}"),
            title: match error.kind {
                // Here it may be an operation, a group, a runtime.
                ErrorKind::NotFound => "not found".to_owned(),
                kind => kind.meaning().to_owned(),
            },
            status: status.as_u16(),
            detail: error.message,
            kind,
            exit_code: Some(error.kind.exit_code()),
            links: error.advice.iter().filter_map(link).collect(),
            advice: error.advice,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Text and numbers alone, which can always be written.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// A step as a request, where this API has one.
fn link(advice: &Advice) -> Option<Link> {
    let of = |rel, method, name: &str, rest: &str| {
        Some(Link { rel, method, href: format!("{BASE}/workloads/{name}{rest}") })
    };
    match advice {
        Advice::AskFor { name } => of("ask_for", "GET", name, ""),
        Advice::ListWorkloads => {
            Some(Link { rel: "list_workloads", method: "GET", href: format!("{BASE}/workloads?all=true") })
        }
        Advice::ListRuntimes => {
            Some(Link { rel: "list_runtimes", method: "GET", href: format!("{BASE}/runtimes") })
        }
        Advice::ShowRuntime { name } => {
            Some(Link { rel: "show_runtime", method: "GET", href: format!("{BASE}/runtimes/{name}") })
        }
        Advice::CheckRuntimes => {
            Some(Link { rel: "check_runtimes", method: "GET", href: format!("{BASE}/runtimes") })
        }
        Advice::Start { name } => of("start", "POST", name, "/start"),
        Advice::Stop { name } => of("stop", "POST", name, "/stop"),
        Advice::Restart { name } => of("restart", "POST", name, "/restart"),
        Advice::Remove { name } => of("remove", "DELETE", name, ""),
        Advice::FinishRemoval { name } => of("finish_removal", "DELETE", name, ""),
        Advice::ReadLog { name } => of("read_log", "GET", name, "/logs"),
        Advice::ReadSupervisorLog { name } => of("read_supervisor_log", "GET", name, "/proxy-logs"),
        Advice::ShowStatus { name } => of("show_status", "GET", name, ""),
        Advice::ShowUrl { name } => of("show_url", "GET", name, "/url"),
        // No route does this; the advice itself says it.
        Advice::Note { .. }
        | Advice::CheckRuntime { .. }
        | Advice::Diagnose
        | Advice::ForgetVerdict { .. }
        | Advice::Forget { .. }
        | Advice::RemoveOrphan { .. }
        | Advice::Adopt { .. }
        | Advice::AdoptByHand { .. }
        | Advice::Rebind { .. }
        | Advice::RotateSecret { .. }
        | Advice::SetAuth { .. }
        | Advice::ImportToolhive
        | Advice::Choose { .. }
        | Advice::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_status_and_the_name_that_json_has() {
        for kind in ErrorKind::ALL {
            let (status, name) = status_of(kind);
            assert!(status.is_client_error() || status.is_server_error());
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
        }
    }

    #[test]
    fn advice_is_told_and_linked() {
        let error = Error::new(ErrorKind::Conflict, "taken")
            .advise(Advice::Remove { name: "x".to_owned() })
            .advise(Advice::Diagnose);
        let problem = Problem::from(error);
        assert_eq!((problem.status, problem.exit_code, problem.advice.len()), (409, Some(4), 2));
        let href = format!("{BASE}/workloads/x");
        assert_eq!(problem.links, [Link { rel: "remove", method: "DELETE", href }]);
    }
}
