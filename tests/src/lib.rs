//! The harness of the integration tests.
//!
//! Tests of the whole have a [`host::Host`] of their own, with the binary as users get it. Tests of plugins have a
//! [`Rack`], a temporary folder with copies of the real libraries, so that tests do not share the state of plugins
//! (statics, threads, log records).
pub mod cluster;
pub mod conformance;
pub mod engine;
pub mod engines;
pub mod host;
pub mod images;
pub mod inspector;
pub mod json_forms;
pub mod mcp;
pub mod registry;
pub mod sdks;
pub mod tap;
pub mod toolhive;

mod contained;
mod copies;
mod host_files;
mod library;
mod machine;
mod programs;
mod rack;
mod records;

pub use wharf_demo::client;

pub use copies::{copy_workload, remove_copies};
pub use library::{compile, library, patch_stamp, stamp_text};
pub use rack::{HOST_ID, Rack, handle, mapped, mapped_memory, options, spec};
pub use records::Records;
