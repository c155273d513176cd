//! The runtime `process`: workloads as plain processes of this machine.
//!
//! Each workload runs under the host's launcher, which is its parent, its reaper and the writer of its log. The
//! plugin keeps no state: a handle holds the identities of both processes, and the launcher's state file how it
//! ended, so that any later process finds a workload again, and takes none for it that merely has its pid.
//!
//! Linux only: identities, pidfds and the launcher rest on it.
#![forbid(unsafe_code)]

mod child;
mod command;
mod environment;
mod follow;
mod handle;
mod identity;
mod logs;
mod readable;
mod runtime;
mod state;
mod stop;
mod stragglers;

use runtime::ProcessRuntime;
use wharf_sdk::Capability;

wharf_sdk::export_runtime! {
    "process": ProcessRuntime {
        capabilities: [Capability::STDIO, Capability::HTTP, Capability::OUTLIVE, Capability::WORKING_DIR],
        abilities: [logs, attach],
        accepts: ["command", "package"],
        priority: 10,
    }
}
