//! The wharf library: the commands, for every front end (command line, REST, MCP), and the conformance runner.
//!
//! It never prints, never reads HOME or the environment: it is given a [`wharf_supervisor::Config`].
pub mod commands;
pub mod conformance;
