//! [`Departed`]: the sessions that have ended while the server may still have been at work for them.
use std::collections::HashMap;

use tokio::time::{Duration, Instant};

use crate::stdio::session::{LogLevel, SessionId};
use crate::stdio::work::Work;

/// A session that has ended while the server may still have been at work for it.
#[derive(Debug)]
pub(crate) struct Gone {
    ended_at: Instant,
    pub(crate) work: Work,
    /// The level that it had set.
    pub(crate) level: Option<LogLevel>,
}

impl Gone {
    pub(crate) fn new(ended_at: Instant, work: Work, level: Option<LogLevel>) -> Self {
        Self { ended_at, work, level }
    }

    /// True if the server may still be at work for it.
    pub(crate) fn goes_on(&self, now: Instant, bound: Duration) -> bool {
        now < self.ended_at + bound && self.work.goes_on(now, bound)
    }
}

/// Sessions that have ended while the server may still have been at work for them.
#[derive(Debug, Default)]
pub(crate) struct Departed {
    pub(crate) by_session: HashMap<SessionId, Gone>,
    /// Until then, work of a session that is not remembered may go on.
    pub(crate) unknown_until: Option<Instant>,
}
