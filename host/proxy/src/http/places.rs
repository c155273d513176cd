//! [`Places`]: the connections that may be open at once. A new connection takes the place of the one that has rested
//! longest.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::http::connection::Phase;

/// The pause before all connections are looked at again, if none could be closed.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The places of one listener's connections.
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    /// The moment that phases are counted from.
    pub(crate) epoch: Instant,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by_number: HashMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    phase: Arc<Phase>,
    abort: CancellationToken,
}

/// The place of a connection, which dropping it gives back.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().by_number.remove(&self.number);
        self.places.freed.notify_one();
    }
}

impl Places {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, epoch: Instant::now(), taken: Mutex::default(), freed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a connection. If there is none, another connection is ended that is not being served, or else one
    /// that reads a stream, which it can resume, or else one whose request is still coming in; if there is no such one
    /// either, it waits.
    pub(crate) async fn take(self: &Arc<Self>, phase: &Arc<Phase>, abort: &CancellationToken) -> Place {
        loop {
            let freed = self.freed.notified();
            if let Some(number) = self.try_take(phase, abort) {
                return Place { places: self.clone(), number };
            }
            // A connection that begins to rest causes no event, so this also looks again after a while.
            let _ = timeout(LOOK_AGAIN, freed).await;
        }
    }

    fn try_take(&self, phase: &Arc<Phase>, abort: &CancellationToken) -> Option<u64> {
        let mut taken = self.lock();
        if taken.by_number.len() >= self.most {
            let all = taken.by_number.iter();
            let dispensable = all.filter_map(|(number, open)| Some((open.phase.dispensable()?, *number)));
            let (_, number) = dispensable.min()?;
            tracing::debug!("a connection that rests makes room for another");
            taken.by_number.remove(&number)?.abort.cancel();
        }
        let number = taken.next;
        taken.next += 1;
        taken.by_number.insert(number, Connection { phase: phase.clone(), abort: abort.clone() });
        Some(number)
    }
}
