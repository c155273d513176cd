//! [`Finding`]: one check of `wharf doctor`.
use serde::Serialize;

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "CheckResult"))]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// It is as it should be.
    Ok,
    /// Something is missing that is not always needed.
    Warning,
    /// Something is missing without which nothing runs.
    Failed,
}

/// One check: its subject, its outcome, and the remedy.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Finding {
    /// The subject of the check.
    pub(super) check: &'static str,
    /// Its result.
    pub(super) result: Verdict,
    /// The finding, in words.
    pub(super) message: String,
    /// The remedy, in words.
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
