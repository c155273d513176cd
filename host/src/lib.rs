//! The wharf library: the command layer for every front end (command line, REST, MCP), and the conformance runner.
//!
//! It never prints, and never reads HOME or the environment: its caller gives it a [`wharf_supervisor::Config`].
pub mod api;
pub mod commands;
pub mod conformance;
pub mod mcp;
mod server_client;
