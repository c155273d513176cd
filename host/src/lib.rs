//! The wharf library: everything that a front end (command line, REST, MCP) needs.
//!
//! It never prints, never reads HOME or the environment: it is given a [`config::Config`].
pub mod config;
pub mod conformance;
pub mod error;
pub mod failpoint;
pub mod launch;
pub mod plugin;
pub mod proxy;
pub mod reconcile;
pub mod status;
pub mod supervise;
pub mod toolhive;
pub mod workload;

mod bounded;
mod descriptors;
mod nearest;
