//! Translates the answers of an API server into the errors of the plugin interface.
use crate::{answers, text::shown};
use hyper::StatusCode;
use std::time::Duration;
use wharf_sdk::{Error, ErrorCode, Result, error_chain};

/// How long one request may take. An API server whose etcd hangs answers nothing, and refuses nothing; one that has much to do
/// may take many seconds. Where the answer is only shown, the host waits for less than this.
const REQUEST: Duration = Duration::from_secs(30);

/// A request with its deadline; `doing` says what failed.
pub(crate) async fn ask<T>(doing: &str, request: impl Future<Output = kube::Result<T>>) -> Result<T> {
    match answers::within(REQUEST, request).await {
        Ok(answer) => answer.map_err(|error| operation(doing, &error)),
        Err(refused) => Err(silent(doing, refused)),
    }
}

/// As [`ask`], for an object that may be missing: then the answer is none, and no error.
pub(crate) async fn ask_for<T>(
    doing: &str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<Option<T>> {
    match ask(doing, request).await {
        Err(error) if error.code == ErrorCode::NotFound => Ok(None),
        answer => answer.map(Some),
    }
}

fn silent(doing: &str, refused: Option<StatusCode>) -> Error {
    let refused = refused.map(|status| format!("; its last answer was {status}")).unwrap_or_default();
    let seconds = REQUEST.as_secs();
    Error::unavailable(format!("{doing}: the API server did not answer within {seconds} s{refused}"))
}

/// An operation that failed.
pub(crate) fn operation(doing: &str, error: &kube::Error) -> Error {
    let (code, why) = match error {
        kube::Error::Api(status) if lacks_namespace(status) => (
            of_status(status),
            format!("{}; make that namespace anew, or choose another one", status.message),
        ),
        kube::Error::Api(status) => (of_status(status), status.message.clone()),
        kube::Error::SerdeError(_) | kube::Error::BuildRequest(_) => {
            (ErrorCode::Internal, error_chain(error))
        }
        kube::Error::Auth(_) => {
            (ErrorCode::Unavailable, format!("no credentials can be had: {}", error_chain(error)))
        }
        _ => (ErrorCode::Unavailable, error_chain(error)),
    };
    let why = shown(&why);
    let why = if why.is_empty() { "the API server does not say why".to_owned() } else { why };
    Error::new(code, format!("{doing}: {why}"))
}

/// Whether something cannot be made since its namespace is gone.
fn lacks_namespace(status: &kube::core::Status) -> bool {
    status.code == 404 && status.details.as_ref().is_some_and(|details| details.kind == "namespaces")
}

/// An object is gone only if the API server says so about that object: anything that answers HTTP can answer 404.
fn of_status(status: &kube::core::Status) -> ErrorCode {
    match (status.code, status.reason.as_str()) {
        (404, "NotFound") if status.details.as_ref().is_some_and(|details| !details.name.is_empty()) => {
            ErrorCode::NotFound
        }
        (400 | 422, _) => ErrorCode::InvalidArgument,
        // Expired credentials are no evidence about the workload, and the next request may have new ones.
        (401 | 403, _) => ErrorCode::PermissionDenied,
        (409, "AlreadyExists") => ErrorCode::AlreadyExists,
        (409, _) => ErrorCode::FailedPrecondition,
        // The API server limits requests (priority and fairness) or shuts down, or a proxy stands in the place of one that
        // is gone; or it has forgotten the state that a listing began with (410).
        (404 | 410 | 429 | 500..=599, _) => ErrorCode::Unavailable,
        _ => ErrorCode::Internal,
    }
}

/// True if another writer was there first: the request can be made anew on what is there now.
pub(crate) fn is_conflict(error: &Error) -> bool {
    error.code == ErrorCode::FailedPrecondition
}

/// The error for a workload whose StatefulSet is gone.
pub(crate) fn gone() -> Error {
    Error::not_found("the cluster has no StatefulSet of this workload any more")
}

/// The same error with what a person can do about fields that another manager has taken over.
pub(crate) fn with_a_way_out(mut error: Error) -> Error {
    // There are conflicts without another manager: the object is another one by now.
    if is_conflict(&error) && error.message.contains("conflict with ") {
        error.message.push_str("; give those fields back, or remove the workload and create it anew");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn code(status: u16, reason: &str, name: &str) -> ErrorCode {
        let mut said = Status::failure("it is so", reason).with_code(status);
        if !name.is_empty() {
            said.details = serde_json::from_value(serde_json::json!({ "name": name })).unwrap();
        }
        operation("it failed", &kube::Error::Api(said.boxed())).code
    }

    #[test]
    fn that_an_object_is_gone_is_the_api_servers_own_word() {
        assert_eq!(code(404, "NotFound", "time-0af3"), ErrorCode::NotFound);
        assert_eq!(code(404, "NotFound", ""), ErrorCode::Unavailable, "a path that nobody serves");
        assert_eq!(
            code(404, "Failed to parse error data", ""),
            ErrorCode::Unavailable,
            "something else answers"
        );
    }

    #[test]
    fn an_answer_without_an_object_is_no_evidence_that_it_is_gone() {
        for status in [410, 429, 500, 502, 503, 504] {
            assert_eq!(code(status, "", ""), ErrorCode::Unavailable, "{status}");
        }
        assert_eq!(code(401, "Unauthorized", ""), ErrorCode::PermissionDenied);
        assert_eq!(code(403, "Forbidden", "x"), ErrorCode::PermissionDenied);
        assert_eq!(code(409, "Conflict", "x"), ErrorCode::FailedPrecondition);
    }

    #[test]
    fn what_cannot_be_made_in_a_namespace_that_is_gone_is_told_with_a_way_out() {
        let mut said = Status::failure("namespaces \"team-a\" not found", "NotFound").with_code(404);
        let details = serde_json::json!({ "name": "team-a", "kind": "namespaces" });
        said.details = serde_json::from_value(details).unwrap();
        let error = operation("the StatefulSet cannot be made", &kube::Error::Api(said.boxed()));
        assert!(
            error.message.ends_with("\"team-a\" not found; make that namespace anew, or choose another one"),
            "{error}"
        );
    }

    #[test]
    fn the_words_of_an_admission_webhook_are_one_line_that_a_terminal_shows() {
        let said = Status::failure("denied:\n\u{1b}[2Jall is well", "Forbidden").with_code(403);
        let error = operation("the StatefulSet cannot be made", &kube::Error::Api(said.boxed()));
        assert_eq!(error.message, "the StatefulSet cannot be made: denied: \u{fffd}[2Jall is well");
    }
}
