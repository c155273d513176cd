//! Files that others write or put into one's way: read with a limit and without waiting for anybody, and names followed
//! link by link.
//!
//! For runtimes that read an engine's, a tool's or a user's files, and for the host, which reads secrets, settings and
//! outcomes so. It must not know what the files mean. Feature `files`.
mod bounded;
mod links;

pub use bounded::{Links, open, open_in, read, read_file};
pub use links::{follow, target};
