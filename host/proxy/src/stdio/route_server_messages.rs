//! Routes messages of the shared server to the client that they certainly concern, or to nobody. Nothing is guessed, and no
//! message that may hold one client's data is broadcast (`docs/mcp.md`, 6, 7 and 12).
use std::sync::Arc;

use tokio::time::Instant;

use crate::http::budget::Account;
use crate::protocol::forgiven::{own_id, values};
use crate::protocol::message::{Message, Rewrite, Shape, text};
use crate::protocol::operation_counts::Outcome;
use crate::stdio::attribution::Owner;
use crate::stdio::broker::State;
use crate::stdio::call::{Call, Pending, Reply};
use crate::stdio::event_log::Importance;
use crate::stdio::session::{ListChanges, LogLevel, Sent, SessionId};
use crate::stdio::shared::Shared;
use crate::stdio::undelivered::Reason;
use crate::stdio::upstream::connection::Phase;

/// URL elicitations that are remembered of one session, so that their completion finds it.
const MOST_ELICITATIONS: usize = 16;

impl Shared {
    /// Sends a message of the server on its way.
    pub(crate) fn route(self: &Arc<Self>, generation: u64, message: Message) {
        let answered = self.with(|state| {
            let upstream = state.upstream.as_mut().filter(|upstream| upstream.generation == generation)?;
            upstream.heard_at = Instant::now();
            if upstream.phase == Phase::Closing {
                return None;
            }
            match message.shape() {
                Shape::Response { .. } => state.answered(message),
                Shape::Request { .. } => {
                    state.server_request(&message);
                    None
                }
                Shape::Notification { method } => {
                    let method = method.clone();
                    state.server_notification(&method, &message);
                    None
                }
            }
        });
        if let Some((call, message, account)) = answered {
            // The common case, a lone answer: spliced and handed over without the lock.
            let text = message.text_with_id(call.id.as_json());
            drop(message);
            match call.reply {
                Reply::Held(_) => {
                    let answer = self.charge_answer(&call, &account, text);
                    if let Reply::Held(waiting) = call.reply {
                        let _ = waiting.send(answer);
                    }
                }
                Reply::Stream(_) => self.with(|state| state.finish_call(call, text)),
                Reply::Nobody => {}
            }
        }
    }
}

impl State {
    fn answered(&mut self, message: Message) -> Option<(Call, Message, Account)> {
        let Shape::Response { id, is_error } = message.shape() else { return None };
        let is_error = *is_error;
        let Some(id) = own_id(id.as_json()).filter(|id| self.may_answer(*id)) else {
            self.answered_nothing(message.text());
            return None;
        };
        if let Some(Pending::Own(_)) = self.pending.get(&id) {
            if let Some(Pending::Own(waiting)) = self.pending.remove(&id) {
                let _ = waiting.send(Ok(message));
            }
            return None;
        }
        let Some(mut call) = self.take_call(id, Outcome::of_answer(&message, is_error)) else {
            self.bury_answered(id);
            tracing::debug!(id, "dropped an answer that nobody waits for");
            return None;
        };
        if is_error {
            self.subscriptions.failed(call.subscribes.as_deref());
            self.note_url_elicitations(&call.session, &message);
        } else if let Some(uri) = &call.subscribes {
            let session = self.sessions.get_mut(&call.session);
            if let (Some(session), Some(entry)) = (session, call.subscription.take()) {
                session.subscriptions.insert(uri.clone(), entry);
            }
            let lives = self.sessions.contains_key(&call.session);
            if self.subscriptions.accepted(uri, lives.then_some(&call.session)) {
                self.unsubscribe_upstream(uri);
            }
        }
        let session = self.sessions.get(&call.session);
        let account = session.map_or_else(|| Account::new(&self.budget), |session| session.account.clone());
        Some((call, message, account))
    }

    /// An answer has an id that was never given. A server that is still to shake hands was asked one thing alone.
    fn answered_nothing(&mut self, text: &[u8]) {
        self.tell_stray_answer(text);
        if let Some(id) = self.only_wait().filter(|_| self.is_handshaking()) {
            self.fail_wait(id, "its id is not the one that was asked with", text);
        }
    }

    fn server_notification(&mut self, method: &str, message: &Message) {
        match method {
            "notifications/progress" => self.progress(message),
            "notifications/message" => self.log_message(message),
            "notifications/resources/updated" => self.resource_updated(message),
            "notifications/cancelled" => self.server_cancels(message),
            "notifications/elicitation/complete" => self.elicitation_complete(message),
            _ => match ListChanges::of(method) {
                Some(change) => {
                    let Self { sessions, limits, .. } = self;
                    for session in sessions.values_mut() {
                        session.announce_lists(change, limits);
                    }
                }
                None => self.unknown_notification(method, message),
            },
        }
    }

    /// Progress goes to its request's stream, with the client's own token, and nowhere after the answer.
    fn progress(&mut self, message: &Message) {
        let Some(id) = message.param("progressToken").and_then(own_id) else { return };
        let Some(Pending::Client(Call { progress_token: Some(token), .. })) = self.pending.get(&id) else {
            tracing::debug!(id, "dropped progress that nobody asked for");
            self.note_sign_of_life(id);
            return;
        };
        let change = Rewrite { param: Some(("progressToken", token)), ..Rewrite::default() };
        let text = message.rewritten(&change);
        if self.push_to_call(id, &text, Importance::Droppable) == Sent::Dropped {
            self.undelivered.note(Reason::ProgressBurst);
        }
    }

    /// A log message may hold a client's arguments: it goes to the one session that the server is at work for.
    fn log_message(&mut self, message: &Message) {
        let level = message.param_str("level").and_then(|level| LogLevel::parse(&level)).unwrap_or_default();
        match self.owner() {
            Owner::One(session) => self.log_to(&session, level, message),
            Owner::Nobody => {
                for session in self.session_ids() {
                    self.log_unbound(&session, level, message);
                }
            }
            Owner::Several => self.undelivered.note(Reason::LogAmbiguous),
        }
    }

    /// True if a log message is for a session by its level; also for one that has ended.
    fn is_wanted(&mut self, session: &SessionId, level: LogLevel) -> bool {
        let set = match self.sessions.get(session) {
            Some(session) => session.level,
            None => self.departed.by_session.get(session).and_then(|gone| gone.level),
        };
        // It is what the server's only client would get directly.
        let is_wanted = match set {
            Some(set) => level >= set,
            None => self.has_one_client() || level >= LogLevel::default(),
        };
        if !is_wanted && set.is_none() {
            self.undelivered.note(Reason::LogLevel);
        }
        is_wanted
    }

    fn log_unbound(&mut self, session: &SessionId, level: LogLevel, message: &Message) {
        if !self.is_wanted(session, level) {
            return;
        }
        let Some(known) = self.sessions.get_mut(session) else { return };
        let sent = known.send_unbound(message.text(), Importance::Droppable, &self.limits);
        self.note_log(sent);
    }

    fn note_log(&mut self, sent: Sent) {
        match sent {
            Sent::Yes => {}
            Sent::Dropped => self.undelivered.note(Reason::LogBurst),
            Sent::NoStream => self.undelivered.note(Reason::LogUnread),
        }
    }

    fn log_to(&mut self, session: &SessionId, level: LogLevel, message: &Message) {
        let Some(known) = self.sessions.get(session) else {
            if self.is_wanted(session, level) {
                self.undelivered.note(Reason::LogUnread);
            }
            return;
        };
        let mut calls = known.calls.values();
        let (Some(call), None) = (calls.next().copied(), calls.next()) else {
            return self.log_unbound(session, level, message);
        };
        if self.is_wanted(session, level) {
            let sent = self.push_to_call(call, message.text(), Importance::Droppable);
            self.note_log(sent);
        }
    }

    fn resource_updated(&mut self, message: &Message) {
        let Some(uri) = message.param_str("uri") else { return };
        let subscribers = self.subscriptions.subscribers(&uri);
        if subscribers.is_empty() && !self.sessions.is_empty() {
            self.undelivered.note(Reason::ResourceUnsubscribed);
        }
        for id in subscribers {
            let Self { sessions, limits, budget, .. } = self;
            let session = sessions.get_mut(&id);
            if session.is_some_and(|known| !known.announce_resource(&uri, message.text(), limits, budget)) {
                self.undelivered.note(Reason::OtherMemory);
            }
        }
    }

    /// The server gives up a request of its own: the client that has it is told so.
    fn server_cancels(&mut self, message: &Message) {
        let Some(id) = message.param("requestId").and_then(crate::protocol::message::Id::from_json) else {
            return;
        };
        for session in self.sessions.values_mut() {
            let found = session.server_requests.iter().find(|(_, request)| request.upstream == id);
            let Some((ours, call)) = found.map(|(ours, request)| (*ours, request.call)) else { continue };
            session.server_requests.remove(&ours);
            session.work.is_over(Instant::now());
            self.server_requests = self.server_requests.saturating_sub(1);
            if session.unsent.remove(&ours).is_some() {
                return;
            }
            let ours = ours.to_string();
            let change = Rewrite { param: Some(("requestId", ours.as_bytes())), ..Rewrite::default() };
            let text = message.rewritten(&change);
            let sent = match call {
                Some(call) => self.push_to_call(call, &text, Importance::Needed),
                None => session.send_unbound(&text, Importance::Needed, &self.limits),
            };
            if sent != Sent::Yes {
                self.undelivered.note(Reason::CancellationUnread);
            }
            return;
        }
    }

    fn elicitation_complete(&mut self, message: &Message) {
        let Some(id) = message.param_str("elicitationId") else { return };
        let Self { sessions, limits, undelivered, .. } = self;
        let has_clients = !sessions.is_empty();
        let mut owners = sessions
            .values_mut()
            .filter(|session| session.elicitations.iter().any(|(known, _)| *known == id));
        match (owners.next(), owners.next()) {
            (Some(session), None) => {
                if session.send_unbound(message.text(), Importance::Needed, limits) != Sent::Yes {
                    undelivered.note(Reason::ElicitationUnread);
                }
            }
            (Some(_), Some(_)) => undelivered.note(Reason::Unknown),
            (None, _) if has_clients => undelivered.note(Reason::ElicitationUnread),
            (None, _) => {}
        }
    }

    fn unknown_notification(&mut self, method: &str, message: &Message) {
        let only = self.only_session();
        let session = only.and_then(|only| self.sessions.get_mut(&only));
        let limits = &self.limits;
        let sent = session.map(|session| session.send_unbound(message.text(), Importance::Needed, limits));
        if sent != Some(Sent::Yes) {
            tracing::debug!(method, "dropped a notification that concerns nobody for certain");
            if !self.sessions.is_empty() {
                self.undelivered.note(Reason::Unknown);
            }
        }
    }

    /// A -32042 error names URL elicitations to its client; their completion is announced later.
    fn note_url_elicitations(&mut self, session: &SessionId, message: &Message) {
        let Some(error) = message.top("error").filter(|error| names_url_elicitation(error)) else { return };
        let error: serde_json::Value = values(error).unwrap_or_default();
        let ids = error.pointer("/data/elicitations").and_then(|list| list.as_array()).into_iter().flatten();
        let ids: Vec<String> =
            ids.filter_map(|entry| entry.get("elicitationId")?.as_str().map(str::to_owned)).collect();
        for id in ids {
            self.note_elicitation(session, id);
        }
    }

    /// Remembers whom a URL elicitation was given to.
    pub(crate) fn note_elicitation(&mut self, session: &SessionId, id: String) {
        let most = MOST_ELICITATIONS;
        if id.len() > self.limits.id_bytes {
            return;
        }
        let Some(entry) = self.budget.table_entry(id.len()) else { return };
        if let Some(session) = self.sessions.get_mut(session) {
            session.elicitations.push_back((id, entry));
            while session.elicitations.len() > most {
                session.elicitations.pop_front();
            }
        }
    }
}

fn names_url_elicitation(error: &[u8]) -> bool {
    error.windows(6).any(|window| window == b"-32042")
}

/// The content of a JSON string in `params`, owned.
pub(crate) fn owned_text(raw: Option<&[u8]>) -> Option<String> {
    raw.and_then(text).map(std::borrow::Cow::into_owned)
}
