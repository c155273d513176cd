//! The MCP server: a model's client lists, runs, calls and ends workloads with tools.
//!
//! Called by the command line, which gives it a stream for its messages. A front end beside REST and the command line: it
//! parses, calls the command layer, and answers in the shapes that these have. `docs/mcp-server.md` is its reference.
//!
//! ```text
//!  client -> a tool -> guard (allow-list) -> commands
//!                        | not on it
//!                        v
//!                      a person, through the client, who sees the whole command; else refused, with what to add
//! ```
//! Invariants:
//! - Whatever a tool changes, and every call of a workload's tool, is on the allow-list, or a person has seen it whole and
//!   said yes to it. Whoever talks to the model is neither.
//! - An answer holds no secret of a proxy and no value of a secret. What a workload has written is marked as its own.
//! - It must not know how workloads are run, nor print, nor look at the environment.
mod arguments;
mod confirm;
mod deed;
mod guard;
mod http;
mod logs;
mod pattern;
mod perform;
mod progress;
mod schemas;
mod server;
mod shown;
mod tool;

pub use http::{HttpServing, PATH};
pub use server::serve;
