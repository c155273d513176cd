//! The side of the stdio server: its two pipes, the handshake that wharf makes with it once per process, and
//! the lines it writes.
//!
//! Knows nothing of HTTP. Whatever the server writes goes to [`super::route`]; junk is survived here.
mod connection;
mod handshake;
mod outbox;
mod reader;

pub use connection::{ConnectError, PingError, ServerInfo};
pub(crate) use connection::{Phase, Upstream};
pub(crate) use outbox::{Outbox, OutboxError};
pub(crate) use reader::upstream_id;
