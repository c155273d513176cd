//! The launcher: the small process that is a plain workload's parent (its protocol: `wharf_sdk::launch`).
//!
//! The binary runs it for a hidden first argument, before anything else. It is single-threaded, so that what must be
//! set between fork and exec can be set, and a parent-death signal means this process and not a thread of it. It
//! stays as long as the workload: it reaps, writes the log, and sees to it that the workload dies whole. It must not
//! know records, plugins or the proxy.
//!
//! Invariants: nothing of the workload runs before `Go`; when the launcher has ended, nothing of the workload is left.
mod children;
mod exec;
mod launcher;
mod log;
mod state_file;

pub use exec::run_exec;
pub use launcher::run_launcher;

/// The first argument that makes the binary a launcher.
pub const LAUNCHER_ARGUMENT: &str = "__launch";
/// The first argument that makes the binary a launcher's child, which becomes the workload.
pub const EXEC_ARGUMENT: &str = "__launch-exec";

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// What the launcher tells its child to become.
#[derive(Debug, Serialize, Deserialize)]
struct Program {
    program: PathBuf,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    current_dir: PathBuf,
    log_stdout: bool,
}

/// Why the child could not become the workload.
#[derive(Debug, Serialize, Deserialize)]
struct ExecFailure {
    message: String,
    errno: Option<i32>,
}
