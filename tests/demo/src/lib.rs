//! The README's first command, and the MCP client that it shares with the integration tests.
//!
//! It is a package of its own with next to no dependencies: `cargo demo` builds it by itself before it builds the workspace, and
//! what the two builds have in common with other features is built twice.
pub mod client;
