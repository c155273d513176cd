//! The answers to commands that ask a supervisor about itself. A report contains the time of a ping, which may take seconds:
//! so each report waits in a task of its own, and the run loop hears of signals, exits and stops meanwhile.
use crate::client::messages::Answer;
use crate::client::protocol::SupervisorReport;
use crate::machine::{At, State};
use crate::workload_proxy::WorkloadProxy;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};
use std::time::Duration;
use tokio::{sync::oneshot, task::JoinSet, time::Instant};

/// How long a ping of the server may take when a command asks the supervisor for a report.
const PING_DEADLINE: Duration = Duration::from_secs(3);

/// The characters of an error that a report holds.
const MAX_FAILURE_CHARS: usize = 300;

/// How long the server took to answer, or why that is not known.
type Pinged = Result<Duration, String>;

/// What the supervisor reports beside its [`State`], and the reports under way. Dropping it cancels those.
#[derive(Default)]
pub(crate) struct Reports {
    /// When the next attempt to restart the workload begins.
    pub(crate) next_try: Option<Instant>,
    /// How often the workload has ended, or an attempt to restart it has failed.
    pub(crate) ends: u32,
    /// How often in a row it has ended with exit code 0.
    pub(crate) zero_ends: Arc<AtomicU32>,
    waiting: JoinSet<()>,
    /// The ping that all waiting reports share.
    ping: Option<Shared<BoxFuture<'static, Pinged>>>,
    /// How the workload ended the last time that it did, in words; none if it never has.
    pub(crate) last_end: Option<String>,
    /// The error of the last attempt to bring it back; empty once it runs again.
    pub(crate) last_failure: String,
}

impl Reports {
    /// Answers with the present state, once the server has answered a ping, or has not in time.
    pub(crate) fn answer(
        &mut self,
        asked: oneshot::Sender<Answer>,
        state: &State,
        up_since: Instant,
        proxy: Option<&WorkloadProxy>,
    ) {
        while self.waiting.try_join_next().is_some() {}
        let is_up = is_up(state);
        let ping = match proxy {
            Some(proxy) if is_up => Ok(self.ping(proxy)),
            _ if !is_up => Err("it is being started".to_owned()),
            _ => Err("it has no proxy".to_owned()),
        };
        let uptime = if is_up { up_since.elapsed() } else { Duration::ZERO };
        let report = SupervisorReport {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
            restarts: state.restarts,
            starting: !is_up,
            ends: self.ends,
            zero_ends: self.zero_ends.load(Relaxed),
            next_try_ms: self.next_try.map(|at| {
                let rest = at.saturating_duration_since(Instant::now());
                u64::try_from(rest.as_millis()).unwrap_or(u64::MAX)
            }),
            ping_us: None,
            ping_error: String::new(),
            undelivered: Vec::new(),
            last_end: self.last_end.clone().unwrap_or_default(),
            last_failure: bounded(&self.last_failure),
        };
        let proxy = proxy.cloned();
        self.waiting.spawn(async move {
            let pinged = match ping {
                Ok(ping) => ping.await,
                Err(why) => Err(why),
            };
            let ping_us = pinged.as_ref().ok().and_then(|time| u64::try_from(time.as_micros()).ok());
            // The count includes everything that the server sent before it answered the ping.
            let undelivered = proxy.as_ref().map(WorkloadProxy::undelivered).unwrap_or_default();
            let ping_error = pinged.err().unwrap_or_default();
            let report = SupervisorReport { ping_us, ping_error, undelivered, ..report };
            let _ = asked.send(Answer::Report(report));
        });
    }

    /// Gives up the reports that are on their way.
    pub(crate) fn close(&mut self) {
        (self.waiting, self.ping) = (JoinSet::new(), None);
    }

    /// The ping that is under way, or a new one.
    fn ping(&mut self, proxy: &WorkloadProxy) -> Shared<BoxFuture<'static, Pinged>> {
        match self.ping.take().filter(|ping| ping.peek().is_none()) {
            Some(ping) => self.ping.insert(ping).clone(),
            None => {
                let proxy = proxy.clone();
                let ping = async move { proxy.ping(PING_DEADLINE).await }.boxed().shared();
                self.ping.insert(ping).clone()
            }
        }
    }
}

/// Whether the workload runs, as far as its supervisor knows. One that does not and is asked for a report is being started or
/// brought back: while it is stopped, attached again or its end is recorded, requests wait ([`State::hears`]).
pub(crate) fn is_up(state: &State) -> bool {
    matches!(state.at, At::Running | At::StdoutClosed)
}

/// The beginning of an error that an engine or a server may have made as long as it likes.
fn bounded(error: &str) -> String {
    match error.char_indices().nth(MAX_FAILURE_CHARS) {
        Some((end, _)) => format!("{}…", &error[..end]),
        None => error.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_FAILURE_CHARS, bounded, is_up};
    use crate::machine::{At, Behalf, During, State, Task};

    #[test]
    fn a_long_error_is_cut_between_two_characters() {
        let exact = "é".repeat(MAX_FAILURE_CHARS);
        assert_eq!(bounded(&exact), exact);
        assert_eq!(bounded(&format!("{exact}é")), format!("{exact}…"));
    }

    #[test]
    fn a_workload_that_is_ended_or_attached_again_is_not_reported_as_one_that_is_started() {
        let begun = State::new(Task { creates: false, attended: true, foreground: false });
        let meanwhile = [
            At::Stopping(Behalf::Request, During::Run),
            At::ProvingStopped(Behalf::Request, During::Run),
            At::Reattaching,
            At::ProvingOwnerToEnd,
            At::RecordingEnd,
            At::RecordingFailure,
            At::Ended,
        ];
        for at in meanwhile {
            let state = State { at, ..begun };
            assert!(!is_up(&state) && !state.hears().requests, "a report could be asked for: {at:?}");
        }
    }
}
