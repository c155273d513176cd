//! [`Deadlines`]: how long the operations of a runtime may take.
use std::time::Duration;

/// What is done with an answer. It decides how long the answer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It is shown, and nothing is done because of it.
    Show,
    /// Something is changed because of it.
    Change,
}

/// The deadlines by kind of operation.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For a listing that is only shown, and for making a connection (dial).
    pub read: Duration,
    /// For the questions on which a change rests (instance, health, inspect, list, validate). Situation: an engine has so
    /// much to do that each answer takes it half a minute. Conclusion: who wants something done waits for it. A runtime
    /// tells by itself, and sooner, if its engine is silent.
    pub ask: Duration,
    /// For quick changes: start, remove, recover. Long, for the same reason: the last of eighty starts at once on two
    /// processors takes Docker more than half a minute. `stop` adds 30 s of it to its own timeout.
    pub change: Duration,
    /// For `deploy`, which may fetch an image; and for `start`, if the runtime can fetch an image only then.
    pub deploy: Duration,
    /// For an owner's answer that is only shown, with the load of its library: somebody waits for it, and nothing is done
    /// because of it. Its rows are stale after that, and no others.
    pub shown: Duration,
}

impl Deadlines {
    /// For a listing.
    pub(crate) const fn of_listing(&self, purpose: Purpose) -> Duration {
        match purpose {
            Purpose::Show => self.read,
            Purpose::Change => self.ask,
        }
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            // Before Podman answers, it asks its machine's package manager about its own parts, which takes seconds on a
            // busy machine.
            read: Duration::from_secs(10),
            ask: Duration::from_secs(60),
            change: Duration::from_secs(120),
            deploy: Duration::from_secs(600),
            shown: Duration::from_millis(2500),
        }
    }
}
