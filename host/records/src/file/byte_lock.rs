//! Locks as byte ranges of one file. [`crate::file::locks`] builds the three locks of a workload from them.
//!
//! A lock is one byte of `locks`, at an offset computed from the workload's name, held through an *open file description*
//! of its own (`F_OFD_SETLK`, fcntl_locking(2)): it belongs to no process, is passed on with its descriptor, and ends when
//! the last descriptor is closed, so also with `kill -9`. `F_OFD_GETLK` asks without taking. `flock` can only be tested by
//! taking it.
//!
//! - A query never reports locks of the description that asks, so a probe has one of its own.
//! - An unlock is explicit when a lock is dropped: between `fork` and `exec` of some other thread's child a copy of the
//!   descriptor may exist, and a mere close would leave the lock held for that moment.
//! - A wait with a deadline happens in a thread of its own: see `lock_waiters.rs`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use sha2::{Digest, Sha256};

use crate::file::atomic;
use crate::file::state_dir::StateDir;
use crate::lock_error::LockError;
use wharf_failpoint::{Point, reach};
use wharf_model::LockKind;
use wharf_model::WorkloadName;

/// The byte of a workload's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) name: WorkloadName,
    pub(crate) kind: LockKind,
}

/// A locked byte. Dropping this unlocks it.
#[derive(Debug)]
pub(crate) struct HeldByte {
    /// None once the lock was handed to another process.
    description: Option<OwnedFd>,
    range: Range,
    state: StateDir,
}

impl Range {
    /// The first 60 bits of the name's SHA-256, times four, plus the kind: below 2^62, so it fits a file offset, and two of
    /// ten thousand names share a byte with a chance of one in 10^10 (their commands would only wait for each other).
    pub(crate) fn offset(&self) -> i64 {
        let digest = Sha256::digest(self.name.as_str().as_bytes());
        let first = digest.iter().take(8).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let kind = match self.kind {
            LockKind::Operation => 0,
            LockKind::Record => 1,
            LockKind::Life => 2,
        };
        ((first >> 4) * 4 + kind).cast_signed()
    }

    const fn taken(&self) -> Point {
        match self.kind {
            LockKind::Operation => Point::OperationTaken,
            LockKind::Record => Point::RecordTaken,
            LockKind::Life => Point::LifeTaken,
        }
    }

    fn flock(&self) -> libc::flock {
        libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: self.offset(),
            l_len: 1,
            l_pid: 0, // must be zero for open-file-description locks
        }
    }

    pub(crate) fn busy(&self) -> LockError {
        LockError::Busy { name: self.name.clone(), lock: self.kind }
    }
}

/// Whether another open file description holds the byte. A read-only descriptor is enough to ask.
pub(crate) fn is_held_elsewhere(file: impl AsFd, range: &Range, path: &Path) -> Result<bool, LockError> {
    let mut answer = range.flock();
    match fcntl(file, FcntlArg::F_OFD_GETLK(&mut answer)) {
        Ok(_) => Ok(answer.l_type != libc::F_UNLCK as libc::c_short),
        Err(errno) => Err(failure(errno, path)),
    }
}

/// Takes the byte if it is free or already held by this description; true if this description now holds it.
fn try_lock(file: impl AsFd, range: &Range, path: &Path) -> Result<bool, LockError> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(&range.flock())) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(failure(errno, path)),
    }
}

fn failure(errno: Errno, path: &Path) -> LockError {
    let path = path.to_owned();
    match errno {
        Errno::ENOLCK | Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS => {
            LockError::Unsupported { path, source: errno.into() }
        }
        _ => LockError::Failed { path, source: errno.into() },
    }
}

impl HeldByte {
    /// Takes the byte, or fails at once if it is busy.
    pub(crate) fn try_acquire(state: &StateDir, range: Range) -> Result<Self, LockError> {
        let description = open(state)?;
        if try_lock(&description, &range, &state.locks())? {
            reach(range.taken());
            Ok(Self { description: Some(description), range, state: state.clone() })
        } else {
            Err(range.busy())
        }
    }

    /// Waits for the byte without end, blocking the calling thread.
    pub(crate) fn wait(state: &StateDir, range: &Range) -> Result<Self, LockError> {
        let description = open(state)?;
        loop {
            match fcntl(&description, FcntlArg::F_OFD_SETLKW(&range.flock())) {
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(failure(errno, &state.locks())),
            }
        }
        reach(range.taken());
        Ok(Self { description: Some(description), range: range.clone(), state: state.clone() })
    }

    /// Takes over a byte that another process locked through this descriptor. See `OperationLock::from_fd`.
    pub(crate) fn from_fd(state: &StateDir, range: Range, description: OwnedFd) -> Result<Self, LockError> {
        let path = state.locks();
        let failed = |source: io::Error| LockError::Failed { path: path.clone(), source };
        let ours = rustix::fs::fstat(&description).map_err(|errno| failed(errno.into()))?;
        let probe = open_to_ask(state)?.ok_or_else(|| LockError::NotTheLockFile { path: path.clone() })?;
        let file = rustix::fs::fstat(&probe).map_err(|errno| failed(errno.into()))?;
        if (ours.st_dev, ours.st_ino) != (file.st_dev, file.st_ino) {
            return Err(LockError::NotTheLockFile { path });
        }
        let not_held = || LockError::NotHeld { name: range.name.clone(), lock: range.kind };
        if !is_held_elsewhere(&probe, &range, &path)? {
            return Err(not_held());
        }
        // Some description holds the byte. Locking it again succeeds only if that is this one.
        if !try_lock(&description, &range, &path)? {
            return Err(not_held());
        }
        // The descriptor was inherited as stdin, so it lacks CLOEXEC. Without the flag, the workload would inherit it.
        let flags = rustix::io::FdFlags::CLOEXEC;
        rustix::io::fcntl_setfd(&description, flags).map_err(|errno| failed(errno.into()))?;
        Ok(Self { description: Some(description), range, state: state.clone() })
    }

    /// The descriptor, still locked: the byte becomes free when the last copy of it is closed.
    pub(crate) fn into_fd(mut self) -> Result<OwnedFd, LockError> {
        let not_held = || LockError::NotHeld { name: self.range.name.clone(), lock: self.range.kind };
        self.description.take().ok_or_else(not_held)
    }

    pub(crate) fn name(&self) -> &WorkloadName {
        &self.range.name
    }

    pub(crate) fn state(&self) -> &StateDir {
        &self.state
    }
}

impl Drop for HeldByte {
    fn drop(&mut self) {
        let Some(description) = self.description.take() else { return };
        let unlock = libc::flock { l_type: libc::F_UNLCK as libc::c_short, ..self.range.flock() };
        // If this fails, the descriptor is closed next, which also releases the lock.
        if let Err(error) = fcntl(&description, FcntlArg::F_OFD_SETLK(&unlock)) {
            tracing::debug!(%error, name = %self.range.name, "a lock was not released before its file was closed");
        }
        if self.range.kind == LockKind::Record {
            reach(Point::RecordReleased);
        }
    }
}

/// Opens a new description, for one lock.
fn open(state: &StateDir) -> Result<OwnedFd, LockError> {
    atomic::open_or_create(&state.locks()).map_err(|source| LockError::NoLockFile { source })
}

/// Opens a description to ask with. None if there is no lock file, and so no lock. Makes no file.
pub(crate) fn open_to_ask(state: &StateDir) -> Result<Option<OwnedFd>, LockError> {
    use rustix::fs::{Mode, OFlags};
    let path = state.locks();
    match rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(descriptor) => Ok(Some(descriptor)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(errno) => Err(LockError::Failed { path, source: errno.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_lock_is_free_even_while_a_forked_copy_of_its_descriptor_lives() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::new(root.path());
        let range = Range { name: WorkloadName::new("time").unwrap(), kind: LockKind::Record };
        let held = HeldByte::try_acquire(&state, range.clone()).unwrap();
        let _copy = held.description.as_ref().unwrap().try_clone().unwrap();
        drop(held);
        HeldByte::try_acquire(&state, range).unwrap();
    }
}
