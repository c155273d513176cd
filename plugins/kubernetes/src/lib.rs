//! The runtime `kubernetes`: workloads as pods of one namespace of a cluster, one StatefulSet for each.
//!
//! A StatefulSet and not a Deployment: a server on stdin and stdout must never be there twice, and of the two only the
//! StatefulSet promises that the old pod is gone before the next one of its name is made, also when a node stops answering.
//!
//! How a cluster is found is told in [`find`]; what is made, in [`manifest`]. Nothing is kept here that outlives this process:
//! labels, annotations and the StatefulSet's uid tell everything to a later one.
//!
//! Invariants: what is made carries the labels of [`labels`], and is found by them or by the StatefulSet's uid, never by
//! name alone; an API server that gives no answer is `unavailable`, never `not_found`; the end of an attached stream says
//! nothing about the container; the value of a variable is in a Secret alone; nothing polls where the API can be watched.
#![forbid(unsafe_code)]

mod answers;
mod attach;
mod begun;
mod cluster;
mod connection;
mod credential_program;
mod deploy;
mod dial;
mod digest;
mod earlier;
mod endpoint;
mod error;
mod events;
mod find;
mod handle;
mod health;
mod helper;
mod hindrances;
mod identity;
mod labels;
mod list;
mod logs;
mod manifest;
mod names;
mod observe;
mod pods;
mod probe;
mod profile;
mod proxy;
mod reasons;
mod remove;
mod renewal;
mod resources;
mod runtime;
mod settings;
mod start;
mod statefulset;
mod stop;
#[cfg(test)]
mod tests;
mod text;
mod volumes;
mod wait;

use runtime::KubernetesRuntime;
use wharf_sdk::Capability;

wharf_sdk::export_runtime! {
    "kubernetes": KubernetesRuntime {
        capabilities: [
            Capability::STDIO, Capability::HTTP, Capability::PORT_MAPPING, Capability::SURVIVES_SUPERVISOR,
            Capability::FETCHES_AT_START, Capability::MOUNTS, Capability::CPUS, Capability::MEMORY,
            Capability::PERMISSION_PROFILE, Capability::USER, Capability::PULL, Capability::GROUP, Capability::RESTART_IN_PLACE,
            Capability::RESTARTS_ITSELF, Capability::LOG_TIMESTAMPS,
            Capability::named("option.context"), Capability::named("option.namespace"),
        ],
        abilities: [logs, attach, dial, probe],
        // By name alone: a name that was mistyped must not become a pod of whatever cluster kubectl was last used on.
        accepts: [],
        priority: 5,
    },
}
