//! Runtimes whose engines are folders, for tests from end to end.
//!
//! `scripted-one` and `scripted-two` run workloads that answer MCP, survive every process of wharf, and are found
//! again by their labels; `scripted-images` takes over what others made, `scripted-old-images` is of an SDK that knew
//! nothing of that; `scripted-full` claims all that there is, and does what the conformance suite's scripts are
//! named after ([`jobs`]). The folder ([`wharf_test_engine`]) is the endpoint, or comes from the configuration; what a
//! test orders there is what a call does.
#![forbid(unsafe_code)]
mod jobs;
mod network;
mod port;
mod runtime;
mod server;
mod takeover;
mod told;
mod watch;

use runtime::Scripted;
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
        abilities: [attach, takeover],
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
            Capability::STDIO, Capability::HTTP, Capability::OUTLIVE, Capability::CPUS, Capability::MEMORY,
            Capability::PIDS, Capability::PERMISSION_PROFILE,
        ],
        abilities: [attach, logs],
        accepts: ["command"],
        priority: -10,
    }
}
