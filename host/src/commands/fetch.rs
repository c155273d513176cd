//! Fetches the image of an edited workload while the one from before still runs, so that an image that cannot be had stops
//! nothing.
//!
//! A runtime fetches an image when it deploys. So the edited workload is deployed beside the one that runs, as the server of
//! one of its sessions would be: with a uid of its own, which is on record before anything is made and until it is proven
//! to be gone. It is never started.
use crate::commands::context::Context;
use crate::commands::edit_request::Changed;
use crate::commands::ends::Ends;
use wharf_failpoint::{Point, reach};
use wharf_model::{Error, ErrorKind, Result, RunConfig, SessionServer, StatusRecord, Uid};
use wharf_runtimes::{CallError, look, prove_gone};
use wharf_sdk::{Capability, ErrorCode, PullPolicy, WorkloadSpec};

/// Fetches the image of what `old` is changed to, where that can be done before a start.
///
/// # Errors
/// It cannot be fetched, or `ends` asked for an end. Nothing is left of the attempt, or it is on record.
pub(crate) async fn fetch(
    context: &Context,
    old: &RunConfig,
    changed: &Changed,
    ends: &mut Ends,
) -> Result<()> {
    let Some(spec) = &changed.spec else { return Ok(()) };
    let (run, stamp) = (&changed.run, changed.client.stamp());
    let may_be_missing = !run.image.is_empty()
        && (run.image != old.image || run.pull != old.pull || run.pull == Some(PullPolicy::Always));
    let is_beside = stamp.has(&Capability::PARENT) && !stamp.has(&Capability::FETCHES_AT_START);
    if !may_be_missing || !is_beside {
        return Ok(());
    }
    let uid = Uid::random()
        .map_err(|error| Error::caused(ErrorKind::Failed, "no random uid can be made", &error))?;
    let beside = run.with_uid(uid.clone());
    let spec = WorkloadSpec { uid: uid.to_string(), parent: Some(run.uid.to_string()), ..spec.clone() };
    let server = SessionServer { uid: uid.clone(), handle: None };
    change(context, run, |record| record.session_servers.push(server))?;
    reach(Point::FetchRecorded);
    let deployed = tokio::select! {
        deployed = changed.client.deploy(&spec) => deployed.map(drop),
        () = ends.next() => {
            clear(context, changed, &beside).await?;
            return Err(ends.interrupted(&format!("the edit of '{}'", run.name)));
        }
    };
    // A deployment that may still come stays on record, for the command that stops the workload next.
    if !deployed.as_ref().is_err_and(may_still_come) {
        clear(context, changed, &beside).await?;
    }
    deployed.map_err(|error| Error::from(error).while_doing(format!("'{}' runs on as it was", run.name)))
}

fn may_still_come(error: &CallError) -> bool {
    match error {
        CallError::Answered(error) => matches!(
            error.code,
            ErrorCode::Timeout | ErrorCode::Cancelled | ErrorCode::Unavailable | ErrorCode::Internal
        ),
        CallError::Deadline { .. } | CallError::Malformed { .. } | CallError::Died { .. } => true,
    }
}

/// Removes what was made, and takes it off the record once a listing shows that it is gone.
async fn clear(context: &Context, changed: &Changed, beside: &RunConfig) -> Result<()> {
    let (client, host_id) = (&changed.client, context.host_id()?);
    if let Some(handle) = look(client, &host_id, beside).await?.and_then(|seen| seen.handle) {
        client.remove(&handle).await?;
    }
    prove_gone(client, &host_id, beside).await?;
    change(context, &changed.run, |record| record.session_servers.retain(|server| server.uid != beside.uid))?;
    reach(Point::FetchCleared);
    Ok(())
}

fn change(context: &Context, run: &RunConfig, change: impl FnOnce(&mut StatusRecord)) -> Result<()> {
    context.store().update_status::<Error>(&run.name, &run.uid, |record| {
        let gone = || Error::new(ErrorKind::Conflict, format!("'{}' has no status record", run.name));
        let mut record = record.ok_or_else(gone)?;
        change(&mut record);
        Ok(record)
    })?;
    Ok(())
}
