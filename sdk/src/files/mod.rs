//! Files that others write, or could put into the way: reading them with a limit and without waiting for anybody, and
//! following names link by link.
//!
//! Runtimes read an engine's, a tool's or a user's files with it; the host reads secrets, settings and outcomes. It must
//! not know what the files mean. Feature `files`.
mod bounded;
mod links;

pub use bounded::{Links, open, open_in, read, read_file};
pub use links::{follow, target};
