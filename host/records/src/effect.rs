//! [`Effect`]: names one change of the state directory, for errors and failpoints; [`EffectError`]: one that failed.

use std::io;
use std::path::PathBuf;

/// One change of the state directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// A folder is made.
    MakeFolder,
    /// A file is made, empty.
    CreateFile,
    /// An existing file is opened for writing.
    OpenFile,
    /// Bytes are written to a temporary file.
    WriteFile,
    /// A temporary file is made durable.
    SyncFile,
    /// A file gets a name that must be free.
    Link,
    /// A temporary file takes the place of a file.
    Rename,
    /// A name is removed.
    Unlink,
    /// A folder's names are made durable.
    SyncFolder,
}

/// An effect that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {path}", verb = effect.verb(), path = path.display())]
pub struct EffectError {
    /// The effect.
    pub effect: Effect,
    /// The file or the folder.
    pub path: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

impl Effect {
    fn verb(self) -> &'static str {
        match self {
            Self::MakeFolder => "make the folder",
            Self::CreateFile => "create",
            Self::OpenFile => "open for writing",
            Self::WriteFile => "write",
            Self::SyncFile | Self::SyncFolder => "fsync",
            Self::Link => "link",
            Self::Rename => "replace",
            Self::Unlink => "remove",
        }
    }
}

impl EffectError {
    /// Whether the name was taken already.
    #[must_use]
    pub fn is_already_there(&self) -> bool {
        self.source.kind() == io::ErrorKind::AlreadyExists
    }
}
