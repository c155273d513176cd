//! [`LockError`]: the reason why a lock could not be taken or asked about.

use std::io;
use std::path::PathBuf;

use crate::effect::EffectError;
use wharf_model::LockKind;
use wharf_model::WorkloadName;
use wharf_model::{Error, ErrorKind};

/// The reason why a lock could not be taken or asked about.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it, and kept it until the deadline.
    #[error("{name} is busy: its {lock} lock is held")]
    Busy {
        /// The workload.
        name: WorkloadName,
        /// The lock.
        lock: LockKind,
    },
    /// The file system has no locks that work.
    #[error("the file system of {path} has no working locks", path = path.display())]
    Unsupported {
        /// The lock file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The lock file could not be opened, asked or locked.
    #[error("cannot use the lock file {path}", path = path.display())]
    Failed {
        /// The lock file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The lock file could not be made or opened for writing.
    #[error("no lock can be taken")]
    NoLockFile {
        /// The effect that failed.
        source: EffectError,
    },
    /// No thread could be started to wait in.
    #[error("cannot wait for a lock")]
    NoThread {
        /// The system's error.
        source: io::Error,
    },
    /// An inherited descriptor is of another file.
    #[error("the inherited descriptor is not of {path}", path = path.display())]
    NotTheLockFile {
        /// The lock file.
        path: PathBuf,
    },
    /// An inherited descriptor does not hold the lock.
    #[error("the inherited descriptor does not hold the {lock} lock of {name}")]
    NotHeld {
        /// The workload.
        name: WorkloadName,
        /// The lock.
        lock: LockKind,
    },
}

impl LockError {
    /// Whether waiting or trying again may help.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }
}

impl From<LockError> for Error {
    fn from(error: LockError) -> Self {
        if error.is_busy() {
            return Self::from_cause(ErrorKind::Conflict, &error)
                .hint("another command works on it: wait for it to end, and try again");
        }
        Self::from_cause(ErrorKind::Failed, &error)
    }
}
