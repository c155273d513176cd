//! Ends a workload's supervisor and leaves the workload as it is.
//!
//! Called under the operation lock, by `rm --forget` and by `adopt --rebind`. It must not know what the command does then.
use crate::commands::context::Context;
use std::time::Duration;
use wharf_failpoint::{Point, reach};
use wharf_model::{Advice, Error, ErrorKind, Result};
use wharf_model::{LockKind, ProcessIdentity, StatusRecord};
use wharf_records::{LifeProbe, OperationLock};
use wharf_sdk::pidfd::{Process, Signal};
use wharf_supervisor::client::control;

/// How long a supervisor may take to answer that it leaves: it may be in the middle of a call.
const LEAVE_WAIT: Duration = Duration::from_secs(10);
/// How long a supervisor may take to end after its answer, or after it was killed: longer than it waits for the servers of its
/// sessions (`CLOSE_WAIT` of the supervisor's `session_servers.rs`) and for its clients.
const END_WAIT: Duration = Duration::from_secs(20);

/// Asks the supervisor to end and leave the workload as it is. One that gives no answer is killed, if the record proves
/// which process it is (R12). Its life lock tells when it is gone.
///
/// # Errors
/// It does not end.
pub(crate) async fn end_supervisor(
    context: &Context,
    operation: &OperationLock,
    record: Option<&StatusRecord>,
) -> Result<()> {
    let (state, name) = (context.store().state(), operation.name());
    if !LifeProbe::open(state)?.is_held(name, LockKind::Life)? {
        return Ok(());
    }
    reach(Point::LeaveBefore);
    let left = control::leave(state, name, LEAVE_WAIT).await;
    reach(Point::LeaveAfter);
    if let Err(error) = left {
        tracing::debug!(%name, %error, "the supervisor does not say that it leaves");
        if let Some(identity) = record.and_then(|record| record.supervisor.as_ref()) {
            kill(identity).map_err(|error| {
                Error::caused(ErrorKind::Failed, format!("the supervisor of '{name}' stays"), &error)
            })?;
        }
    }
    operation.supervisor_gone(END_WAIT).await.map_err(|_| {
        let message = format!("the supervisor of '{name}' does not end");
        Error::new(ErrorKind::Deadline, message).advise(Advice::ReadSupervisorLog { name: name.to_string() })
    })
}

/// Kills a process if it is the recorded one.
fn kill(identity: &ProcessIdentity) -> std::io::Result<()> {
    let Some(process) = Process::recorded(identity)? else { return Ok(()) };
    reach(Point::SupervisorKillBefore);
    let killed = process.signal(Signal::KILL);
    reach(Point::SupervisorKillAfter);
    killed
}
