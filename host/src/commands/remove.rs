//! `rm`: removes a workload.
use crate::commands::context::Context;
use crate::commands::locking::lock_to_end;
use crate::commands::lookup::{
    AtOwner, ask_at_owner, is_gone, read_run_config, record_or_set_aside, recorded_handle,
};
use crate::commands::stop::{remove_session_servers, stop_at_owner};
use std::time::Duration;
use wharf_failpoint::{Point, reach};
use wharf_model::{Desired, Event, RunConfig, StatusRecord, WorkloadName};
use wharf_model::{Error, ErrorKind, Result};
use wharf_records::OperationLock;
use wharf_runtimes::{CallError, look, prove_gone};
use wharf_sdk::ErrorCode;
use wharf_supervisor::client::control;

/// Removes a workload, stopping it if it runs: its resources first, then its status, the RunConfig last. Its logs stay.
///
/// # Errors
/// Of kind [`ErrorKind::Owner`], with nothing changed, if the owner is absent or another one (R08).
pub async fn remove(context: &Context, name: &WorkloadName, timeout: Duration) -> Result<()> {
    read_run_config(context, name)?;
    let operation = lock_to_end(context, name).await?;
    if is_gone(context, name) {
        // It was being created, and that was given up for this command.
        return Ok(());
    }
    let run = read_run_config(context, name)?;
    let record = record_or_set_aside(context, &operation)?;
    let removing = record.is_some_and(|record| record.phase == wharf_model::Phase::Removing);
    let owner = match removing {
        true => owner_of(context, &run).await?,
        false => stop_at_owner(context, name, &operation, timeout, Desired::Stopped).await?.1,
    };
    remove_at_owner(context, &run, &operation, owner).await
}

/// The owner with its observation. None for a remote server, of which no runtime has anything (R03).
async fn owner_of(context: &Context, run: &RunConfig) -> Result<Option<AtOwner>> {
    if run.is_remote() { Ok(None) } else { ask_at_owner(context, run).await.map(Some) }
}

/// Removes all resources of the workload, and proves that the owner has none any more.
async fn remove_resources(
    context: &Context,
    run: &RunConfig,
    record: &StatusRecord,
    owner: &AtOwner,
) -> Result<()> {
    let client = &owner.client;
    let missing_is_fine = |removed: std::result::Result<(), CallError>| match removed {
        Err(error) if error.code() != Some(ErrorCode::NotFound) => Err(Error::from(error)),
        _ => Ok(()),
    };
    if let Some(handle) = recorded_handle(run, Some(record))?.or(owner.shown_handle(run)?) {
        missing_is_fine(client.remove(&handle).await)?;
    }
    remove_session_servers(context, run, client).await?;
    let host_id = context.host_id()?;
    // An interrupted restart may have left a second resource, which the record does not name.
    let Some(left) = look(client, &host_id, run).await? else { return Ok(()) };
    if let Some(handle) = &left.handle {
        missing_is_fine(client.remove(handle).await)?;
    }
    prove_gone(client, &host_id, run).await
}

pub(crate) async fn remove_locked(
    context: &Context,
    run: &RunConfig,
    operation: &OperationLock,
) -> Result<()> {
    let owner = owner_of(context, run).await?;
    remove_at_owner(context, run, operation, owner).await
}

async fn remove_at_owner(
    context: &Context,
    run: &RunConfig,
    operation: &OperationLock,
    owner: Option<AtOwner>,
) -> Result<()> {
    let record = context.store().update_status::<Error>(&run.name, &run.uid, |record| {
        let mut record = record.unwrap_or_else(|| StatusRecord::new(run.uid.clone()));
        record.apply(Event::RemoveBegun).map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))?;
        Ok(record)
    })?;
    reach(Point::RemovalRecorded);
    // An interrupted removal may have left a supervisor at work.
    operation.supervisor_gone(Duration::from_secs(30)).await.map_err(|_| {
        Error::new(ErrorKind::Deadline, format!("the supervisor of '{}' does not end", run.name))
    })?;
    if let Some(owner) = owner {
        remove_resources(context, run, &record, &owner).await?;
    }
    if let Err(error) = control::clear(context.store().state(), &run.name) {
        tracing::warn!(name = %run.name, %error, "a socket of a dead supervisor stays");
    }
    let points = [Point::StatusRemoved, Point::RunConfigRemoved];
    let removed = context.store().remove_records(&run.name, &run.uid, points);
    removed.map_err(|error| {
        if !is_gone(context, &run.name) {
            return error.into();
        }
        let done = format!("'{}' was removed, and may be back after a crash of this machine", run.name);
        Error::from(error).while_doing(done)
    })
}
