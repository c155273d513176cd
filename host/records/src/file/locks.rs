//! The three locks of a workload: operation > record > life.
//!
//! - [`OperationLock`]: one command from beginning to end. It can be handed to the supervisor that the command starts.
//! - [`RecordLock`]: one read-modify-write; nothing is awaited while it is held. The store takes it for each write. A
//!   supervisor takes it without an operation lock, for what happens by itself.
//! - [`LifeLock`]: held by the supervisor as long as it lives.
//!
//! They are taken from left to right. A supervisor writes records while it holds its life lock: that is no step back,
//! because nobody waits for a life lock while holding a record lock (it is waited for under the operation lock alone).
//!
//! Invariant: a value of these types holds the lock. Whether a supervisor lives is asked with [`LifeProbe`], which takes
//! nothing, makes nothing, and so disturbs nobody (R05).

use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use crate::file::byte_lock::{HeldByte, Range, is_held_elsewhere, open_to_ask};
use crate::file::lock_waiters;
use crate::file::state_dir::StateDir;
use crate::lock_error::LockError;
use wharf_model::LockKind;
use wharf_model::WorkloadName;

/// One command's right to change a workload.
#[derive(Debug)]
pub struct OperationLock {
    held: HeldByte,
}

/// Held during one read-modify-write of a workload's records. One that was taken under an operation lock does not outlive
/// it.
#[derive(Debug)]
pub struct RecordLock<'operation> {
    #[expect(dead_code, reason = "held, not read")]
    held: HeldByte,
    under: PhantomData<&'operation OperationLock>,
}

/// Held by a supervisor as long as it lives.
#[derive(Debug)]
pub struct LifeLock {
    #[expect(dead_code, reason = "held, not read")]
    held: HeldByte,
}

/// Asks about locks without taking them: one open file for any number of questions.
#[derive(Debug)]
pub struct LifeProbe {
    /// None if no lock was ever taken here.
    file: Option<OwnedFd>,
    path: PathBuf,
}

impl OperationLock {
    fn range(name: &WorkloadName) -> Range {
        Range { name: name.clone(), kind: LockKind::Operation }
    }

    /// Takes it, or fails at once if it is busy.
    pub fn try_acquire(state: &StateDir, name: &WorkloadName) -> Result<Self, LockError> {
        HeldByte::try_acquire(state, Self::range(name)).map(|held| Self { held })
    }

    /// Waits for it until the timeout, blocking the calling thread.
    pub fn acquire_blocking(
        state: &StateDir,
        name: &WorkloadName,
        timeout: Duration,
    ) -> Result<Self, LockError> {
        lock_waiters::acquire_blocking(state, &Self::range(name), timeout).map(|held| Self { held })
    }

    /// Waits for it until the timeout. Dropping the future gives the lock up, even if it is granted only later.
    pub async fn acquire(
        state: &StateDir,
        name: &WorkloadName,
        timeout: Duration,
    ) -> Result<Self, LockError> {
        lock_waiters::acquire(state, &Self::range(name), timeout).await.map(|held| Self { held })
    }

    /// Takes over the lock, in the process that it was handed to (see [`OperationLock::into_fd`]). Checks first that the
    /// descriptor is of our lock file and that it holds the lock.
    pub fn from_fd(state: &StateDir, name: &WorkloadName, descriptor: OwnedFd) -> Result<Self, LockError> {
        HeldByte::from_fd(state, Self::range(name), descriptor).map(|held| Self { held })
    }

    /// The lock as a descriptor for a child to inherit as stdin. It stays locked until the last copy is closed, or until
    /// the child drops it, even if the process that took it dies.
    pub fn into_fd(self) -> Result<OwnedFd, LockError> {
        self.held.into_fd()
    }

    /// Takes the record lock under this one, to read several records as they are at one moment. Not for writing: the
    /// store's writes take the record lock themselves, and would wait for this one.
    pub fn record(&self, timeout: Duration) -> Result<RecordLock<'_>, LockError> {
        RecordLock::acquire_blocking(self.state(), self.name(), timeout)
    }

    /// Waits until no supervisor lives, or until the timeout. Under the operation lock nobody starts another one meanwhile.
    pub async fn supervisor_gone(&self, timeout: Duration) -> Result<(), LockError> {
        LifeLock::acquire(self.state(), self.name(), timeout).await.map(drop)
    }

    /// The workload.
    #[must_use]
    pub fn name(&self) -> &WorkloadName {
        self.held.name()
    }

    /// The state directory.
    #[must_use]
    pub fn state(&self) -> &StateDir {
        self.held.state()
    }
}

impl RecordLock<'_> {
    /// Waits for it until the timeout. It is held only for the length of one write, so a long wait means that its holder is
    /// a stopped process.
    pub fn acquire_blocking(
        state: &StateDir,
        name: &WorkloadName,
        timeout: Duration,
    ) -> Result<Self, LockError> {
        let range = Range { name: name.clone(), kind: LockKind::Record };
        lock_waiters::acquire_blocking(state, &range, timeout).map(|held| Self { held, under: PhantomData })
    }
}

impl LifeLock {
    fn range(name: &WorkloadName) -> Range {
        Range { name: name.clone(), kind: LockKind::Life }
    }

    /// Takes it, or fails at once if another supervisor lives.
    pub fn try_acquire(state: &StateDir, name: &WorkloadName) -> Result<Self, LockError> {
        HeldByte::try_acquire(state, Self::range(name)).map(|held| Self { held })
    }

    /// Waits for it until the timeout. A command that waited for the last supervisor's end takes the lock for a moment even
    /// after it gave up waiting; a supervisor that begins just then waits through that.
    pub async fn acquire(
        state: &StateDir,
        name: &WorkloadName,
        timeout: Duration,
    ) -> Result<Self, LockError> {
        lock_waiters::acquire(state, &Self::range(name), timeout).await.map(|held| Self { held })
    }
}

impl LifeProbe {
    /// Opens the lock file, if there is one.
    pub fn open(state: &StateDir) -> Result<Self, LockError> {
        Ok(Self { file: open_to_ask(state)?, path: state.locks() })
    }

    /// Whether anybody holds the lock at this moment.
    pub fn is_held(&self, name: &WorkloadName, kind: LockKind) -> Result<bool, LockError> {
        match &self.file {
            Some(file) => is_held_elsewhere(file, &Range { name: name.clone(), kind }, &self.path),
            None => Ok(false),
        }
    }
}
