//! Settles the edit of a workload that was ready and is about to be stopped: afterwards nothing would tell that it was.
use crate::commands::context::Context;
use wharf_failpoint::{Point, reach};
use wharf_model::{EditEnd, RunConfig, StatusRecord};

/// Lets the workload stay as it was edited, if it was ready. A disk that takes nothing must not keep it from being stopped
/// (R11), so a failure is told in the log alone.
pub(crate) fn keep_edit(context: &Context, run: &RunConfig, record: Option<&StatusRecord>) {
    if run.edit_end(record.map(|record| record.phase)) != Some(EditEnd::Kept) {
        return;
    }
    match context.store().update_run_config(&run.name, &run.uid, |run| *run = run.settled(EditEnd::Kept)) {
        Ok(_) => reach(Point::EditSettled),
        Err(error) => tracing::warn!(name = %run.name, %error, "that its edit is done is not recorded"),
    }
}
