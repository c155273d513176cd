//! The HTTP side of a shared stdio server: POST, GET and DELETE on `/mcp`.
//!
//! Called by HTTP clients through [`crate::serve`]; knows nothing of processes. The order of the checks and the exact
//! statuses are in `docs/mcp.md`, 2.
pub(crate) mod batch;
pub(crate) mod entry;
pub(crate) mod get;
pub(crate) mod post;
pub(crate) mod principal;
pub(crate) mod request;
pub(crate) mod sse;
