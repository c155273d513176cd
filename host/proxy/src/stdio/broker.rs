//! Everything that changes in a proxy of a shared stdio server, under one lock.
//!
//! The lock is held for look-ups and queue operations only, never across an await and never while writing to the server:
//! lines are queued here, in the order of the decisions, and written after the lock is released
//! ([`crate::stdio::shared::Shared::with`]). The server's messages are routed in [`crate::stdio::route_server_messages`].
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::http::budget::Budget;
use crate::protocol::message::{Id, call_text, error_text, line_text};
use crate::protocol::operation_counts::{OperationCounts, Outcome};
use crate::protocol::options::{Busy, Limits};
use crate::stdio::call::{NoAnswer, OwnReply, Pending};
use crate::stdio::client_capabilities::ClientCapabilities;
use crate::stdio::departed::Departed;
use crate::stdio::few_lines::FewLines;
use crate::stdio::session::{LogLevel, Session, SessionId};
use crate::stdio::subscribe::Subscriptions;
use crate::stdio::undelivered::UndeliveredCounts;
use crate::stdio::upstream::connection::{Phase, Upstream};
use crate::stdio::upstream::outbox::OutboxError;

/// The last message of a handshake.
pub(crate) const INITIALIZED: &str = "notifications/initialized";

/// The reason why a call was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallError {
    Busy(Busy),
    /// The session has a request of that id in flight.
    IdInUse,
    /// Its id is longer than an id may be.
    IdTooLong,
    /// The session ended meanwhile.
    SessionEnded,
}

impl CallError {
    /// How the call is counted.
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Self::Busy(_) => Outcome::Internal,
            Self::IdInUse | Self::IdTooLong | Self::SessionEnded => Outcome::InvalidRequest,
        }
    }
}

/// A server's words on itself at its last handshake: sessions outlive a restart only if it says so again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Promise {
    pub(crate) version: String,
    pub(crate) capabilities: Value,
}

/// The state of one proxy.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) limits: Limits,
    /// The memory of the proxy.
    pub(crate) budget: Arc<Budget>,
    /// Where the clients' requests and notifications are counted.
    pub(crate) operations: OperationCounts,
    /// The capabilities that wharf declared to the server as its own.
    pub(crate) declared: ClientCapabilities,
    pub(crate) sessions: HashMap<SessionId, Session>,
    pub(crate) pending: HashMap<u64, Pending>,
    /// Clients' calls among `pending`.
    pub(crate) calls: usize,
    pub(crate) upstream: Option<Upstream>,
    pub(crate) promise: Option<Promise>,
    /// Output that is no MCP of the server that ended last.
    pub(crate) last_junk: Option<String>,
    pub(crate) subscriptions: Subscriptions,
    /// Abandoned calls among `pending`.
    pub(crate) abandoned: usize,
    /// Ended sessions that the server may still be at work for.
    pub(crate) departed: Departed,
    /// Messages of the server that reached no client.
    pub(crate) undelivered: UndeliveredCounts,
    /// Lines of the server that are no message, for the log.
    pub(crate) no_messages: FewLines,
    /// Answers of the server that fit no call, for the log.
    pub(crate) stray_answers: FewLines,
    /// Sessions that had to make room, for the log.
    pub(crate) sheds: FewLines,
    pub(crate) server_requests: usize,
    next_id: u64,
    next_delivery: u64,
    /// Lines were queued since the lock was taken.
    pub(crate) is_dirty: bool,
    /// Nothing new is accepted any more.
    pub(crate) is_shut: bool,
    /// Cancelled when its last session has ended: it is the proxy of one session.
    pub(crate) over: Option<CancellationToken>,
    /// The server waits for its only client's `notifications/initialized`.
    pub(crate) awaits_client: bool,
}

impl State {
    pub(crate) fn new(limits: Limits, budget: Arc<Budget>, declared: ClientCapabilities) -> Self {
        Self {
            budget,
            limits,
            operations: OperationCounts::default(),
            declared,
            sessions: HashMap::new(),
            pending: HashMap::new(),
            calls: 0,
            upstream: None,
            promise: None,
            last_junk: None,
            subscriptions: Subscriptions::default(),
            abandoned: 0,
            departed: Departed::default(),
            undelivered: UndeliveredCounts::default(),
            no_messages: FewLines::default(),
            stray_answers: FewLines::default(),
            sheds: FewLines::default(),
            server_requests: 0,
            next_id: 1,
            next_delivery: 1,
            is_dirty: false,
            is_shut: false,
            over: None,
            awaits_client: false,
        }
    }

    /// True if the server has one client, so that nothing it says is for anybody else.
    pub(crate) fn has_one_client(&self) -> bool {
        self.over.is_some()
    }

    /// Tells a server with one client that this client is ready, once. Some ask it for its roots then.
    pub(crate) fn client_is_ready(&mut self) {
        if std::mem::take(&mut self.awaits_client) {
            self.notify(INITIALIZED, None);
        }
    }

    /// A fresh upstream id: one counter for all generations of the server.
    pub(crate) fn next_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// True if a server is there that has not shaken hands yet.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.upstream.as_ref().is_some_and(|upstream| upstream.phase == Phase::Handshaking)
    }

    /// True if an answer may have that id: somebody waits for it, or did so. A server that is still to shake hands was asked
    /// one thing, and the ids before are those of the process before it.
    pub(crate) fn may_answer(&self, id: u64) -> bool {
        self.pending.contains_key(&id) || (!self.is_handshaking() && (1..self.next_id).contains(&id))
    }

    /// A number for an answer on its way.
    pub(crate) fn next_delivery(&mut self) -> u64 {
        self.next_delivery += 1;
        self.next_delivery
    }

    /// Queues a line for the server, if one is connected.
    pub(crate) fn send(&mut self, line: Vec<u8>) -> Result<(), Busy> {
        let upstream = self.upstream.as_ref().ok_or(Busy::NotRunning)?;
        upstream.outbox.push(line).map_err(|error| {
            tracing::debug!(%error, "a message for the server was not queued");
            match error {
                OutboxError::Full => Busy::InputFull,
                OutboxError::Closed => Busy::InputClosed,
            }
        })?;
        self.is_dirty = true;
        Ok(())
    }

    /// Sends a request of wharf's own.
    pub(crate) fn send_own(
        &mut self,
        method: &str,
        params: Option<&[u8]>,
        reply: Option<oneshot::Sender<OwnReply>>,
    ) -> Result<u64, Busy> {
        let id = self.next_id();
        let mut line = call_text(Some(id.to_string().as_bytes()), method, params);
        line.push(b'\n');
        self.send(line)?;
        if let Some(reply) = reply {
            self.pending.insert(id, Pending::Own(reply));
        }
        Ok(id)
    }

    /// Sends a notification of wharf's own; a server that takes no more will learn it otherwise.
    pub(crate) fn notify(&mut self, method: &str, params: Option<&[u8]>) {
        let mut line = call_text(None, method, params);
        line.push(b'\n');
        let _ = self.send(line);
    }

    /// True if a server is there that has shaken hands.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_shut && self.upstream.as_ref().is_some_and(|upstream| upstream.phase == Phase::Ready)
    }

    /// Answers a request of the server with an error.
    pub(crate) fn refuse(&mut self, id: &Id, code: i32, message: &str) {
        let mut line = error_text(Some(id.as_json()), code, message);
        line.push(b'\n');
        let _ = self.send(line);
    }

    /// Sets the server's log level to the most verbose one that any session wants. True if the server is asked for another one:
    /// it may say so, which concerns whoever caused it.
    pub(crate) fn sync_level(&mut self) -> bool {
        let is_asked = self.sessions.values().any(|session| session.level.is_some());
        let wanted = self.sessions.values().map(|session| session.level.unwrap_or_default()).min();
        let Some(wanted) = wanted else { return false };
        let sent = self.upstream.as_ref().and_then(|upstream| upstream.level);
        // A server whose log level nobody ever set keeps its own.
        if !is_asked && sent.is_none() {
            return false;
        }
        let is_sent = sent != Some(wanted) && self.send_level(wanted).is_ok();
        if is_sent {
            tracing::debug!(level = wanted.as_str(), "changed the server's log level");
        }
        is_sent
    }

    fn send_level(&mut self, level: LogLevel) -> Result<(), Busy> {
        let params = format!("{{\"level\":\"{}\"}}", level.as_str());
        self.send_own("logging/setLevel", Some(params.as_bytes()), None)?;
        if let Some(upstream) = &mut self.upstream {
            upstream.level = Some(level);
        }
        Ok(())
    }

    pub(crate) fn unsubscribe_upstream(&mut self, uri: &str) {
        let params = line_text(&serde_json::json!({ "uri": uri }));
        let _ = self.send_own("resources/unsubscribe", Some(params.as_bytes()), None);
    }

    /// Fails everything in flight: the server has gone or is going.
    pub(crate) fn fail_everything(&mut self, reason: &str) {
        let ids: Vec<u64> = self.pending.keys().copied().collect();
        for id in ids {
            self.fail_pending(id, reason);
        }
        for session in self.sessions.values_mut() {
            session.server_requests.clear();
            session.unsent.clear();
        }
        self.server_requests = 0;
        self.forget_all_work();
    }

    /// Fails one request in flight, a client's or wharf's own.
    pub(crate) fn fail_pending(&mut self, upstream_id: u64, reason: &str) {
        if self.fail_call(upstream_id, reason).is_none()
            && let Some(Pending::Own(waiting)) = self.pending.remove(&upstream_id)
        {
            let _ = waiting.send(Err(NoAnswer::ServerEnded));
        }
    }

    /// The outbox to flush after the lock is released.
    pub(crate) fn take_dirty_outbox(&mut self) -> Option<Arc<crate::stdio::upstream::outbox::Outbox>> {
        std::mem::take(&mut self.is_dirty)
            .then(|| self.upstream.as_ref().map(|upstream| upstream.outbox.clone()))
            .flatten()
    }
}
