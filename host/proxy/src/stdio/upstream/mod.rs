//! The side of the stdio server: its two pipes, the handshake that wharf makes with it once per process, and the lines
//! that it writes.
//!
//! Knows nothing of HTTP. A line of the server goes to [`super::route_server_messages`]; one that is no message is
//! survived here.
pub(crate) mod answers;
pub(crate) mod connection;
pub(crate) mod handshake;
pub(crate) mod outbox;
pub(crate) mod reader;
