//! [`StatusRecord`]: the last recorded state of a workload.
//!
//! It holds facts and intentions only: health is derived from them and from evidence when somebody asks, and is never
//! recorded. The holder of the operation lock writes transitions, a supervisor only events that nobody asked for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::phase::{Event, Phase, TransitionError};
use crate::raw_json::Opaque;
use crate::schema_version::SchemaVersion;
use crate::serde_field::is_zero;
use crate::uid::Uid;
use wharf_sdk::process_identity::ProcessIdentity;

/// The user's wish for a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Desired {
    /// It should run.
    Running,
    /// It should not.
    Stopped,
}

/// How a workload last ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LastExit {
    /// Its exit code, if it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The time of the end.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub at: Timestamp,
    /// The runtime's words about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The server of one session of a workload: a resource with a uid of its own, whose parent is the workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionServer {
    /// Its uid.
    pub uid: Uid,
    /// The handle of the owner's plugin; none before the deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<wharf_sdk::Handle>"))]
    pub handle: Option<Opaque>,
}

/// The last recorded state of a workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatusRecord {
    /// The version of the file's shape.
    #[serde(default)]
    pub schema_version: SchemaVersion,
    /// The creation of the workload that it belongs to.
    pub uid: Uid,
    /// The number of times that it was written. The store counts; callers compare.
    pub revision: u64,
    /// The phase.
    #[serde(rename = "status")]
    pub phase: Phase,
    /// The reason for the phase, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status_context: String,
    /// The user's wish.
    pub desired: Desired,
    /// When the record was first written.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub created_at: Timestamp,
    /// When it was last written. The store sets it.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub updated_at: Timestamp,
    /// When the workload was last started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub started_at: Option<Timestamp>,
    /// The last end of the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<LastExit>,
    /// The number of restarts since then.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// The supervisor's pid, for people (0: none). No decision rests on it: see `supervisor`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub process_id: u32,
    /// The supervisor's process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervisor: Option<ProcessIdentity>,
    /// The handle with which the owner's plugin finds the workload. The host never parses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<wharf_sdk::Handle>"))]
    pub handle: Option<Opaque>,
    /// The servers of its sessions: each is here before it is deployed, and until it is proven to be gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub session_servers: Vec<SessionServer>,
}

impl StatusRecord {
    /// The first record of a creation: starting, and desired to run.
    #[must_use]
    pub fn new(uid: Uid) -> Self {
        let now = Timestamp::now();
        Self {
            schema_version: SchemaVersion::CURRENT,
            uid,
            revision: 0,
            phase: Phase::Starting,
            status_context: String::new(),
            desired: Desired::Running,
            created_at: now,
            updated_at: now,
            started_at: None,
            last_exit: None,
            restarts: 0,
            process_id: 0,
            supervisor: None,
            handle: None,
            session_servers: Vec::new(),
        }
    }

    /// Moves to the phase after an event, if the event is legal; clears the words about the old phase.
    pub fn apply(&mut self, event: Event) -> Result<(), TransitionError> {
        self.phase = self.phase.next(event)?;
        self.status_context.clear();
        Ok(())
    }

    /// Records that a start failed, and why; no supervisor is left of it.
    pub fn fail_start(&mut self, cause: &str) -> Result<(), TransitionError> {
        self.apply(Event::StartFailed)?;
        cause.clone_into(&mut self.status_context);
        self.set_supervisor(None);
        Ok(())
    }

    /// Records the supervisor, both for machines and for people.
    pub fn set_supervisor(&mut self, supervisor: Option<ProcessIdentity>) {
        self.process_id = supervisor.as_ref().map_or(0, |identity| identity.pid.unsigned_abs());
        self.supervisor = supervisor;
    }
}
