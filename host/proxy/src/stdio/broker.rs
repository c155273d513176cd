//! Everything that changes in a proxy of a shared stdio server, under one lock.
//!
//! The lock is held for look-ups and queue operations only, never across an await and never while writing to the
//! server: lines are queued here, in the order of the decisions, and written after the lock is released
//! ([`crate::stdio::shared::Shared::with`]). What the server sends is routed in [`crate::stdio::route_server_messages`].
use crate::protocol::options::Busy;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::protocol::message::{Id, call_text, code, error_text, line_text};
use crate::protocol::options::Limits;
use crate::stdio::call::{Answer, Call, OwnReply, Pending, Reply, ServerEnded};
use crate::stdio::event_log::{Stream, StreamKind, StreamNo};
use crate::stdio::session::{ClientCapabilities, LogLevel, Principal, Session, SessionId};
use crate::stdio::subscribe::Subscriptions;
use crate::stdio::upstream::connection::{Phase, Upstream};
use crate::stdio::upstream::outbox::OutboxError;

/// Calls given up that are remembered one by one; beyond it nothing the server says is certain to be anybody's.
const MOST_ABANDONED_CALLS: usize = 1024;

/// Why a call was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallError {
    Busy(Busy),
    /// The session has a request of that id in flight.
    IdInUse,
    /// The session ended meanwhile.
    SessionEnded,
}

/// What a server said of itself at its last handshake: sessions outlive a restart only if it says so again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Promise {
    pub(crate) version: String,
    pub(crate) capabilities: Value,
}

/// The state of one proxy.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) limits: Limits,
    /// What wharf declared to the server as its own capabilities.
    pub(crate) declared: ClientCapabilities,
    pub(crate) sessions: HashMap<SessionId, Session>,
    pub(crate) pending: HashMap<u64, Pending>,
    /// Clients' calls among `pending`.
    pub(crate) calls: usize,
    pub(crate) upstream: Option<Upstream>,
    pub(crate) promise: Option<Promise>,
    /// What the server that ended last had written that is no MCP.
    pub(crate) last_junk: Option<String>,
    pub(crate) subscriptions: Subscriptions,
    /// Tombstones among `pending`.
    pub(crate) abandoned: usize,
    /// A call was given up for which no tombstone was left: it may be anybody's.
    pub(crate) has_forgotten: bool,
    pub(crate) server_requests: usize,
    next_id: u64,
    next_stream: StreamNo,
    /// Lines were queued since the lock was taken.
    pub(crate) is_dirty: bool,
    /// Nothing new is taken any more.
    pub(crate) is_shut: bool,
}

impl State {
    pub(crate) fn new(limits: Limits, declared: ClientCapabilities) -> Self {
        Self {
            limits,
            declared,
            sessions: HashMap::new(),
            pending: HashMap::new(),
            calls: 0,
            upstream: None,
            promise: None,
            last_junk: None,
            subscriptions: Subscriptions::default(),
            abandoned: 0,
            has_forgotten: false,
            server_requests: 0,
            next_id: 1,
            next_stream: 1,
            is_dirty: false,
            is_shut: false,
        }
    }

    /// A fresh upstream id: one counter for all generations of the server.
    pub(crate) fn next_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
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

    /// Whether a server is there that has shaken hands.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_shut && self.upstream.as_ref().is_some_and(|upstream| upstream.phase == Phase::Ready)
    }

    /// The session of that id, if it belongs to who asks; counts as use.
    pub(crate) fn session(&mut self, id: &str, principal: &Principal) -> Option<&mut Session> {
        let session = self.sessions.get_mut(id).filter(|session| session.principal == *principal)?;
        session.used_at = Instant::now();
        Some(session)
    }

    /// Opens a session; at the limit the longest idle one goes.
    pub(crate) fn open_session(&mut self, session: Session) -> Result<SessionId, Busy> {
        if self.sessions.len() >= self.limits.sessions {
            let idle = self.sessions.iter().filter(|(_, session)| session.is_idle());
            let oldest = idle.min_by_key(|(_, session)| session.used_at).map(|(id, _)| id.clone());
            self.end_session(oldest.ok_or(Busy::TooManySessions)?.as_str());
        }
        let id = SessionId::random().ok_or(Busy::NoRandomness)?;
        self.sessions.insert(id.clone(), session);
        Ok(id)
    }

    /// Ends a session for ever: its calls are cancelled, its streams end, its subscriptions and level go.
    pub(crate) fn end_session(&mut self, id: &str) -> bool {
        let Some((id, mut session)) = self.sessions.remove_entry(id) else { return false };
        for (_, upstream_id) in session.calls.drain() {
            if let Some(call) = self.take_call(upstream_id) {
                self.cancel_upstream(upstream_id, &call, "the session has ended");
                if let Reply::Held(waiting) = call.reply {
                    let text = error_text(Some(call.id.as_json()), code::INTERNAL, "the session has ended");
                    let _ = waiting.send(Answer::Json(text));
                }
            }
        }
        for (_, request) in session.server_requests.drain() {
            self.server_requests = self.server_requests.saturating_sub(1);
            self.refuse(&request.upstream, code::INTERNAL, "the client has gone");
        }
        for stream in session.streams.values_mut() {
            stream.wake();
        }
        for uri in session.subscriptions.drain() {
            if self.subscriptions.leave(&uri, &id) {
                self.unsubscribe_upstream(&uri);
            }
        }
        if session.level.is_some() {
            self.sync_level();
        }
        true
    }

    /// Begins a client's call: queues its line and remembers who waits.
    pub(crate) fn begin_call(
        &mut self,
        upstream_id: u64,
        call: Call,
        line: Vec<u8>,
    ) -> Result<(), CallError> {
        if !self.is_ready() {
            return Err(CallError::Busy(Busy::NotRunning));
        }
        if self.calls >= self.limits.in_flight {
            return Err(CallError::Busy(Busy::TooManyCalls));
        }
        let session = self.sessions.get(&call.session).ok_or(CallError::SessionEnded)?;
        if session.calls.contains_key(&call.id) {
            return Err(CallError::IdInUse);
        }
        if session.calls.len() >= self.limits.in_flight_per_session {
            return Err(CallError::Busy(Busy::TooManyCallsOfSession));
        }
        self.send(line).map_err(CallError::Busy)?;
        if let Some(session) = self.sessions.get_mut(&call.session) {
            session.calls.insert(call.id.clone(), upstream_id);
        }
        self.calls += 1;
        self.pending.insert(upstream_id, Pending::Client(call));
        Ok(())
    }

    /// Takes a client's call out of flight.
    pub(crate) fn take_call(&mut self, upstream_id: u64) -> Option<Call> {
        let Some(Pending::Client(_)) = self.pending.get(&upstream_id) else { return None };
        let Some(Pending::Client(call)) = self.pending.remove(&upstream_id) else { return None };
        self.calls = self.calls.saturating_sub(1);
        if let Some(session) = self.sessions.get_mut(&call.session) {
            session.calls.remove(&call.id);
            let now = Instant::now();
            session.used_at = now;
            session.answered_at = Some(now);
            // Nobody answers a question whose call is over.
            let asked = session.server_requests.extract_if(|_, request| request.call == Some(upstream_id));
            let asked: Vec<Id> = asked.map(|(_, request)| request.upstream).collect();
            self.server_requests = self.server_requests.saturating_sub(asked.len());
            for id in asked {
                self.refuse(&id, code::INTERNAL, "the request that this was asked for is over");
            }
        }
        Some(call)
    }

    /// Ends a call with its last message.
    pub(crate) fn finish_call(&mut self, call: Call, text: Vec<u8>) {
        match call.reply {
            // A client that left before the first byte has no way to ask for it again.
            Reply::Held(waiting) => drop(waiting.send(Answer::Json(text))),
            Reply::Stream(number) => self.push_last(&call.session, number, Some(&text)),
            Reply::Nobody => {}
        }
    }

    /// Ends a call with an error of the proxy's own.
    pub(crate) fn fail_call(&mut self, upstream_id: u64, message: &str) -> Option<SessionId> {
        self.bury_answered(upstream_id);
        let call = self.take_call(upstream_id)?;
        let session = call.session.clone();
        self.subscriptions.failed(call.subscribes.as_deref());
        let text = error_text(Some(call.id.as_json()), code::INTERNAL, message);
        self.finish_call(call, text);
        Some(session)
    }

    /// The client gave a call up: the server is told, the waiting POST ends without a response.
    pub(crate) fn cancel_call(&mut self, upstream_id: u64, reason: &str) {
        let Some(call) = self.take_call(upstream_id) else { return };
        self.cancel_upstream(upstream_id, &call, reason);
        match call.reply {
            Reply::Held(waiting) => drop(waiting.send(Answer::Cancelled)),
            Reply::Stream(number) => self.push_last(&call.session, number, None),
            Reply::Nobody => {}
        }
    }

    fn cancel_upstream(&mut self, upstream_id: u64, call: &Call, reason: &str) {
        self.subscriptions.failed(call.subscribes.as_deref());
        self.forget_upstream(upstream_id, call.session.clone(), reason);
    }

    /// Tells the server that nobody waits any more. It need not listen: until it answers or ends, what it says may
    /// still be about this call (`docs/mcp.md`, 6.13).
    pub(crate) fn forget_upstream(&mut self, upstream_id: u64, session: SessionId, reason: &str) {
        let params = line_text(&serde_json::json!({ "requestId": upstream_id, "reason": reason }));
        self.notify("notifications/cancelled", Some(params.as_bytes()));
        if self.abandoned >= MOST_ABANDONED_CALLS {
            self.has_forgotten = true;
            return;
        }
        self.abandoned += 1;
        self.pending.insert(upstream_id, Pending::AbandonedCall(session));
    }

    /// The server answered a call that was given up: it works on it no longer. Whether there was one.
    pub(crate) fn bury_answered(&mut self, upstream_id: u64) -> bool {
        if !matches!(self.pending.get(&upstream_id), Some(Pending::AbandonedCall(_))) {
            return false;
        }
        self.pending.remove(&upstream_id);
        self.abandoned = self.abandoned.saturating_sub(1);
        true
    }

    /// Puts a call's last message, if it has one, on its stream, which ends with its last call.
    pub(crate) fn push_last(&mut self, session: &SessionId, number: StreamNo, text: Option<&[u8]>) {
        let Some(session) = self.sessions.get_mut(session) else { return };
        let Some(stream) = session.streams.get_mut(&number) else { return };
        if let Some(text) = text {
            stream.push(text, &self.limits);
        }
        stream.open_calls = stream.open_calls.saturating_sub(1);
        if stream.open_calls == 0 {
            stream.finish();
            session.forget_streams(Instant::now(), &self.limits);
        }
    }

    /// Opens a stream in a session.
    pub(crate) fn open_stream(&mut self, session: &SessionId, kind: StreamKind) -> Option<StreamNo> {
        let number = self.next_stream;
        let session = self.sessions.get_mut(session)?;
        self.next_stream += 1;
        let primed = session.revision.primes_streams();
        session.streams.insert(number, Stream::new(number, kind, primed, Instant::now()));
        Some(number)
    }

    /// Sends a message on a call's own stream, which begins with it if nothing was sent before.
    pub(crate) fn push_to_call(&mut self, upstream_id: u64, text: &[u8]) -> bool {
        let Some(number) = self.stream_of_call(upstream_id) else { return false };
        let Some(Pending::Client(call)) = self.pending.get_mut(&upstream_id) else { return false };
        call.active = Instant::now();
        let session = self.sessions.get_mut(&call.session);
        match session.and_then(|session| session.streams.get_mut(&number)) {
            Some(stream) => {
                stream.push(text, &self.limits);
                true
            }
            None => false,
        }
    }

    fn stream_of_call(&mut self, upstream_id: u64) -> Option<StreamNo> {
        let Some(Pending::Client(call)) = self.pending.get(&upstream_id) else { return None };
        match call.reply {
            Reply::Stream(number) => return Some(number),
            Reply::Nobody => return None,
            Reply::Held(_) => {}
        }
        let session = call.session.clone();
        let number = self.open_stream(&session, StreamKind::Post)?;
        let Some(Pending::Client(call)) = self.pending.get_mut(&upstream_id) else { return None };
        let Reply::Held(waiting) = std::mem::replace(&mut call.reply, Reply::Nobody) else { return None };
        let streams = &mut self.sessions.get_mut(&session)?.streams;
        if waiting.send(Answer::Stream(number)).is_err() {
            streams.remove(&number);
            return None;
        }
        call.reply = Reply::Stream(number);
        streams.get_mut(&number)?.open_calls = 1;
        Some(number)
    }

    /// Answers a request of the server with an error.
    pub(crate) fn refuse(&mut self, id: &Id, code: i32, message: &str) {
        let mut line = error_text(Some(id.as_json()), code, message);
        line.push(b'\n');
        let _ = self.send(line);
    }

    /// Sets the server's log level to the most verbose one that any session wants.
    pub(crate) fn sync_level(&mut self) {
        let is_asked = self.sessions.values().any(|session| session.level.is_some());
        let wanted = self.sessions.values().map(|session| session.level.unwrap_or_default()).min();
        let Some(wanted) = wanted else { return };
        let sent = self.upstream.as_ref().and_then(|upstream| upstream.level);
        // A server that nobody ever told a level keeps its own.
        if !is_asked && sent.is_none() {
            return;
        }
        if sent != Some(wanted) && self.send_level(wanted).is_ok() {
            tracing::debug!(level = wanted.as_str(), "changed the server's log level");
        }
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
            if self.fail_call(id, reason).is_none()
                && let Some(Pending::Own(waiting)) = self.pending.remove(&id)
            {
                let _ = waiting.send(Err(ServerEnded));
            }
        }
        for session in self.sessions.values_mut() {
            session.server_requests.clear();
        }
        self.server_requests = 0;
        self.abandoned = 0;
        self.has_forgotten = false;
    }

    /// Live sessions' ids, and whether there is any.
    pub(crate) fn session_ids(&self) -> Vec<SessionId> {
        self.sessions.keys().cloned().collect()
    }

    /// The outbox to flush after the lock is released.
    pub(crate) fn take_dirty_outbox(&mut self) -> Option<Arc<crate::stdio::upstream::outbox::Outbox>> {
        std::mem::take(&mut self.is_dirty)
            .then(|| self.upstream.as_ref().map(|upstream| upstream.outbox.clone()))
            .flatten()
    }
}
