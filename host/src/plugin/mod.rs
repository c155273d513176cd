//! Runtime plugins: found, judged, loaded, called.
//!
//! Called by the command layer and by supervisors, which see [`Plugins`] and [`RuntimeClient`] alone. It must not
//! know workloads, records or any particular runtime. Together with `sdk/abi` it is the only place with `unsafe`.
//!
//! Invariants:
//! - Names, versions and every refusal come from a library's stamp: none of its code has run by then.
//! - The bytes that were checked are the bytes that are mapped, and nobody writes over them: a copy is mapped.
//! - A library that was never seen is loaded in a process of its own first: only one that comes back from there is
//!   loaded here.
//! - A process that a plugin ends says so, and is no success.
//! - A name leads to exactly one library; nothing is guessed.
//! - A call has a deadline that the host keeps by itself: plugin code is entered, polled and dropped on a thread of
//!   that runtime's own, so that one that blocks holds up nobody else.
//! - Nothing is unloaded.
mod calls;
mod client;
mod connection;
mod copy;
mod discover;
mod error;
mod handed;
mod lane;
mod last_words;
mod leave;
mod load;
mod probe;
mod probe_process;
mod registry;
mod stamp;
mod stream;
mod trust;
mod turn;
mod verdict;

pub use client::{Deadlines, RuntimeClient};
pub use connection::{Answer, Connection, RawStream};
pub use discover::{Catalog, Library, PluginDir, Provided};
pub use error::{CallError, PluginError, TrustError};
pub use last_words::watch_over_ends;
pub use leave::leave;
pub use probe::Prober;
pub(crate) use probe::how;
pub use probe_process::{PROBE_ARGUMENT, run_probe};
pub use registry::{ConnectOptions, EventListener, Plugins};
pub use verdict::{Forgotten, Verdicts};
