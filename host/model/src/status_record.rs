//! [`StatusRecord`]: what was last recorded to have happened to a workload.
//!
//! Only facts and intentions: health is derived from them and from evidence when somebody asks, and is never here.
//! The operation's holder writes transitions, a supervisor only spontaneous events.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::phase::{Event, Phase, TransitionError};
use crate::raw_json::Opaque;
use crate::schema_version::SchemaVersion;
use crate::serde_field::is_zero;
use crate::uid::Uid;
use wharf_sdk::process_identity::ProcessIdentity;

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Desired {
    /// It should run.
    Running,
    /// It should not.
    Stopped,
}

/// How a workload last ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastExit {
    /// Its exit code, if it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// When.
    pub at: Timestamp,
    /// What the runtime said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What was last recorded about a workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusRecord {
    /// The shape of the file.
    #[serde(default)]
    pub schema_version: SchemaVersion,
    /// The creation of the workload that it belongs to.
    pub uid: Uid,
    /// How often it was written. The store counts; callers compare.
    pub revision: u64,
    /// What it was doing.
    #[serde(rename = "status")]
    pub phase: Phase,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status_context: String,
    /// What the user wants.
    pub desired: Desired,
    /// When the record was first written.
    pub created_at: Timestamp,
    /// When it was last written. The store sets it.
    pub updated_at: Timestamp,
    /// When the workload was last started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// How it last ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<LastExit>,
    /// How often it was started again since.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// The supervisor's pid, for people to look at (0: none). Nothing is decided by it: see `supervisor`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub process_id: u32,
    /// The supervisor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervisor: Option<ProcessIdentity>,
    /// What the owner's plugin gave us to find the workload again. Never looked into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<Opaque>,
}

impl StatusRecord {
    /// The first record of a creation: starting, and wanted.
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
        }
    }

    /// Moves to the phase after an event, if the table has one; clears the words about the old phase.
    pub fn apply(&mut self, event: Event) -> Result<(), TransitionError> {
        self.phase = self.phase.next(event)?;
        self.status_context.clear();
        Ok(())
    }

    /// Records the supervisor, both for machines and for people.
    pub fn set_supervisor(&mut self, supervisor: Option<ProcessIdentity>) {
        self.process_id = supervisor.as_ref().map_or(0, |identity| identity.pid.unsigned_abs());
        self.supervisor = supervisor;
    }
}
