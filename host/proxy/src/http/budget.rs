//! [`Budget`]: the bytes that one proxy may hold at once for clients and servers that do not read them.
//!
//! Bodies that are being read, events of streams, answers on their way to a client, lines that wait for stdin and tables
//! with texts of clients are all charged to it. Nothing waits for room: the limit may be exceeded by one message, and then
//! the largest holder loses its bytes ([`crate::stdio::broker::State::free_memory`] for sessions, [`Budget::drop_body`]
//! for bodies, [`crate::http::lines`] for lines).
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::http::lines::{LinesOfAll, LinesOfServer};

/// The part of the limit that tables may have: they are not given back under pressure.
const SHARE_OF_TABLES: usize = 4;
/// The part of the limit that lines for all servers together may have.
const SHARE_OF_LINES: usize = 2;
/// The bytes that an entry of a table costs besides its texts.
const ENTRY: usize = 200;

/// So many bytes at once leave an allocator with memory that it keeps.
const MUCH: usize = 256 * 1024;
/// A proxy is at rest once it has held less than [`MUCH`] for so long.
const REST: Duration = Duration::from_millis(300);

/// The bytes that one proxy may hold.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
    /// The most that was held since that was looked at.
    peak: AtomicUsize,
    /// Told when it was much.
    much: Notify,
    in_tables: AtomicUsize,
    lines: Arc<LinesOfAll>,
    /// Bodies that are being read and did not come in one piece.
    bodies: Mutex<HashMap<u64, BodyInReading>>,
    next_body: AtomicU64,
    /// Makes numbers of sessions' ids, which nobody else can foresee.
    numbers: RandomState,
}

/// The holder of bodies that are being read. All bodies of one count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// A session's, by a number for its id.
    Session(u64),
    /// Requests without a session: all of them are one holder, for nothing tells their senders apart.
    NoSession,
    /// A line of a server, by a number of its own.
    Line(u64),
}

#[derive(Debug)]
struct BodyInReading {
    holder: Holder,
    account: Account,
    drop: CancellationToken,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            much: Notify::new(),
            in_tables: AtomicUsize::new(0),
            lines: LinesOfAll::new(limit / SHARE_OF_LINES),
            bodies: Mutex::default(),
            next_body: AtomicU64::new(0),
            numbers: RandomState::new(),
        })
    }

    /// Bytes that are held now.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    /// True if more is held than may be.
    pub(crate) fn is_over(&self) -> bool {
        self.used() > self.limit
    }

    /// Charges bytes of which the caller keeps the count.
    pub(crate) fn add(&self, bytes: usize) {
        let used = self.used.fetch_add(bytes, Ordering::AcqRel) + bytes;
        if used >= MUCH && self.peak.fetch_max(used, Ordering::Relaxed) < MUCH {
            self.much.notify_one();
        }
    }

    /// Resolves when much was held, and is no more. One at a time may wait for that.
    pub(crate) async fn at_rest(&self) {
        self.much.notified().await;
        loop {
            self.peak.store(0, Ordering::Relaxed);
            tokio::time::sleep(REST).await;
            if self.used() < MUCH && self.peak.load(Ordering::Relaxed) < MUCH {
                return;
            }
        }
    }

    /// Gives back bytes that were charged with [`Self::add`].
    pub(crate) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Charges an entry of a table with texts of so many bytes; `None` if tables have no room for it.
    pub(crate) fn table_entry(self: &Arc<Self>, texts: usize) -> Option<TableEntry> {
        let most = self.limit / SHARE_OF_TABLES;
        let bytes = texts.checked_add(ENTRY)?;
        let add = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= most);
        self.in_tables.fetch_update(Ordering::AcqRel, Ordering::Acquire, add).ok()?;
        self.add(bytes);
        Some(TableEntry { budget: self.clone(), bytes })
    }

    /// The account of one server's lines.
    pub(crate) fn lines_of_server(&self) -> LinesOfServer {
        self.lines.server()
    }

    /// True if the server for which most waits has to make room.
    pub(crate) fn are_lines_over(&self) -> bool {
        self.lines.are_over()
    }

    /// Charges a line that waits for a server to read it; false if there is no room for it.
    pub(crate) fn add_line(&self, server: &LinesOfServer, bytes: usize) -> bool {
        let is_taken = server.add(bytes);
        if is_taken {
            self.add(bytes);
        }
        is_taken
    }

    /// Charges a short line, for which there is always room.
    pub(crate) fn add_short_line(&self, server: &LinesOfServer, bytes: usize) {
        server.add_always(bytes);
        self.add(bytes);
    }

    /// Gives back bytes of lines that wait no more.
    pub(crate) fn give_back_lines(&self, server: &LinesOfServer, bytes: usize) {
        server.give_back(bytes);
        self.give_back(bytes);
    }

    fn bodies(&self) -> MutexGuard<'_, HashMap<u64, BodyInReading>> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of this id as a holder of bodies.
    pub(crate) fn session(&self, id: &str) -> Holder {
        Holder::Session(self.numbers.hash_one(id))
    }

    /// A line of a server that is being read as a holder.
    pub(crate) fn line(&self) -> Holder {
        Holder::Line(self.next_body.fetch_add(1, Ordering::Relaxed))
    }

    /// Registers a body that is being read.
    pub(crate) fn read_body(self: &Arc<Self>, holder: Holder) -> BodyCharge {
        let number = self.next_body.fetch_add(1, Ordering::Relaxed);
        let (account, drop) = (Account::new(self), CancellationToken::new());
        let body = BodyInReading { holder, account: account.clone(), drop: drop.clone() };
        self.bodies().insert(number, body);
        BodyCharge { budget: self.clone(), number, account, dropped: drop, bytes: 0 }
    }

    /// The bytes that have been read of bodies, by whose they are.
    pub(crate) fn bodies_by_holder(&self) -> HashMap<Holder, usize> {
        let mut by_holder = HashMap::new();
        for body in self.bodies().values() {
            *by_holder.entry(body.holder).or_default() += body.account.held();
        }
        by_holder
    }

    /// Has the reading of a body end with an error: the largest one of whoever holds most. `top` is the session that holds
    /// most, and how much, its bodies among it. False if that one has no body: something else of its has to go.
    ///
    /// Situation: another one held most, and its bodies have ended since `by_holder` was made. Conclusion: nothing of `top` goes,
    /// and who makes room looks again.
    pub(crate) fn drop_body(&self, by_holder: &HashMap<Holder, usize>, top: Option<(Holder, usize)>) -> bool {
        let most = by_holder.iter().map(|(holder, bytes)| (*holder, *bytes)).max_by_key(|(_, bytes)| *bytes);
        let most = most.filter(|(_, bytes)| *bytes > top.map_or(0, |(_, held)| held));
        let Some((holder, _)) = most.or(top) else { return false };
        let is_another = top.is_none_or(|(top, _)| top != holder);
        let mut bodies = self.bodies();
        let of_holder = bodies.iter().filter(|(_, body)| body.holder == holder);
        let sizes = of_holder.map(|(number, body)| (*number, body.account.held()));
        let largest = sizes.filter(|(_, held)| *held > 0).max_by_key(|(_, held)| *held);
        let Some(body) = largest.and_then(|(number, _)| bodies.remove(&number)) else { return is_another };
        body.account.write_off();
        body.drop.cancel();
        true
    }
}

/// The bytes that one session, or one body, holds. Clones are the same account.
#[derive(Debug, Clone)]
pub(crate) struct Account(Arc<AccountState>);

#[derive(Debug)]
struct AccountState {
    budget: Arc<Budget>,
    /// `None` once it was written off: its bytes are about to be given up.
    held: Mutex<Option<usize>>,
}

impl Account {
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Self(Arc::new(AccountState { budget: budget.clone(), held: Mutex::new(Some(0)) }))
    }

    fn lock(&self) -> MutexGuard<'_, Option<usize>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that it holds.
    pub(crate) fn held(&self) -> usize {
        self.lock().unwrap_or(0)
    }

    /// True if its holder was chosen to make room.
    pub(crate) fn is_written_off(&self) -> bool {
        self.lock().is_none()
    }

    /// Takes its bytes out of the budget at once: its holder gives them up.
    pub(crate) fn write_off(&self) {
        if let Some(held) = self.lock().take() {
            self.0.budget.give_back(held);
        }
    }

    fn add(&self, bytes: usize) {
        if let Some(held) = self.lock().as_mut() {
            *held += bytes;
            self.0.budget.add(bytes);
        }
    }

    fn give_back(&self, bytes: usize) {
        if let Some(held) = self.lock().as_mut() {
            *held -= bytes;
            self.0.budget.give_back(bytes);
        }
    }

    /// Charges a text for as long as anything refers to it: a ring, or a connection that has not written it yet.
    pub(crate) fn hold(&self, text: Vec<u8>) -> Bytes {
        self.add(text.len());
        Bytes::from_owner(Held { account: self.clone(), text })
    }
}

struct Held {
    account: Account,
    text: Vec<u8>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.account.give_back(self.text.len());
    }
}

/// A body that is being read. Dropping it gives its bytes back.
#[derive(Debug)]
pub(crate) struct BodyCharge {
    budget: Arc<Budget>,
    number: u64,
    account: Account,
    /// Cancelled when the body has to make room.
    pub(crate) dropped: CancellationToken,
    bytes: usize,
}

/// A body among those that may have to make room.
#[derive(Debug)]
pub(crate) struct Listed {
    budget: Arc<Budget>,
    number: u64,
    /// Cancelled when the body has to make room.
    pub(crate) dropped: CancellationToken,
}

impl Listed {
    /// Nobody can give the body up from now on: it stays charged, and others make room. False if it had to before.
    pub(crate) fn stays(&self) -> bool {
        self.budget.bodies().remove(&self.number);
        !self.dropped.is_cancelled()
    }
}

impl BodyCharge {
    /// Its place among those that may have to make room.
    pub(crate) fn listed(&self) -> Listed {
        Listed { budget: self.budget.clone(), number: self.number, dropped: self.dropped.clone() }
    }

    /// Charges bytes that were read.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.account.add(bytes);
    }
}

impl Drop for BodyCharge {
    fn drop(&mut self) {
        self.budget.bodies().remove(&self.number);
        self.account.give_back(self.bytes);
    }
}

/// An entry of a table. Dropping it gives its bytes back.
#[derive(Debug)]
pub(crate) struct TableEntry {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for TableEntry {
    fn drop(&mut self) {
        self.budget.in_tables.fetch_sub(self.bytes, Ordering::AcqRel);
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests;
