//! Makes room when the proxy holds more than its budget: the session that holds most loses its bytes. Among session servers
//! the one with most bytes queued loses its queued long lines ([`State::shed_lines`], reached only with `--instances
//! per-session`). A part of [`State`]; [`crate::http::budget::Budget`] counts the bytes.
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::http::budget::{Account, Holder};
use crate::protocol::forgiven::own_id;
use crate::protocol::message::{Message, Shape, code, error_text};
use crate::protocol::own_error::LINE_GIVEN_UP;
use crate::stdio::broker::State;
use crate::stdio::call::{Answer, Call};
use crate::stdio::delivery::Delivery;
use crate::stdio::event_log::Stream;
use crate::stdio::event_log::stand_in::no_memory;
use crate::stdio::session::SessionId;
use crate::stdio::shared::Shared;
use crate::stdio::undelivered::Reason;

/// The session that holds most.
pub(crate) struct Most {
    pub(crate) session: SessionId,
    holder: Holder,
    /// In bytes.
    pub(crate) held: usize,
}

impl Most {
    /// The same as a holder of bodies.
    pub(crate) fn as_holder(&self) -> (Holder, usize) {
        (self.holder, self.held)
    }
}

impl State {
    /// Makes room until no more is held than may be, or nobody is left to take it from. The bodies of whoever holds most go
    /// first: their clients are told, and may send them again.
    pub(crate) fn free_memory(&mut self) {
        while self.budget.is_over() {
            let bodies = self.budget.bodies_by_holder();
            let top = self.holds_most(&bodies);
            if self.budget.drop_body(&bodies, top.as_ref().map(Most::as_holder)) {
                continue;
            }
            let Some(Most { session, held, .. }) = top else { break };
            self.shed(&session, held);
        }
    }

    /// The session that holds most, its bodies among it, if any holds anything.
    pub(crate) fn holds_most(&self, bodies: &HashMap<Holder, usize>) -> Option<Most> {
        let held = self.sessions.iter().map(|(id, session)| {
            let holder = self.budget.session(id.as_str());
            (id, holder, session.account.held() + bodies.get(&holder).copied().unwrap_or(0))
        });
        let (id, holder, held) = held.max_by_key(|(.., held)| *held)?;
        (held > 0).then(|| Most { session: id.clone(), holder, held })
    }

    /// Notes that a large text has reached its client, or that its connection is gone.
    fn end_delivery(&mut self, session: &SessionId, number: u64) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.deliveries.remove(&number);
        }
    }

    /// Has a session lose what it holds, but for small answers and the errors in the place of others.
    ///
    /// Situation: all that it holds is small answers. Conclusion: the streams go with them that its client could only ask for
    /// once more; and where there are none, the session ends. So each call makes room.
    pub(crate) fn shed(&mut self, id: &SessionId, held: usize) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let before = session.account.held();
        if before == 0 {
            return;
        }
        session.account.write_off();
        session.account = Account::new(&self.budget);
        let (mut answers, mut others) = (0, 0);
        for stream in session.streams.values_mut() {
            let shed = stream.shed(session.account.clone());
            (answers, others) = (answers + shed.answers, others + shed.others);
        }
        // Their HTTP heads are already sent, so no error can be: all that is left is to end the connections.
        for (_, connection) in session.deliveries.drain() {
            connection.cancel();
            answers += 1;
        }
        // Not only where nothing was freed: small answers are copied each time.
        if session.account.held() > before / 2 {
            let gone = session.streams.extract_if(|_, stream| stream.may_go_whole());
            answers += gone.map(|(_, stream)| stream.unread_answers()).sum::<u64>();
        }
        let ends = session.account.held() >= before;
        if ends {
            answers += session.streams.values().map(Stream::unread_answers).sum::<u64>();
            self.end_session(id.as_str());
        }
        if let Some(not_logged) = self.sheds.note(Instant::now()) {
            tracing::warn!(
                held,
                answers,
                others,
                ends,
                not_logged,
                "memory is full: the session that holds most loses its answers"
            );
        }
        self.undelivered.note_many(Reason::AnswerMemory, answers);
        self.undelivered.note_many(Reason::OtherMemory, others);
    }
}

impl State {
    /// Bytes of lines that wait for the server.
    pub(crate) fn waiting_lines(&self) -> usize {
        self.upstream.as_ref().map_or(0, |upstream| upstream.outbox.waiting())
    }

    /// Has the server lose the long lines that wait for it: their calls fail, and an error stands for an answer that it waits
    /// for. A line of which it has read a part cannot be taken back; if nothing else is left, and it reads nothing, its
    /// session (a session server has one) ends. False if that made no room.
    pub(crate) fn shed_lines(&mut self) -> bool {
        let Some(outbox) = self.upstream.as_ref().map(|upstream| upstream.outbox.clone()) else {
            return false;
        };
        let (held, depth) = (outbox.waiting(), self.limits.json_depth);
        let (mut calls, mut others) = (Vec::new(), 0);
        // `Some`: this line takes its place. `None`: it is dropped.
        let freed = outbox.shed(|line| {
            let message = Message::parse(&line, depth).ok();
            match message.as_ref().map(Message::shape) {
                Some(Shape::Request { id, .. }) => calls.extend(own_id(id.as_json())),
                Some(Shape::Response { id, .. }) => {
                    let mut error = error_text(Some(id.as_json()), code::INTERNAL, "the answer was dropped");
                    error.push(b'\n');
                    return Some(error).filter(|error| error.len() < line.len());
                }
                _ => others += 1,
            }
            None
        });
        let nothing_freed = freed == 0;
        if nothing_freed && !outbox.is_stuck() {
            return false;
        }
        let failed = calls.len();
        for call in calls {
            self.fail_pending(call, LINE_GIVEN_UP);
        }
        if nothing_freed {
            outbox.discard();
            for id in self.session_ids() {
                self.end_session(id.as_str());
            }
        }
        if let Some(not_logged) = self.sheds.note(Instant::now()) {
            tracing::warn!(
                held,
                calls = failed,
                others,
                ends = nothing_freed,
                not_logged,
                "memory is full: the server for which most waits loses what it has not begun to read"
            );
        }
        true
    }
}

/// Bytes. A text above this is noted while it is on its way: its connection is ended if its session has to make room.
const LARGE: usize = 32 * 1024;

impl Shared {
    /// The answer of a call, held until its client has got it; an error in its place if there is no memory for it and
    /// nobody holds more than its session. Called without the lock on [`State`].
    pub(crate) fn charge_answer(self: &Arc<Self>, call: &Call, account: &Account, text: Vec<u8>) -> Answer {
        let text = account.hold(text);
        if self.budget.is_over() {
            self.free_memory();
        }
        let text = self.track_delivery(&call.session, call.connection.as_ref(), text);
        if account.is_written_off() {
            self.with(|state| state.undelivered.note(Reason::AnswerMemory));
            return Answer::Json(no_memory(&call.id).into());
        }
        Answer::Json(text)
    }

    /// A text that is given to a client's connection. A large one is noted until it has been written: a client that does not
    /// read it loses the connection when its session has to make room. Called without the lock on [`State`].
    pub(crate) fn track_delivery(
        self: &Arc<Self>,
        session: &SessionId,
        connection: Option<&CancellationToken>,
        text: Bytes,
    ) -> Bytes {
        let Some(connection) = connection.filter(|_| text.len() > LARGE) else { return text };
        let number = self.with(|state| {
            let number = state.next_delivery();
            if let Some(session) = state.sessions.get_mut(session) {
                session.deliveries.insert(number, connection.clone());
            }
            number
        });
        let (proxy, session) = (self.clone(), session.clone());
        Delivery::begin(text, move || proxy.with(|state| state.end_delivery(&session, number)))
    }
}
