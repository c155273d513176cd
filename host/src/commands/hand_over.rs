//! The operation is handed to a supervisor that is started for it, and is taken back if that one dies, with all that is left of
//! it cleared up.
//!
//! Called by `start`, `run` and `run --foreground`. It must not know how the outcome is waited for.
//!
//! Invariant: this process keeps its own descriptor of the operation lock, so nobody comes in between.
use crate::commands::context::Context;
use crate::commands::ends::Ends;
use crate::commands::lookup::{connect_to_owner, find_handle, is_gone, read_record};
use crate::commands::remove::remove_locked;
use std::{os::fd::OwnedFd, time::Duration};
use wharf_failpoint::{Point, reach};
use wharf_model::{Advice, Error, ErrorKind, Result, RunConfig, StatusRecord};
use wharf_records::OperationLock;
use wharf_runtimes::{prove_ended, prove_gone};
use wharf_sdk::Capability;
use wharf_supervisor::{StartMode, StartOutcome, Supervisor, SupervisorRequest, spawn};

/// How long a command waits for its supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all.
    No,
    /// Until its workload is ready.
    Ready,
    /// The same, and if this process dies meanwhile, the start goes on.
    ReadyOrAlone,
    /// Until its workload has ended.
    Stay,
}

impl Wait {
    /// For a command that waits or does not, and is asked to end by this.
    pub(crate) fn of(waits: bool, ends: Option<&Ends>) -> Self {
        match (waits, ends) {
            (false, _) => Self::No,
            (true, Some(ends)) if ends.outlives_command() => Self::ReadyOrAlone,
            (true, _) => Self::Ready,
        }
    }
}

/// Starts the supervisor, which takes the operation over. Also returns this process's own descriptor of the lock.
/// `chosen_port` says that nobody but this process knows the proxy's port yet.
pub(crate) async fn spawn_supervisor(
    context: &Context,
    run: &RunConfig,
    operation: OperationLock,
    mode: StartMode,
    until: Wait,
    chosen_port: bool,
) -> Result<(Supervisor, OwnedFd)> {
    let task = SupervisorRequest {
        config: context.config().clone(),
        name: run.name.clone(),
        uid: run.uid.clone(),
        mode,
        attended: until != Wait::No,
        foreground: until == Wait::Stay,
        chosen_port,
        outlives_command: until == Wait::ReadyOrAlone,
    };
    let inherited = operation.into_fd()?;
    reach(Point::OperationHandedOver);
    let spawned = match inherited.try_clone() {
        Ok(descriptor) => spawn(&task, descriptor).await,
        Err(error) => Err(error),
    };
    match spawned {
        Ok(supervisor) => Ok((supervisor, inherited)),
        Err(error) => {
            let error = Error::caused(ErrorKind::Failed, "the supervisor cannot be started", &error);
            Err(take_back(context, run, inherited, mode, error).await)
        }
    }
}

/// The error for a workload that is not ready, after everything was cleared up.
pub(crate) async fn not_started(
    context: &Context,
    run: &RunConfig,
    inherited: OwnedFd,
    mode: StartMode,
    outcome: StartOutcome,
) -> Error {
    let how = match outcome {
        StartOutcome::Failed(error) => return error,
        StartOutcome::Ready(_) => "ended".to_owned(),
        StartOutcome::Died { how } => how,
    };
    let message = format!("the supervisor of '{}' {how} before the workload was ready", run.name);
    let error = Error::new(ErrorKind::Failed, message)
        .advise(Advice::ReadSupervisorLog { name: run.name.to_string() });
    take_back(context, run, inherited, mode, error).await
}

/// Takes the operation back from a supervisor that died, or could not be started, and clears up after it. The lock is still
/// held through this process's own descriptor.
async fn take_back(
    context: &Context,
    run: &RunConfig,
    inherited: OwnedFd,
    mode: StartMode,
    cause: Error,
) -> Error {
    let cleared = async {
        let operation = OperationLock::from_fd(context.store().state(), &run.name, inherited)?;
        if is_gone(context, &run.name) {
            // The supervisor had cleared up before it died.
            return Ok(());
        }
        match mode {
            StartMode::Create => remove_locked(context, run, &operation).await,
            StartMode::Start => record_failed_start(context, run, &cause).await,
        }
    };
    match cleared.await {
        Ok(()) => cause,
        Err(error) => cause.hint(format!("left-over resources could not be removed: {error}")),
    }
}

async fn record_failed_start(context: &Context, run: &RunConfig, cause: &Error) -> Result<()> {
    let client = connect_to_owner(context, run).await?;
    let record = read_record(context, &run.name)?;
    if let Some(handle) = find_handle(context, run, record.as_ref(), &client).await? {
        if client.stamp().has(&Capability::RESTART_IN_PLACE) {
            client.stop(&handle, Duration::ZERO).await?;
            prove_ended(&client, &context.host_id()?, run).await?;
        } else {
            client.remove(&handle).await?;
            prove_gone(&client, &context.host_id()?, run).await?;
        }
    }
    context.store().update_status::<Error>(&run.name, &run.uid, |record| {
        let mut record = record.unwrap_or_else(|| StatusRecord::new(run.uid.clone()));
        let failed = record.fail_start(&cause.message);
        failed.map(|()| record).map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))
    })?;
    Ok(())
}
