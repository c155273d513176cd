//! The MCP proxy: the part between HTTP clients and one workload's server.
//!
//! Called by the supervisor, which owns the server's process: it hands the pipes to [`StdioProxy::connect`] (or an
//! [`Upstream`] to [`HttpProxy::new`]) and serves the router with [`serve()`]. It knows nothing of processes, runtimes or
//! files.
//!
//! ```text
//!  HTTP client -> http/serve -> downstream (admission, classify, request) -> broker -> upstream/outbox -> server's stdin
//!  HTTP client <- downstream/sse <- event_log <- broker <- route_server_messages <- upstream/reader <- server's stdout
//! ```
//! `http/classify` tells the eras of MCP apart, per request; only the session-based ones (2024-11-05 to 2025-11-25) are
//! served so far. The stateless one enters at the `Era::Modern` arm of `stdio/downstream/post.rs`.
//!
//! Invariants. One handshake per server process, made by wharf. Upstream ids are never used twice. A message of the
//! server reaches the client that it certainly concerns, or nobody. A message is one line of stdin whatever it holds. No
//! queue, log, line, body or table is unbounded ([`Limits`]). The one lock is never held across an await or a write.
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod http;
mod protocol;
mod reverse;
mod stdio;

#[cfg(test)]
mod tests;

pub use http::access::{Access, AccessRule, PATH, secret_path};
pub use http::admission::{is_host, is_origin, is_path};
pub use http::serve::{Listener, Peer, serve};
pub use protocol::operation_counts::{DURATION_BOUNDS, DURATION_BUCKETS, OperationCount, OperationCounts};
pub use protocol::options::{Limits, ProxyOptions};
pub use protocol::own_error::{OUTCOME_UNKNOWN, OwnError, SERVER_RESTARTED, SERVER_STOPPED};
pub use reverse::handshake::{NotReady, OtherPlace};
pub use reverse::proxy::HttpProxy;
pub use reverse::upstream::{Dialer, Dialing, Duplex, Upstream};

pub use stdio::family::{NoInstance, Others, Starting};
pub use stdio::proxy::{InstanceSource, StdioProxy};
pub use stdio::undelivered::{REQUEST_AMBIGUOUS, Undelivered};
pub use stdio::upstream::connection::{ConnectError, PingError, ServerInfo};
