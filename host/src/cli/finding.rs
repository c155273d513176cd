//! [`Finding`]: one check of `wharf doctor`.
use serde::Serialize;

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    /// Something is missing that is not always needed.
    Warning,
    Failed,
}

/// One check: its subject, its outcome, and the remedy.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) result: Verdict,
    pub(super) message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) remedy: String,
}

impl Finding {
    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, result: Verdict::Ok, message: message.into(), remedy: String::new() }
    }

    pub(super) fn warning(
        check: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { check, result: Verdict::Warning, message: message.into(), remedy: remedy.into() }
    }

    pub(super) fn failed(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, result: Verdict::Failed, message: message.into(), remedy: remedy.into() }
    }
}
