//! [`Work`]: a session's calls that are over, but on which the server may still be at work.
//!
//! Kept with the session, and by [`crate::stdio::departed`] after its end; it knows neither.
use std::collections::HashMap;

use tokio::time::{Duration, Instant};

/// A session's work at the server besides its open calls.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// When the server last got something of it that is not remembered below, or a call of its was answered.
    over_at: Option<Instant>,
    /// Calls that were given up and not answered since, by upstream id, with their last sign of life.
    pub(crate) given_up: HashMap<u64, Instant>,
}

impl Work {
    /// A call of the session is over: answered, failed, cancelled; or the server got something else of it.
    pub(crate) fn is_over(&mut self, now: Instant) {
        self.over_at = Some(now);
    }

    /// True if the server may still be at work for the session, though no call is open.
    pub(crate) fn goes_on(&self, now: Instant, bound: Duration) -> bool {
        let is_recent = |at: &Instant| now < *at + bound;
        self.over_at.as_ref().is_some_and(is_recent) || self.given_up.values().any(is_recent)
    }
}
