//! What can be wrong with a record: the classes that callers decide by.
//!
//! *Corrupt* (the bytes are there and make no sense) is not *unreadable* (they may be fine, but this process cannot
//! see them) and not *newer* (they make sense to a later wharf). Only the first may ever be set aside.

use std::io;
use std::path::{Path, PathBuf};

use crate::effect::EffectError;
use crate::lock_error::LockError;
use wharf_model::RunConfigError;
use wharf_model::SchemaVersion;
use wharf_model::WorkloadName;
use wharf_model::{Error, ErrorKind, chain};
use wharf_model::{IdError, Uid};

/// Why a record was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is none.
    #[error("{path} does not exist", path = path.display())]
    NotFound {
        /// Where it would be.
        path: PathBuf,
    },
    /// It is no record. Its bytes are kept, and its name stays reserved.
    #[error("{path} is corrupt", path = path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        why: Corruption,
    },
    /// It could not be looked at: permission, I/O, too many open files, not a regular file.
    #[error("cannot read {path}", path = path.display())]
    Unreadable {
        /// The file, or the folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A later wharf wrote it, in a shape that this one cannot read.
    #[error("{path} has schema {found}, and this wharf knows {known}: use a newer wharf", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: SchemaVersion,
        /// The newest that is known here.
        known: SchemaVersion,
    },
    /// It has more bytes than any record.
    #[error("{path} has more than {limit} bytes and is no record", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How many bytes a record may have.
        limit: usize,
    },
}

/// What is wrong with the bytes of a record.
#[derive(Debug, thiserror::Error)]
pub enum Corruption {
    /// Not JSON, cut off, or a field is missing or has another type.
    #[error("not a record of this kind")]
    Shape {
        /// What and where (line and column).
        source: serde_json::Error,
    },
    /// Something, but no JSON object.
    #[error("not a JSON object")]
    NotAnObject,
    /// Each field is right, and together they make no sense.
    #[error("its fields contradict each other")]
    Contradiction {
        /// Which ones.
        source: RunConfigError,
    },
    /// The name in the file is not the name of the file.
    #[error("it is the record of {found:?}")]
    WrongName {
        /// The name in the file.
        found: String,
    },
    /// It should hold the secret of a proxy. No more is said: what is in the file may be one.
    #[error("it does not hold the secret of a proxy")]
    NotASecret,
    /// It should hold one id and nothing else.
    #[error("it does not hold an id")]
    NotAnId {
        /// Why not.
        source: IdError,
    },
}

/// Why a record was not written, removed or set aside.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What is there could not be read, so it is not written over.
    #[error("the record of {name} was not changed")]
    Unreadable {
        /// Whose record.
        name: WorkloadName,
        /// Why.
        source: ReadError,
    },
    /// The name is taken, be it by a record that cannot be read.
    #[error("a workload named {name} exists already")]
    AlreadyExists {
        /// The name.
        name: WorkloadName,
    },
    /// The record belongs to another creation of the name.
    #[error("{name} is another workload by now: its uid is {found}, not {expected}")]
    UidConflict {
        /// Whose record.
        name: WorkloadName,
        /// The uid that the caller knows.
        expected: Uid,
        /// The uid in the record.
        found: Uid,
    },
    /// Somebody else wrote the record in between.
    #[error("the record of {name} has changed: its revision is {found}, not {expected}")]
    RevisionConflict {
        /// Whose record.
        name: WorkloadName,
        /// The revision that the caller knows; 0 for none.
        expected: u64,
        /// The revision in the record; 0 if there is no record.
        found: u64,
    },
    /// A later wharf wrote it: it can be shown, but not rewritten.
    #[error("{path} has schema {found}, and this wharf writes {known}: change {name} with a newer wharf", path = path.display())]
    Newer {
        /// Whose record.
        name: WorkloadName,
        /// The file.
        path: PathBuf,
        /// Its version.
        found: SchemaVersion,
        /// The newest that is known here.
        known: SchemaVersion,
    },
    /// The new record makes no sense: nothing was written.
    #[error("the new record of {name} is invalid")]
    Invalid {
        /// Whose record.
        name: WorkloadName,
        /// Why.
        source: RunConfigError,
    },
    /// The change would make it the record of another workload: nothing was written.
    #[error("a change of the record of {name} may not alter its name or uid")]
    IdentityChanged {
        /// Whose record.
        name: WorkloadName,
    },
    /// The new record would be refused by the next reader: nothing was written.
    #[error("the new record of {name} has {length} bytes, and {limit} is the limit")]
    TooLarge {
        /// Whose record.
        name: WorkloadName,
        /// How many bytes it would have.
        length: usize,
        /// How many it may have.
        limit: usize,
    },
    /// The new record cannot be written as JSON.
    #[error("the new record of {name} is no JSON")]
    NotJson {
        /// Whose record.
        name: WorkloadName,
        /// Why.
        source: serde_json::Error,
    },
    /// A lock was not to be had.
    #[error("the record of {name} is not locked")]
    Locking {
        /// Whose record.
        name: WorkloadName,
        /// Why.
        source: LockError,
    },
    /// The operation lock that was shown is of another state directory.
    #[error("the operation lock of {name} is one of {found}, not of {expected}", found = found.display(), expected = expected.display())]
    ForeignLock {
        /// Whose lock.
        name: WorkloadName,
        /// The state directory of the store.
        expected: PathBuf,
        /// The state directory of the lock.
        found: PathBuf,
    },
    /// It is not corrupt, so it is not set aside.
    #[error("{path} is not corrupt and stays where it is", path = path.display())]
    NotCorrupt {
        /// The file.
        path: PathBuf,
    },
    /// So many have been set aside that something is wrong.
    #[error("{limit} corrupt files of {name} have been set aside already: look at them and remove them")]
    TooManySetAside {
        /// Whose record.
        name: WorkloadName,
        /// How many there may be.
        limit: u32,
    },
    /// No random bytes, so no name for a temporary file and no id.
    #[error("cannot make a unique name in {path}", path = path.display())]
    NoRandomness {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: IdError,
    },
    /// There is no host id, and workloads that carry it. Another one would make them strangers.
    #[error("the id of this host is missing: {}", path.display())]
    HostIdLost {
        /// Where it was.
        path: PathBuf,
    },
    /// The id of the host is in a file that makes no sense or cannot be read.
    #[error("this state directory has no usable host id")]
    HostId {
        /// Why.
        source: ReadError,
    },
    /// A write, a rename, an fsync failed. The record is the old one, or (if only the last fsync failed) the new one.
    #[error("the state directory was not written")]
    Effect {
        /// Which effect, on which path.
        source: EffectError,
    },
}

impl ReadError {
    /// Whether there simply is no record.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether the bytes are there and are no record of any version: the only files that may be set aside.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::TooLarge { .. })
    }

    /// The file or folder that it is about.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::NotFound { path }
            | Self::Corrupt { path, .. }
            | Self::Unreadable { path, .. }
            | Self::Newer { path, .. }
            | Self::TooLarge { path, .. } => path,
        }
    }
}

impl StoreError {
    /// Whether the disk, or the user's part of it, is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Effect { source } if matches!(source.source.kind(), StorageFull | QuotaExceeded))
    }
}

impl StoreError {
    /// Whether the state directory could not be written, for whatever reason the system gave: nothing that is on record
    /// spoke against the change.
    #[must_use]
    pub fn is_unwritable(&self) -> bool {
        match self {
            Self::Effect { .. } => true,
            Self::Locking { source, .. } => {
                matches!(source, LockError::NoLockFile { .. } | LockError::Failed { .. })
            }
            _ => false,
        }
    }
}

impl From<EffectError> for StoreError {
    /// An [`EffectError`] says itself what was being done, and to which path.
    fn from(source: EffectError) -> Self {
        Self::Effect { source }
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        let kind = if error.is_not_found() { ErrorKind::NotFound } else { ErrorKind::Failed };
        let corrupt = error.is_corrupt();
        let shown = Self::new(kind, chain(&error));
        if corrupt {
            shown.hint("its name stays reserved; look at the file, mend or remove it")
        } else {
            shown
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::AlreadyExists { .. }
            | StoreError::UidConflict { .. }
            | StoreError::RevisionConflict { .. } => ErrorKind::Conflict,
            StoreError::Unreadable { source, .. } if source.is_not_found() => ErrorKind::NotFound,
            _ => ErrorKind::Failed,
        };
        let shown = Self::new(kind, chain(&error));
        match error {
            StoreError::HostIdLost { .. } => shown.hint(
                "write it back: what the runtimes have carries it in the label wharf.host-id; nothing was changed",
            ),
            _ => shown,
        }
    }
}
