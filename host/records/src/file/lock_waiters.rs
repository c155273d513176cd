//! Waits for a byte lock with a deadline, in one thread for each byte that somebody waits for.
//!
//! Called by [`crate::file::locks`]. Nothing interrupts a thread that waits in the kernel, so a caller that gives
//! up cannot end it: the thread goes on until the byte is free. A process that lives for months and asks again and again for
//! a byte that a stuck process holds would collect such threads, so all callers that wait for one byte share one thread. It
//! gives the lock to the first that still waits, then waits for the next one; if nobody waits any more, it lets the lock go
//! and ends. (Not Tokio's blocking pool: a runtime waits for that at its end, and a command that reported "busy" would
//! hang.)
use crate::file::byte_lock::{HeldByte, Range};
use crate::file::state_dir::StateDir;
use crate::lock_error::LockError;
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;

/// At most this many threads of one process wait for locks at a time, so for this many bytes.
const THREADS_MAX: usize = 256;
/// The stack of such a thread, which makes only one system call.
const STACK_BYTES: usize = 64 * 1024;

type Outcome = Result<HeldByte, LockError>;
/// Hands the outcome to a caller; gives it back if the caller has given up.
type Deliver = Box<dyn FnOnce(Outcome) -> Result<(), Outcome> + Send>;

/// A byte: the state directory, and the offset in its file of locks.
type Byte = (PathBuf, i64);

/// The callers that wait, in the order in which they came. Each byte has a thread as long as it stands here.
static QUEUES: LazyLock<Mutex<HashMap<Byte, VecDeque<Waiter>>>> = LazyLock::new(Mutex::default);

fn queues() -> MutexGuard<'static, HashMap<Byte, VecDeque<Waiter>>> {
    QUEUES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a byte until the timeout, blocking the calling thread.
pub(crate) fn acquire_blocking(
    state: &StateDir,
    range: &Range,
    timeout: Duration,
) -> Result<HeldByte, LockError> {
    match HeldByte::try_acquire(state, range.clone()) {
        Err(LockError::Busy { .. }) => {}
        settled => return settled,
    }
    let (deliver, delivered) = mpsc::sync_channel(1);
    let (waiter, _waiting) = Waiter::new(move |outcome| deliver.send(outcome).map_err(|error| error.0));
    wait_in_thread(state, range, waiter)?;
    delivered.recv_timeout(timeout).unwrap_or_else(|_| Err(range.busy()))
}

/// Waits for a byte until the timeout.
pub(crate) async fn acquire(
    state: &StateDir,
    range: &Range,
    timeout: Duration,
) -> Result<HeldByte, LockError> {
    match HeldByte::try_acquire(state, range.clone()) {
        Err(LockError::Busy { .. }) => {}
        settled => return settled,
    }
    let (deliver, delivered) = oneshot::channel();
    let (waiter, _waiting) = Waiter::new(move |outcome| deliver.send(outcome));
    wait_in_thread(state, range, waiter)?;
    match tokio::time::timeout(timeout, delivered).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) | Err(_) => Err(range.busy()),
    }
}

/// A caller that waits for a byte.
struct Waiter {
    deliver: Deliver,
    /// Dead once the caller has given up.
    waiting: Weak<()>,
}

impl Waiter {
    /// The caller drops the second value when it gives up.
    fn new(deliver: impl FnOnce(Outcome) -> Result<(), Outcome> + Send + 'static) -> (Self, Arc<()>) {
        let waiting = Arc::new(());
        (Self { deliver: Box::new(deliver), waiting: Arc::downgrade(&waiting) }, waiting)
    }

    fn still_waits(&self) -> bool {
        self.waiting.strong_count() > 0
    }
}

/// Delivers the byte to the waiter once it is free and those before it have had it.
///
/// # Errors
/// Too many bytes are waited for, or the thread cannot be started.
fn wait_in_thread(state: &StateDir, range: &Range, waiter: Waiter) -> Result<(), LockError> {
    let byte = (state.locks(), range.offset());
    let mut queues = queues();
    if let Some(queue) = queues.get_mut(&byte) {
        // Callers that gave up while the byte was held all the time.
        queue.retain(Waiter::still_waits);
        queue.push_back(waiter);
        return Ok(());
    }
    if queues.len() >= THREADS_MAX {
        return Err(range.busy());
    }
    let (state, waited_for) = (state.clone(), range.clone());
    let of_thread = byte.clone();
    thread::Builder::new()
        .name(format!("lock {}", range.name))
        .stack_size(STACK_BYTES)
        .spawn(move || serve(&state, &waited_for, &of_thread))
        .map_err(|source| LockError::NoThread { source })?;
    queues.insert(byte, VecDeque::from([waiter]));
    Ok(())
}

/// Takes the byte again and again until nobody waits for it.
fn serve(state: &StateDir, range: &Range, byte: &Byte) {
    loop {
        let mut outcome = HeldByte::wait(state, range);
        loop {
            // The lock is let go at the end of this function, after the queue is gone: a caller that comes in between starts
            // a thread of its own and waits for this one.
            let Some(waiter) = next(byte) else { return };
            match (waiter.deliver)(outcome) {
                Ok(()) => break,
                Err(returned) => outcome = returned,
            }
        }
        if is_done(byte) {
            return;
        }
    }
}

/// The caller whose turn it is. If there is none, the byte's queue is gone.
fn next(byte: &Byte) -> Option<Waiter> {
    let mut queues = queues();
    let waiter = queues.get_mut(byte).and_then(VecDeque::pop_front);
    if waiter.is_none() {
        queues.remove(byte);
    }
    waiter
}

/// Whether nobody waits for the byte any more; its queue is gone then.
fn is_done(byte: &Byte) -> bool {
    let mut queues = queues();
    let done = queues.get(byte).is_none_or(VecDeque::is_empty);
    if done {
        queues.remove(byte);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::{LockKind, WorkloadName};

    const SHORT: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(60);

    fn range(name: &str) -> Range {
        Range { name: WorkloadName::new(name).unwrap(), kind: LockKind::Operation }
    }

    fn threads_of(name: &str) -> usize {
        let title = format!("lock {name}");
        std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
            .filter(|comm| comm.trim() == title)
            .count()
    }

    /// A process that is asked for months meets a stuck neighbour more often than it may have threads.
    #[tokio::test]
    async fn callers_that_gave_up_leave_one_thread_for_a_byte_and_nothing_for_others() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::new(root.path());
        let held = HeldByte::try_acquire(&state, range("stuck")).unwrap();
        for _ in 0..THREADS_MAX + 20 {
            let waited = acquire(&state, &range("stuck"), SHORT).await;
            assert!(matches!(waited, Err(LockError::Busy { .. })), "{waited:?}");
        }
        assert_eq!(threads_of("stuck"), 1);
        assert_eq!(queues()[&(state.locks(), range("stuck").offset())].len(), 1);
        // Another workload's lock can be waited for.
        let second = range("other");
        let other = HeldByte::try_acquire(&state, second.clone()).unwrap();
        let waits = acquire(&state, &second, LONG);
        let releases = async { drop(other) };
        let (waited, ()) = tokio::join!(waits, releases);
        drop(waited.unwrap());
        drop(held);
        // The last thread takes the lock, finds nobody, and lets it go.
        drop(acquire(&state, &range("stuck"), LONG).await.unwrap());
    }

    #[tokio::test]
    async fn callers_of_one_byte_have_it_one_after_the_other() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::new(root.path());
        let held = HeldByte::try_acquire(&state, range("shared")).unwrap();
        let one = async |state: &StateDir| {
            let held = acquire(state, &range("shared"), LONG).await.unwrap();
            assert!(matches!(HeldByte::try_acquire(state, range("shared")), Err(LockError::Busy { .. })));
            drop(held);
        };
        let releases = async { drop(held) };
        tokio::join!(one(&state), one(&state), one(&state), releases);
    }
}
