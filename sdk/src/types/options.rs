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

/// Which port of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DialOptions {
    /// The port inside the workload: the `target_port` of its specification.
    pub port: u16,
}

/// Which workloads of this host a listing is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ListQuery {
    /// Those with these uids, and no others; all where nothing is said. An empty list asks for none: for the instance
    /// alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uids: Option<BTreeSet<String>>,
    /// The instance that is recorded for these workloads, where somebody only wants to look. A runtime that labels what it
    /// makes with the instance that made it may take one row with this instance's label for the proof that this instance
    /// answers, and need not ask; without such a row, and where nothing is said here, it asks. It never takes the
    /// instance of its answer from here alone. A caller that misses a workload in the answer asks again, without this.
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

    /// The same with the instance that is recorded.
    #[must_use]
    pub fn presuming(self, instance: Option<String>) -> Self {
        Self { presumed_instance: instance, ..self }
    }

    /// True if a workload with this uid is asked for.
    pub fn asks_for(&self, uid: &str) -> bool {
        self.uids.as_ref().is_none_or(|uids| uids.contains(uid))
    }
}
