//! The HTTP side of a shared stdio server: POST, GET and DELETE on the one path
//! that is served.
//!
//! Called by HTTP clients through [`crate::proxy::serve`]; knows nothing of processes. The order of the checks
//! and the exact statuses are section 2 of the translation table.
mod batch;
mod body;
mod entry;
mod get;
mod post;
mod request;
mod respond;
mod sse;

pub(crate) use body::read_body;
pub(crate) use entry::{PATH, router};
pub(crate) use post::{check_post_head, malformed};
pub(crate) use respond::{
    ALLOWED_METHODS, allow_origin, empty, invalid, method_not_allowed, preflight, refused, rpc_error,
    unavailable,
};
