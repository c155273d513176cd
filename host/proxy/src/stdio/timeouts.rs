//! Ends everything that has a time limit: calls that take too long or whose clients are gone, server requests without
//! answer, idle sessions, streams that nobody resumes, work that a server may still do for a call that is over.
//!
//! One task, which sleeps while there is nothing to watch.
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::protocol::message::code;
use crate::protocol::options::Limits;
use crate::protocol::own_error::NOT_IN_TIME;
use crate::stdio::broker::State;
use crate::stdio::call::{Call, Pending, Reply};
use crate::stdio::event_log::Stream;
use crate::stdio::shared::Shared;

impl Shared {
    /// Starts the sweeper, once.
    pub(crate) fn start_sweeping(self: &Arc<Self>) {
        if !self.begins_sweeping() {
            return;
        }
        let proxy = Arc::downgrade(self);
        let watch = self.watch.clone();
        let stop = self.stop.clone();
        let period = period(&self.options.limits);
        let sweeping = async move {
            loop {
                watch.notified().await;
                loop {
                    tokio::time::sleep(period).await;
                    let Some(proxy) = proxy.upgrade() else { return };
                    let goes_on = proxy.with(State::sweep);
                    proxy.tell_undelivered();
                    if !goes_on {
                        break;
                    }
                }
            }
        };
        tokio::spawn(async move { stop.run_until_cancelled(sweeping).await });
    }
}

impl Shared {
    /// Tells the log what reached no client, at most once a minute.
    fn tell_undelivered(&self) {
        if let Some(what) = self.with(|state| state.undelivered.due(Instant::now())) {
            tracing::warn!(workload = %self.options.workload, %what, "messages of the server reached no client");
        }
    }
}

/// A tenth of the shortest limit, so that everything ends at most so much late.
fn period(limits: &Limits) -> Duration {
    let times = [
        limits.call_timeout.unwrap_or(limits.ring_keep),
        limits.head_hold * 10,
        limits.session_idle,
        limits.ring_keep,
        limits.server_request_timeout,
        limits.work_after_call,
    ];
    let shortest = times.into_iter().min().unwrap_or_default();
    (shortest / 10).clamp(Duration::from_millis(50), Duration::from_secs(5))
}

impl State {
    /// Ends everything that is over its time. True if anything is left to watch.
    pub(crate) fn sweep(&mut self) -> bool {
        let now = Instant::now();
        self.refuse_late_answers(now);
        self.fail_late_calls(now);
        self.begin_streams(now);
        self.give_up_calls_of_gone_clients(now);
        let idle = self.limits.session_idle;
        let over = |session: &crate::stdio::session::Session| {
            session.calls.is_empty() && session.used_at + idle <= now
        };
        let ended: Vec<_> =
            self.sessions.iter().filter(|(_, session)| over(session)).map(|(id, _)| id.clone()).collect();
        for id in ended {
            tracing::debug!("an idle session ends");
            self.end_session(id.as_str());
        }
        let Self { sessions, limits, .. } = self;
        for session in sessions.values_mut() {
            session.forget_streams(now, limits);
        }
        let has_work = self.forget_work(now);
        !self.sessions.is_empty() || has_work || self.undelivered.is_untold()
    }

    fn refuse_late_answers(&mut self, now: Instant) {
        let mut late = Vec::new();
        for session in self.sessions.values_mut() {
            let before = late.len();
            late.extend(session.server_requests.extract_if(|_, request| request.deadline <= now));
            if late.len() > before {
                session.work.is_over(now);
            }
            let waiting = &session.server_requests;
            session.unsent.retain(|ours, _| waiting.contains_key(ours));
        }
        for (_, request) in late {
            self.server_requests = self.server_requests.saturating_sub(1);
            // The server gets time again to finish without the answer.
            self.touch_call(request.call);
            self.refuse(&request.upstream, code::INTERNAL, "the client did not answer in time");
        }
    }

    fn fail_late_calls(&mut self, now: Instant) {
        let Some(timeout) = self.limits.call_timeout else { return };
        // A call that waits for its own client is not idle; its question has a deadline of its own.
        let asking: HashSet<u64> = self
            .sessions
            .values()
            .flat_map(|session| session.server_requests.values().filter_map(|request| request.call))
            .collect();
        let late: Vec<u64> = self
            .client_calls()
            .filter(|(id, call)| call.active + timeout <= now && !asking.contains(id))
            .map(|(id, _)| id)
            .collect();
        for id in late {
            let reason = NOT_IN_TIME;
            if let Some(session) = self.fail_call(id, reason) {
                self.forget_upstream(id, &session, reason);
            }
        }
    }

    fn client_calls(&self) -> impl Iterator<Item = (u64, &Call)> {
        self.pending.iter().filter_map(|(id, pending)| match pending {
            Pending::Client(call) => Some((*id, call)),
            Pending::Own(_) | Pending::AbandonedCall(_) => None,
        })
    }

    /// Gives the heads of answers that take long: a client sees that it is being served, and has a stream to resume.
    fn begin_streams(&mut self, now: Instant) {
        let hold = self.limits.head_hold;
        let held: Vec<u64> = self
            .client_calls()
            .filter(|(_, call)| matches!(call.reply, Reply::Held(_)) && call.began + hold <= now)
            .map(|(id, _)| id)
            .collect();
        for id in held {
            self.stream_of_call(id);
        }
    }

    /// Cancels calls whose clients are gone and have not come back in time, so that others get their places.
    fn give_up_calls_of_gone_clients(&mut self, now: Instant) {
        let mut late = Vec::new();
        for (id, pending) in &mut self.pending {
            let Pending::Client(call) = pending else { continue };
            let stream = match call.reply {
                Reply::Stream(number) => {
                    self.sessions.get(&call.session).and_then(|session| session.streams.get(&number))
                }
                Reply::Held(_) | Reply::Nobody => None,
            };
            let is_gone = match &call.reply {
                Reply::Held(waiting) => waiting.is_closed(),
                Reply::Stream(_) => !stream.is_some_and(Stream::is_read),
                Reply::Nobody => true,
            };
            if !is_gone {
                call.gone_since = None;
            } else if *call.gone_since.get_or_insert(now) + self.limits.ring_keep <= now {
                late.push(*id);
            }
        }
        for id in late {
            self.cancel_call(id, "the client is gone");
        }
    }
}
