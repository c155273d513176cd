//! The launcher: a small process between a plugin and a plain process (the protocol: [`wharf_sdk::launch`]).
//!
//! It is this binary, started again with a hidden first argument, before anything else of it runs: one thread, no
//! Tokio, little memory, because it stays as long as the workload does. It is the workload's parent and the reaper of
//! all that descends from it, the writer of its log, and the keeper of its state file.
//!
//! ```text
//! plugin --spawn--> launcher (run_launcher) --spawn--> init (run_init), where namespaces can be made
//!                                         '--spawn--> stage two (run_exec) --exec--> the workload's program
//! ```
//!
//! The workload's process exists, and is recorded durably, before it may execute the program: stage two waits for the
//! word. It dies with the launcher (`PR_SET_PDEATHSIG`; both have one thread, so "parent" is not some pool's thread),
//! and the launcher does not end before every descendant has been reaped (it is a child subreaper, so even a process
//! that made itself a daemon comes back to it). A launcher that is killed leaves the workload's first process, if that has
//! undone the tie, and its other ones, where no namespace ends with it: whoever waits for the workload ends them by their
//! marks.
//!
//! Invariants: no process is signalled but the launcher's own children that it has not reaped yet; a full disk, a slow
//! disk or a peer that does not read never holds the workload up; every buffer has a bound. It must not know what a
//! runtime, a record or a proxy is.
mod control;
mod error;
mod exec;
mod exec_request;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod init;
mod launcher;
mod log;
mod port_forward;
mod reaper;
mod running;
mod sandbox;
mod sharing;
mod signals;
mod stage;
mod state;
mod unlinked;

pub use exec::run_exec;
pub use init::run_init;
pub use launcher::run_launcher;

/// The first argument that makes this binary the launcher.
pub const LAUNCHER_ARGUMENT: &str = "__launch";
/// The first argument that makes it the first process of a workload's namespaces; only the launcher gives it.
pub const INIT_ARGUMENT: &str = "__launch-init";
/// The first argument that makes it stage two; only the launcher gives it.
pub const EXEC_ARGUMENT: &str = "__launch-exec";
