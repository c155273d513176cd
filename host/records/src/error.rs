//! The errors of records, in the classes by which callers decide.
//!
//! *Corrupt* (the bytes are there and make no sense) is not *unreadable* (they may be fine, but this process cannot see
//! them) and not *newer* (they make sense to a later wharf). Only the first may ever be set aside.

use std::io;
use std::path::{Path, PathBuf};

use crate::effect::EffectError;
use crate::lock_error::LockError;
use wharf_model::RunConfigError;
use wharf_model::SchemaVersion;
use wharf_model::WorkloadName;
use wharf_model::{Error, ErrorKind};
use wharf_model::{IdError, Uid};

/// The reason why a record was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is none.
    #[error("{path} does not exist", path = path.display())]
    NotFound {
        /// The path at which it would be.
        path: PathBuf,
    },
    /// The file is no record. Its bytes are kept, and its name stays reserved.
    #[error("{path} is corrupt", path = path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The fault in the bytes.
        #[source]
        why: Corruption,
    },
    /// The file could not be looked at: permission, I/O, too many open files, not a regular file.
    #[error("cannot read {path}", path = path.display())]
    Unreadable {
        /// The file, or the folder.
        path: PathBuf,
        /// The system's error.
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
        /// The number of bytes that a record may have.
        limit: usize,
    },
}

/// The fault in the bytes of a record.
#[derive(Debug, thiserror::Error)]
pub enum Corruption {
    /// Not JSON, cut off, or a field is missing or has another type.
    #[error("not a record of this kind")]
    Shape {
        /// The parser's error, with line and column.
        source: serde_json::Error,
    },
    /// JSON, but no object.
    #[error("not a JSON object")]
    NotAnObject,
    /// Each field is valid, but they contradict each other.
    #[error("its fields contradict each other")]
    Contradiction {
        /// The contradiction.
        source: RunConfigError,
    },
    /// The name in the file is not the name of the file.
    #[error("it is the record of {found:?}")]
    WrongName {
        /// The name in the file.
        found: String,
    },
    /// The file should hold the secret of a proxy. The error quotes nothing of the file, which may hold a secret.
    #[error("it does not hold the secret of a proxy")]
    NotASecret,
    /// The file should hold one id and nothing else.
    #[error("it does not hold an id")]
    NotAnId {
        /// The fault.
        source: IdError,
    },
}

/// The reason why a record was not written, removed or set aside.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The present record could not be read, so it is not overwritten.
    #[error("the record of {name} was not changed")]
    Unreadable {
        /// The workload.
        name: WorkloadName,
        /// The reason.
        source: ReadError,
    },
    /// The name is taken, perhaps by a record that cannot be read.
    #[error("a workload named {name} exists already")]
    AlreadyExists {
        /// The name.
        name: WorkloadName,
    },
    /// The record belongs to another creation of the name.
    #[error("{name} is another workload by now: its uid is {found}, not {expected}")]
    UidConflict {
        /// The workload.
        name: WorkloadName,
        /// The uid that the caller knows.
        expected: Uid,
        /// The uid in the record.
        found: Uid,
    },
    /// Another writer changed the record in between.
    #[error("the record of {name} has changed: its revision is {found}, not {expected}")]
    RevisionConflict {
        /// The workload.
        name: WorkloadName,
        /// The revision that the caller knows; 0 for none.
        expected: u64,
        /// The revision in the record; 0 if there is no record.
        found: u64,
    },
    /// A later wharf wrote the record: it can be shown, but not rewritten.
    #[error("{path} has schema {found}, and this wharf writes {known}: change {name} with a newer wharf", path = path.display())]
    Newer {
        /// The workload.
        name: WorkloadName,
        /// The file.
        path: PathBuf,
        /// Its version.
        found: SchemaVersion,
        /// The newest that is known here.
        known: SchemaVersion,
    },
    /// The new record is invalid: nothing was written.
    #[error("the new record of {name} is invalid")]
    Invalid {
        /// The workload.
        name: WorkloadName,
        /// The contradiction.
        source: RunConfigError,
    },
    /// The change would make it the record of another workload: nothing was written.
    #[error("a change of the record of {name} may not alter its name or uid")]
    IdentityChanged {
        /// The workload.
        name: WorkloadName,
    },
    /// Readers would refuse the new record: nothing was written.
    #[error("the new record of {name} has {length} bytes, and {limit} is the limit")]
    TooLarge {
        /// The workload.
        name: WorkloadName,
        /// The number of bytes that it would have.
        length: usize,
        /// The number that it may have.
        limit: usize,
    },
    /// The new record cannot be written as JSON.
    #[error("the new record of {name} is no JSON")]
    NotJson {
        /// The workload.
        name: WorkloadName,
        /// The error of the JSON writer.
        source: serde_json::Error,
    },
    /// A lock could not be taken.
    #[error("the record of {name} is not locked")]
    Locking {
        /// The workload.
        name: WorkloadName,
        /// The reason.
        source: LockError,
    },
    /// The caller's operation lock is of another state directory.
    #[error("the operation lock of {name} is one of {found}, not of {expected}", found = found.display(), expected = expected.display())]
    ForeignLock {
        /// The workload.
        name: WorkloadName,
        /// The state directory of the store.
        expected: PathBuf,
        /// The state directory of the lock.
        found: PathBuf,
    },
    /// The file is not corrupt, so it is not set aside.
    #[error("{path} is not corrupt and stays where it is", path = path.display())]
    NotCorrupt {
        /// The file.
        path: PathBuf,
    },
    /// So many files have been set aside that a person should look.
    #[error("{limit} corrupt files of {name} have been set aside already: look at them and remove them")]
    TooManySetAside {
        /// The workload.
        name: WorkloadName,
        /// The limit.
        limit: u32,
    },
    /// No random bytes, so no name for a temporary file and no id.
    #[error("cannot make a unique name in {path}", path = path.display())]
    NoRandomness {
        /// The folder.
        path: PathBuf,
        /// The reason.
        source: IdError,
    },
    /// The host id is missing, and there are workloads that carry it. With a new id they would become foreign.
    #[error("the id of this host is missing: {}", path.display())]
    HostIdLost {
        /// The path at which it was.
        path: PathBuf,
    },
    /// The id of the host is in a file that makes no sense or cannot be read.
    #[error("this state directory has no usable host id")]
    HostId {
        /// The reason.
        source: ReadError,
    },
    /// A write, a rename or an fsync failed. The record is the old one, or (if only the last fsync failed) the new one.
    #[error("the state directory was not written")]
    Effect {
        /// The effect that failed, with its path.
        source: EffectError,
    },
}

impl ReadError {
    /// Whether there is no record.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether the bytes can be read and are no record of any version. Only such files may be set aside.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::TooLarge { .. })
    }

    /// The file or folder that the error is about.
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
    /// Whether the system refused to write to the state directory. Then nothing on record spoke against the change.
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
    /// An [`EffectError`] already names the effect and the path.
    fn from(source: EffectError) -> Self {
        Self::Effect { source }
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        let kind = if error.is_not_found() { ErrorKind::NotFound } else { ErrorKind::Failed };
        let corrupt = error.is_corrupt();
        let shown = Self::from_cause(kind, &error);
        if corrupt { shown.hint("its name stays reserved as long as the file is there") } else { shown }
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
        let shown = Self::from_cause(kind, &error);
        match error {
            StoreError::HostIdLost { .. } => shown.hint(
                "write it back: what the runtimes have carries it in the label wharf.host-id; nothing was changed",
            ),
            _ => shown,
        }
    }
}
