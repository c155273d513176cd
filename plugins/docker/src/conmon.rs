//! [`Monitor`]: Podman's helper of a container, which outlives the container's end for a moment. Called by the stop.
//!
//! Situation: conmon(8) is the parent of a container's first process. Once that has ended, it runs `podman container cleanup`,
//! which may come late on a busy machine, after the stop was answered. A client that attaches in between has Podman prepare
//! the next start, and the cleanup takes just that away: the new server is started all the same, and its first stream ends.
//! Conclusion: a stop is over when conmon is, which waits for the cleanup.
use crate::wait_for_end::process;
use std::{fs, time::Duration};
use wharf_sdk::{pidfd::Process, process_identity::ProcessStat};

/// How long a cleanup is waited for. One that takes longer is no reason to fail a stop.
const CLEANUP_WAIT: Duration = Duration::from_secs(10);

/// The conmon of a container that runs on this machine.
pub(crate) struct Monitor(Process);

impl Monitor {
    /// That of the container whose first process is this one, by its number on this machine. None if that is not proven: the
    /// engine may be on another machine, or the container's supervisor is another program.
    pub(crate) fn of(container: &str, pid: i32) -> Option<Self> {
        // Held while its parent is looked up, so that nobody else has its number.
        let (_first, _) = process(container, pid)?;
        let parent = ProcessStat::of(pid).ok()?.parent;
        let monitor = Process::open(parent).ok()??;
        // Read after the descriptor was opened: if it is another process by now, so is its name.
        let name = fs::read_to_string(format!("/proc/{parent}/comm")).ok()?;
        (name.trim_end() == "conmon").then_some(Self(monitor))
    }

    /// Resolves when nothing of the last run is cleaned up any more.
    pub(crate) async fn ended(self) {
        if tokio::time::timeout(CLEANUP_WAIT, self.0.ended()).await.is_err() {
            tracing::info!("the cleanup of a container takes long, and is not waited for");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_in_no_container_has_no_monitor() {
        let own = std::process::id().cast_signed();
        assert!(Monitor::of(&"0".repeat(64), own).is_none());
        assert!(Monitor::of("", own).is_none());
    }
}
