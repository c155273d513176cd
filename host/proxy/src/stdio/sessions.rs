//! The sessions of a proxy: found, opened and ended. A part of [`State`], which calls nothing of the clients' side.
use tokio::time::Instant;

use crate::protocol::message::{code, error_text};
use crate::protocol::operation_counts::Outcome;
use crate::protocol::options::Busy;
use crate::protocol::own_error::SESSION_ENDED;
use crate::stdio::broker::State;
use crate::stdio::call::{Answer, Pending, Reply};
use crate::stdio::session::{Principal, Session, SessionId};

impl State {
    /// The session of this id, if it belongs to this principal; counts as use.
    pub(crate) fn session(&mut self, id: &str, principal: &Principal) -> Option<&mut Session> {
        let session = self.sessions.get_mut(id).filter(|session| session.principal == *principal)?;
        session.used_at = Instant::now();
        Some(session)
    }

    /// Opens a session. At the limit another one goes: one that never called anything, else the one idle longest.
    pub(crate) fn open_session(&mut self, session: Session) -> Result<SessionId, Busy> {
        if self.sessions.len() >= self.limits.sessions {
            let now = Instant::now();
            let going = self.sessions.iter().filter(|(_, session)| session.may_go(now));
            let first = going.min_by_key(|(_, session)| session.rank());
            let oldest = first.map(|(id, _)| id.clone());
            self.end_session(oldest.ok_or(Busy::TooManySessions)?.as_str());
        }
        let id = SessionId::random().ok_or(Busy::NoRandomness)?;
        self.sessions.insert(id.clone(), session);
        Ok(id)
    }

    /// Ends a session for ever: its calls are cancelled, its streams end, its subscriptions and level go.
    pub(crate) fn end_session(&mut self, id: &str) -> bool {
        let Some((id, mut session)) = self.sessions.remove_entry(id) else { return false };
        // Its requests to subscribe are over first: one that is at the server would keep what it is subscribed to already.
        self.give_up_subscribing(&session);
        // The server may say something about what it is asked for here, which would tell others of this session.
        let mut is_asked = false;
        for (uri, _) in session.subscriptions.drain() {
            if self.subscriptions.leave(&uri, &id) {
                self.unsubscribe_upstream(&uri);
                is_asked = true;
            }
        }
        is_asked |= session.level.is_some() && self.sync_level();
        let mut work = std::mem::take(&mut session.work);
        if session.is_waiting() || is_asked {
            work.is_over(Instant::now());
        }
        self.note_departed(id.clone(), work, session.level);
        for (_, upstream_id) in session.calls.drain() {
            if let Some(call) = self.take_call(upstream_id, Outcome::Cancelled) {
                self.cancel_upstream(upstream_id, &call, SESSION_ENDED);
                if let Reply::Held(waiting) = call.reply {
                    let text = error_text(Some(call.id.as_json()), code::INTERNAL, SESSION_ENDED);
                    let _ = waiting.send(Answer::Json(text.into()));
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
        // What is stuck on its way would stay charged, and no session would be left to lose it.
        for (_, connection) in session.deliveries.drain() {
            connection.cancel();
        }
        if let Some(over) = self.over.as_ref().filter(|_| self.sessions.is_empty()) {
            over.cancel();
        }
        true
    }

    /// Takes the subscriptions from a session's calls that are to make them.
    fn give_up_subscribing(&mut self, session: &Session) {
        for upstream_id in session.calls.values() {
            let Some(Pending::Client(call)) = self.pending.get_mut(upstream_id) else { continue };
            let Some(uri) = call.subscribes.take() else { continue };
            // A server that has heard of it may have subscribed, whatever it makes of the cancellation.
            if self.subscriptions.failed(Some(&uri)) {
                self.unsubscribe_upstream(&uri);
            }
        }
    }

    /// Live sessions' ids, and whether there is any.
    pub(crate) fn session_ids(&self) -> Vec<SessionId> {
        self.sessions.keys().cloned().collect()
    }

    /// The session's own id, if it exists and belongs to this principal; counts as use.
    pub(crate) fn known_session(&mut self, id: &str, principal: &Principal) -> Option<SessionId> {
        self.session(id, principal)?;
        self.sessions.get_key_value(id).map(|(id, _)| id.clone())
    }
}
