//! What a runtime says about workloads and about itself.
use serde::{Deserialize, Serialize};

/// Which engine answers at the other end, and how it was reached. Both are opaque to the host, which compares and
/// shows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Instance {
    /// What tells this engine from every other one, also from another one behind the same endpoint.
    pub instance: String,
    /// How it was reached (socket, context, namespace), fit to be given to `connect` later. Never a secret.
    pub endpoint: String,
}

/// The answer to the question whether the runtime can be used here and now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Health {
    /// The verdict.
    pub state: HealthState,
    /// The reason of a verdict that is not `healthy`, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The way to mend it, where that is known: one sentence, with the command to type if there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Health {
    /// It works.
    pub fn healthy() -> Self {
        Self { state: HealthState::Healthy, message: String::new(), remedy: String::new() }
    }

    /// There is one, and it does not work for this user.
    pub fn unhealthy(message: impl Into<String>) -> Self {
        Self { state: HealthState::Unhealthy, message: message.into(), remedy: String::new() }
    }

    /// There is no such engine on this machine.
    pub fn undetected(message: impl Into<String>) -> Self {
        Self { state: HealthState::Undetected, message: message.into(), remedy: String::new() }
    }

    /// The same with the way to mend it.
    #[must_use]
    pub fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }
}

/// The verdict on a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// There is no such engine on this machine.
    Undetected,
    /// There is one, and it does not work for this user.
    Unhealthy,
    /// It works.
    Healthy,
}

/// What a workload is doing, as its runtime sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WorkloadState {
    /// Deployed, not started: none of the workload's code has run.
    Created,
    /// Running.
    Running,
    /// Ended, whether by itself or not.
    Stopped,
    /// Going away.
    Removing,
    /// Something else; also what a newer state is read as.
    #[serde(other)]
    Unknown,
}

/// How a workload ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Exit {
    /// The exit code, if it exited and the code is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// When, in milliseconds after the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// More, in words: out of memory, the reboot of the machine, a command that could not be executed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// One workload as its runtime sees it now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Observation {
    /// The workload's uid, from the resource's own labels, never from its name.
    pub uid: String,
    /// The host that made it, from the resource's own labels.
    pub host_id: String,
    /// How it is found again. Listings hold it, so that a workload whose record lost its handle (a crash between
    /// `deploy` and the record) can still be stopped and removed. It is the very one that `deploy` returned: the host
    /// believes a deployment only where the listing after it shows that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<crate::Handle>,
    /// The runtime's own name or id for it, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// What it is doing.
    pub state: WorkloadState,
    /// How it ended, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// When it started, in milliseconds after the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<u64>,
    /// How its port can be reached from the host, for workloads that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<super::Address>,
    /// What holds it back; none where the runtime does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confinement: Option<Confinement>,
}

/// What holds a workload back, part by part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Confinement {
    /// What is enforced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enforced: Vec<Measure>,
    /// What is not, though it was asked for or is the runtime's rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weaker: Vec<Measure>,
    /// The files that are open to it; none where the runtime does not tell, or nothing is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<super::OpenPaths>,
}

/// One part of a [`Confinement`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Measure {
    /// What is held back: `files`, `network`, `memory_bytes`.
    pub what: String,
    /// By which means it is enforced, or why it is not.
    pub how: String,
}

/// The workloads of one host that a runtime has: all of them, or those that it was asked for ([`super::ListQuery`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Listing {
    /// True if this is everything that was asked for: only then is a workload's absence evidence.
    pub complete: bool,
    /// The instance that answered: the one whose workloads these are, also where it has none of them.
    pub instance: String,
    /// The workloads, running or not.
    pub workloads: Vec<Observation>,
}
