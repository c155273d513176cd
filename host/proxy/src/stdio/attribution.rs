//! Finds the session whose work the shared server is doing, as far as that is certain (`docs/mcp.md`, "How a message
//! finds whom it concerns").
//!
//! Used where messages of the server are routed. The wire does not say on whose behalf a server speaks, and a server goes
//! on after its answer. So a session is at work while it has a call or a question of the server open, and for a bounded time
//! after the last sign of life of each: an answer, a cancellation, progress of a call that was given up, a notification that
//! was passed on. It is at work in that sense though it has ended: a server knows nothing of sessions.
use tokio::time::Instant;

use crate::stdio::broker::State;
use crate::stdio::call::Pending;
use crate::stdio::departed::{Departed, Gone};
use crate::stdio::session::{LogLevel, SessionId};
use crate::stdio::work::Work;

/// Calls given up that are remembered one by one. Of further ones only the time is kept.
const MOST_ABANDONED_CALLS: usize = 1024;

/// Ended sessions whose work is remembered. While there are more, nothing is certain to be anybody's.
const MOST_DEPARTED: usize = 1024;

/// The session that the server is at work for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// No session's but this one's. It may have ended.
    One(SessionId),
    /// No session's.
    Nobody,
    /// The work of several sessions, or it cannot be known.
    Several,
}

impl State {
    /// The session that the server is at work for now.
    pub(crate) fn owner(&self) -> Owner {
        let (now, bound) = (Instant::now(), self.limits.work_after_call);
        if self.departed.unknown_until.is_some_and(|until| now < until) {
            return Owner::Several;
        }
        let live = self.sessions.iter();
        let live = live.filter(|(_, session)| session.is_waiting() || session.work.goes_on(now, bound));
        let departed = self.departed.by_session.iter();
        let departed = departed.filter(|(_, gone)| gone.goes_on(now, bound));
        let mut all = live.map(|(id, _)| id).chain(departed.map(|(id, _)| id));
        match (all.next(), all.next()) {
            (None, _) => Owner::Nobody,
            (Some(one), None) => Owner::One(one.clone()),
            (Some(_), Some(_)) => Owner::Several,
        }
    }

    /// The only session that is open, if the server is at work for no other one.
    pub(crate) fn only_session(&self) -> Option<SessionId> {
        let mut all = self.sessions.keys();
        let (Some(only), None) = (all.next(), all.next()) else { return None };
        match self.owner() {
            Owner::Nobody => Some(only.clone()),
            Owner::One(at_work) if at_work == *only => Some(at_work),
            Owner::One(_) | Owner::Several => None,
        }
    }

    /// Notes that nobody waits any more for a session's call that the server has not answered: the server may still work on
    /// it.
    pub(crate) fn note_given_up(&mut self, upstream_id: u64, session: &SessionId) {
        let now = Instant::now();
        let has_room = self.abandoned < MOST_ABANDONED_CALLS;
        let Some(work) = self.work_of(session) else { return };
        work.is_over(now);
        if has_room {
            work.given_up.insert(upstream_id, now);
            self.abandoned += 1;
            self.pending.insert(upstream_id, Pending::AbandonedCall(session.clone()));
        }
    }

    /// The server has said something about a call that was given up: it is still at work on it.
    pub(crate) fn note_sign_of_life(&mut self, upstream_id: u64) {
        let Some(Pending::AbandonedCall(session)) = self.pending.get(&upstream_id) else { return };
        let session = session.clone();
        if let Some(at) = self.work_of(&session).and_then(|work| work.given_up.get_mut(&upstream_id)) {
            *at = Instant::now();
        }
    }

    /// The server has answered a call, which is forgotten if it was given up.
    pub(crate) fn bury_answered(&mut self, upstream_id: u64) {
        let Some(Pending::AbandonedCall(session)) = self.pending.get(&upstream_id) else { return };
        let session = session.clone();
        self.pending.remove(&upstream_id);
        self.abandoned = self.abandoned.saturating_sub(1);
        if let Some(work) = self.work_of(&session) {
            work.given_up.remove(&upstream_id);
            work.is_over(Instant::now());
        }
    }

    /// Notes something of a session that the server may be at work on from now on.
    pub(crate) fn note_work(&mut self, session: &SessionId) {
        if let Some(work) = self.work_of(session) {
            work.is_over(Instant::now());
        }
    }

    fn work_of(&mut self, session: &SessionId) -> Option<&mut Work> {
        match self.sessions.get_mut(session) {
            Some(session) => Some(&mut session.work),
            None => self.departed.by_session.get_mut(session).map(|gone| &mut gone.work),
        }
    }

    /// Keeps the work of a session that has just ended, and the level that it had set.
    pub(crate) fn note_departed(&mut self, session: SessionId, work: Work, level: Option<LogLevel>) {
        let (now, bound) = (Instant::now(), self.limits.work_after_call);
        if !work.goes_on(now, bound) {
            self.forget_given_up(work);
        } else if self.departed.by_session.len() < MOST_DEPARTED {
            self.departed.by_session.insert(session, Gone::new(now, work, level));
        } else {
            self.departed.unknown_until = Some(now + bound);
            self.forget_given_up(work);
        }
    }

    fn forget_given_up(&mut self, work: Work) {
        for id in work.given_up.into_keys() {
            self.pending.remove(&id);
            self.abandoned = self.abandoned.saturating_sub(1);
        }
    }

    /// Forgets work whose time has passed; true if some is left.
    pub(crate) fn forget_work(&mut self, now: Instant) -> bool {
        let bound = self.limits.work_after_call;
        let mut late = Vec::new();
        for session in self.sessions.values_mut() {
            late.extend(session.work.given_up.extract_if(|_, at| *at + bound <= now).map(|(id, _)| id));
        }
        for id in late {
            self.pending.remove(&id);
            self.abandoned = self.abandoned.saturating_sub(1);
        }
        let over = self.departed.by_session.extract_if(|_, gone| !gone.goes_on(now, bound));
        let over: Vec<Work> = over.map(|(_, gone)| gone.work).collect();
        for work in over {
            self.forget_given_up(work);
        }
        !self.departed.by_session.is_empty()
    }

    /// The server's process has ended, and all that it was at work on with it.
    pub(crate) fn forget_all_work(&mut self) {
        self.pending.retain(|_, pending| !matches!(pending, Pending::AbandonedCall(_)));
        self.abandoned = 0;
        self.departed = Departed::default();
        for session in self.sessions.values_mut() {
            session.work = Work::default();
        }
    }
}
