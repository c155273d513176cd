//! The proxy in front of a server that speaks HTTP itself.
pub(crate) mod handshake;
pub(crate) mod health;
pub(crate) mod known_sessions;
pub(crate) mod open_streams;
pub(crate) mod own_request;
pub(crate) mod passing;
pub(crate) mod proxy;
pub(crate) mod resume;
pub(crate) mod shared;
pub(crate) mod upstream;
