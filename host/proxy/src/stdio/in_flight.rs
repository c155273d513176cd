//! Clients' calls at the server: begun, answered, given up; and the streams that they are answered on. A part of
//! [`State`].
use tokio::time::Instant;

use crate::protocol::message::{Id, code, error_text, line_text};
use crate::protocol::operation_counts::Outcome;
use crate::protocol::options::Busy;
use crate::protocol::own_error::ANSWER_UNUSABLE;
use crate::stdio::broker::{CallError, State};
use crate::stdio::call::{Answer, Call, NoAnswer, Pending, Reply};
use crate::stdio::event_log::{Importance, Stream, StreamKind, StreamNo};
use crate::stdio::session::{Sent, Session, SessionId};
use crate::stdio::undelivered::Reason;
use crate::stdio::upstream::connection::excerpt;

impl State {
    /// Begins a client's call: queues its line and notes who waits.
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
            session.has_called = true;
        }
        self.calls += 1;
        let (session, may_ask) = (call.session.clone(), call.may_ask);
        self.pending.insert(upstream_id, Pending::Client(call));
        if may_ask {
            self.send_unsent(&session, upstream_id);
        }
        Ok(())
    }

    /// The reason why a session could begin no call now, if there is one and no answer of it is waited for either.
    pub(crate) fn takes_no_call(&self, session: &str) -> Option<Busy> {
        if !self.is_ready() {
            return Some(Busy::NotRunning);
        }
        let session = self.sessions.get(session)?;
        // An answer to the server needs no place, and calls may wait for it.
        if !session.server_requests.is_empty() {
            return None;
        }
        if self.calls >= self.limits.in_flight {
            return Some(Busy::TooManyCalls);
        }
        (session.calls.len() >= self.limits.in_flight_per_session).then_some(Busy::TooManyCallsOfSession)
    }

    /// Sends requests of the server that had no stream on that of a call.
    fn send_unsent(&mut self, session: &SessionId, upstream_id: u64) {
        let unsent = self.sessions.get_mut(session).map(Session::take_unsent).unwrap_or_default();
        for text in unsent {
            // Where there is no such stream either, the client has gone: the server hears that when the time is over.
            let _ = self.push_to_call(upstream_id, &text, Importance::Needed);
        }
    }

    /// Takes a client's call out of flight, and counts it.
    pub(crate) fn take_call(&mut self, upstream_id: u64, outcome: Outcome) -> Option<Call> {
        let Some(Pending::Client(_)) = self.pending.get(&upstream_id) else { return None };
        let Some(Pending::Client(call)) = self.pending.remove(&upstream_id) else { return None };
        self.calls = self.calls.saturating_sub(1);
        self.operations.note(call.method, outcome, call.began.elapsed());
        if let Some(session) = self.sessions.get_mut(&call.session) {
            session.calls.remove(&call.id);
            let now = Instant::now();
            session.used_at = now;
            session.work.is_over(now);
            // A server request whose call is over gets no answer any more.
            let asked = session.server_requests.extract_if(|_, request| request.call == Some(upstream_id));
            let asked: Vec<Id> = asked.map(|(_, request)| request.upstream).collect();
            self.server_requests = self.server_requests.saturating_sub(asked.len());
            for id in asked {
                self.refuse(&id, code::INTERNAL, "the request that this was asked for is over");
            }
        }
        Some(call)
    }

    /// The only request that somebody waits for, a client or wharf itself.
    pub(crate) fn only_wait(&self) -> Option<u64> {
        let mut open = self.pending.iter().filter(|(_, one)| !matches!(one, Pending::AbandonedCall(_)));
        match (open.next(), open.next()) {
            (Some((id, _)), None) => Some(*id),
            _ => None,
        }
    }

    /// Ends the wait for an answer that is there and cannot be used.
    pub(crate) fn fail_wait(&mut self, upstream_id: u64, why: &str, line: &[u8]) {
        if let Some(Pending::Own(_)) = self.pending.get(&upstream_id) {
            if let Some(Pending::Own(waiting)) = self.pending.remove(&upstream_id) {
                let (why, excerpt) = (why.to_owned(), excerpt(line));
                let _ = waiting.send(Err(NoAnswer::Unusable { why, excerpt }));
            }
        } else if self.fail_call(upstream_id, &format!("{ANSWER_UNUSABLE}{why}")).is_some() {
            self.undelivered.note(Reason::AnswerMalformed);
        }
    }

    /// Ends a call with its last message.
    pub(crate) fn finish_call(&mut self, call: Call, text: Vec<u8>) {
        match call.reply {
            // A client that left before the first byte has no way to ask for it again.
            Reply::Held(waiting) => drop(waiting.send(Answer::Json(text.into()))),
            Reply::Stream(number) => self.push_last(&call.session, number, Some((text.as_slice(), call.id))),
            Reply::Nobody => {}
        }
    }

    /// Ends a call with an error of the proxy's own.
    pub(crate) fn fail_call(&mut self, upstream_id: u64, message: &str) -> Option<SessionId> {
        self.bury_answered(upstream_id);
        let call = self.take_call(upstream_id, Outcome::Internal)?;
        let session = call.session.clone();
        self.subscriptions.failed(call.subscribes.as_deref());
        let text = error_text(Some(call.id.as_json()), code::INTERNAL, message);
        self.finish_call(call, text);
        Some(session)
    }

    /// The client gave a call up: the server is told so, and the waiting POST ends without a response.
    pub(crate) fn cancel_call(&mut self, upstream_id: u64, reason: &str) {
        let Some(call) = self.take_call(upstream_id, Outcome::Cancelled) else { return };
        self.cancel_upstream(upstream_id, &call, reason);
        match call.reply {
            Reply::Held(waiting) => drop(waiting.send(Answer::Cancelled)),
            Reply::Stream(number) => self.push_last(&call.session, number, None),
            Reply::Nobody => {}
        }
    }

    pub(crate) fn cancel_upstream(&mut self, upstream_id: u64, call: &Call, reason: &str) {
        self.subscriptions.failed(call.subscribes.as_deref());
        self.forget_upstream(upstream_id, &call.session, reason);
    }

    /// Tells the server that nobody waits any more for a call. The server may ignore that: for a while, its messages may
    /// still be about this call (`docs/mcp.md`, 6.13).
    pub(crate) fn forget_upstream(&mut self, upstream_id: u64, session: &SessionId, reason: &str) {
        let params = line_text(&serde_json::json!({ "requestId": upstream_id, "reason": reason }));
        self.notify("notifications/cancelled", Some(params.as_bytes()));
        self.note_given_up(upstream_id, session);
    }

    /// Puts a call's last message, if it has one, on its stream, which ends with its last call.
    pub(crate) fn push_last(&mut self, session: &SessionId, number: StreamNo, answer: Option<(&[u8], Id)>) {
        let Some(session) = self.sessions.get_mut(session) else { return };
        let Some(stream) = session.streams.get_mut(&number) else { return };
        if let Some((text, id)) = answer {
            stream.push(text, Importance::Answer(id), &self.limits);
        }
        stream.open_calls = stream.open_calls.saturating_sub(1);
        if stream.open_calls == 0 {
            stream.finish();
            session.forget_streams(Instant::now(), &self.limits);
        }
    }

    /// Opens a stream in a session.
    pub(crate) fn open_stream(&mut self, session: &SessionId, kind: StreamKind) -> Option<StreamNo> {
        let session = self.sessions.get_mut(session)?;
        let number = session.next_stream;
        session.next_stream += 1;
        let primed = session.revision.primes_streams();
        let account = session.account.clone();
        session.streams.insert(number, Stream::new(number, kind, primed, account, Instant::now()));
        Some(number)
    }

    /// Sends a message on a call's own stream, which begins with it if nothing was sent before.
    pub(crate) fn push_to_call(&mut self, upstream_id: u64, text: &[u8], importance: Importance) -> Sent {
        let Some(number) = self.stream_of_call(upstream_id) else { return Sent::NoStream };
        let Some(Pending::Client(call)) = self.pending.get_mut(&upstream_id) else { return Sent::NoStream };
        call.active = Instant::now();
        let session = self.sessions.get_mut(&call.session);
        match session.and_then(|session| session.streams.get_mut(&number)) {
            Some(stream) => Sent::of(stream.push(text, importance, &self.limits)),
            None => Sent::NoStream,
        }
    }

    /// The stream that a call is answered on. One whose head is still held back gets it now.
    pub(crate) fn stream_of_call(&mut self, upstream_id: u64) -> Option<StreamNo> {
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
}
