//! `run --foreground`: this process stays with the supervisor that it has started, as its parent, to its end.
//!
//! The supervisor is the ordinary one, a child in a session of its own: this process may have other children, of before
//! it became wharf (`daemon & exec wharf run -f`) or given to it as process 1 of a container, and they are nobody's
//! business but its own. It reaps them all, passes on the signals that ask it to end, and its own end, however it comes,
//! is the supervisor's.
use crate::commands::context::Manager;
use crate::commands::request::{RunRequest, Started};
use rustix::{
    io::Errno,
    process::{Signal, WaitOptions, WaitStatus, kill_process, wait},
};
use std::{io, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use wharf_model::{Error, ErrorKind, Result};
use wharf_model::{Phase, RunConfig};
use wharf_records::OperationLock;
use wharf_supervisor::{Progress, StartMode, StartOutcome, Supervisor};

/// Whoever is told how a workload goes that this process stays with.
pub trait Attendant: Progress {
    /// It can be used from now on; no progress is told any more.
    fn ready(&mut self, started: &Started);
}

impl Manager {
    /// Creates a workload, starts it and stays with it to its end.
    ///
    /// # Errors
    /// As of [`Manager::run`]; and where the workload failed afterwards, or its supervisor was killed.
    pub async fn run_in_foreground(&self, request: &RunRequest, attendant: &mut dyn Attendant) -> Result<()> {
        let mut ends = Ends::take()?;
        let (run, operation) = self.create_until(&mut ends, request).await?;
        // What its plugins have started has been waited for: from here on whoever ends is reaped below.
        self.shut_down().await;
        self.go_on_unless(&mut ends, &run).await?;
        let mut signals = Signals::take(ends)?;
        let (mut supervisor, inherited) =
            self.spawn_supervisor(&run, operation, StartMode::Create, Wait::Stay).await?;
        let mut ended = None;
        let outcome = {
            let (pid, mut outcome) = (supervisor.pid(), std::pin::pin!(supervisor.outcome(&mut *attendant)));
            loop {
                tokio::select! {
                    outcome = &mut outcome => break outcome,
                    heard = signals.next() => ended = ended.or(obey(heard, pid, ended.is_some())),
                }
            }
        };
        match outcome {
            StartOutcome::Ready(port) => {
                // The operation is over; this descriptor would hold its lock.
                drop(inherited);
                attendant.ready(&self.ready(&run, port));
            }
            outcome => return Err(self.not_started(&run, inherited, StartMode::Create, outcome).await),
        }
        let status = signals.until_ended(&supervisor, ended).await;
        match self.store().read_status(&run.name) {
            Ok(record) if record.uid == run.uid && record.phase == Phase::Error => {
                let message = format!("'{}' failed: {}", run.name, record.status_context);
                Err(Error::new(ErrorKind::Runtime, message).hint(format!("see: wharf logs {}", run.name)))
            }
            Ok(record) if record.uid == run.uid && record.phase == Phase::Running && status != Some(0) => {
                let message = format!("the supervisor of '{}' was killed, or failed", run.name);
                let hint = format!("see: wharf logs --proxy {}; bring it back: wharf start {0}", run.name);
                Err(Error::new(ErrorKind::Failed, message).hint(hint))
            }
            // Somebody removed it, or it ended as it should.
            _ => Ok(()),
        }
    }
}

impl Manager {
    /// Creates a workload, unless a signal asks this process to end: then it is not created.
    pub(crate) async fn create_until(
        &self,
        ends: &mut Ends,
        request: &RunRequest,
    ) -> Result<(RunConfig, OperationLock)> {
        tokio::select! {
            // It records without waiting for anything in between: where it is given up, nothing is recorded.
            created = self.create(request) => created,
            _ = ends.next() => Err(interrupted("the creation")),
        }
    }

    /// Fails if a signal has asked this process to end since it began, with the records taken back of a workload that
    /// nobody wants any more.
    pub(crate) async fn go_on_unless(&self, ends: &mut Ends, run: &RunConfig) -> Result<()> {
        if !ends.has_come().await {
            return Ok(());
        }
        Err(self.take_records_back(run, interrupted(&format!("the creation of '{}'", run.name))))
    }
}

/// A signal has asked this process to end while it did this.
pub(crate) fn interrupted(what: &str) -> Error {
    Error::new(ErrorKind::Failed, format!("{what} was interrupted by a signal"))
}

fn deaf(error: &io::Error) -> Error {
    Error::caused(ErrorKind::Failed, "signals cannot be received", error)
}

/// As long as the runtime needs to hear of a signal that has come.
const SIGNAL_TURN: Duration = Duration::from_millis(1);

/// Whether a command waits for its supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not even until its workload is ready.
    No,
    /// Until then.
    Ready,
    /// To the end.
    Stay,
}

/// What this process is told while it stays.
#[derive(Clone, Copy, Debug)]
enum Heard {
    /// It is to end.
    End(Signal),
    /// A child has ended.
    Child,
}

/// The signals that ask this process to end. Taken before anything is recorded: one that ended this process from then on
/// would leave a workload on record that nobody wants, and that `reconcile` starts.
pub(crate) struct Ends {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Ends {
    pub(crate) fn take() -> Result<Self> {
        let heard = |kind| signal(kind).map_err(|error| deaf(&error));
        Ok(Self { terminate: heard(SignalKind::terminate())?, interrupt: heard(SignalKind::interrupt())? })
    }

    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.interrupt.recv() => Signal::INT,
        }
    }

    /// Whether one has come already. One that this does not see yet is still there for [`Ends::next`].
    async fn has_come(&mut self) -> bool {
        // The runtime tells of signals when it turns to its descriptors, which it does where everybody waits.
        tokio::time::timeout(SIGNAL_TURN, self.next()).await.is_ok()
    }
}

struct Signals {
    ends: Ends,
    child: tokio::signal::unix::Signal,
}

impl Signals {
    fn take(ends: Ends) -> Result<Self> {
        Ok(Self { ends, child: signal(SignalKind::child()).map_err(|error| deaf(&error))? })
    }

    async fn next(&mut self) -> Heard {
        tokio::select! {
            signal = self.ends.next() => Heard::End(signal),
            _ = self.child.recv() => Heard::Child,
        }
    }

    /// Waits for the supervisor's end; its exit code, none if it was killed.
    async fn until_ended(&mut self, supervisor: &Supervisor, ended: Option<WaitStatus>) -> Option<i32> {
        // It may have ended before its signal could be heard.
        let mut ended = ended.or_else(|| reap(supervisor.pid()));
        while ended.is_none() {
            ended = obey(self.next().await, supervisor.pid(), false);
        }
        ended.and_then(WaitStatus::exit_status)
    }
}

/// Passes a signal on, or reaps; how the supervisor ended, if it was among those that did. Its pid is its own until it
/// was reaped.
fn obey(heard: Heard, supervisor: rustix::process::Pid, was_reaped: bool) -> Option<WaitStatus> {
    match heard {
        Heard::End(signal) => {
            if !was_reaped {
                // One that has ended is reaped next.
                let _ = kill_process(supervisor, signal);
            }
            None
        }
        Heard::Child => reap(supervisor),
    }
}

/// Reaps all children that have ended.
fn reap(supervisor: rustix::process::Pid) -> Option<WaitStatus> {
    let mut ended = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == supervisor => ended = Some(status),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return ended,
        }
    }
}
