//! Settles an edit that was interrupted (R11): a workload that was ready stays as it was changed, any other one becomes what
//! it was before.
//!
//! Called under the operation lock, before a workload is started or edited; a stop calls `keep_edit.rs`. It must not know what an edit changes.
use crate::commands::context::Context;
use crate::commands::lookup::{read_run_config, record_or_set_aside};
use crate::commands::stop::stop_locked;
use std::time::Duration;
use wharf_failpoint::{Point, reach};
use wharf_model::{Desired, EditEnd, Result, WorkloadName};
use wharf_records::OperationLock;

/// How long a server of an edit that is undone may take to end by itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Settles the edit of a workload that is about to be started, or edited again.
pub(crate) async fn settle_edit(
    context: &Context,
    name: &WorkloadName,
    operation: &OperationLock,
) -> Result<()> {
    let run = read_run_config(context, name)?;
    if run.previous.is_none() {
        return Ok(());
    }
    let record = record_or_set_aside(context, operation)?.filter(|record| record.uid == run.uid);
    let Some(end) = run.edit_end(record.as_ref().map(|record| record.phase)) else { return Ok(()) };
    if end == EditEnd::Undone {
        // A server with a port that the edited workload left would be taken for the one from before.
        let desired = record.as_ref().map_or(Desired::Running, |record| record.desired);
        stop_locked(context, name, operation, STOP_TIMEOUT, desired).await?;
    }
    context.store().update_run_config(name, &run.uid, |run| *run = run.settled(end))?;
    reach(if end == EditEnd::Kept { Point::EditSettled } else { Point::EditUndone });
    tracing::info!(%name, ?end, "an edit that was interrupted is settled");
    Ok(())
}
