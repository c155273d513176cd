//! The runtimes `docker` and `podman`: workloads as containers of an engine on this machine.
//!
//! One library, two names, because they are different owners: each refuses an engine that is the other ([`engine`]). The
//! table in [`search`] says how an engine is found. The plugin keeps no state of its own: a later process finds everything
//! by the labels and the container's id.
//!
//! Invariants: a container that wharf made carries the labels of [`labels`], and is found by them or by its id, never by
//! its name; an engine that gives no answer is `unavailable`, never `not_found`; ports are published on 127.0.0.1 alone;
//! nothing polls.
#![forbid(unsafe_code)]

mod answer;
mod attach;
mod close_look;
mod confinement;
mod conmon;
mod container;
mod credentials;
mod deploy;
mod digest;
mod discover;
mod endpoint;
mod engine;
mod engine_liveness;
mod error;
mod flavor;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod handle;
mod hints;
mod http;
mod identity;
mod image;
mod image_id;
mod introduction;
mod known_engine;
mod labels;
mod limits;
mod log_end;
mod log_source;
mod logs;
mod memory_kills;
mod memory_watch;
mod mount_advice;
mod mounts;
mod name;
mod observe;
mod options;
mod platform;
mod platform_check;
mod port;
mod profile;
mod proxies;
mod reference;
mod remembered;
mod removal;
mod runtime;
mod search;
mod signs_of_life;
mod supposed;
mod wait_for_end;

use runtime::ContainerRuntime;
use wharf_sdk::Capability;

wharf_sdk::export_runtime! {
    "docker": ContainerRuntime {
        capabilities: [
            Capability::STDIO, Capability::HTTP, Capability::SURVIVES_SUPERVISOR, Capability::PORT_MAPPING,
            Capability::MOUNTS, Capability::CPUS, Capability::MEMORY, Capability::PIDS,
            Capability::PERMISSION_PROFILE, Capability::USER, Capability::PULL, Capability::GROUP,
            Capability::RESTART_IN_PLACE, Capability::PARENT, Capability::WORKING_DIR, Capability::RELABEL,
            Capability::ULIMITS, Capability::CAP_ADD, Capability::NETWORK, Capability::ADD_HOSTS,
            Capability::ENTRYPOINT, Capability::NO_INIT, Capability::PLATFORM, Capability::SHM_SIZE,
            Capability::TMPFS, Capability::LOG_TIMESTAMPS, Capability::IMAGE_SETTINGS,
        ],
        abilities: [logs, attach, discover],
        accepts: ["image"],
        priority: 30,
    },
    "podman": ContainerRuntime {
        capabilities: [
            Capability::STDIO, Capability::HTTP, Capability::SURVIVES_SUPERVISOR, Capability::PORT_MAPPING,
            Capability::MOUNTS, Capability::CPUS, Capability::MEMORY, Capability::PIDS,
            Capability::PERMISSION_PROFILE, Capability::USER, Capability::PULL, Capability::GROUP,
            Capability::RESTART_IN_PLACE, Capability::PARENT, Capability::WORKING_DIR, Capability::RELABEL,
            Capability::ULIMITS, Capability::CAP_ADD, Capability::NETWORK, Capability::ADD_HOSTS,
            Capability::ENTRYPOINT, Capability::NO_INIT, Capability::PLATFORM, Capability::SHM_SIZE,
            Capability::TMPFS, Capability::LOG_TIMESTAMPS, Capability::IMAGE_SETTINGS,
        ],
        abilities: [logs, attach, discover],
        accepts: ["image"],
        priority: 20,
    },
}
