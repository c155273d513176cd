//! [`KeyedLock`]: one lock for each key, so that operations on the same workload run one after the other while those on
//! others go on.
//!
//! The SDK itself takes one for `deploy`, `start`, `stop`, `remove` and `recover`. An author needs one of their own where
//! work goes on after its call was given up, such as clearing away what a cancelled deployment had made. It must not know
//! what a key stands for.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// One lock per key, usually a uid. A lock exists as long as somebody holds it or waits for it, so thousands of removed
/// workloads leave nothing behind.
#[derive(Debug, Default)]
pub struct KeyedLock(Mutex<HashMap<String, Weak<AsyncMutex<()>>>>);

/// The held lock of one key. It may be moved into a task; dropping it releases the lock. A cancelled operation releases it
/// only when its future has really been dropped, so the next operation cannot overlap with it.
#[derive(Debug)]
#[must_use = "the lock is given back when this is dropped"]
pub struct KeyedGuard {
    _held: OwnedMutexGuard<()>,
}

impl KeyedLock {
    /// Waits until nobody else holds the lock of this key; waiters get it in the order in which they asked. Dropping the
    /// future gives up the place.
    pub async fn lock(&self, key: &str) -> KeyedGuard {
        let _held = self.of(key).lock_owned().await;
        KeyedGuard { _held }
    }

    /// Waits until nobody holds the lock of this key, and takes none. A question about a workload waits in this way for the
    /// task that clears up after its deployment: before that, the answer "there is nothing" would not stay true.
    pub async fn until_free(&self, key: &str) {
        if let Some(lock) = self.known(key) {
            drop(lock.lock().await);
        }
    }

    fn known(&self, key: &str) -> Option<Arc<AsyncMutex<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).and_then(Weak::upgrade)
    }

    fn of(&self, key: &str) -> Arc<AsyncMutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(key).and_then(Weak::upgrade) {
            return lock;
        }
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::default();
        locks.insert(key.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// True if a future is ready at once; it is dropped then or later by its caller.
    fn is_ready<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> bool {
        matches!(future.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(_))
    }

    #[tokio::test]
    async fn one_key_is_held_once_and_another_one_beside_it() {
        let locks = KeyedLock::default();
        let held = locks.lock("a").await;
        let mut second = pin!(locks.lock("a"));
        assert!(!is_ready(second.as_mut()), "it is held");
        assert!(is_ready(pin!(locks.lock("b"))), "nobody holds this one");
        drop(held);
        let _second = second.await;
        assert!(!is_ready(pin!(locks.lock("a"))));
    }

    #[tokio::test]
    async fn a_lock_that_is_awaited_until_it_is_free_is_not_taken() {
        let locks = KeyedLock::default();
        let held = locks.lock("a").await;
        assert!(is_ready(pin!(locks.until_free("b"))), "nobody holds this one");
        let mut waits = pin!(locks.until_free("a"));
        assert!(!is_ready(waits.as_mut()), "it is held");
        drop(held);
        waits.await;
        assert!(is_ready(pin!(locks.lock("a"))), "it was left free");
    }

    #[tokio::test]
    async fn a_key_that_nobody_holds_is_forgotten() {
        let locks = KeyedLock::default();
        let kept = locks.lock("kept").await;
        for number in 0..1000 {
            drop(locks.lock(&number.to_string()).await);
        }
        let left = locks.0.lock().unwrap().len();
        assert!(left <= 2, "{left} locks are left");
        assert!(!is_ready(pin!(locks.lock("kept"))), "clearing up dropped a lock that is held");
        drop(kept);
    }
}
