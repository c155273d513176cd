//! Runtimes: finds, checks, loads and calls the plugin libraries that provide them, and turns their answers into evidence.
//!
//! Commands and supervisors ask [`Plugins`] for the runtime that a workload's RunConfig names, and call it through
//! [`RuntimeClient`]. [`observe()`] asks the owners of many workloads at once, [`look`] and its neighbours the owner of
//! one. It must not know any particular runtime, the records' files, a supervisor or a proxy. Together with `sdk/abi` it is
//! the only place with `unsafe`.
//!
//! Invariants:
//! - Names, versions and every refusal come from a library's manifest: none of its code has run by then.
//! - The bytes that were checked are the bytes that are mapped.
//! - A name leads to exactly one library, or is an error.
//! - The deadline of a call does not depend on the plugin: its code is entered, polled and dropped on a thread of its own,
//!   so a plugin that blocks holds up no other.
//! - Nothing is unloaded.
//! - Only the owner is asked about a workload, and only the owner is believed (R02).
mod call_counts;
mod call_documents;
mod catalog;
mod children;
mod client;
mod connection;
mod deadlines;
mod error;
mod fingerprint;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod handle;
mod in_process;
mod libraries;
mod manifest;
mod observe;
mod observed;
mod options;
mod overdue;
mod owner;
mod probe;
mod question;
mod raw_stream;
mod registry;
mod set_aside;
mod standing;
mod trust;
mod verdict;

#[cfg(test)]
mod tests;

pub use call_counts::{CallCounts, CallOutcome};
pub use catalog::{Catalog, Library, PluginDir, Provided};
pub use children::remove_children;
pub use client::RuntimeClient;
pub use connection::{Answer, Connection};
pub use deadlines::{Deadlines, Purpose};
pub use error::{CallError, PluginError, TrustError};
pub use fingerprint::Fingerprint;
pub use handle::{handle_of, last_exit};
pub use in_process::exit::leave;
pub use in_process::last_words::{WasUnderWay, keep_last_words_in, read_last_words, watch_over_ends};
pub use in_process::memory::give_back_memory;
pub use in_process::probe_process::{PROBE_ARGUMENT, run_probe};
pub use libraries::Libraries;
pub use manifest::is_runtime_name;
pub use observe::{may_have_foreign, observe, observe_all, observe_foreign};
pub use observed::{ForeignResource, Observed};
pub use options::{ConnectOptions, EventListener};
pub use owner::{
    ask_owner, connect_owner, look, look_briefly, look_cleared_up, prove_ended, prove_gone, prove_owner,
    where_displaced,
};
pub use probe::{Prober, how};
pub use question::{InstanceProof, Scope};
pub use raw_stream::{RawStream, Reader, Writer};
pub use registry::Plugins;
pub use set_aside::{LibraryStamp, SetAside, library_stamp};
pub use verdict::{Forgotten, Verdicts};
