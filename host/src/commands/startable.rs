//! Whether the program of a workload can be found, asked before anything is ended or recorded for its start.
//!
//! `restart` and `reconcile` call it. Situation: a timer starts wharf with another environment than the terminal in which the
//! workload was created, or the folder of its program is not mounted yet. Conclusion: what runs is not stopped for a start
//! that cannot succeed, and the records stay as they are, so that the next reconciliation tries again.
use crate::commands::context::Context;
use crate::commands::lookup::connect_to_owner;
use wharf_model::{Error, Result, RunConfig};
use wharf_sdk::{Capability, ErrorCode};
use wharf_supervisor::specification;

/// Fails if the workload's runtime finds its program on this machine, and does not find it now. Anything else that keeps the
/// workload from starting is for the start to tell.
pub(crate) async fn refuse_missing_program(context: &Context, run: &RunConfig) -> Result<()> {
    // What an interrupted edit recorded may be taken back before the start.
    if run.previous.is_some() || run.is_remote() {
        return Ok(());
    }
    let Ok(client) = connect_to_owner(context, run).await else { return Ok(()) };
    if !client.stamp().has(&Capability::PIN) {
        return Ok(());
    }
    let host_id = context.known_host_id()?;
    let spec = specification(context.config(), run, client.stamp(), &host_id, run.target_port.max(1));
    let Ok(spec) = spec else { return Ok(()) };
    match client.validate(&spec).await {
        Err(error) if error.code() == Some(ErrorCode::NotFound) => {
            Err(Error::from(error).while_doing(format!("'{}' cannot be started", run.name)))
        }
        _ => Ok(()),
    }
}
