//! The runtime `process`: workloads as plain processes of this machine and user.
//!
//! Commands (a path, or a name from `PATH`) and packages (`npx`, `uvx`) run through the host's launcher
//! ([`wharf_sdk::launch`]), which is each workload's parent, reaper and log writer. The plugin keeps no state of its own: a
//! later process learns everything from the handle, which the host stores, and from the launcher's state file.
//!
//! Invariants: before a process is signalled, its identity (pid, start time, boot), or its marks (uid and host id in its
//! environment), or its control group (which has the uid in its name) has been verified through a descriptor of that very
//! process; the environment of a workload consists of the specification's variables and the short list of [`environment`];
//! nothing polls.
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
mod mounts;
mod namespaces;
mod observe;
mod package;
mod permission_profile;
mod places;
mod registries;
mod runtime;
mod state;
mod stop;
mod stragglers;
mod trail;
mod version_managers;

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
            Capability::MOUNTS,
            Capability::MOUNT_PARTS,
            Capability::PARENT,
            Capability::LOG_TIMESTAMPS,
        ],
        abilities: [logs, attach, confine, pin],
        accepts: ["command", "package"],
        priority: 10,
    }
}
