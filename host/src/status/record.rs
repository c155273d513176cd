//! [`StatusRecord`]: what was last recorded to have happened to a workload.
//!
//! Only facts and intentions: health is derived from them and from evidence when somebody asks, and is never here.
//! The operation's holder writes transitions, a supervisor only spontaneous events.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::document::Document;
use super::document::field::is_zero;
use super::fault::Corruption;
use super::id::Uid;
use super::identity::ProcessIdentity;
use super::name::WorkloadName;
use super::opaque::Opaque;
use super::phase::{Event, Phase, TransitionError};
use super::schema::SchemaVersion;

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
        self.process_id = supervisor.as_ref().map_or(0, |identity| identity.pid);
        self.supervisor = supervisor;
    }
}

impl Document for StatusRecord {
    fn schema_version(&self) -> SchemaVersion {
        self.schema_version
    }

    fn uid(&self) -> &Uid {
        &self.uid
    }

    /// A status file does not name its workload: the uid ties it to the RunConfig.
    fn check(&self, _name: &WorkloadName) -> Result<(), Corruption> {
        Ok(())
    }

    fn check_opaque(&self) -> serde_json::Result<()> {
        self.handle.as_ref().map_or(Ok(()), Opaque::check)
    }

    /// A status file of ToolHive: it is of the RunConfig beside it, if that has no uid either, and was written once.
    /// Its word about health is no phase; what it wants follows from what it says that it was doing.
    fn made_up(found: &Map<String, Value>, name: &WorkloadName) -> Map<String, Value> {
        let (phase, desired) = match found.get("status").and_then(Value::as_str) {
            Some("running" | "unhealthy" | "unauthenticated" | "auth_retrying") => ("running", "running"),
            Some("starting") => ("starting", "running"),
            Some(phase @ ("stopping" | "removing")) => (phase, "stopped"),
            Some("stopped" | "policy_stopped") => ("stopped", "stopped"),
            Some("error" | "unknown") => ("error", "stopped"),
            _ => return Map::new(),
        };
        Map::from_iter([
            ("uid".to_owned(), Uid::of_legacy(name).to_string().into()),
            // 0 means that there is no record, to whoever compares.
            ("revision".to_owned(), 1.into()),
            ("status".to_owned(), phase.into()),
            ("desired".to_owned(), desired.into()),
        ])
    }
}
