//! Orders the operations that change one workload.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// One lock per uid, for `deploy`, `start`, `stop`, `remove` and `recover`. An operation's task owns the guard, so
/// a cancelled operation gives it back only when its future has really been dropped: the next one cannot overlap.
#[derive(Default)]
pub(super) struct KeyedLock(Mutex<HashMap<String, Weak<AsyncMutex<()>>>>);

impl KeyedLock {
    pub(super) async fn enter(&self, uid: &str) -> OwnedMutexGuard<()> {
        self.of(uid).lock_owned().await
    }

    fn of(&self, uid: &str) -> Arc<AsyncMutex<()>> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.retain(|_, gate| gate.strong_count() > 0);
        if let Some(gate) = gates.get(uid).and_then(Weak::upgrade) {
            return gate;
        }
        let gate = Arc::new(AsyncMutex::new(()));
        gates.insert(uid.to_owned(), Arc::downgrade(&gate));
        gate
    }
}
