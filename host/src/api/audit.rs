//! The audit log: one line of JSON for each change that was asked for, when it has ended.
//!
//! Called by the operations. It holds no secret, no variable and no argument. What the disk does not take is lost, and the
//! loss is told as soon as something can be written again: a full disk keeps nobody from stopping a workload.
use crate::api::operation::{Kind, OperationState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use wharf_model::ErrorKind;
use wharf_supervisor::RotatedLog;

/// The client that asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub(crate) enum Who {
    /// A process of this user, through the Unix socket.
    Peer {
        /// Its user.
        user: u32,
        /// Its pid when it connected.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pid: Option<i32>,
    },
    /// A client that sent the token.
    Token,
}

/// A line of the log.
#[derive(Debug, Serialize)]
pub(crate) struct Entry<'a> {
    /// When it ended.
    pub(crate) at: Timestamp,
    /// The client that asked.
    pub(crate) who: &'a Who,
    /// For what.
    pub(crate) kind: Kind,
    /// With which workloads.
    pub(crate) workloads: &'a [String],
    /// The server that was to run, without its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<&'a str>,
    /// As which operation.
    pub(crate) operation: &'a str,
    /// The outcome.
    pub(crate) outcome: OperationState,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<ErrorKind>,
}

/// The log.
#[derive(Clone)]
pub(crate) struct Audit {
    log: RotatedLog,
    path: PathBuf,
}

impl Audit {
    /// Opens the log to append to it.
    pub(crate) fn open(path: &Path) -> Self {
        Self { log: RotatedLog::open(path), path: path.to_owned() }
    }

    /// The operations that have a line.
    pub(crate) fn told(&self) -> BTreeSet<String> {
        let of_line = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            Some(line["operation"].as_str()?.to_owned())
        };
        let mut told = BTreeSet::new();
        for end in ["", ".1", ".2"] {
            let mut path = self.path.as_os_str().to_owned();
            path.push(end);
            // Its size is bounded by its rotation. One that cannot be read tells nothing: then a line may be there twice.
            let text = std::fs::read_to_string(path).unwrap_or_default();
            told.extend(text.lines().filter_map(of_line));
        }
        told
    }

    /// Writes a line.
    pub(crate) fn note(&self, entry: &Entry<'_>) {
        // Text and numbers alone, which can always be written; the log itself never fails.
        let mut line = serde_json::to_vec(entry).unwrap_or_default();
        line.push(b'\n');
        let _ = self.log.clone().write_all(&line);
    }
}
