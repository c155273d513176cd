//! The launcher while the workload runs, and until nothing of it is left.
use crate::control::{Control, Input};
use crate::log::Log;
use crate::reaper::Reaped;
use crate::sandbox::cgroup;
use crate::sharing::Sharing;
use crate::signals::Signals;
use crate::state::StateFile;
use crate::{reaper, signals};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use wharf_failpoint::{Point, reach};
use wharf_sdk::{
    Exit, OUT_OF_MEMORY,
    launch::{Job, State},
};

/// The number of bytes of output that are taken before signals and the control socket are looked at again.
const LOG_CHUNK_BYTES: usize = 64 * 1024;
/// The number of bytes that are taken after the end: the most that a pipe of an ordinary user holds, F_SETPIPE_SZ in
/// fcntl(2).
const MAX_DRAINED_BYTES: usize = 1024 * 1024;
/// The pause before children that have not died are killed again. A child that dies is noticed by SIGCHLD.
const KILL_INTERVAL: Duration = Duration::from_millis(200);
/// How long to wait for children that cannot be killed (another user's, by a set-uid program; stuck in the kernel).
const KILL_WAIT: Duration = Duration::from_secs(10);
/// Lines on the control socket have no meaning now; each is read and dropped, up to this length.
const MAX_IGNORED_BYTES: usize = 4 * 1024;

/// The progress of the workload's end.
#[derive(Clone, Copy)]
enum Ending {
    /// It runs.
    No,
    /// It was asked to end, and will be killed at this time.
    Asked { until: Instant },
    /// Everything is killed, again and again until this time.
    Killing { again: Instant, until: Instant },
}

/// A running workload.
pub(crate) struct Running {
    workload: Pid,
    survives: bool,
    grace: Duration,
    state: State,
    file: StateFile,
    log: Log,
    /// None once the workload has closed its end.
    output: Option<OwnedFd>,
    signals: Signals,
    /// Answers calls of the workload. None if there are no calls to answer, or nobody is left who could make one.
    sharing: Option<Sharing>,
    ending: Ending,
    /// The reason for the end; empty if the workload ended by itself.
    reason: &'static str,
    exit: Option<Exit>,
    /// Whether its first process has been reaped. Only before that is the group known to be its own.
    reaped: bool,
}

impl Running {
    pub(crate) fn new(
        job: &Job,
        workload: Pid,
        state: State,
        file: StateFile,
        log: Log,
        output: OwnedFd,
        signals: Signals,
    ) -> Self {
        Self {
            workload,
            survives: job.survives,
            grace: Duration::from_millis(job.grace_ms),
            state,
            file,
            log,
            output: Some(output),
            signals,
            sharing: None,
            ending: Ending::No,
            reason: "",
            exit: None,
            reaped: false,
        }
    }

    /// Adds the listener for the calls that are answered in the workload's place, if there is one.
    pub(crate) fn answering(self, listener: Option<OwnedFd>) -> Self {
        Self { sharing: listener.map(Sharing::new), ..self }
    }

    /// Serves until nothing of the workload is left; records its exit.
    pub(crate) fn until_the_end(mut self, control: &mut Control) -> Exit {
        let mut control = Some(control);
        let mut none_left = false;
        while !none_left {
            let rests_until = self.sharing.as_ref().and_then(Sharing::rests_until);
            let sharing = self.sharing.as_ref().filter(|_| rests_until.is_none());
            let Ok([log, signalled, controlled, called]) = signals::wait(
                [
                    self.output.as_ref().map(AsFd::as_fd),
                    Some(self.signals.as_fd()),
                    control.as_ref().map(|control| control.as_fd()),
                    sharing.map(AsFd::as_fd),
                ],
                self.deadline().into_iter().chain(rests_until).min(),
            ) else {
                // Polling can only fail for lack of memory. A workload that cannot be watched is ended.
                self.kill("the launcher could not watch it any more");
                none_left = self.kill_round();
                continue;
            };
            if log {
                self.take_output();
            }
            if signalled {
                self.obey();
            }
            if controlled && control.as_mut().is_some_and(|control| has_ended(control)) {
                control = None;
                self.supervisor_ended();
            }
            if called && self.sharing.as_mut().is_some_and(|sharing| !sharing.serve()) {
                self.sharing = None;
            }
            none_left = self.advance();
        }
        self.finish()
    }

    fn deadline(&self) -> Option<Instant> {
        match self.ending {
            Ending::No => None,
            Ending::Asked { until } => Some(until),
            Ending::Killing { again, until } => Some(again.min(until)),
        }
    }

    /// Copies one chunk of the output to the log; returns its length.
    fn take_output(&mut self) -> usize {
        let Some(output) = &self.output else { return 0 };
        let mut chunk = [0; LOG_CHUNK_BYTES];
        match rustix::io::read(output, &mut chunk[..]) {
            Ok(0) => self.output = None,
            Ok(count) => {
                self.log.take(&chunk[..count]);
                return count;
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => self.output = None,
        }
        0
    }

    fn obey(&mut self) {
        let signalled = self.signals.read();
        if signalled.terminate {
            self.terminate();
        }
        if signalled.kill {
            self.kill("killed on request");
        }
        if signalled.child {
            self.reap();
        }
    }

    fn terminate(&self) {
        if !self.reaped {
            reach(Point::TerminateBefore);
            let _ = kill_process_group(self.workload, Signal::TERM);
            reach(Point::TerminateAfter);
        }
    }

    fn supervisor_ended(&mut self) {
        if self.survives || !matches!(self.ending, Ending::No) {
            return;
        }
        self.reason = "ended because its supervisor did";
        self.terminate();
        // If the time lies beyond what a clock can hold, the workload is never killed.
        if let Some(until) = Instant::now().checked_add(self.grace) {
            self.ending = Ending::Asked { until };
        }
    }

    fn kill(&mut self, reason: &'static str) {
        if matches!(self.ending, Ending::Killing { .. }) {
            return;
        }
        if self.reason.is_empty() {
            self.reason = reason;
        }
        let now = Instant::now();
        self.ending = Ending::Killing { again: now, until: now + KILL_WAIT };
    }

    fn reap(&mut self) -> bool {
        let Reaped { workload, none_left } = reaper::reap(self.workload, now_ms());
        if let Some(exit) = workload {
            self.exit = Some(exit);
            self.reaped = true;
            // When the first process has ended, the other ones are killed, as in a container.
            self.kill("");
        }
        // The children of the dead processes are the launcher's now, so they are killed at once.
        if let Ending::Killing { again, .. } = &mut self.ending {
            *again = Instant::now();
        }
        none_left
    }

    /// Handles times that have passed. True: nothing is left, or the rest cannot be killed.
    fn advance(&mut self) -> bool {
        let now = Instant::now();
        if matches!(self.ending, Ending::Asked { until } if until <= now) {
            self.kill("");
        }
        matches!(self.ending, Ending::Killing { again, .. } if again <= now) && self.kill_round()
    }

    fn kill_round(&mut self) -> bool {
        let not_permitted = reaper::kill_all();
        let none_left = self.reap();
        let Ending::Killing { again, until } = &mut self.ending else { return none_left };
        let now = Instant::now();
        *again = now + KILL_INTERVAL;
        if !none_left && *until <= now {
            self.reason = if not_permitted.is_empty() {
                "processes that it started did not die when they were killed"
            } else {
                "processes that it started as another user could not be killed"
            };
            return true;
        }
        none_left
    }

    /// Nothing writes any more: takes the last output, and records the exit.
    fn finish(mut self) -> Exit {
        let mut drained = 0;
        while drained < MAX_DRAINED_BYTES {
            match self.take_output() {
                0 => break,
                count => drained += count,
            }
        }
        self.log.finish();
        let mut exit = self.exit.unwrap_or_else(|| Exit { at_ms: Some(now_ms()), ..Exit::default() });
        if self.reason.is_empty() && is_kill(&exit) && cgroup::had_memory_kills(&self.state.cgroups) {
            self.reason = OUT_OF_MEMORY;
        }
        cgroup::remove(&self.state.cgroups);
        self.reason.clone_into(&mut exit.reason);
        self.state.exit = Some(exit.clone());
        reach(Point::ExitRecordBefore);
        if let Err(error) = self.file.write(&self.state) {
            let separator = if exit.reason.is_empty() { "" } else { "; " };
            exit.reason.push_str(&format!("{separator}its end could not be recorded: {error}"));
        }
        reach(Point::ExitRecordAfter);
        exit
    }
}

/// Whether it ended as a process does that the kernel has killed, or a shell around one.
fn is_kill(exit: &Exit) -> bool {
    const KILLED: i32 = Signal::KILL.as_raw();
    exit.signal == Some(KILLED) || exit.code == Some(128 + KILLED)
}

/// Reads and drops input. True at its end.
fn has_ended(control: &mut Control) -> bool {
    match control.receive(MAX_IGNORED_BYTES) {
        Ok(Input::Line(_)) => {
            while control.buffered().is_some() {}
            false
        }
        Ok(Input::Partial) => false,
        // So long a line is a fault of the peer, which is treated as its end.
        Ok(Input::TooLong | Input::End) | Err(_) => true,
    }
}

/// The present time, in milliseconds after the epoch.
pub(crate) fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
