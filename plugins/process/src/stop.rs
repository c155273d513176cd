//! Ending a workload: the right processes, and all of them.
use crate::{handle::HandleData, runtime::ProcessRuntime, stragglers};
use std::{io, time::Duration};
use wharf_sdk::{
    Error, Handle, Result,
    pidfd::{Process, Signal},
    process_identity::ProcessIdentity,
};

/// How long the launcher may take to kill everything after it was told to.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

impl ProcessRuntime {
    /// Ends whatever of the workload lives: asks, and kills after the timeout.
    pub(crate) async fn end(&self, handle: &Handle, timeout: Duration) -> Result<()> {
        let data = HandleData::read(handle)?;
        let mut deployments = vec![(data.launcher, data.workload)];
        // A deployment that the host did not come to record is the workload's all the same. A file that cannot be
        // read must not keep the recorded one alive.
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
        // A launcher that was given up clears up by itself; one that does not is found by its marks.
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
            // Its own word for "kill everything now".
            (Signal::INT, KILL_TIMEOUT),
            (Signal::KILL, KILL_TIMEOUT),
        ];
        for (signal, timeout) in steps {
            // With no time to end by itself, the workload is not asked.
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
    // It died with its launcher, or lost it earlier; a launcher that kept order leaves none.
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
