//! [`Counts`]: a supervisor's counts for metrics. Its run loop and its proxy write them; connections of the control socket read
//! them without waiting for either.
use crate::client::protocol::{OperationsTold, SupervisorCounts};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};
use wharf_proxy::OperationCounts;

/// The counts of one supervisor. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Counts {
    /// How often it has restarted the workload.
    restarts: Arc<AtomicU32>,
    /// It is starting or restarting the workload.
    starting: Arc<AtomicBool>,
    /// Its proxy's.
    pub(crate) operations: OperationCounts,
}

impl Counts {
    /// Takes note of the number of restarts so far, and whether the workload is being started.
    pub(crate) fn note(&self, restarts: u32, starting: bool) {
        self.restarts.store(restarts, Relaxed);
        self.starting.store(starting, Relaxed);
    }

    /// All of them as they are now.
    pub(crate) fn told(&self) -> SupervisorCounts {
        SupervisorCounts {
            pid: std::process::id(),
            restarts: self.restarts.load(Relaxed),
            starting: self.starting.load(Relaxed),
            operations: self.operations.all().into_iter().map(OperationsTold::from).collect(),
        }
    }
}
