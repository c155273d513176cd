//! A client's session: the revision and capabilities that it negotiated, its calls in flight, and its streams.
//!
//! Owned by [`crate::stdio::broker::State`], under its one lock. Ids are random and never used again; an id alone proves
//! nothing about the sender (the principal that opened the session is compared).
use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;

use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use crate::http::budget::{Account, Budget, TableEntry};
use crate::protocol::message::Id;
use crate::protocol::options::Limits;
use crate::protocol::revision::Revision;
use crate::stdio::client_capabilities::ClientCapabilities;
use crate::stdio::event_log::{Importance, Stream, StreamKind, StreamNo};
use crate::stdio::work::Work;

/// 128 random bits in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SessionId(Arc<str>);

impl SessionId {
    /// A new one; `None` when the system has no randomness to give.
    pub(crate) fn random() -> Option<Self> {
        let mut bytes = [0u8; 16];
        getrandom::fill(&mut bytes).ok()?;
        let mut text = String::with_capacity(32);
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        Some(Self(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for SessionId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Digest of the `Authorization` header that a session was opened with; `None` is the local user.
pub(crate) type Principal = Option<[u8; 32]>;

/// A log level of MCP, most verbose first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum LogLevel {
    Debug,
    /// The level of a session that never asked.
    #[default]
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl LogLevel {
    const NAMES: [(&'static str, Self); 8] = [
        ("debug", Self::Debug),
        ("info", Self::Info),
        ("notice", Self::Notice),
        ("warning", Self::Warning),
        ("error", Self::Error),
        ("critical", Self::Critical),
        ("alert", Self::Alert),
        ("emergency", Self::Emergency),
    ];

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(name, _)| *name == text).map(|(_, level)| *level)
    }

    pub(crate) fn as_str(self) -> &'static str {
        Self::NAMES[self as usize].0
    }
}

/// A request of the server that waits for this client's answer.
#[derive(Debug)]
pub(crate) struct ServerRequest {
    /// The id that the server gave it.
    pub(crate) upstream: Id,
    /// The call on whose stream it was sent; `None` for the GET stream.
    pub(crate) call: Option<u64>,
    /// The server's own progress token.
    pub(crate) progress_token: Option<Box<[u8]>>,
    pub(crate) deadline: Instant,
}

/// A request of the server that waits for a stream.
#[derive(Debug)]
pub(crate) struct Unsent {
    pub(crate) text: Vec<u8>,
    pub(crate) _entry: TableEntry,
}

/// The three list changes, as bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ListChanges(pub(crate) u8);

impl ListChanges {
    const METHODS: [&'static str; 3] = [
        "notifications/tools/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
    ];
    pub(crate) const ALL: Self = Self(0b111);

    /// The change that a method announces.
    pub(crate) fn of(method: &str) -> Option<Self> {
        Self::METHODS.iter().position(|known| *known == method).map(|at| Self(1 << at))
    }

    fn methods(self) -> impl Iterator<Item = &'static str> {
        Self::METHODS
            .into_iter()
            .enumerate()
            .filter(move |(at, _)| self.0 & (1 << at) != 0)
            .map(|(_, method)| method)
    }
}

/// What has become of a message for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The message is on a stream.
    Yes,
    /// The client does not keep up, and the message could be dropped.
    Dropped,
    /// There is no stream for it.
    NoStream,
}

impl Sent {
    /// The outcome for a message: whether there is a stream for it.
    pub(crate) fn of(is_taken: bool) -> Self {
        if is_taken { Self::Yes } else { Self::Dropped }
    }
}

/// A client may be about to call for so long after its last sign of life.
const BETWEEN_CALLS: Duration = Duration::from_secs(1);

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) revision: Revision,
    pub(crate) capabilities: ClientCapabilities,
    pub(crate) principal: Principal,
    pub(crate) level: Option<LogLevel>,
    /// Calls in flight: the client's id and ours.
    pub(crate) calls: HashMap<Id, u64>,
    pub(crate) streams: HashMap<StreamNo, Stream>,
    /// The number of its next stream. Clients see it: it must not tell how much others do.
    pub(crate) next_stream: StreamNo,
    pub(crate) subscriptions: HashMap<String, TableEntry>,
    pub(crate) server_requests: HashMap<u64, ServerRequest>,
    pub(crate) next_server_request: u64,
    /// Those among `server_requests` for which there was no stream yet, oldest first.
    pub(crate) unsent: BTreeMap<u64, Unsent>,
    /// URL elicitations that this client was given, newest last.
    pub(crate) elicitations: VecDeque<(String, TableEntry)>,
    /// Its share of the proxy's memory.
    pub(crate) account: Account,
    /// Large answers on their way to the client, and how their connections are ended.
    pub(crate) deliveries: HashMap<u64, CancellationToken>,
    /// True once a request of its has reached the server.
    pub(crate) has_called: bool,
    /// Changes that wait for a GET stream.
    pub(crate) unseen_lists: ListChanges,
    pub(crate) unseen_resources: BTreeMap<String, TableEntry>,
    pub(crate) used_at: Instant,
    opened_at: Instant,
    /// Its work at the server besides its open calls.
    pub(crate) work: Work,
}

impl Session {
    pub(crate) fn new(
        revision: Revision,
        capabilities: ClientCapabilities,
        principal: Principal,
        account: Account,
        now: Instant,
    ) -> Self {
        Self {
            revision,
            capabilities,
            principal,
            level: None,
            calls: HashMap::new(),
            streams: HashMap::new(),
            next_stream: 1,
            subscriptions: HashMap::new(),
            server_requests: HashMap::new(),
            next_server_request: 1,
            unsent: BTreeMap::new(),
            elicitations: VecDeque::new(),
            account,
            deliveries: HashMap::new(),
            has_called: false,
            unseen_lists: ListChanges::default(),
            unseen_resources: BTreeMap::new(),
            used_at: now,
            opened_at: now,
            work: Work::default(),
        }
    }

    /// True if no call is in flight, and no stream is read.
    pub(crate) fn is_idle(&self) -> bool {
        self.calls.is_empty() && !self.streams.values().any(Stream::is_read)
    }

    /// True if it has a call at the server, or a question of the server.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.calls.is_empty() || !self.server_requests.is_empty()
    }

    /// True if it may go when room is needed. A client that opens sessions, and in each of them a stream, and never calls
    /// anything keeps nobody out.
    pub(crate) fn may_go(&self, now: Instant) -> bool {
        self.is_idle() || (!self.has_called && !self.is_waiting() && self.used_at + BETWEEN_CALLS <= now)
    }

    /// When it may go where others wait for the place of its server: before, its client may be about to call. None while it is at
    /// work, and, once it has called anything, while it reads a stream.
    pub(crate) fn may_go_at(&self) -> Option<Instant> {
        let rests = self.is_idle() || (!self.has_called && !self.is_waiting());
        rests.then(|| self.used_at + BETWEEN_CALLS)
    }

    /// Until when its client has had no time to call. None once it has called anything.
    pub(crate) fn is_new_until(&self) -> Option<Instant> {
        (!self.has_called).then(|| self.opened_at + BETWEEN_CALLS)
    }

    /// Its place in the order in which sessions go.
    pub(crate) fn rank(&self) -> (bool, bool, Instant) {
        (self.has_called, !self.is_idle(), self.used_at)
    }

    /// The newest GET stream that is connected: each message goes to exactly one.
    pub(crate) fn newest_get(&mut self) -> Option<&mut Stream> {
        self.get_stream(true)
    }

    fn get_stream(&mut self, connected: bool) -> Option<&mut Stream> {
        self.streams
            .iter_mut()
            .filter(|(_, stream)| stream.kind() == StreamKind::Get && stream.is_read() == connected)
            .max_by_key(|(number, _)| **number)
            .map(|(_, stream)| stream)
    }

    /// Sends what belongs to no request: on the connected GET stream, else where it can be resumed, else nowhere.
    pub(crate) fn send_unbound(&mut self, text: &[u8], importance: Importance, limits: &Limits) -> Sent {
        let connected = self.newest_get().is_some();
        match self.get_stream(connected) {
            Some(stream) => Sent::of(stream.push(text, importance, limits)),
            None => Sent::NoStream,
        }
    }

    /// Notes list changes, and sends them if a GET stream is connected: one copy for each kind.
    pub(crate) fn announce_lists(&mut self, changes: ListChanges, limits: &Limits) {
        self.unseen_lists.0 |= changes.0;
        self.send_unseen(limits);
    }

    /// Sends that a resource changed; without a GET stream it is noted, once per resource.
    pub(crate) fn announce_resource(
        &mut self,
        uri: &str,
        text: &[u8],
        limits: &Limits,
        budget: &Arc<Budget>,
    ) -> bool {
        if let Some(stream) = self.newest_get() {
            return stream.push(text, Importance::Needed, limits);
        }
        if self.unseen_resources.contains_key(uri) {
            return true;
        }
        let has_room =
            self.unseen_resources.len() < limits.subscriptions_per_session && uri.len() <= limits.uri_bytes;
        let entry = if has_room { budget.table_entry(uri.len()) } else { None };
        entry.map(|entry| self.unseen_resources.insert(uri.to_owned(), entry)).is_some()
    }

    /// The texts of those requests of the server that had no stream, and that wait for an answer still.
    pub(crate) fn take_unsent(&mut self) -> Vec<Vec<u8>> {
        let unsent = std::mem::take(&mut self.unsent).into_iter();
        let waiting = unsent.filter(|(ours, _)| self.server_requests.contains_key(ours));
        waiting.map(|(_, unsent)| unsent.text).collect()
    }

    /// Sends noted changes, and requests that had no stream, once a GET stream is connected.
    pub(crate) fn send_unseen(&mut self, limits: &Limits) {
        if self.newest_get().is_none() {
            return;
        }
        let lists = std::mem::take(&mut self.unseen_lists);
        let resources = std::mem::take(&mut self.unseen_resources);
        let requests = self.take_unsent();
        let Some(stream) = self.newest_get() else { return };
        for text in requests {
            stream.push(&text, Importance::Needed, limits);
        }
        for method in lists.methods() {
            let text = crate::protocol::message::call_text(None, method, None);
            stream.push(&text, Importance::Needed, limits);
        }
        for uri in resources.into_keys() {
            let params = crate::protocol::message::line_text(&serde_json::json!({ "uri": uri }));
            let text = crate::protocol::message::call_text(
                None,
                "notifications/resources/updated",
                Some(params.as_bytes()),
            );
            stream.push(&text, Importance::Needed, limits);
        }
    }

    /// Forgets streams that ended or lost their reader too long ago, and the oldest beyond the limit.
    pub(crate) fn forget_streams(&mut self, now: Instant, limits: &Limits) {
        self.streams.retain(|_, stream| {
            let resting = stream.is_finished() || stream.open_calls == 0;
            !resting || stream.quiet_since().is_none_or(|since| now < since + limits.ring_keep)
        });
        let mut kept: Vec<StreamNo> = self
            .streams
            .iter()
            .filter(|(_, stream)| {
                !stream.is_read() && (stream.is_finished() || stream.kind() == StreamKind::Get)
            })
            .map(|(number, _)| *number)
            .collect();
        if kept.len() > limits.kept_streams_per_session {
            kept.sort_unstable();
            for number in &kept[..kept.len() - limits.kept_streams_per_session] {
                self.streams.remove(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LogLevel, SessionId};

    #[test]
    fn ids_are_128_random_visible_bits() {
        let (one, other) = (SessionId::random().unwrap(), SessionId::random().unwrap());
        assert_ne!(one, other);
        assert!(one.as_str().len() == 32 && one.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn levels_sort_from_verbose_to_grave() {
        for (name, level) in LogLevel::NAMES {
            assert_eq!((LogLevel::parse(name), level.as_str()), (Some(level), name));
        }
        assert!(LogLevel::Debug < LogLevel::Info && LogLevel::Info < LogLevel::Emergency);
        assert_eq!(LogLevel::parse("verbose"), None);
    }
}
