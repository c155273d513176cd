//! `run --foreground`: this process stays with the supervisor that it has started, as its parent, to its end.
//!
//! The supervisor is the ordinary one, a child in a session of its own. This process may have other children, too: from
//! before it became wharf (`daemon & exec wharf run -f`), or orphaned processes, as process 1 of a container. It reaps
//! them all and otherwise leaves them alone. It passes signals that ask it to end on to the supervisor, which also ends when this
//! process ends for any other reason.
use crate::commands::context::Context;
use crate::commands::create::{Created, create_until, go_on_unless};
use crate::commands::ends::{Ends, deaf};
use crate::commands::hand_over::{Wait, not_started, spawn_supervisor};
use crate::commands::request::{RunRequest, Started};
use crate::commands::start::ready;
use rustix::{
    io::Errno,
    process::{Signal, WaitOptions, WaitStatus, kill_process, wait},
};
use tokio::signal::unix::{SignalKind, signal};
use wharf_model::{Advice, Phase};
use wharf_model::{Error, ErrorKind, Result};
use wharf_supervisor::{Progress, StartMode, StartOutcome, Supervisor};

/// Shows a front end's user the progress of a foreground workload.
pub trait Attendant: Progress {
    /// The workload can be used from now on; no more progress follows.
    fn ready(&mut self, started: &Started);
}

/// Creates a workload, starts it and stays with it to its end.
///
/// # Errors
/// As of [`run`]; and where the workload failed afterwards, or its supervisor was killed.
pub async fn run_in_foreground(
    context: &Context,
    request: &RunRequest,
    attendant: &mut dyn Attendant,
) -> Result<()> {
    let mut ends = Ends::take()?;
    let Created { run, operation, closed } = create_until(context, &mut ends, request, true).await?;
    closed.iter().for_each(|path| attendant.closed(path));
    // The plugins' own children have been waited for, so from here on every child that ends may be reaped below.
    context.shut_down().await;
    go_on_unless(context, &mut ends, &run).await?;
    let mut signals = Signals::take(ends)?;
    let chosen_port = request.proxy_port == 0;
    let (mut supervisor, inherited) =
        spawn_supervisor(context, &run, operation, StartMode::Create, Wait::Stay, chosen_port).await?;
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
            attendant.ready(&ready(context, &run, port));
        }
        outcome => return Err(not_started(context, &run, inherited, StartMode::Create, outcome).await),
    }
    let status = signals.until_ended(&supervisor, ended).await;
    match context.store().read_status(&run.name) {
        Ok(record) if record.uid == run.uid && record.phase == Phase::Error => {
            let message = format!("'{}' failed: {}", run.name, record.status_context);
            Err(Error::new(ErrorKind::Runtime, message)
                .advise(Advice::ReadLog { name: run.name.to_string() }))
        }
        Ok(record) if record.uid == run.uid && record.phase == Phase::Running && status != Some(0) => {
            let message = format!("the supervisor of '{}' was killed, or failed", run.name);
            Err(Error::new(ErrorKind::Failed, message)
                .advise(Advice::ReadSupervisorLog { name: run.name.to_string() })
                .advise(Advice::Start { name: run.name.to_string() }))
        }
        // Somebody removed it, or it ended as it should.
        _ => Ok(()),
    }
}

/// A signal to this process while it stays.
#[derive(Clone, Copy, Debug)]
enum Heard {
    /// It is asked to end.
    End,
    /// A child has ended.
    Child,
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
            () = self.ends.next() => Heard::End,
            _ = self.child.recv() => Heard::Child,
        }
    }

    /// Waits for the supervisor's end; returns its exit code, or none if it was killed.
    async fn until_ended(&mut self, supervisor: &Supervisor, ended: Option<WaitStatus>) -> Option<i32> {
        // The supervisor may have ended before SIGCHLD was listened to.
        let mut ended = ended.or_else(|| reap(supervisor.pid()));
        while ended.is_none() {
            ended = obey(self.next().await, supervisor.pid(), false);
        }
        ended.and_then(WaitStatus::exit_status)
    }
}

/// Passes the request to end on, or reaps children; returns the supervisor's end if it was reaped. Its pid is not used
/// again before it is reaped.
fn obey(heard: Heard, supervisor: rustix::process::Pid, was_reaped: bool) -> Option<WaitStatus> {
    match heard {
        Heard::End => {
            if !was_reaped {
                // If the supervisor has ended, this fails, and it is reaped next.
                let _ = kill_process(supervisor, Signal::TERM);
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
