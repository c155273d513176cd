//! The proxy in front of a server on stdin and stdout, which all clients share.
//!
//! `downstream` is the clients' side, `upstream` the server's, the broker between them finds the session of each message.
pub(crate) mod attribution;
pub(crate) mod broker;
pub(crate) mod call;
pub(crate) mod client_capabilities;
pub(crate) mod delivery;
pub(crate) mod departed;
pub(crate) mod downstream;
pub(crate) mod event_log;
pub(crate) mod family;
pub(crate) mod few_lines;
pub(crate) mod in_flight;
pub(crate) mod instances;
pub(crate) mod memory;
pub(crate) mod proxy;
mod report_unusable;
pub(crate) mod route_server_messages;
pub(crate) mod server_requests;
pub(crate) mod session;
pub(crate) mod sessions;
pub(crate) mod shared;
pub(crate) mod subscribe;
pub(crate) mod timeouts;
pub(crate) mod undelivered;
pub(crate) mod upstream;
pub(crate) mod work;
