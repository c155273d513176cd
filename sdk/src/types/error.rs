//! [`Error`]: the one error that crosses the ABI.
use serde::{Deserialize, Serialize};

/// The result of every operation of a runtime.
pub type Result<T> = std::result::Result<T, Error>;

/// The kind of an error. The set is small and closed: the host decides by it, never by the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The runtime answered that there is no such thing.
    NotFound,
    /// There is one already, and it differs from the one that was asked for.
    AlreadyExists,
    /// The request makes no sense, here or anywhere.
    InvalidArgument,
    /// The request makes sense, but not in the present state.
    FailedPrecondition,
    /// The runtime, or the system under it, forbids it.
    PermissionDenied,
    /// The runtime cannot be reached now. This is no evidence of anything.
    Unavailable,
    /// The runtime cannot do this, ever; the message names the field or the operation.
    Unsupported,
    /// The deadline passed. Whether the operation took effect is unknown.
    Timeout,
    /// The caller went away.
    Cancelled,
    /// A fault of the plugin: a panic, an answer that makes no sense. A code that only a newer SDK knows is read as this,
    /// too.
    #[serde(other)]
    Internal,
}

impl ErrorCode {
    /// The code as it is written in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::InvalidArgument => "invalid_argument",
            Self::FailedPrecondition => "failed_precondition",
            Self::PermissionDenied => "permission_denied",
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }
}

/// An error of a runtime: a message for people, and a code for the host.
///
/// The message holds no secret: it is printed and logged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[error("{message}")]
pub struct Error {
    /// The code by which the host decides.
    pub code: ErrorCode,
    /// A lowercase sentence without a full stop: the failure, the cause, and what to do where that is known.
    pub message: String,
    /// The same call may succeed later with nothing changed.
    #[serde(default)]
    pub retryable: bool,
    /// More for machines, such as `{"field": "mounts"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
}

impl Error {
    /// An error with this code; [`ErrorCode::Unavailable`] and [`ErrorCode::Timeout`] are marked as retryable.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let retryable = matches!(code, ErrorCode::Unavailable | ErrorCode::Timeout);
        Self { code, message: message.into(), retryable, details: None }
    }

    /// There is no such workload here.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    /// The request makes no sense.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
    }

    /// Not in this state, or not on a machine like this one.
    pub fn precondition(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::FailedPrecondition, message)
    }

    /// The engine cannot be reached now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unavailable, message)
    }

    /// A field that this runtime cannot honour.
    pub fn unsupported(field: &str, message: impl Into<String>) -> Self {
        let mut error = Self::new(ErrorCode::Unsupported, message);
        error.details = Some(serde_json::json!({ "field": field }));
        error
    }

    /// A field that cannot be enforced; `place` says where, such as `on a container`.
    pub fn unenforceable(field: &str, place: &str, why: &str) -> Self {
        Self::unsupported(field, format!("'{field}' cannot be enforced {place}: {why}"))
    }

    /// A fault of the plugin itself.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }

    /// An I/O error, with the action that failed; the code follows its kind. Never [`ErrorCode::NotFound`], which is evidence
    /// about a workload: a missing file says nothing about one.
    pub fn io(doing: &str, source: &std::io::Error) -> Self {
        Self::told(format!("{doing}: {source}"), source)
    }

    /// The same where the message is told already, its cause in it. What to do about a disk that takes nothing is added.
    pub fn told(mut message: String, source: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        if let Some(advice) = crate::disk_advice(source) {
            message = format!("{message}; {advice}");
        }
        let code = match source.kind() {
            ErrorKind::NotFound => ErrorCode::FailedPrecondition,
            ErrorKind::PermissionDenied => ErrorCode::PermissionDenied,
            ErrorKind::AlreadyExists => ErrorCode::AlreadyExists,
            ErrorKind::TimedOut => ErrorCode::Timeout,
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                ErrorCode::Unavailable
            }
            _ => ErrorCode::Internal,
        };
        Self::new(code, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_a_newer_sdk_is_read_as_internal() {
        let error: Error = serde_json::from_str(r#"{"code":"quota_exceeded","message":"full"}"#).unwrap();
        assert_eq!(error.code, ErrorCode::Internal);
        assert_eq!(error.message, "full");
    }

    #[test]
    fn r04_a_missing_file_is_no_evidence_that_a_workload_is_gone() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        assert_eq!(Error::io("it cannot be read", &missing).code, ErrorCode::FailedPrecondition);
    }

    #[test]
    fn what_to_do_about_a_full_disk_is_told_once() {
        let message = |kind: std::io::ErrorKind| Error::io("it cannot be written", &kind.into()).message;
        let full = message(std::io::ErrorKind::StorageFull);
        assert!(
            full.starts_with("it cannot be written: ") && full.matches("; make room").count() == 1,
            "{full}"
        );
        assert!(message(std::io::ErrorKind::QuotaExceeded).contains("; make room: your quota"));
        assert!(message(std::io::ErrorKind::ReadOnlyFilesystem).ends_with("writable, and try again"));
        assert!(!message(std::io::ErrorKind::NotFound).contains(';'));
    }

    #[test]
    fn every_code_is_written_as_it_is_named() {
        for code in [ErrorCode::NotFound, ErrorCode::Unsupported, ErrorCode::Internal, ErrorCode::Timeout] {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
