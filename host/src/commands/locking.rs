//! Takes the operation lock of a workload for a command.
//!
//! Called by every command that changes a workload. It must not know what is done under the lock.
use crate::commands::context::Context;
use std::{convert::Infallible, time::Duration};
use wharf_model::{Result, WorkloadName};
use wharf_records::{OperationLock, Watch};
use wharf_supervisor::ControlError;
use wharf_supervisor::client::control;

/// How long a command waits for another one on the same workload.
const OPERATION_WAIT: Duration = Duration::from_secs(60);

/// The lock, once no other command works on the workload.
pub(crate) async fn lock_operation(context: &Context, name: &WorkloadName) -> Result<OperationLock> {
    Ok(OperationLock::acquire(context.store().state(), name, OPERATION_WAIT).await?)
}

/// The lock for a command that ends a workload: a start under way is given up for it.
pub(crate) async fn lock_to_end(context: &Context, name: &WorkloadName) -> Result<OperationLock> {
    match OperationLock::try_acquire(context.store().state(), name) {
        // Another command holds it; wait for that one.
        Err(error) if error.is_busy() => tokio::select! {
            lock = lock_operation(context, name) => lock,
            never = cancel_start(context, name) => match never {},
        },
        other => Ok(other?),
    }
}

/// Asks the supervisor to give up its start, as soon as it can be reached: there is some time between the moment at which a
/// start takes the lock and the one at which its supervisor opens its socket. Only one start is cancelled: those that come
/// later have a right to their turn.
async fn cancel_start(context: &Context, name: &WorkloadName) -> Infallible {
    let sockets = context.store().state().control();
    let mut watch = Watch::new().ok();
    loop {
        // The watch begins first. If the socket appears between the watch and the request, the next round finds it.
        watch = watch.filter(|watch| watch.folder(&sockets).is_ok());
        let asked = control::cancel(context.store().state(), name, OPERATION_WAIT).await;
        let may_come = match (&asked, &mut watch) {
            (Err(ControlError::Silent { .. }), Some(watch)) => watch.changed().await.is_ok(),
            _ => false,
        };
        if !may_come {
            std::future::pending::<()>().await;
        }
    }
}
