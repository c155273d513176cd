//! [`Deadlines`]: how long the operations of a runtime may take.
use std::time::Duration;

/// The deadlines by kind of operation.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For questions (instance, health, inspect, list, validate), and for making a connection (dial).
    pub read: Duration,
    /// For quick changes: start, remove, recover. `stop` adds it to its own timeout.
    pub change: Duration,
    /// For `deploy`, which may fetch an image; and for `start`, if the runtime can fetch an image only then.
    pub deploy: Duration,
    /// For an owner's answer that is only shown, with the load of its library: somebody waits for it, and nothing is done
    /// because of it. Its rows are stale after that, and no others.
    pub shown: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            // Before Podman answers, it asks its machine's package manager about its own parts, which takes seconds on a
            // busy machine.
            read: Duration::from_secs(10),
            change: Duration::from_secs(30),
            deploy: Duration::from_secs(600),
            shown: Duration::from_millis(2500),
        }
    }
}
