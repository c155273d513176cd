//! The runtime `process`: workloads as plain processes of this machine and user.
//!
//! Commands (a path, or a name from `PATH`) and packages (`npx`, `uvx`) run through the host's launcher
//! ([`wharf_sdk::launch`]), which is each workload's parent, reaper and log writer. Nothing is kept here that outlives
//! this process: the handle, which the host stores, and the launcher's state file tell everything to a later one.
//!
//! Invariants: no process is signalled whose identity (pid, start time, boot) or marks (uid and host id in its
//! environment) or control group (which has the uid in its name) have not been verified through a descriptor of that very process; the environment of a workload is
//! what the specification says and the short list of [`environment`]; nothing polls.
#![forbid(unsafe_code)]

mod child;
mod clear;
mod command;
mod default_access;
mod deploy;
mod devices;
mod environment;
mod git_settings;
mod groups;
mod guard;
mod handle;
mod hints;
mod keys;
mod logs;
mod namespaces;
mod observe;
mod package;
mod permission_profile;
mod places;
mod runtime;
mod state;
mod stop;
mod stragglers;
mod trail;

#[cfg(test)]
mod tests;

use runtime::ProcessRuntime;
use wharf_sdk::Capability;

wharf_sdk::export_runtime! {
    "process": ProcessRuntime {
        capabilities: [
            Capability::STDIO,
            Capability::HTTP,
            Capability::SURVIVES_SUPERVISOR,
            Capability::WORKING_DIR,
            Capability::CPUS,
            Capability::MEMORY,
            Capability::PIDS,
            Capability::PERMISSION_PROFILE,
        ],
        abilities: [logs, attach, confine, pin],
        accepts: ["command", "package"],
        priority: 10,
    }
}
