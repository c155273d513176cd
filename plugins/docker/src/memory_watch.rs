//! [`MemoryWatches`]: watches the first processes of Podman's containers from their start on, for kills for want of memory.
//!
//! Situation: a server runs out of memory before it is ready. The kernel's count of such kills is gone soon after the end
//! ([`crate::memory_kills`]), and who asks for the end then begins to ask when it is over, or asks for the second time.
//! Conclusion: the count is read by who has started the container, whoever asks later. It counts for that run alone.
use crate::{engine::Engine, flavor::Flavor, observe, wait_for_end};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// How long the count may take to be read once the container has ended.
const READING: Duration = Duration::from_millis(500);

/// The end of a run that was watched.
#[derive(Clone, Copy, Debug)]
struct Ended {
    /// When the run began, as the engine says.
    started_at_ms: u64,
    had_memory_kills: bool,
}

/// The last watched run of each container.
#[derive(Debug, Default)]
pub(crate) struct MemoryWatches(Mutex<HashMap<String, watch::Receiver<Option<Ended>>>>);

impl MemoryWatches {
    /// Watches a container that was started just now, in a task, so that nobody waits for it. Docker notes such kills itself.
    pub(crate) fn begin(&self, engine: &Arc<Engine>, container: &str) {
        if engine.flavor != Flavor::Podman {
            return;
        }
        let (tell, told) = watch::channel(None);
        self.all().insert(container.to_owned(), told);
        let (engine, container) = (Arc::clone(engine), container.to_owned());
        tokio::spawn(async move {
            if let Some(ended) = end_of(&engine, &container).await {
                tell.send_replace(Some(ended));
            }
        });
    }

    /// Whether the kernel has killed a process of the run that began at this time, and has ended.
    pub(crate) async fn had_kills(&self, container: &str, started_at_ms: Option<u64>) -> bool {
        let told = self.all().get(container).cloned();
        let Some(mut told) = told else { return false };
        let end = async { told.wait_for(Option::is_some).await.ok().and_then(|ended| *ended) };
        let ended = tokio::time::timeout(READING, end).await.ok().flatten();
        ended.is_some_and(|ended| ended.had_memory_kills && Some(ended.started_at_ms) == started_at_ms)
    }

    /// Forgets a container that is removed.
    pub(crate) fn forget(&self, container: &str) {
        drop(self.all().remove(container));
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<Option<Ended>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a container's run; none if its first process or the kernel's count cannot be seen here.
async fn end_of(engine: &Engine, container: &str) -> Option<Ended> {
    let seen = engine.inspect(container).await.ok()?;
    let started_at_ms = observe::last_start(&seen)?;
    let (process, kills) = wait_for_end::process(container, seen.pid()?)?;
    let kills = kills?;
    drop(process.ended().await);
    Some(Ended { started_at_ms, had_memory_kills: kills.any() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_kill_counts_for_the_run_in_which_it_happened() {
        let watches = MemoryWatches::default();
        let watched = |container: &str| {
            let (tell, told) = watch::channel(None);
            watches.all().insert(container.to_owned(), told);
            tell
        };
        let run = |had_memory_kills| Some(Ended { started_at_ms: 7, had_memory_kills });
        watched("killed").send_replace(run(true));
        watched("ended").send_replace(run(false));
        drop(watched("unseen"));
        let running = watched("running");
        assert!(watches.had_kills("killed", Some(7)).await);
        assert!(watches.had_kills("killed", Some(7)).await, "it is told again");
        assert!(!watches.had_kills("killed", Some(8)).await, "somebody has started it again since");
        assert!(!watches.had_kills("killed", None).await);
        for other in ["ended", "unseen", "running", "foreign"] {
            assert!(!watches.had_kills(other, Some(7)).await, "{other}");
        }
        running.send_replace(run(true));
        assert!(watches.had_kills("running", Some(7)).await);
        watches.forget("running");
        assert!(!watches.had_kills("running", Some(7)).await);
    }
}
