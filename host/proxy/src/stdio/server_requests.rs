//! Requests of a shared server to "its client" (sampling, elicitation), which go to the one that they are certainly for,
//! or to nobody (`docs/mcp.md`, 7).
//!
//! The wire does not say on whose behalf a server asks. It is certain only while everything in flight belongs to
//! one session; clients that could not answer count too, or one client's data would reach another.
use tokio::time::Instant;

use crate::protocol::forgiven::own_id;
use crate::protocol::message::{Id, Message, Rewrite, code, result_text};
use crate::protocol::options::Busy;
use crate::stdio::attribution::Owner;
use crate::stdio::broker::State;
use crate::stdio::call::Pending;
use crate::stdio::client_capabilities::ClientCapabilities;
use crate::stdio::event_log::Importance;
use crate::stdio::route_server_messages::owned_text;
use crate::stdio::session::{Sent, ServerRequest, Session, SessionId, Unsent};
use crate::stdio::undelivered::Reason;

/// The place of a question in a session.
#[derive(Clone, Copy)]
enum Place {
    /// The stream of a call.
    Call(u64),
    /// The GET stream that is connected.
    Get,
    /// The next stream that it can be sent on.
    Later,
}

/// A refusal to the server.
struct Refusal {
    code: i32,
    reason: &'static str,
    /// The count that it belongs to. None if a client that was connected directly would not have been asked either.
    counted: Option<Reason>,
}

/// The rest of a line that the log has once. It names the option as the RunConfig does.
const NEEDS_INSTANCES: &str = "none of them is asked. A workload with `instances` set to `per-session` has a server for \
                               each session, which knows whom it asks";

const AMBIGUOUS: Refusal = Refusal {
    code: code::INTERNAL,
    counted: Some(Reason::RequestAmbiguous),
    reason: "several clients share this server and it is not certain whose request this is for; \
             run a workload of its own for each client that needs this",
};
const NOT_ALLOWED_NOW: Refusal = Refusal {
    code: code::INTERNAL,
    counted: Some(Reason::RequestUnread),
    reason: "a client can be asked only during its tools/call, prompts/get or resources/read",
};
const TOO_MANY: Refusal = Refusal {
    code: code::INTERNAL,
    counted: Some(Reason::RequestUnread),
    reason: "too many requests wait for clients already",
};
const TOO_LONG: Refusal = Refusal {
    code: code::INVALID_REQUEST,
    counted: Some(Reason::RequestUnread),
    reason: "the id or the progress token is too long",
};
const CLIENT_GONE: Refusal =
    Refusal { code: code::INTERNAL, counted: Some(Reason::RequestUnread), reason: "the client has gone" };

impl State {
    /// Takes a request of the server.
    pub(crate) fn server_request(&mut self, message: &Message) {
        let (Some(id), Some(method)) = (message.id(), message.method()) else { return };
        if method == "ping" {
            let mut line = result_text(id.as_json(), b"{}");
            line.push(b'\n');
            let _ = self.send(line);
            return;
        }
        if let Err(Refusal { code, reason, counted }) = self.ask_client(id, method, message) {
            if let Some(counted) = counted.filter(|_| !self.sessions.is_empty()) {
                if counted == Reason::RequestAmbiguous && !self.undelivered.has(counted) {
                    tracing::warn!(
                        method,
                        "the server asks its clients, and several share it: {NEEDS_INSTANCES}"
                    );
                }
                self.undelivered.note(counted);
            }
            tracing::debug!(method, reason, "refused a request of the server");
            self.refuse(id, code, reason);
        }
    }

    fn ask_client(&mut self, id: &Id, method: &str, message: &Message) -> Result<(), Refusal> {
        let mode = message.param_str("mode").unwrap_or("form".into()).into_owned();
        check_capability(self.declared, method, &mode)
            .map_err(|refusal| Refusal { counted: self.not_declared(method), ..refusal })?;
        let (session_id, place) = self.whom_to_ask()?;
        if id.as_json().len() > self.limits.id_bytes
            || message.meta("progressToken").is_some_and(|token| token.len() > self.limits.id_bytes)
        {
            return Err(TOO_LONG);
        }
        let most = self.limits.server_requests;
        let session = self.sessions.get_mut(&session_id).ok_or(CLIENT_GONE)?;
        check_capability(session.capabilities, method, &mode)?;
        if self.server_requests >= most {
            return Err(TOO_MANY);
        }
        let ours = session.next_server_request;
        session.next_server_request += 1;
        let ours_text = ours.to_string();
        let text = message.rewritten(&Rewrite { id: Some(ours_text.as_bytes()), ..Rewrite::default() });
        let call = match place {
            Place::Call(call) => Some(call),
            Place::Get | Place::Later => None,
        };
        let sent = match place {
            Place::Call(call) => self.push_to_call(call, &text, Importance::Needed) == Sent::Yes,
            Place::Get => session.send_unbound(&text, Importance::Needed, &self.limits) == Sent::Yes,
            Place::Later => {
                let entry = self.budget.table_entry(text.len()).ok_or(TOO_MANY)?;
                session.unsent.insert(ours, Unsent { text, _entry: entry });
                true
            }
        };
        if !sent {
            return Err(CLIENT_GONE);
        }
        if let Some(elicitation) = owned_text(message.param("elicitationId")).filter(|_| mode == "url") {
            self.note_elicitation(&session_id, elicitation);
        }
        let request = ServerRequest {
            upstream: id.clone(),
            call,
            progress_token: message.meta("progressToken").map(Into::into),
            deadline: Instant::now() + self.limits.server_request_timeout,
        };
        if let Some(session) = self.sessions.get_mut(&session_id) {
            session.server_requests.insert(ours, request);
            self.server_requests += 1;
        }
        Ok(())
    }

    /// How a request is counted that was not declared to the server, and that its client would get directly. A shared server
    /// is never told of roots.
    fn not_declared(&self, method: &str) -> Option<Reason> {
        let offers =
            method == "roots/list" && self.sessions.values().any(|session| session.capabilities.roots);
        let is_shared = !self.has_one_client();
        let reason = if self.sessions.len() > 1 { Reason::RequestAmbiguous } else { Reason::RequestRoots };
        (offers && is_shared).then_some(reason)
    }

    /// The session to ask, and where.
    fn whom_to_ask(&mut self) -> Result<(SessionId, Place), Refusal> {
        if self.has_one_client() {
            return self.only_client();
        }
        let at_work = match self.owner() {
            Owner::Several => return Err(AMBIGUOUS),
            Owner::One(session) => self.sessions.get(&session).map(|known| (session, known)),
            Owner::Nobody => None,
        };
        if let Some((session, known)) = at_work.filter(|(_, known)| !known.calls.is_empty()) {
            let call = self.newest_that_may_ask(known).ok_or(NOT_ALLOWED_NOW)?;
            return Ok((session, Place::Call(call)));
        }
        // Outside of calls the server may speak for any session that is open.
        let Some(only) = self.only_session() else {
            return Err(if self.sessions.is_empty() { NOT_ALLOWED_NOW } else { AMBIGUOUS });
        };
        let known = self.sessions.get_mut(&only).ok_or(CLIENT_GONE)?;
        known.newest_get().ok_or(NOT_ALLOWED_NOW)?;
        Ok((only, Place::Get))
    }

    /// The same for a server that has one client: whatever it asks, it asks that one, as soon as there is a stream.
    fn only_client(&mut self) -> Result<(SessionId, Place), Refusal> {
        let session = self.sessions.keys().next().cloned().ok_or(NOT_ALLOWED_NOW)?;
        let call = self.sessions.get(&session).and_then(|known| self.newest_that_may_ask(known));
        let has_get = self.sessions.get_mut(&session).is_some_and(|known| known.newest_get().is_some());
        let place = match call {
            Some(call) => Place::Call(call),
            None if has_get => Place::Get,
            None => Place::Later,
        };
        Ok((session, place))
    }

    /// The newest call during which the server may ask, if there is one: any stream of the session reaches the same client.
    fn newest_that_may_ask(&self, session: &Session) -> Option<u64> {
        let asking = |id: &u64| matches!(self.pending.get(id), Some(Pending::Client(call)) if call.may_ask);
        session.calls.values().copied().filter(asking).max()
    }

    /// Takes a client's answer to such a request: once, and only from the session that was asked. One that cannot be
    /// passed on now is not taken, so that the client may send it again.
    pub(crate) fn client_answers(&mut self, session: &SessionId, message: &Message) -> Result<bool, Busy> {
        let Some(ours) = message.id().and_then(|id| own_id(id.as_json())) else {
            return Ok(false);
        };
        let known = self.sessions.get(session).and_then(|known| known.server_requests.get(&ours));
        let Some(request) = known else { return Ok(false) };
        let call = request.call;
        let line = message.line(&Rewrite { id: Some(request.upstream.as_json()), ..Rewrite::default() });
        self.send(line)?;
        if let Some(known) = self.sessions.get_mut(session) {
            known.server_requests.remove(&ours);
        }
        self.server_requests = self.server_requests.saturating_sub(1);
        // The server goes on with the answer, which may belong to no call.
        self.note_work(session);
        self.touch_call(call);
        Ok(true)
    }

    /// Passes a client's progress on a request of the server that it has.
    pub(crate) fn client_progresses(&mut self, session: &SessionId, message: &Message) {
        let Some(token) = message.param("progressToken") else { return };
        let Some(session) = self.sessions.get(session) else { return };
        let asked =
            session.server_requests.values().find(|request| request.progress_token.as_deref() == Some(token));
        if let Some(call) = asked.map(|request| request.call) {
            self.touch_call(call);
            let _ = self.send(message.line(&Rewrite::default()));
        }
    }

    /// Something came for a call: its idle time begins anew.
    pub(crate) fn touch_call(&mut self, call: Option<u64>) {
        if let Some(Pending::Client(call)) = call.and_then(|call| self.pending.get_mut(&call)) {
            call.active = Instant::now();
        }
    }
}

fn check_capability(has: ClientCapabilities, method: &str, mode: &str) -> Result<(), Refusal> {
    let refuse = |code, reason| Err(Refusal { code, reason, counted: None });
    match method {
        "sampling/createMessage" if !has.sampling => {
            refuse(code::METHOD_NOT_FOUND, "the client does not offer sampling")
        }
        "roots/list" if !has.roots => refuse(code::METHOD_NOT_FOUND, "the client does not offer roots"),
        "elicitation/create" if !has.elicitation => {
            refuse(code::METHOD_NOT_FOUND, "the client does not offer elicitation")
        }
        "elicitation/create" if mode == "url" && !has.elicitation_url => {
            refuse(code::INVALID_PARAMS, "the client does not offer elicitation by URL")
        }
        "elicitation/create" if mode != "url" && !has.elicitation_form => {
            refuse(code::INVALID_PARAMS, "the client does not offer elicitation by this mode")
        }
        "sampling/createMessage" | "roots/list" | "elicitation/create" => Ok(()),
        _ => refuse(code::METHOD_NOT_FOUND, "method not found"),
    }
}
