//! `stop`: stops a workload; `rm` and `restart` begin with it.
use crate::commands::context::Context;
use crate::commands::keep_edit::keep_edit;
use crate::commands::locking::lock_to_end;
use crate::commands::lookup::{
    AtOwner, ask_at_owner, is_gone, read_record, read_run_config, record_or_set_aside, recorded_handle,
};
use serde::Serialize;
use std::time::Duration;
use wharf_failpoint::{Point, reach};
use wharf_model::{Advice, Desired, Event, LockKind, Phase, RunConfig, StatusRecord, WorkloadName};
use wharf_model::{Error, ErrorKind, Result};
use wharf_records::{LifeProbe, OperationLock, StoreError};
use wharf_runtimes::last_exit;
use wharf_runtimes::{CallError, RuntimeClient, remove_children};
use wharf_runtimes::{look, prove_ended};
use wharf_sdk::{ErrorCode, Exit, Handle, WorkloadState};
use wharf_supervisor::ControlError;
use wharf_supervisor::client::control;

/// How long the supervisor may take beyond the workload's own time: for answering clients, killing, writing.
const SUPERVISOR_MARGIN: Duration = Duration::from_secs(20);

/// How long a workload may take to end by itself where nothing is said.
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long this workload may take to end by itself, as it was created; the usual time where its record does not say.
pub fn stop_timeout(context: &Context, name: &WorkloadName) -> Duration {
    let recorded = context.store().read_run_config(name).ok().and_then(|run| run.stop_timeout_ms);
    recorded.map_or(USUAL_TIMEOUT, Duration::from_millis)
}

/// A workload that is stopped now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// Its name.
    pub name: String,
    /// The outcome.
    pub result: StopResult,
}

/// The outcome of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopResult {
    /// It was running or starting, and was stopped.
    Stopped,
    /// It was not running.
    AlreadyStopped,
}

/// Stops a workload: asks it to end, and kills it after `timeout`.
///
/// # Errors
/// Of kind [`ErrorKind::Owner`], with nothing changed, if the owner is absent or another one (R08).
pub async fn stop(context: &Context, name: &WorkloadName, timeout: Duration) -> Result<Stopped> {
    read_run_config(context, name)?;
    // If a start is given up for this command, the workload counts as stopped by it, even if nothing ran yet.
    let record = read_record(context, name).ok().flatten();
    let was_starting = record.as_ref().is_some_and(|record| record.phase == Phase::Starting);
    let operation = lock_to_end(context, name).await?;
    if is_gone(context, name) {
        // It was being created, and that was given up for this command.
        return Ok(Stopped { name: name.to_string(), result: StopResult::Stopped });
    }
    let result = match stop_locked(context, name, &operation, timeout, Desired::Stopped).await? {
        StopResult::AlreadyStopped if was_starting => StopResult::Stopped,
        result => result,
    };
    Ok(Stopped { name: name.to_string(), result })
}

/// Stops it as part of a command; `desired` is that command's wish for the workload.
pub(crate) async fn stop_locked(
    context: &Context,
    name: &WorkloadName,
    operation: &OperationLock,
    timeout: Duration,
    desired: Desired,
) -> Result<StopResult> {
    stop_at_owner(context, name, operation, timeout, desired).await.map(|(result, _)| result)
}

/// The same for a command that goes on to use the owner, which is returned; none for a remote server.
pub(crate) async fn stop_at_owner(
    context: &Context,
    name: &WorkloadName,
    operation: &OperationLock,
    timeout: Duration,
    desired: Desired,
) -> Result<(StopResult, Option<AtOwner>)> {
    let run = read_run_config(context, name)?;
    if run.is_remote() {
        return Ok((stop_remote(context, &run, operation, timeout, desired).await?, None));
    }
    // If the owner has two resources of it, that is an error before anything is changed.
    let mut owner = ask_at_owner(context, &run).await?;
    let record = record_or_set_aside(context, operation)?.filter(|record| record.uid == run.uid);
    keep_edit(context, &run, record.as_ref());
    let supervised = LifeProbe::open(context.store().state())?.is_held(name, LockKind::Life)?;
    let runs = runs(&run, &owner, recorded_handle(&run, record.as_ref())?).await?;
    let is_stopped = record
        .as_ref()
        .is_some_and(|record| record.phase == Phase::Stopped && record.session_servers.is_empty());
    if !supervised && !runs && is_stopped {
        return Ok((StopResult::AlreadyStopped, Some(owner)));
    }
    let is_recorded = match begin_stop(context, &run, desired) {
        Ok(()) => true,
        // A full or failing disk must not keep a workload from being stopped (R11); the error at the end says what could
        // not be recorded.
        Err(Unwritten::Failed(error)) if error.is_unwritable() => false,
        Err(error) => return Err(error.into()),
    };
    reach(Point::StopRecorded);
    let told = if supervised { stop_supervised(context, name, operation, timeout).await? } else { None };
    let exit = match told {
        // The supervisor has proven the end at the owner, has deployed nothing since, and is gone.
        Some(exit) => Some(exit),
        // The supervisor may have died before it did what it was asked, or deployed anew meanwhile.
        None => end_at_owner(context, &run, &mut owner, supervised, timeout).await?,
    };
    remove_session_servers(context, &run, &owner.client).await?;
    end_stop(context, &run, exit, (!is_recorded).then_some(desired))
        .map_err(|unwritten| stopped_unrecorded(context, name, unwritten))?;
    reach(Point::EndRecorded);
    let did = if supervised || runs { StopResult::Stopped } else { StopResult::AlreadyStopped };
    Ok((did, Some(owner)))
}

/// Ends everything that the owner has of a workload without a supervisor; returns its exit. `changed`: the owner's
/// observation may be out of date.
async fn end_at_owner(
    context: &Context,
    run: &RunConfig,
    owner: &mut AtOwner,
    changed: bool,
    timeout: Duration,
) -> Result<Option<Exit>> {
    let host_id = context.host_id()?;
    if changed {
        owner.seen = look(&owner.client, &host_id, run).await?;
    }
    let recorded = recorded_handle(run, read_record(context, &run.name)?.as_ref())?;
    let shown = owner.shown_handle(run)?;
    let rests = owner.seen.as_ref().is_some_and(|seen| seen.state == WorkloadState::Stopped);
    // An interrupted start may have left another resource than the recorded one.
    let other = shown.clone().filter(|shown| recorded.as_ref() != Some(shown) && !rests);
    for handle in recorded.iter().filter(|_| !rests).chain(&other) {
        owner.client.stop(handle, timeout).await.map_err(|error| owner_error(run, error))?;
    }
    let Some(handle) = shown.or(recorded) else { return Ok(None) };
    // A listing may have only the exit code.
    let exit = owner.client.inspect(&handle).await.ok().and_then(|seen| seen.exit);
    if !rests {
        owner.seen = prove_ended(&owner.client, &host_id, run).await?;
    }
    Ok(exit.or_else(|| owner.seen.as_ref().and_then(|seen| seen.exit.clone())))
}

/// R03: a remote server has no owner; only its proxy runs.
async fn stop_remote(
    context: &Context,
    run: &RunConfig,
    operation: &OperationLock,
    timeout: Duration,
    desired: Desired,
) -> Result<StopResult> {
    let supervised = LifeProbe::open(context.store().state())?.is_held(&run.name, LockKind::Life)?;
    let record = record_or_set_aside(context, operation)?.filter(|record| record.uid == run.uid);
    if !supervised && record.is_none_or(|record| record.phase == Phase::Stopped) {
        return Ok(StopResult::AlreadyStopped);
    }
    let is_recorded = match begin_stop(context, run, desired) {
        Ok(()) => true,
        Err(Unwritten::Failed(error)) if error.is_unwritable() => false,
        Err(error) => return Err(error.into()),
    };
    if supervised {
        stop_supervised(context, &run.name, operation, timeout).await?;
    }
    end_stop(context, run, None, (!is_recorded).then_some(desired))
        .map_err(|unwritten| stopped_unrecorded(context, &run.name, unwritten))?;
    Ok(StopResult::Stopped)
}

fn begin_stop(context: &Context, run: &RunConfig, desired: Desired) -> std::result::Result<(), Unwritten> {
    let written = context.store().update_status::<Unwritten>(&run.name, &run.uid, |record| {
        let mut record = record.unwrap_or_else(|| StatusRecord::new(run.uid.clone()));
        begin(run, &mut record, desired)?;
        Ok(record)
    });
    written.map(drop)
}

/// Records the end, and also the beginning of the stop if that could not be recorded before.
fn end_stop(
    context: &Context,
    run: &RunConfig,
    exit: Option<Exit>,
    unbegun: Option<Desired>,
) -> std::result::Result<(), Unwritten> {
    context.store().update_status::<Unwritten>(&run.name, &run.uid, |record| {
        let mut record = record.unwrap_or_else(|| StatusRecord::new(run.uid.clone()));
        if let Some(desired) = unbegun {
            begin(run, &mut record, desired)?;
        }
        record.apply(Event::Stopped).map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))?;
        if let Some(exit) = exit {
            record.last_exit = Some(last_exit(&exit));
        }
        record.set_supervisor(None);
        // They are proven to be gone.
        record.session_servers.clear();
        Ok(record)
    })?;
    Ok(())
}

/// Removes what is left of the servers of its sessions: their supervisor has gone.
pub(crate) async fn remove_session_servers(
    context: &Context,
    run: &RunConfig,
    client: &RuntimeClient,
) -> Result<()> {
    // A record that was set aside may have named some, which their labels show.
    let recorded = read_record(context, &run.name)?.map(|record| record.session_servers).unwrap_or_default();
    if recorded.is_empty() && run.instances.is_shared() {
        return Ok(());
    }
    let uids = recorded.iter().map(|server| server.uid.to_string()).collect();
    remove_children(client, &context.host_id()?, run, &uids).await
}

fn stopped_unrecorded(context: &Context, name: &WorkloadName, unwritten: Unwritten) -> Error {
    let error =
        Error::from(unwritten).while_doing(format!("'{name}' was stopped, which could not be recorded"));
    let error = if error.advice.is_empty() {
        error.hint(format!("see that {} can be written", context.store().state().root().display()))
    } else {
        error
    };
    error.advise(Advice::Stop { name: name.to_string() })
}

/// Lets the supervisor stop its workload and end. The free life lock proves its end.
async fn stop_supervised(
    context: &Context,
    name: &WorkloadName,
    operation: &OperationLock,
    timeout: Duration,
) -> Result<Option<Exit>> {
    let limit = timeout.saturating_add(SUPERVISOR_MARGIN);
    reach(Point::ControlStopBefore);
    let answer = control::stop(context.store().state(), name, timeout, limit).await;
    reach(Point::ControlStopAfter);
    let exit = match answer {
        Ok(exit) => exit,
        Err(ControlError::Refused { kind: ErrorKind::Deadline, message, .. }) => {
            let message = format!("whether '{name}' was stopped is not known: {message}");
            return Err(
                Error::new(ErrorKind::Deadline, message).advise(Advice::Stop { name: name.to_string() })
            );
        }
        Err(ControlError::Refused { kind, message, advice }) => {
            return Err(Error { kind, message, advice }.while_doing(format!("'{name}' could not be stopped")));
        }
        Err(error @ ControlError::Silent { .. }) => {
            // The supervisor may just have ended by itself: then nobody holds the life lock any more.
            tracing::debug!(%name, %error, "the supervisor gave no answer");
            None
        }
    };
    operation.supervisor_gone(limit).await.map_err(|_| {
        let message =
            format!("the supervisor of '{name}' does not end; whether the workload was stopped is not known");
        Error::new(ErrorKind::Deadline, message).advise(Advice::ReadSupervisorLog { name: name.to_string() })
    })?;
    reach(Point::SupervisorGone);
    Ok(exit)
}

/// The reason why a transition was not recorded.
enum Unwritten {
    /// It is not legal in the present phase.
    Refused(Error),
    /// The store failed.
    Failed(StoreError),
}

impl From<StoreError> for Unwritten {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<Error> for Unwritten {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Unwritten> for Error {
    fn from(unwritten: Unwritten) -> Self {
        match unwritten {
            Unwritten::Refused(error) => error,
            Unwritten::Failed(error) => error.into(),
        }
    }
}

fn begin(run: &RunConfig, record: &mut StatusRecord, desired: Desired) -> Result<()> {
    record.apply(Event::StopBegun).map_err(|error| {
        Error::new(ErrorKind::Conflict, format!("'{}' cannot be stopped: {error}", run.name))
            .advise(Advice::FinishRemoval { name: run.name.to_string() })
    })?;
    record.desired = desired;
    Ok(())
}

/// True if the workload runs, or may run. If no resource with its labels is found, its recorded handle may still find it:
/// somebody may have removed the file that carries the labels.
async fn runs(run: &RunConfig, owner: &AtOwner, recorded: Option<Handle>) -> Result<bool> {
    let state = match (&owner.seen, recorded) {
        (Some(seen), _) => seen.state,
        (None, None) => return Ok(false),
        (None, Some(handle)) => match owner.client.inspect(&handle).await {
            Ok(seen) => seen.state,
            Err(error) if error.code() == Some(ErrorCode::NotFound) => return Ok(false),
            Err(error) => return Err(owner_error(run, error)),
        },
    };
    Ok(matches!(state, WorkloadState::Running | WorkloadState::Created | WorkloadState::Unknown))
}

fn owner_error(run: &RunConfig, error: CallError) -> Error {
    Error::from(error).while_doing(format!("'{}' (runtime '{}')", run.name, run.runtime_name))
}
