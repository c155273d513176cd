//! Ends a workload: signals only processes that are proven to be its own, and ends all of them.
use crate::{handle::HandleData, runtime::ProcessRuntime, stragglers};
use std::{io, time::Duration};
use wharf_sdk::{
    Error, Handle, Result,
    pidfd::{Process, Signal},
    process_identity::ProcessIdentity,
};

/// How long the launcher may take to end after it was told to kill everything.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

impl ProcessRuntime {
    /// Ends everything of the workload that lives: asks it to end, and kills it after the timeout.
    pub(crate) async fn end(&self, handle: &Handle, timeout: Duration) -> Result<()> {
        let data = HandleData::read(handle)?;
        let mut deployments = vec![(data.launcher, data.workload)];
        // The state file may name a deployment that the host has not recorded; it is the workload's, too. If the file
        // cannot be read, the recorded deployment is ended all the same.
        if let Ok(Some(state)) = self.states.read(&handle.uid) {
            let found = (state.launcher, state.workload);
            if !deployments.contains(&found) {
                deployments.push(found);
            }
        }
        for (launcher, workload) in deployments {
            end_deployment(&launcher, &workload, timeout)
                .await
                .map_err(|error| Error::io("the workload's processes cannot be ended", &error))?;
        }
        // A launcher that was given up ends by itself. If it does not, it is found by its marks and killed.
        if let Err(error) = self.turn(&handle.uid).await {
            tracing::warn!(%error, "killing a launcher that was given up");
        }
        stragglers::kill(&handle.uid, &self.host_id).await
    }
}

async fn end_deployment(
    launcher: &ProcessIdentity,
    workload: &ProcessIdentity,
    timeout: Duration,
) -> io::Result<()> {
    if let Some(launcher) = Process::recorded(launcher)? {
        let steps = [
            (Signal::TERM, timeout),
            // The launcher takes SIGINT as "kill everything now".
            (Signal::INT, KILL_TIMEOUT),
            (Signal::KILL, KILL_TIMEOUT),
        ];
        for (signal, timeout) in steps {
            // Without time to end by itself, the workload gets no SIGTERM.
            if timeout.is_zero() {
                continue;
            }
            launcher.signal(signal)?;
            if let Ok(ended) = tokio::time::timeout(timeout, launcher.has_ended()).await {
                ended?;
                break;
            }
        }
    }
    // Usually the workload died together with its launcher, and a launcher that ends by itself leaves no process. A process
    // that is still there has outlived its launcher.
    if let Some(workload) = Process::recorded(workload)? {
        workload.signal(Signal::KILL)?;
        if tokio::time::timeout(KILL_TIMEOUT, workload.has_ended()).await.is_err() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("process {} was killed and does not die", workload.pid()),
            ));
        }
    }
    Ok(())
}
