//! One process of the server, as the proxy sees it, and the ways in which it can fail.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use crate::protocol::revision::Revision;
use crate::stdio::session::LogLevel;
use crate::stdio::upstream::outbox::Outbox;

/// A server's words on itself in the handshake.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerInfo {
    /// `serverInfo.name`, empty if it gave none.
    pub name: String,
    /// `serverInfo.version`, empty if it gave none.
    pub version: String,
    /// The revision that it chose.
    pub protocol_version: String,
    /// Its capabilities as sent.
    pub capabilities: Value,
    /// Its instructions for clients.
    pub instructions: Option<String>,
}

/// The reason why a server's process did not become usable.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConnectError {
    /// Its output ended before it answered `initialize`.
    #[error("the server exited before it answered the MCP handshake{}", excerpt_text(excerpt.as_deref()))]
    Exited {
        /// The beginning of its output that is no MCP, escaped.
        excerpt: Option<String>,
    },
    /// It wrote no answer to `initialize`.
    #[error("the server did not answer the MCP handshake within {after:?}")]
    TimedOut {
        /// The deadline that passed.
        after: Duration,
    },
    /// It is alive and writes something else.
    #[error("the server speaks no MCP{}", excerpt_text(Some(excerpt)))]
    NotMcp {
        /// The beginning of its output, escaped, at most 200 characters.
        excerpt: String,
    },
    /// It answered `initialize` with an error.
    #[error("the server refused the MCP handshake: {message} (code {code}){}", revisions_text(revisions))]
    Refused {
        /// Its JSON-RPC code.
        code: i64,
        /// Its text, escaped.
        message: String,
        /// The revisions that it named, escaped; none of them is known here, or it refused that one too.
        revisions: String,
    },
    /// Its answer to `initialize` is there and cannot be used.
    #[error("the server's answer to the MCP handshake cannot be used: {why}; it wrote \"{excerpt}\"")]
    Unusable {
        /// The fault.
        why: String,
        /// The beginning of the answer, escaped, at most 200 characters.
        excerpt: String,
    },
    /// It insists on a revision that wharf does not know.
    #[error("the server speaks MCP revision {version}, which is not known here")]
    UnknownRevision {
        /// The revision, escaped.
        version: String,
    },
    /// The proxy is shutting down.
    #[error("the proxy is shutting down")]
    ShutDown,
}

fn excerpt_text(excerpt: Option<&str>) -> String {
    excerpt.map(|excerpt| format!(": it wrote \"{excerpt}\"")).unwrap_or_default()
}

fn revisions_text(revisions: &str) -> String {
    if revisions.is_empty() { String::new() } else { format!("; it named the revisions {revisions}") }
}

/// The reason why a `ping` failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PingError {
    /// No server is there to ask.
    #[error("no server is connected")]
    NotConnected,
    /// The server ended before it answered.
    #[error("the server ended before it answered")]
    Disconnected,
    /// The server did not answer.
    #[error("the server did not answer within {after:?}")]
    TimedOut {
        /// The deadline that passed.
        after: Duration,
    },
    /// The server's answer is there and cannot be used.
    #[error("the server's answer cannot be used: {why}")]
    Unusable {
        /// The fault.
        why: String,
    },
    /// The server answered, but not as an MCP server in order would.
    #[error("the server answered with HTTP status {status}")]
    Unhealthy {
        /// The status of an HTTP server.
        status: u16,
    },
    /// An HTTP server wants credentials, which the proxy has none of.
    #[error(
        "the server asks for credentials of its own (HTTP status {status}), which the proxy has none of: let it serve \
         without them, since the proxy decides who may use it"
    )]
    Unauthorized {
        /// The status.
        status: u16,
    },
    /// An HTTP server answered the opening of a session with an error, or with something that is no answer to it.
    #[error("the server's answer opens no session")]
    NoSession,
}

/// The phase of a server's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Wharf has sent `initialize`.
    Handshaking,
    /// Clients are served.
    Ready,
    /// Its stdin was closed; its further output is dropped.
    Closing,
}

/// Output of a server that is no message.
#[derive(Debug, Default)]
pub(crate) struct Junk {
    pub(crate) bytes: usize,
    pub(crate) excerpt: Option<String>,
}

/// One process of the server.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) generation: u64,
    pub(crate) phase: Phase,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) junk: Junk,
    /// Told when there is too much junk for a handshake.
    pub(crate) flooded: Arc<Notify>,
    /// The revision that it chose; no client gets a newer one.
    pub(crate) revision: Revision,
    /// The result of `initialize` for clients, in the server's revision.
    pub(crate) welcome: Bytes,
    /// The log level that was set at the server.
    pub(crate) level: Option<LogLevel>,
    /// When it last wrote anything.
    pub(crate) heard_at: Instant,
    /// Ends reader and pump with this value.
    pub(crate) _tasks: DropGuard,
}

/// The beginning of something that is not ours, fit for a terminal and a log.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(800)];
    String::from_utf8_lossy(head).trim().chars().flat_map(char::escape_debug).take(200).collect()
}
