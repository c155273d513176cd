//! A client of a workload's server, through the workload's own proxy: what a person reaches for to try a server by hand.
//!
//! Called by the commands. It speaks both eras of MCP with `rmcp`, over the proxy's port, with its token, and bounds whatever
//! the server answers. It must not know records, runtimes or front ends.
mod failure;
mod http;
mod lost_answer;
mod session;

pub(crate) use session::{Place, Session};
