//! The launcher: a small process between a plugin and a plain process (the protocol: [`wharf_sdk::launch`]).
//!
//! It is this binary, started again with a hidden first argument, before anything else of it runs: one thread, no Tokio,
//! little memory, because it stays as long as the workload does. It is the workload's parent, it reaps all of the
//! workload's descendants, and it writes the workload's log and state file.
//!
//! ```text
//! plugin --spawn--> launcher (run_launcher) --spawn--> init (run_init), where namespaces can be made
//!                                         '--spawn--> exec helper (run_exec) --exec--> the workload's program
//! ```
//!
//! In a pid namespace the exec helper stays as the program's parent ([`relay::Relay`]) and is what is on record.
//!
//! The workload's process exists, and is recorded durably, before it may execute the program: the exec helper waits for
//! `Go`. It dies with the launcher (`PR_SET_PDEATHSIG`; the launcher has one thread, so its parent is that thread and no
//! thread of a pool). The launcher does not end before every descendant has been reaped (it is a child subreaper, so even a
//! process that made itself a daemon becomes its child). If the launcher is killed, these processes may be left: the
//! workload's first process, if it has undone the tie, and other processes, where there is no pid namespace. The plugin,
//! which waits for the workload, kills them by their marks.
//!
//! Invariants: the launcher signals only its own children that it has not reaped yet; a full disk, a slow disk or a peer
//! that does not read never holds the workload up; every buffer has a bound. It must not know what a runtime, a record or a
//! proxy is.
mod control;
mod error;
mod exec;
mod exec_helper;
mod exec_request;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod init;
mod launcher;
mod log;
mod port_forward;
mod reaper;
mod relay;
mod rotated_file;
mod running;
mod sandbox;
mod sharing;
mod signals;
mod state;
mod unlinked;

pub use exec::run_exec;
pub use init::run_init;
pub use launcher::run_launcher;
pub use rotated_file::{MAX_FILE_BYTES, RotatedFile, log_files};

/// The first argument that makes this binary the launcher.
pub const LAUNCHER_ARGUMENT: &str = "__launch";
/// The first argument that makes it init; only the launcher gives it.
pub const INIT_ARGUMENT: &str = "__launch-init";
/// The first argument that makes it the exec helper; only the launcher gives it.
pub const EXEC_ARGUMENT: &str = "__launch-exec";
