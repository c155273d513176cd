//! `start` and `restart`, and the part that `run` shares with them: waiting for a supervisor that was started.
use crate::commands::context::Context;
use crate::commands::ends::Ends;
use crate::commands::hand_over::{Wait, not_started, spawn_supervisor};
use crate::commands::locking::lock_operation;
use crate::commands::lookup::{
    ask_at_owner, connect_to_owner, read_run_config, record_or_set_aside, refuse_earlier_import,
};
use crate::commands::nesting::refuse_nesting;
use crate::commands::request::Started;
use crate::commands::settle::settle_edit;
use crate::commands::startable::refuse_missing_program;
use crate::commands::stop::stop_locked;
use crate::commands::url::url_of;
use std::{os::fd::OwnedFd, time::Duration};
use wharf_failpoint::{Point, reach};
use wharf_model::{Advice, Desired, Event, Imported, LockKind, Phase, RunConfig, StatusRecord, WorkloadName};
use wharf_model::{Error, ErrorKind, Result, Setting};
use wharf_records::{LifeProbe, OperationLock};
use wharf_sdk::Observation;
use wharf_supervisor::client::control;
use wharf_supervisor::{Progress, StartMode, StartOutcome, Supervisor};

/// How long a supervisor that is ending may take to be gone.
const SUPERVISOR_EXIT_WAIT: Duration = Duration::from_secs(5);
/// How long a workload whose stop was interrupted may take to end by itself.
const INTERRUPTED_STOP: Duration = Duration::from_secs(10);
/// How long a supervisor may take to report, including its server's answer to a ping.
const REPORT_WAIT: Duration = Duration::from_secs(5);

/// Starts an existing workload. If it runs already, that is a success, and the result says so.
pub async fn start(
    context: &Context,
    name: &WorkloadName,
    wait: bool,
    progress: &mut dyn Progress,
) -> Result<Started> {
    start_until(context, name, wait, progress, None).await
}

/// The same, until `ends` asks for its end: then the start is given up.
pub(crate) async fn start_until(
    context: &Context,
    name: &WorkloadName,
    wait: bool,
    progress: &mut dyn Progress,
    ends: Option<&mut Ends>,
) -> Result<Started> {
    let operation = begin(context, name).await?;
    start_unless_asked(context, name, operation, wait, progress, ends).await
}

/// Starts it. If the client that asked for it takes that back, the workload is not wanted any more: else reconciliation
/// would start it.
async fn start_unless_asked(
    context: &Context,
    name: &WorkloadName,
    operation: OperationLock,
    wait: bool,
    progress: &mut dyn Progress,
    mut ends: Option<&mut Ends>,
) -> Result<Started> {
    let started = start_locked(context, name, operation, wait, progress, ends.as_deref_mut()).await;
    let Err(error) = started else { return started };
    if !ends.is_some_and(|ends| ends.was_asked()) {
        return Err(error);
    }
    let taken_back = async {
        let operation = lock_operation(context, name).await?;
        stop_locked(context, name, &operation, INTERRUPTED_STOP, Desired::Stopped).await
    };
    Err(match taken_back.await {
        Ok(_) => error,
        Err(stays) => error.hint(format!("it may be started all the same: {}", stays.message)),
    })
}

/// Stops a workload if it runs, and starts it, as one operation.
pub async fn restart(
    context: &Context,
    name: &WorkloadName,
    timeout: Duration,
    wait: bool,
    progress: &mut dyn Progress,
) -> Result<Started> {
    restart_until(context, name, timeout, wait, progress, None).await
}

/// The same, until `ends` asks for its end: then the start is given up.
pub(crate) async fn restart_until(
    context: &Context,
    name: &WorkloadName,
    timeout: Duration,
    wait: bool,
    progress: &mut dyn Progress,
    ends: Option<&mut Ends>,
) -> Result<Started> {
    let operation = begin(context, name).await?;
    refuse_missing_program(context, &read_run_config(context, name)?).await?;
    // `desired` stays `running`: an interrupted restart is finished by the next command.
    stop_locked(context, name, &operation, timeout, Desired::Running).await?;
    start_unless_asked(context, name, operation, wait, progress, ends).await
}

/// Takes the operation lock of a workload that exists.
async fn begin(context: &Context, name: &WorkloadName) -> Result<OperationLock> {
    refuse_nesting(context)?;
    read_run_config(context, name)?;
    lock_operation(context, name).await
}

/// Starts it as part of a command. If an edit of it was interrupted, that is settled first.
pub(crate) async fn start_locked(
    context: &Context,
    name: &WorkloadName,
    operation: OperationLock,
    wait: bool,
    progress: &mut dyn Progress,
    ends: Option<&mut Ends>,
) -> Result<Started> {
    settle_edit(context, name, &operation).await?;
    start_as_recorded(context, name, operation, wait, progress, ends).await
}

/// The same for the edit itself: what is recorded is tried.
pub(crate) async fn start_as_recorded(
    context: &Context,
    name: &WorkloadName,
    operation: OperationLock,
    wait: bool,
    progress: &mut dyn Progress,
    ends: Option<&mut Ends>,
) -> Result<Started> {
    let run = read_run_config(context, name)?;
    if run.is_remote() {
        let message = format!("'{name}' is a remote server, which this version of wharf does not serve");
        return Err(Error::new(ErrorKind::Usage, message).hint(format!("its URL: {}", run.remote_url)));
    }
    refuse_earlier_import(&run)?;
    // R08: an owner that is absent, or another one, is an error before anything is changed, and before the workload is
    // reported as running.
    connect_to_owner(context, &run).await?;
    let record = record_or_set_aside(context, &operation)?;
    let supervised = LifeProbe::open(context.store().state())?.is_held(name, LockKind::Life)?;
    let phase = record.as_ref().map(|record| record.phase);
    if supervised && phase == Some(Phase::Running) {
        if let_go_on(context, &run).await? {
            return Ok(started(context, &run));
        }
        // The record says `running` even while the supervisor is restarting the workload, so the supervisor is asked.
        return match control::report(context.store().state(), name, REPORT_WAIT).await {
            Ok(report) if !report.starting => Ok(Started { already_running: true, ..started(context, &run) }),
            Ok(_) | Err(_) => {
                let message = format!("'{name}' does not run just now: its supervisor is bringing it back");
                Err(Error::new(ErrorKind::Conflict, message)
                    .hint("wait for it")
                    .advise(Advice::Restart { name: name.to_string() }))
            }
        };
    }
    if supervised && phase == Some(Phase::Stopping) {
        // The command that was stopping it died before it reached the supervisor. Its stop is finished first.
        stop_locked(context, name, &operation, INTERRUPTED_STOP, Desired::Running).await?;
    }
    // A supervisor that has just recorded the end of its workload may still be ending.
    if supervised && operation.supervisor_gone(SUPERVISOR_EXIT_WAIT).await.is_err() {
        let message = format!("'{name}' has a supervisor and does not run");
        return Err(
            Error::new(ErrorKind::Conflict, message).advise(Advice::Restart { name: name.to_string() })
        );
    }
    context.store().update_status::<Error>(name, &run.uid, |record| {
        let mut record = record.unwrap_or_else(|| StatusRecord::new(run.uid.clone()));
        record.apply(Event::StartBegun).map_err(|error| {
            Error::new(ErrorKind::Conflict, format!("'{name}' cannot be started: {error}"))
                .advise(Advice::FinishRemoval { name: name.to_string() })
        })?;
        record.desired = Desired::Running;
        Ok(record)
    })?;
    reach(Point::StartRecorded);
    let started = launch(context, &run, operation, StartMode::Start, wait, progress, ends).await;
    started.map_err(|error| match &run.imported {
        // The copy of an import has the proxy port of its original.
        Some(Imported { name, .. }) if is_about_the_port(&error) => {
            error.hint(format!("the proxy of the original may hold the port: thv stop {name}"))
        }
        _ => error,
    })
}

/// Lets a workload go on that somebody has paused in its engine. True if it was paused.
async fn let_go_on(context: &Context, run: &RunConfig) -> Result<bool> {
    let owner = ask_at_owner(context, run).await?;
    if !owner.seen.as_ref().is_some_and(Observation::is_paused) {
        return Ok(false);
    }
    if let Some(handle) = owner.shown_handle(run)? {
        owner.client.start(&handle).await?;
    }
    Ok(true)
}

/// Whether somebody else has the port.
fn is_about_the_port(error: &Error) -> bool {
    let other = |step: &Advice| matches!(step, Advice::Choose { setting: Setting::ProxyPort, .. });
    error.kind == ErrorKind::Conflict && error.advice.iter().any(other)
}

/// Starts the supervisor, which takes the operation over, and waits for the outcome.
async fn launch(
    context: &Context,
    run: &RunConfig,
    operation: OperationLock,
    mode: StartMode,
    wait: bool,
    progress: &mut dyn Progress,
    ends: Option<&mut Ends>,
) -> Result<Started> {
    let until = Wait::of(wait, ends.as_deref());
    let (supervisor, inherited) = spawn_supervisor(context, run, operation, mode, until, false).await?;
    if !wait {
        return Ok(started(context, run));
    }
    await_ready(context, run, supervisor, inherited, mode, progress, ends).await
}

/// Waits for the outcome of a start. With `ends`, a request to end makes the supervisor give the
/// start up; its clearing up is waited for, so that nothing is left when this process has ended. A second signal only ends
/// the wait.
pub(crate) async fn await_ready(
    context: &Context,
    run: &RunConfig,
    mut supervisor: Supervisor,
    inherited: OwnedFd,
    mode: StartMode,
    progress: &mut dyn Progress,
    mut ends: Option<&mut Ends>,
) -> Result<Started> {
    let mut given_up = false;
    let outcome = loop {
        let ended = async {
            match &mut ends {
                Some(ends) => ends.next_after(given_up).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = supervisor.outcome(progress) => break outcome,
            () = ended => {
                if given_up {
                    return Err(given_up_start(run, ends.as_deref()).hint("its supervisor is still clearing up"));
                }
                supervisor.give_up().await;
                given_up = true;
            }
        }
    };
    match outcome {
        StartOutcome::Ready(port) => {
            reach(Point::ReadyHeard);
            Ok(ready(context, run, port))
        }
        // With what is left of it, if anything is.
        StartOutcome::Failed(error) if given_up => {
            Err(Error { advice: error.advice, ..given_up_start(run, ends.as_deref()) })
        }
        outcome => Err(not_started(context, run, inherited, mode, outcome).await),
    }
}

fn given_up_start(run: &RunConfig, ends: Option<&Ends>) -> Error {
    let what = format!("the start of '{}', which is given up,", run.name);
    match ends {
        Some(ends) => ends.interrupted(&what),
        None => Error::new(ErrorKind::Failed, format!("{what} has failed")),
    }
}

/// The report on a workload that is ready on this port.
pub(crate) fn ready(context: &Context, run: &RunConfig, port: u16) -> Started {
    started(context, &RunConfig { port, ..run.clone() })
}

pub(crate) fn started(context: &Context, run: &RunConfig) -> Started {
    Started {
        name: run.name.to_string(),
        uid: run.uid.to_string(),
        runtime_name: run.runtime_name.clone(),
        url: if run.port == 0 { String::new() } else { url_of(context, run) },
        port: run.port,
        already_running: false,
    }
}
