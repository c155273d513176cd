//! The REST API: parses requests, calls the command layer, renders what it says. One group of routes a file.
//!
//! Called by the command line, which opens the places to listen at and says when to end. It must not know how workloads
//! are run, nor print, nor look at the environment. `docs/rest.md` is its reference.
//!
//! ```text
//!  client -> gate (Host, Origin, token, type of body) -> a group of routes -> commands (what is read)
//!                                                                          -> operations (what changes something)
//! ```
//! Invariants:
//! - Whatever changes something is an operation, which goes on when its client is gone, and whose outcome is on record.
//! - No request is served that a page in a browser could have sent without being asked for permission first.
//! - An error is `application/problem+json`; its kind alone decides the status.
//! - A signal concerns the process that serves and nobody's workload.
//! - The thread that speaks HTTP touches no file, and neither does a thread that holds the table of operations: a slow disk
//!   holds up who needs it.
#![expect(
    clippy::result_large_err,
    reason = "a problem is the whole answer, and is made at most once a request"
)]
mod answers;
mod app;
mod audit;
mod body;
mod change;
mod create_request;
mod edit;
mod ended_by;
mod events;
mod feed;
mod gate;
mod group_files;
mod groups;
mod health;
mod http_thread;
mod lifecycle;
mod listings;
mod logs;
mod measure;
mod metrics;
mod once;
mod operation;
mod operation_end;
mod operation_files;
mod operation_routes;
mod operation_table;
mod operations;
mod perform;
mod plain;
mod problem;
mod reconciler;
mod runtimes;
mod schemas;
mod server;
mod socket;
mod state;
mod text_format;
mod token;
mod workload_counts;
mod workloads;

pub(crate) use app::document;
pub(crate) use create_request::CreateRequest;
pub(crate) use gate::{Way, pass};
pub(crate) use runtimes::RuntimeList;
pub(crate) use schemas::move_references;
pub use server::{ServeOptions, Serving, openapi};
pub use socket::default_socket;
pub(crate) use token::make_token;
pub use token::read_token;
