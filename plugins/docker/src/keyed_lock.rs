//! Who works on a workload: one after the other. A deployment that was given up goes on until what it made is removed,
//! and the next one waits for that.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};
use tokio::sync::OwnedMutexGuard;

/// The right to work on one workload.
pub(crate) type Turn = OwnedMutexGuard<()>;

/// The turns of all workloads, by uid.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits until nobody else works on this workload.
    pub(crate) async fn take(&self, uid: &str) -> Turn {
        self.of(uid).lock_owned().await
    }

    fn of(&self, uid: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(uid).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(uid.to_owned(), Arc::downgrade(&turn));
        turn
    }
}
