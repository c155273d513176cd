//! The MCP proxy: what stands between HTTP clients and one workload's server.
//!
//! Called by the supervisor, which owns the server's process: it hands its pipes to [`StdioProxy::connect`] (or an
//! address to [`HttpProxy::new`]) and serves the router with [`serve`]. This room knows nothing of processes,
//! runtimes or files.
//!
//! ```text
//!  HTTP client -> serve -> front (gate, classify, request) -> state -> upstream/outbox -> server's stdin
//!  HTTP client <- front/sse <- ring <- state <- route, ask <- upstream/reader          <- server's stdout
//! ```
//! [`classify`] tells the eras of MCP apart, per request; only the session-based ones (2024-11-05 to 2025-11-25)
//! are served so far. The stateless one enters at the `Era::Modern` arm of `front/post.rs`.
//!
//! Invariants. One handshake per server process, made by wharf. Upstream ids are never used twice. What a server
//! sends reaches the client that it certainly concerns, or nobody. A message is one line of stdin whatever it
//! holds. No queue, ring, line, body or table is unbounded ([`Limits`]). The one lock is never held across an await
//! or a write.
mod access;
mod ask;
mod call;
mod classify;
mod connection;
mod front;
mod gate;
mod health;
mod http_upstream;
mod json;
mod message;
mod options;
mod revision;
mod ring;
mod route;
mod serve;
mod session;
mod state;
mod stdio;
mod subscribe;
mod sweep;
mod upstream;

#[cfg(test)]
mod tests;

pub(crate) use access::secret_path;
pub use access::{Access, AccessRule};
pub(crate) use front::PATH;
pub use http_upstream::HttpProxy;
pub use options::{Limits, ProxyOptions};
pub use serve::serve;
pub use stdio::StdioProxy;
pub use upstream::{ConnectError, PingError, ServerInfo};
