//! Options of single operations.
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How to stop a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StopOptions {
    /// How long the workload may take to end by itself after it was asked to, in milliseconds; then it is killed.
    pub timeout_ms: u64,
}

/// The part of a workload's logs that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogOptions {
    /// Go on with new lines until the reader goes away or the workload is removed.
    #[serde(default)]
    pub follow: bool,
    /// Only this many of the last lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u64>,
    /// Only lines written since this time, in milliseconds after the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// Before each line the time at which it was written, in UTC as RFC 3339 has it, and a space. The host asks for it only
    /// where the runtime declares [`super::Capability::LOG_TIMESTAMPS`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timestamps: bool,
}

/// The port of a workload to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DialOptions {
    /// The port inside the workload: the `target_port` of its specification.
    pub port: u16,
}

/// The workloads of this host that a listing is to contain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ListQuery {
    /// Only workloads with these uids; none: all workloads. An empty list asks for no workload, only for the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uids: Option<BTreeSet<String>>,
    /// The instance that is recorded for these workloads; given by a caller that only reads. A runtime that labels what it
    /// makes with the instance that made it may take one row with this instance's label as the proof that this instance
    /// answers, and need not ask the engine for it. Without such a row, or without this field, the runtime asks. It never
    /// takes the instance of its answer from this field alone. A caller that misses a workload in the answer asks again,
    /// without this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presumed_instance: Option<String>,
}

impl ListQuery {
    /// All workloads of this host.
    pub const ALL: Self = Self { uids: None, presumed_instance: None };

    /// One workload.
    pub fn one(uid: &str) -> Self {
        Self::these([uid.to_owned()])
    }

    /// Several workloads.
    pub fn these(uids: impl IntoIterator<Item = String>) -> Self {
        Self { uids: Some(uids.into_iter().collect()), presumed_instance: None }
    }

    /// The same query with the recorded instance.
    #[must_use]
    pub fn presuming(self, instance: Option<String>) -> Self {
        Self { presumed_instance: instance, ..self }
    }

    /// True if a workload with this uid is asked for.
    pub fn asks_for(&self, uid: &str) -> bool {
        self.uids.as_ref().is_none_or(|uids| uids.contains(uid))
    }
}
