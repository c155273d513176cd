//! Runtimes whose engines are folders, for tests from end to end.
//!
//! `scripted-one` and `scripted-two` run workloads that answer MCP, survive every process of wharf, and are found again by
//! their labels; `scripted-images` shows resources that others made, `scripted-old-images` is of an SDK without that
//! ability; `scripted-full` declares all capabilities, and plays the conformance suite's scripts by their names ([`jobs`]);
//! `scripted-dial` runs servers whose port is reached only through [`dial`]; workloads of `scripted-restarting` end with
//! their supervisor, and its engine restarts them. The folder ([`wharf_test_engine`]) is the endpoint, or comes from the
//! configuration; calls obey the orders that a test puts there.
#![forbid(unsafe_code)]
mod dial;
mod discover;
mod given_up;
mod jobs;
mod network;
mod ordered_call;
mod pin;
mod port;
mod probe;
mod runtime;
mod scripted;
mod server;
mod streams;
mod watch;

use scripted::Scripted;
use wharf_sdk::Capability;

wharf_sdk::export_runtime! {
    "scripted-one": Scripted {
        capabilities: [Capability::STDIO],
        abilities: [attach],
        accepts: ["command"],
        priority: -10,
    },
    "scripted-two": Scripted {
        capabilities: [Capability::STDIO],
        abilities: [attach],
        accepts: ["command"],
        priority: -10,
    },
    "scripted-images": Scripted {
        capabilities: [Capability::STDIO],
        abilities: [attach, discover],
        accepts: ["image"],
        priority: -10,
    },
    "scripted-old-images": Scripted {
        capabilities: [Capability::STDIO],
        abilities: [attach],
        accepts: ["image"],
        priority: -10,
    },
    "scripted-full": Scripted {
        capabilities: [
            Capability::STDIO, Capability::HTTP, Capability::SURVIVES_SUPERVISOR, Capability::CPUS, Capability::MEMORY,
            Capability::PIDS, Capability::PERMISSION_PROFILE, Capability::DIAL_HALF_CLOSE, Capability::PARENT,
            Capability::RESTARTS_ITSELF, Capability::LOG_TIMESTAMPS, Capability::MOUNTS, Capability::MOUNT_PARTS,
        ],
        abilities: [attach, logs, dial, pin, probe],
        accepts: ["command"],
        priority: -10,
    },
    "scripted-dial": Scripted {
        capabilities: [Capability::HTTP, Capability::SURVIVES_SUPERVISOR, Capability::PORT_MAPPING],
        abilities: [dial],
        accepts: ["command"],
        priority: -10,
    },
    "scripted-restarting": Scripted {
        capabilities: [Capability::HTTP, Capability::PORT_MAPPING, Capability::RESTARTS_ITSELF],
        abilities: [dial],
        accepts: ["command"],
        priority: -10,
    }
}
