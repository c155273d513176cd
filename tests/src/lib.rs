//! The harness: what the integration tests have in common.
//!
//! Each test has a [`Rack`] of its own, a temporary folder with copies of the real libraries, so that nothing of one
//! test's plugins (statics, threads, log records) is another one's.
mod library;
mod rack;
mod records;

pub use library::{compile, library, patch_stamp, stamp_text};
pub use rack::{Rack, handle, mapped, mapped_memory, options, spec};
pub use records::Records;
