//! The options of a proxy: names, allow-lists, limits; and [`Busy`], the reason why a limit, or the server, lets nothing new in.
use std::time::Duration;

use serde_json::Value;

use crate::http::access::Access;
use crate::protocol::operation_counts::OperationCounts;

/// The settings of one workload's proxy.
#[derive(Debug, Clone, Default)]
pub struct ProxyOptions {
    /// Name of the workload, for logs and error texts.
    pub workload: String,
    /// The rule on whom it serves.
    pub access: Access,
    /// `Host` values accepted beside the loopback names; `name` means any port, `name:port` that one.
    pub allowed_hosts: Vec<String>,
    /// `Origin` values accepted, as `scheme://host[:port]`; beside those of loopback where a secret is needed.
    pub allowed_origins: Vec<String>,
    /// The path at which an HTTP server serves MCP, if it is not `/mcp`.
    pub target_path: Option<String>,
    /// Bounds of everything that can grow.
    pub limits: Limits,
    /// Replaces the fixed client capabilities that wharf declares to a shared stdio server.
    pub client_capabilities: Option<Value>,
    /// Where the clients' requests and notifications are counted.
    pub operations: OperationCounts,
}

/// Bounds of everything that can grow, with the defaults that wharf ships.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one request body; more is 413.
    pub body_bytes: usize,
    /// Time to receive one request body.
    pub body_read: Duration,
    /// Bytes that are held at once for clients and a server that do not read them: bodies, events, answers, lines for
    /// stdin, tables. Beyond it, the session that holds most loses its bytes.
    pub memory_bytes: usize,
    /// Bytes of one line of the server's stdout; a longer one is skipped to its newline.
    pub line_bytes: usize,
    /// Bytes of an id, a progress token, the name of a method.
    pub id_bytes: usize,
    /// Bytes of the URI of a resource that is subscribed to.
    pub uri_bytes: usize,
    /// A request that does not belong to a session has no larger body: it can be nothing but `initialize`.
    pub opening_bytes: usize,
    /// Nesting of a JSON text, either way.
    pub json_depth: usize,
    /// Requests in flight at one server.
    pub in_flight: usize,
    /// Requests in flight of one session.
    pub in_flight_per_session: usize,
    /// Live sessions. Beyond it one is ended: one that never made a call, else the one that has been idle longest.
    pub sessions: usize,
    /// A session unused for so long ends.
    pub session_idle: Duration,
    /// Requests of the server that wait for a client's answer.
    pub server_requests: usize,
    /// How long the server's request may wait for a client's answer.
    pub server_request_timeout: Duration,
    /// Resources that one session may be subscribed to.
    pub subscriptions_per_session: usize,
    /// Open GET streams of one session.
    pub streams_per_session: usize,
    /// Ended or disconnected streams of one session that are kept for resuming.
    pub kept_streams_per_session: usize,
    /// Events kept for replay on one stream.
    pub ring_events: usize,
    /// Bytes kept for replay on one stream; its newest event is always kept.
    pub ring_bytes: usize,
    /// How long an ended or disconnected stream can be resumed. If a client is gone for so long, its calls are cancelled.
    pub ring_keep: Duration,
    /// Events that a connected reader may lag behind before it is dropped.
    pub stream_queue_events: usize,
    /// Bytes that a connected reader may lag behind before it is dropped.
    pub stream_queue_bytes: usize,
    /// Bytes waiting for the server to read its stdin; more is 503.
    pub stdin_queue_bytes: usize,
    /// A request without answer or progress for so long fails. None: it may take as long as the server lives.
    pub call_timeout: Option<Duration>,
    /// How long the head of an answer is held back so that plain JSON can still be sent; then a stream begins.
    pub head_hold: Duration,
    /// A session counts as at work for so long after the last sign of life of its calls: an answer, a cancellation,
    /// progress of a call that was given up.
    pub work_after_call: Duration,
    /// Interval of SSE comments on a quiet stream.
    pub keep_alive: Duration,
    /// If the server writes more bytes than this that are no MCP before it answers the handshake, it is no MCP server.
    pub handshake_junk_bytes: usize,
    /// The time in `Retry-After` on a 503.
    pub retry_after: Duration,
    /// Time to receive a request's head, from its first byte on.
    pub header_read: Duration,
    /// Time that a connection may rest between two requests at least; it is closed before twice that time.
    pub connection_rest: Duration,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Connections open at once. For a further one the one that has rested longest goes.
    pub connections: usize,
    /// How long open connections may finish after the end was asked for.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            body_bytes: 8 * MIB,
            body_read: Duration::from_secs(30),
            memory_bytes: 64 * MIB,
            line_bytes: 32 * MIB,
            id_bytes: 1024,
            uri_bytes: 8 * 1024,
            opening_bytes: 64 * 1024,
            json_depth: 128,
            in_flight: 1024,
            in_flight_per_session: 256,
            sessions: 1024,
            session_idle: Duration::from_secs(30 * 60),
            server_requests: 64,
            server_request_timeout: Duration::from_secs(10 * 60),
            subscriptions_per_session: 1024,
            streams_per_session: 16,
            kept_streams_per_session: 16,
            ring_events: 256,
            ring_bytes: MIB,
            ring_keep: Duration::from_secs(60),
            stream_queue_events: 4096,
            stream_queue_bytes: 8 * MIB,
            stdin_queue_bytes: 16 * MIB,
            call_timeout: None,
            head_hold: Duration::from_secs(5),
            work_after_call: Duration::from_secs(60),
            keep_alive: Duration::from_secs(20),
            handshake_junk_bytes: MIB,
            retry_after: Duration::from_secs(1),
            header_read: Duration::from_secs(10),
            connection_rest: Duration::from_secs(120),
            header_bytes: 32 * 1024,
            connections: 2048,
            drain: Duration::from_secs(5),
        }
    }
}

/// The reason why nothing new is accepted now (503).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Busy {
    /// No server is connected, or it is going away.
    #[error("the server is not running")]
    NotRunning,
    /// Its input is full.
    #[error("the server does not read its input")]
    InputFull,
    /// The server reads no more at all.
    #[error("the server has closed its input")]
    InputClosed,
    /// Limit of the server.
    #[error("too many requests in flight")]
    TooManyCalls,
    /// Limit of the session.
    #[error("too many requests of this session in flight")]
    TooManyCallsOfSession,
    /// Limit of sessions, and none is idle.
    #[error("too many sessions")]
    TooManySessions,
    /// Limit of GET streams.
    #[error("too many streams of this session")]
    TooManyStreams,
    /// Limit of subscriptions.
    #[error("too many subscriptions of this session")]
    TooManySubscriptions,
    /// Limit of tables with clients' texts.
    #[error("no memory is left for this")]
    NoMemory,
    /// Each session has a server of its own, and none could be started.
    #[error("no server could be started for this session")]
    NoServer,
    /// The system gives no random bytes.
    #[error("no randomness for a session id")]
    NoRandomness,
}

impl Busy {
    /// All of them.
    pub(crate) const ALL: [Self; 11] = [
        Self::NotRunning,
        Self::InputFull,
        Self::InputClosed,
        Self::TooManyCalls,
        Self::TooManyCallsOfSession,
        Self::TooManySessions,
        Self::TooManyStreams,
        Self::TooManySubscriptions,
        Self::NoMemory,
        Self::NoServer,
        Self::NoRandomness,
    ];
}

#[cfg(test)]
mod tests {
    use super::Busy;

    /// Does not compile while a reason is missing.
    macro_rules! every {
        ($($reason:ident)*) => {{
            let name = |busy| match busy { $(Busy::$reason => stringify!($reason)),* };
            [$(Busy::$reason),*].map(|busy| (busy, name(busy)))
        }};
    }

    #[test]
    fn every_reason_is_in_the_list_by_which_the_proxys_own_errors_are_known() {
        let every = every! {
            NotRunning InputFull InputClosed TooManyCalls TooManyCallsOfSession TooManySessions TooManyStreams
            TooManySubscriptions NoMemory NoServer NoRandomness
        };
        for (busy, name) in every {
            assert!(Busy::ALL.contains(&busy), "{name} would be taken for an error of the server");
        }
        assert_eq!(Busy::ALL.len(), every.len(), "none is in it twice");
    }
}
