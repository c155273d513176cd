//! [`LinesOfAll`]: the lines that wait for servers, and [`LinesOfServer`]: those for one of them. Parts of the budget
//! ([`crate::http::budget`]), which lines of all servers together may take up to a limit.
//!
//! Nothing waits for room. Beyond the limit a line is refused, unless another server holds more than this one would with it:
//! then it is taken, and the server that holds most has to make room.
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The lines that wait for servers.
#[derive(Debug)]
pub(super) struct LinesOfAll {
    most: usize,
    bytes: AtomicUsize,
    servers: Mutex<Servers>,
}

#[derive(Debug, Default)]
struct Servers {
    last: u64,
    /// The bytes that wait for each.
    held: HashMap<u64, Arc<AtomicUsize>>,
}

/// The lines that wait for one server.
#[derive(Debug)]
pub(crate) struct LinesOfServer {
    all: Arc<LinesOfAll>,
    number: u64,
    held: Arc<AtomicUsize>,
}

impl LinesOfAll {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, bytes: AtomicUsize::new(0), servers: Mutex::default() })
    }

    fn servers(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more server.
    pub(super) fn server(self: &Arc<Self>) -> LinesOfServer {
        let held = Arc::new(AtomicUsize::new(0));
        let mut servers = self.servers();
        servers.last += 1;
        let number = servers.last;
        servers.held.insert(number, held.clone());
        drop(servers);
        LinesOfServer { all: self.clone(), number, held }
    }

    /// True if the server that holds most has to make room. The lines of a single one do not take it from anybody.
    pub(super) fn are_over(&self) -> bool {
        let bytes = self.bytes.load(Ordering::Acquire);
        bytes > self.most && self.servers().held.values().all(|held| held.load(Ordering::Acquire) < bytes)
    }
}

impl LinesOfServer {
    /// The bytes that wait for it.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Acquire)
    }

    /// Counts a line; false if there is no room for it. One alone always has.
    pub(super) fn add(&self, bytes: usize) -> bool {
        let add = |all: usize| all.checked_add(bytes).filter(|sum| all == 0 || *sum <= self.all.most);
        let fits = self.all.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, add).is_ok();
        if fits {
            self.held.fetch_add(bytes, Ordering::AcqRel);
        } else if self.is_less_than_another(bytes) {
            self.add_always(bytes);
        } else {
            return false;
        }
        true
    }

    /// True if another server holds more than this one would with so many bytes more.
    fn is_less_than_another(&self, bytes: usize) -> bool {
        let with = self.held().saturating_add(bytes);
        let servers = self.all.servers();
        let mut others = servers.held.iter().filter(|(number, _)| **number != self.number);
        others.any(|(_, held)| held.load(Ordering::Acquire) > with)
    }

    /// Counts a line for which there is always room.
    pub(super) fn add_always(&self, bytes: usize) {
        self.all.bytes.fetch_add(bytes, Ordering::AcqRel);
        self.held.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Bytes that wait no more.
    pub(super) fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::AcqRel);
        self.all.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}

impl Drop for LinesOfServer {
    fn drop(&mut self) {
        self.give_back(self.held());
        self.all.servers().held.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::LinesOfAll;

    #[test]
    fn beyond_the_limit_a_line_is_taken_at_the_cost_of_the_server_that_holds_most() {
        let all = LinesOfAll::new(100);
        let (greedy, modest) = (all.server(), all.server());
        assert!(greedy.add(60) && greedy.add(40) && !greedy.add(1), "nobody holds more than itself");
        assert!(!all.are_over());
        assert!(modest.add(30) && modest.add(30) && all.are_over(), "it makes room");
        assert!(!modest.add(40), "with that it would hold as much");
        greedy.give_back(60);
        assert!(!all.are_over());
        drop(greedy);
        assert!(modest.add(40) && !modest.add(1), "what is dropped holds nothing");
        assert_eq!(modest.held(), 100);
    }

    #[test]
    fn one_line_alone_has_room_however_long_it_is() {
        let all = LinesOfAll::new(100);
        let (one, other) = (all.server(), all.server());
        assert!(one.add(500) && !all.are_over());
        other.add_always(1);
        assert!(all.are_over());
    }
}
