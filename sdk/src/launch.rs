//! How a plugin starts a plain process: the launcher's protocol.
//!
//! A plugin lives in a process with many threads, where nothing may be done between fork and exec. So it runs the
//! host's launcher ([`crate::Context::launcher`]), a small single-threaded process that stays as long as the
//! workload does, and is its parent, its reaper and the writer of its log:
//!
//! ```text
//! plugin                          launcher                         workload
//!   | spawn: fd 0 = the workload's stdin, fd 1 = its stdout, fd 2 = control socket
//!   | -- Job ----------------------> | spawn, own session --------> | waits
//!   | <------------------- Prepared  |
//!   |   (the host stores both identities)
//!   | -- Go ------------------------> | ------------------------->  | executes the program
//!   | <------------------ Started or Failed
//!   | <------------------------ Exited                              | ends; whatever it left behind is killed
//! ```
//!
//! Each message is one line of JSON. The control socket's end means that the plugin's process is gone: before `Go`
//! the launcher ends and nothing has run; after it, a workload with `survives` goes on, any other one is ended.
//! SIGTERM to the launcher asks the workload to end, SIGINT kills all of it at once. How it ended stays in the state
//! file, for whoever comes later.
mod groups;
mod sandbox;

pub use groups::groups_within;
pub use sandbox::{Limits, NAMESPACES, Network, Place, READ_INSIDE_WRITE, Sandbox};

use crate::{Confinement, Measure, process_identity::ProcessIdentity};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The version of the protocol. A launcher refuses a job of any other version: it would not enforce the fields that it does
/// not know.
pub const PROTOCOL: u32 = 4;

/// The longest [`Job`], as one line.
pub const MAX_JOB_BYTES: usize = 8 * 1024 * 1024;

/// The variable in a workload's environment that holds its uid. Processes that a workload left behind are recognised by it.
pub const UID_VARIABLE: &str = "WHARF_WORKLOAD_UID";
/// The variable in a workload's environment that holds the id of the host that owns it.
pub const HOST_VARIABLE: &str = "WHARF_HOST_ID";

/// The name of the control groups of the workload with this uid. Processes in a group of this name belong to that workload.
pub fn cgroup_name(uid: &str) -> String {
    format!("wharf-{uid}")
}

/// The folder for temporary files of a workload that has this folder of its own.
pub fn temporary_dir(own_dir: &Path) -> PathBuf {
    own_dir.join("tmp")
}

/// The job of a launcher: the first line that the plugin sends it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// [`PROTOCOL`] of the plugin.
    pub protocol: u32,
    /// A trial: the launcher makes everything that the job asks for, reports which confinement holds, and ends without
    /// running the program.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub try_only: bool,
    /// The workload's uid.
    pub uid: String,
    /// The host's id.
    pub host_id: String,
    /// The uid of the workload that it belongs to; kept in the state for whoever finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The workload's name, for people.
    pub name: String,
    /// The program, as an absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment; the launcher adds the two variables above.
    pub env: BTreeMap<String, String>,
    /// Its working directory: a path without links, which the launcher enters without following one.
    pub current_dir: PathBuf,
    /// Whether the workload goes on when the control socket ends.
    pub survives: bool,
    /// Whether stdout is a log (fd 1 is then ignored) or the workload's channel.
    pub log_stdout: bool,
    /// How long a workload that is asked to end may take before it is killed, in milliseconds.
    pub grace_ms: u64,
    /// The file that its output is written to.
    pub log_path: PathBuf,
    /// The file in which [`State`] is kept.
    pub state_path: PathBuf,
    /// The workload's own folder, with one for temporary files in it ([`temporary_dir`]). The launcher makes both, and
    /// removes what it made if the program does not come to run.
    pub own_dir: PathBuf,
    /// The files and the network that the workload may use. None: whatever its user may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Sandbox>,
    /// The limits on what it may use.
    #[serde(default)]
    pub limits: Limits,
    /// The measures that the plugin has left out of those that were asked for. The launcher reports them together with
    /// those that it leaves out itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weaker: Vec<Measure>,
    /// The port on which the workload is to listen, if any. The launcher keeps it in the state file, so that another
    /// process can learn it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_port: Option<u16>,
}

/// A message of the plugin after the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// The host has recorded the workload's identity: execute the program.
    Go,
}

/// A message of the launcher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// Both processes exist; none of the workload's code has run.
    Prepared {
        /// The launcher.
        launcher: ProcessIdentity,
        /// The process that will execute the program.
        workload: ProcessIdentity,
    },
    /// The answer to a trial. The launcher ends.
    Tried(Confinement),
    /// The program runs.
    Started {},
    /// The program could not be executed, or the job makes no sense. The launcher ends.
    Failed {
        /// The cause.
        message: String,
        /// The system's error number, where there is one.
        errno: Option<i32>,
        /// The part of the specification that cannot be enforced here, where that is the reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
    },
    /// The workload has ended and nothing of it is left. The launcher ends.
    Exited(crate::Exit),
}

/// The contents of the state file, which the launcher keeps from `Prepared` on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The workload's uid.
    pub uid: String,
    /// The host's id.
    pub host_id: String,
    /// The uid of the workload that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The workload's name.
    pub name: String,
    /// The launcher.
    pub launcher: ProcessIdentity,
    /// The workload's first process; its pid is also its session's id.
    pub workload: ProcessIdentity,
    /// The port on which it was to listen, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_port: Option<u16>,
    /// The confinement of the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confinement: Option<Confinement>,
    /// The control groups that the launcher made for it. They are to be removed after its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cgroups: Vec<PathBuf>,
    /// When the program was executed, in milliseconds after the epoch; none before `Go`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<u64>,
    /// The exit of the workload, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<crate::Exit>,
}
