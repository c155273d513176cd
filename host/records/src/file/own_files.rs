//! [`OwnFiles`]: small files of one folder that are no workload's records, each written by one process at a time.
//!
//! For a front end that has something of its own to remember. How they are written is how records are (R11); whose turn
//! it is to write is the caller's business.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use crate::effect::{Effect, EffectError};
use crate::error::ReadError;
use crate::file::atomic::{Durability, temporary_name};
use crate::file::folder::Folder;

/// The files of a folder below the state directory.
#[derive(Debug, Clone)]
pub struct OwnFiles {
    folder: PathBuf,
}

impl OwnFiles {
    /// The files of this folder, which need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes a file that must not be there; false, with nothing changed, if it is.
    ///
    /// # Errors
    /// It cannot be written; its name is as free as it was.
    pub fn create(&self, file: &str, bytes: &[u8]) -> Result<bool, EffectError> {
        let folder = Folder::open_or_make(&self.folder)?;
        match folder.create(&self.temporary(file)?, OsStr::new(file), bytes) {
            Ok(()) => Ok(true),
            Err(error) if error.is_already_there() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Puts a file in the place of one that has the bytes `old`, or of none.
    ///
    /// # Errors
    /// It cannot be written; the old one is there as before, if the disk allows that.
    pub fn replace(&self, file: &str, bytes: &[u8], old: Option<&[u8]>) -> Result<(), EffectError> {
        let folder = Folder::open_or_make(&self.folder)?;
        folder.replace(&self.temporary(file)?, OsStr::new(file), bytes, (old, Durability::Now))
    }

    /// Reads a file that has at most `limit` bytes.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub fn read(&self, file: &str, limit: usize) -> Result<Vec<u8>, ReadError> {
        match Folder::open(&self.folder)? {
            Some(folder) => folder.read(OsStr::new(file), limit),
            None => Err(ReadError::NotFound { path: self.folder.join(file) }),
        }
    }

    /// The names of all files, with temporaries that a writer left.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self) -> Result<Vec<OsString>, ReadError> {
        Folder::open(&self.folder)?.map_or_else(|| Ok(Vec::new()), |folder| folder.names())
    }

    /// Removes a file, durably. That it is not there is as good.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, file: &OsStr) -> Result<(), EffectError> {
        match Folder::open(&self.folder) {
            Ok(Some(folder)) => folder.remove(file),
            _ => Ok(()),
        }
    }

    fn temporary(&self, file: &str) -> Result<OsString, EffectError> {
        temporary_name(file).map_err(|error| EffectError {
            effect: Effect::CreateFile,
            path: self.folder.join(file),
            source: io::Error::other(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_made_once_replaced_whole_and_its_users_alone() {
        let dir = tempfile::tempdir().unwrap();
        let files = OwnFiles::new(dir.path().join("api/operations"));
        assert!(files.names().unwrap().is_empty(), "asking makes nothing");
        assert!(!files.folder().exists());
        assert!(files.create("a.json", b"1").unwrap());
        assert!(!files.create("a.json", b"2").unwrap(), "it is there");
        assert_eq!(files.read("a.json", 10).unwrap(), b"1");
        files.replace("a.json", b"3", Some(b"1")).unwrap();
        assert_eq!(files.read("a.json", 10).unwrap(), b"3");
        assert_eq!(files.names().unwrap(), ["a.json"], "no temporary stays");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(files.folder()), mode(&files.folder().join("a.json"))), (0o700, 0o600));
        files.remove(OsStr::new("a.json")).unwrap();
        files.remove(OsStr::new("a.json")).unwrap();
        assert!(files.read("a.json", 10).is_err_and(|error| error.is_not_found()));
    }
}
