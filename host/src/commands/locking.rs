//! Takes the operation lock of a workload for a command.
//!
//! Called by every command that changes a workload. It must not know what is done under the lock.
use crate::commands::context::Context;
use std::{
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::time::timeout;
use wharf_model::{Error, ErrorKind, Result, WorkloadName};
use wharf_records::{OperationLock, Watch};
use wharf_supervisor::ControlError;
use wharf_supervisor::client::control;

/// How long a command waits for another one on the same workload.
const OPERATION_WAIT: Duration = Duration::from_secs(60);
/// How long the answer of a supervisor that has ended may take to be read.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// A wait for another command that lasts so long is told.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// The lock, once no other command works on the workload.
pub(crate) async fn lock_operation(context: &Context, name: &WorkloadName) -> Result<OperationLock> {
    let mut lock = pin!(OperationLock::acquire(context.store().state(), name, OPERATION_WAIT));
    if let Ok(outcome) = timeout(TOLD_AFTER, &mut lock).await {
        return Ok(outcome?);
    }
    context.host().tell_wait(name, OPERATION_WAIT);
    Ok(lock.await?)
}

/// The lock for a command that ends a workload: a start under way is given up for it.
///
/// # Errors
/// A deadline, too, if the supervisor could not prove in time that nothing comes of its start any more: if the owner has
/// nothing then, that is no evidence that it will have nothing.
pub(crate) async fn lock_to_end(context: &Context, name: &WorkloadName) -> Result<OperationLock> {
    let (lock, given_up) = lock_and_give_up(context, name).await?;
    given_up.map(|()| lock)
}

/// The same for a command that leaves resources behind: it is told why something may still come, and goes on.
pub(crate) async fn lock_and_give_up(
    context: &Context,
    name: &WorkloadName,
) -> Result<(OperationLock, Result<()>)> {
    match OperationLock::try_acquire(context.store().state(), name) {
        // Another command holds it; wait for that one.
        Err(error) if error.is_busy() => {}
        other => return Ok((other?, Ok(()))),
    }
    let asks = AtomicBool::new(false);
    let mut lock = pin!(lock_operation(context, name));
    let mut given_up = pin!(cancel_start(context, name, &asks));
    tokio::select! {
        biased;
        given_up = &mut given_up => Ok((lock.await?, given_up)),
        lock = &mut lock => {
            // The supervisor answers before its lock is free, but the answer may not have been read yet.
            let given_up = match asks.load(Ordering::Relaxed) {
                true => timeout(ANSWER_WAIT, given_up).await.unwrap_or(Ok(())),
                false => Ok(()),
            };
            Ok((lock?, given_up))
        }
    }
}

/// Asks the supervisor to give up its start, as soon as it can be reached: there is some time between the moment at which a
/// start takes the lock and the one at which its supervisor opens its socket. Only one start is cancelled: those that come
/// later have a right to their turn. Returns once the supervisor has answered; `asks` is true while it has not.
async fn cancel_start(context: &Context, name: &WorkloadName, asks: &AtomicBool) -> Result<()> {
    let sockets = context.store().state().control();
    let mut watch = Watch::new().ok();
    loop {
        // The watch begins first. If the socket appears between the watch and the request, the next round finds it.
        watch = watch.filter(|watch| watch.folder(&sockets).is_ok());
        asks.store(true, Ordering::Relaxed);
        let asked = control::cancel(context.store().state(), name, OPERATION_WAIT).await;
        asks.store(false, Ordering::Relaxed);
        match asked {
            Err(ControlError::Refused { kind: ErrorKind::Deadline, message, .. }) => {
                let message =
                    format!("the start of '{name}' was given up, and may still bring something: {message}");
                return Err(Error::new(ErrorKind::Deadline, message)
                    .hint("it stays on record; try again when its runtime has done what it was asked for"));
            }
            Err(ControlError::Silent { .. }) => {}
            _ => return Ok(()),
        }
        let may_come = match &mut watch {
            Some(watch) => watch.changed().await.is_ok(),
            None => false,
        };
        if !may_come {
            return std::future::pending().await;
        }
    }
}
