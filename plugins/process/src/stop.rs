//! Ends a workload whole, by its launcher.
use crate::{handle::Data, identity, readable::readable, stragglers};
use rustix::fd::OwnedFd;
use rustix::process::{Signal, pidfd_send_signal};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use wharf_sdk::{Error, ErrorCode, Result};

/// How long the launcher may take to kill and reap before it is killed itself.
const KILL_GRACE: Duration = Duration::from_secs(3);

/// Asks the workload to end, kills it after the timeout, and sees to it that nothing of it is left.
pub(crate) async fn stop(uid: &str, data: &Data, timeout: Duration) -> Result<()> {
    if let Some(launcher) = identity::open(&data.launcher)? {
        end_launcher(launcher, timeout).await?;
    }
    stragglers::kill(uid, &data.workload)
}

async fn end_launcher(launcher: OwnedFd, timeout: Duration) -> Result<()> {
    let launcher = watched(launcher)?;
    // SIGTERM asks the workload, SIGINT has the launcher kill all of it; see `wharf_sdk::launch`.
    for (signal, wait) in [(Signal::TERM, timeout), (Signal::INT, KILL_GRACE), (Signal::KILL, KILL_GRACE)] {
        if wait.is_zero() {
            continue;
        }
        match pidfd_send_signal(launcher.get_ref(), signal) {
            Ok(()) => {}
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            Err(error) => return Err(Error::io("signalling the launcher", &error.into())),
        }
        if tokio::time::timeout(wait, ended(&launcher)).await.is_ok() {
            return Ok(());
        }
    }
    Err(Error::new(ErrorCode::Timeout, "the launcher does not end, not even when it is killed"))
}

/// Resolves when a process has ended; at once if there is none.
pub(crate) async fn wait_for_end(process: Option<OwnedFd>) -> Result<()> {
    if let Some(process) = process {
        ended(&watched(process)?).await;
    }
    Ok(())
}

fn watched(process: OwnedFd) -> Result<AsyncFd<OwnedFd>> {
    readable(process).map_err(|error| Error::io("watching a process", &error))
}

/// A pidfd is readable once its process has ended, pidfd_open(2).
async fn ended(process: &AsyncFd<OwnedFd>) {
    // An error means that the reactor is going away, and this future with it.
    let _ = process.readable().await;
}
