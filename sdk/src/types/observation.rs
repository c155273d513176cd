//! A runtime's answers about workloads and about itself: [`Instance`], [`Health`], [`Observation`], [`Listing`].
use serde::{Deserialize, Serialize};

/// The engine at the other end, and how it was reached. Both are opaque to the host, which compares and shows them;
/// of an endpoint it reads the place at its end ([`crate::endpoint_options`]), to show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Instance {
    /// An id of this engine that no other one has, not even another one behind the same endpoint.
    pub instance: String,
    /// How it was reached (socket, context, namespace), in a form that a later `connect` takes. Never a secret.
    pub endpoint: String,
}

/// Whether the runtime can be used here and now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Health {
    /// The verdict.
    pub state: HealthState,
    /// The reason of a verdict that is not `healthy`, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// How to mend it, where that is known: one sentence, with the command to type if there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Health {
    /// The runtime works.
    pub fn healthy() -> Self {
        Self { state: HealthState::Healthy, message: String::new(), remedy: String::new() }
    }

    /// There is an engine, and it does not work for this user.
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

/// The state of a workload, as its runtime sees it.
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
    /// Being removed.
    Removing,
    /// Another state; one that only a newer SDK knows is read as this.
    #[serde(other)]
    Unknown,
}

/// The end of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Exit {
    /// The exit code, if it exited and the code is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The time of the end, in milliseconds after the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// More about the cause, in words: out of memory, the reboot of the machine, a command that could not be executed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The engine itself starts the workload again after this end, without being asked
    /// ([`super::Capability::RESTARTS_ITSELF`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restarts: bool,
}

/// One workload as its runtime sees it now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Observation {
    /// The workload's uid, from the resource's own labels, never from its name.
    pub uid: String,
    /// The host that made it, from the resource's own labels.
    pub host_id: String,
    /// The uid of the workload that it belongs to, from the resource's own labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The handle, the very one that `deploy` returned. A workload whose record lost its handle (a crash between `deploy`
    /// and the record) is stopped and removed with the handle from a listing; and the host believes a deployment only where
    /// the listing after it shows the same handle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<crate::Handle>,
    /// The runtime's own name or id for it, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// Its state.
    pub state: WorkloadState,
    /// Its exit, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// The time of its start, in milliseconds after the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<u64>,
    /// The address of its port, for workloads that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<super::Address>,
    /// Its confinement; none where the runtime does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confinement: Option<Confinement>,
    /// More about one that runs.
    #[serde(default, skip_serializing_if = "Condition::is_plain")]
    pub condition: Condition,
}

impl Observation {
    /// True of one whose processes are there and do nothing, because somebody has paused them.
    pub const fn is_paused(&self) -> bool {
        matches!(self.state, WorkloadState::Running) && self.condition.paused
    }

    /// True of what belongs to this workload, and is not the workload itself.
    pub fn is_child_of(&self, uid: &str) -> bool {
        self.parent.as_deref() == Some(uid) && self.uid != uid
    }
}

/// More about a workload that runs. One that is paused still runs: `stop` and `remove` end it, and `start` lets it go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Condition {
    /// Somebody has paused it in the engine: it neither works nor answers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// The verdict of the engine's own check, such as the `HEALTHCHECK` of an image; none where there is none, or where
    /// the runtime does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
}

impl Condition {
    /// True if there is nothing to say.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// The verdict of an engine's own check of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// It was not checked yet, or not often enough.
    Starting,
    /// It passes.
    Healthy,
    /// It fails.
    Unhealthy,
    /// Another verdict; one that only a newer SDK knows is read as this.
    #[serde(other)]
    Unknown,
}

/// The confinement of a workload, part by part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Confinement {
    /// The parts that are enforced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enforced: Vec<Measure>,
    /// The parts that are not enforced, though the user asked for them or the runtime's rule wants them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weaker: Vec<Measure>,
    /// The files that are open to it; none where the runtime does not tell, or closes no files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<super::OpenPaths>,
}

/// One part of a [`Confinement`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Measure {
    /// The name of the part: `files`, `network`, `memory_bytes`.
    pub what: String,
    /// The means by which it is enforced, or the reason why it is not.
    pub how: String,
}

/// The workloads of one host that a runtime has: all of them, or those that the query names ([`super::ListQuery`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Listing {
    /// True if the answer has everything that was asked for: only then is a workload's absence evidence.
    pub complete: bool,
    /// The instance that answered and that has these workloads; also given where it has none of them.
    pub instance: String,
    /// The workloads, running or not.
    pub workloads: Vec<Observation>,
}
