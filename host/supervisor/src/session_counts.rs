//! [`Counts`]: how many sessions of a workload wait for a server, how many servers are being started, and how many are about to
//! be gone. Counted by those who start and end servers; read by the session that looks for room.
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// The counts of one workload.
#[derive(Default)]
pub(crate) struct Counts {
    waiting: AtomicUsize,
    starting: AtomicUsize,
    clearing: AtomicUsize,
    /// Told of each change.
    changed: Notify,
}

/// One that is counted as long as this is there.
pub(crate) struct Counted<'a> {
    count: &'a AtomicUsize,
    changed: &'a Notify,
}

impl Counts {
    /// A session waits for a place.
    pub(crate) fn waits(&self) -> Counted<'_> {
        Counted::among(&self.waiting, &self.changed)
    }

    /// A session has a place, and its server is being started.
    pub(crate) fn starts(&self) -> Counted<'_> {
        Counted::among(&self.starting, &self.changed)
    }

    /// A server is being removed, and its place comes free soon.
    pub(crate) fn clears(&self) -> Counted<'_> {
        Counted::among(&self.clearing, &self.changed)
    }

    /// Sessions that wait for a place.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Places that are waited for beside those that come free soon.
    pub(crate) fn wanted(&self) -> usize {
        self.waiting().saturating_sub(self.clearing.load(Ordering::Relaxed))
    }

    /// True if servers are being started.
    pub(crate) fn is_starting(&self) -> bool {
        self.starting.load(Ordering::Relaxed) > 0
    }

    /// Resolves when one of them has changed. One at a time may wait for that.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl<'a> Counted<'a> {
    fn among(count: &'a AtomicUsize, changed: &'a Notify) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        changed.notify_one();
        Self { count, changed }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.changed.notify_one();
    }
}
