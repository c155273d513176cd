//! What ends by time: calls without progress, questions without answer, idle sessions, streams nobody resumes.
//!
//! One task, which sleeps while there are no sessions.
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::protocol::message::code;
use crate::protocol::options::Limits;
use crate::stdio::broker::State;
use crate::stdio::call::Pending;
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
                    if !proxy.with(State::sweep) {
                        break;
                    }
                }
            }
        };
        tokio::spawn(async move { stop.run_until_cancelled(sweeping).await });
    }
}

/// A tenth of the shortest time that is watched: what ends by time ends at most so much late.
fn period(limits: &Limits) -> Duration {
    let times = [
        limits.idle_timeout,
        limits.hard_timeout,
        limits.session_idle,
        limits.ring_keep,
        limits.server_request_timeout,
    ];
    let shortest = times.into_iter().min().unwrap_or_default();
    (shortest / 10).clamp(Duration::from_millis(50), Duration::from_secs(5))
}

impl State {
    /// Ends what is over its time; whether anything is left to watch.
    pub(crate) fn sweep(&mut self) -> bool {
        let now = Instant::now();
        self.refuse_late_answers(now);
        self.fail_late_calls(now);
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
        !self.sessions.is_empty()
    }

    fn refuse_late_answers(&mut self, now: Instant) {
        let mut late = Vec::new();
        for session in self.sessions.values_mut() {
            late.extend(session.server_requests.extract_if(|_, request| request.deadline <= now));
        }
        for (_, request) in late {
            self.server_requests = self.server_requests.saturating_sub(1);
            // The server gets time again to finish without the answer.
            self.touch_call(request.call);
            self.refuse(&request.upstream, code::INTERNAL, "the client did not answer in time");
        }
    }

    fn fail_late_calls(&mut self, now: Instant) {
        // A call that waits for its own client is not idle; its question has a deadline of its own.
        let asking: HashSet<u64> = self
            .sessions
            .values()
            .flat_map(|session| session.server_requests.values().filter_map(|request| request.call))
            .collect();
        let Limits { idle_timeout, hard_timeout, .. } = self.limits;
        let late: Vec<(u64, bool)> = self
            .pending
            .iter()
            .filter_map(|(id, pending)| {
                let Pending::Client(call) = pending else { return None };
                let is_over = call.began + hard_timeout <= now;
                let is_idle = call.active + idle_timeout <= now && !asking.contains(id);
                (is_over || is_idle).then_some((*id, is_over))
            })
            .collect();
        for (id, is_over) in late {
            let reason = if is_over {
                "the request took longer than a request may take"
            } else {
                "the server did not answer in time"
            };
            if let Some(session) = self.fail_call(id, reason) {
                self.forget_upstream(id, session, reason);
            }
        }
    }
}
