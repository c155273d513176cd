//! MCP's messages: scanned without being built, their revisions, and the limits on them.
pub(crate) mod forgiven;
pub(crate) mod json;
pub(crate) mod message;
pub(crate) mod negotiation;
pub(crate) mod operation_counts;
pub(crate) mod options;
pub(crate) mod own_error;
pub(crate) mod revision;
