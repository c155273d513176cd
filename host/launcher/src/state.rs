//! [`StateFile`] and [`OwnFolder`]: the launcher's state file, which tells other processes about the workload, and the
//! workload's own folder.
//!
//! The file is not written as records are (`host/records/src/file/atomic.rs`), which the launcher must not know. The steps are
//! the same four system calls; what surrounds them is not: this file has one writer, so one temporary name is enough, and
//! after a failure nothing is put back, since the launcher ends then.
use rustix::fs::{Mode, OFlags};
use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};
use wharf_failpoint::{Point, may_fail, reach};
use wharf_sdk::launch::{State, temporary_dir};

/// A file that is written whole and durably: after a crash, it is the old one or the new one.
pub(crate) struct StateFile {
    path: PathBuf,
    temporary: PathBuf,
}

impl StateFile {
    pub(crate) fn new(path: &Path) -> Self {
        let mut temporary = OsString::from(path);
        // One name is enough, since there is one writer: an unfinished file of a crash is overwritten.
        temporary.push(".tmp");
        Self { path: path.to_owned(), temporary: temporary.into() }
    }

    /// Writes it: a new file beside it, fsync, rename, fsync of the folder.
    pub(crate) fn write(&self, state: &State) -> io::Result<()> {
        self.put(state)?;
        self.sync_folder()?;
        may_fail(Point::StateWriteAfter)
    }

    /// The same for a file that is there, without the last step: after a crash of the machine it is the old or the new one,
    /// and whichever it is, the process that it tells of is gone.
    pub(crate) fn note(&self, state: &State) -> io::Result<()> {
        self.put(state)?;
        may_fail(Point::StateWriteAfter)
    }

    fn put(&self, state: &State) -> io::Result<()> {
        may_fail(Point::StateWriteBefore)?;
        let written = self.write_temporary(state).and_then(|()| fs::rename(&self.temporary, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(&self.temporary);
        }
        written?;
        may_fail(Point::StateRenamed)
    }

    fn write_temporary(&self, state: &State) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&self.temporary)?;
        file.write_all(&serde_json::to_vec(state)?)?;
        file.sync_all()?;
        may_fail(Point::StateSynced)
    }

    /// Removes the file if it is still this launcher's, and not that of a later deployment.
    pub(crate) fn remove_own(&self, state: &State) {
        let is_own = fs::read(&self.path)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<State>(&bytes).ok())
            .is_some_and(|found| found.launcher == state.launcher);
        if !is_own {
            return;
        }
        reach(Point::StateRemoveBefore);
        if fs::remove_file(&self.path).is_ok() {
            let _ = self.sync_folder();
        }
        reach(Point::StateRemoveAfter);
    }

    fn sync_folder(&self) -> io::Result<()> {
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// A workload's own folder. Dropping this removes it, if this launcher made it and it is not kept.
pub(crate) struct OwnFolder {
    made: Option<PathBuf>,
}

impl OwnFolder {
    /// Makes the folder and the one for temporary files, for their user alone. An existing one is from an earlier
    /// deployment, whose workload may have changed its rights or put something else in its place.
    pub(crate) fn make(path: &Path) -> io::Result<Self> {
        let create = |path: &Path| DirBuilder::new().mode(0o700).create(path);
        let make = |path: &Path| match create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match open_up(path) {
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                    fs::remove_file(path)?;
                    create(path).map(|()| true)
                }
                other => other.map(|()| false),
            },
            other => other.map(|()| true),
        };
        may_fail(Point::OwnFolderBefore)?;
        let made = Self { made: make(path)?.then(|| path.to_owned()) };
        make(&temporary_dir(path))?;
        may_fail(Point::OwnFolderAfter)?;
        Ok(made)
    }

    /// Keeps the folder until the workload is removed.
    pub(crate) fn keep(&mut self) {
        self.made = None;
    }
}

/// Gives its owner all rights to a folder. `ENOTDIR`: it is no folder, or a link.
fn open_up(path: &Path) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(path, flags, Mode::empty())?;
    // fchmod(2) does not take an `O_PATH` descriptor. The link in `/proc/self/fd` leads to the folder that it holds, even
    // if the folder's name leads elsewhere.
    Ok(rustix::fs::chmod(format!("/proc/self/fd/{}", folder.as_raw_fd()), Mode::RWXU)?)
}

impl Drop for OwnFolder {
    fn drop(&mut self) {
        if let Some(path) = &self.made {
            reach(Point::OwnFolderRemoveBefore);
            let _ = fs::remove_dir_all(path);
            reach(Point::OwnFolderRemoveAfter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn an_own_folder_that_a_workload_spoilt_is_made_usable_again() {
        let place = tempfile::tempdir().unwrap();
        let (own, elsewhere) = (place.path().join("own"), place.path().join("elsewhere"));
        let temporary = temporary_dir(&own);
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        set(&elsewhere, 0o555);
        let make = || OwnFolder::make(&own).unwrap().keep();
        make();
        // A folder without rights, a file, a link in its place.
        set(&temporary, 0);
        set(&own, 0);
        make();
        assert_eq!((mode(&own), mode(&temporary)), (0o700, 0o700));
        fs::remove_dir(&temporary).unwrap();
        File::create(&temporary).unwrap();
        make();
        fs::remove_dir(&temporary).unwrap();
        symlink(&elsewhere, &temporary).unwrap();
        make();
        assert!(fs::symlink_metadata(&temporary).unwrap().is_dir());
        assert_eq!(mode(&elsewhere), 0o555);
    }
}
