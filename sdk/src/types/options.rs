//! Options of single operations.
use serde::{Deserialize, Serialize};

/// How to stop a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StopOptions {
    /// How long the workload may take to end by itself after it was asked to, in milliseconds; then it is killed.
    pub timeout_ms: u64,
}

/// Which part of the logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogOptions {
    /// Go on with what is written from now on, until the reader goes away or the workload is removed.
    #[serde(default)]
    pub follow: bool,
    /// Only the last so many lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u64>,
    /// Only what was written since then, in milliseconds after the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
}
