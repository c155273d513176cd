//! Every effect on the state directory: create, write, fsync, link, rename, unlink, mkdir.
//!
//! The store above decides the contents; this file knows how to write them: to a temporary file in the same folder,
//! fsynced, moved into place, then the folder is fsynced (R11). All effects pass through [`perform`], and no other file of
//! this package writes. Files are `0600` and folders `0700` whatever the caller's umask is.
//!
//! A temporary file is called `.STEM.tmp-PID-RANDOM`. Only the holder of the record lock of STEM makes one, so any that it
//! finds belongs to a dead writer, and it sweeps them. Readers never look at them.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::effect::{Effect, EffectError};
use crate::file::folder::{FileIdentity, Folder, identity};
use wharf_failpoint as failpoint;
use wharf_failpoint::Point;
use wharf_model::{IdError, random_hex};

const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const FOLDER_MODE: Mode = Mode::RWXU;

/// When a file's new name outlives a crash of the machine. Its bytes are on the disk before it gets that name: whatever
/// happens, readers find the old ones or the new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Before the writer goes on.
    Now,
    /// With the next change in the same folder, by any process: for records that such a crash makes meaningless.
    WithNext,
}

impl Effect {
    const fn points(self) -> (Point, Point) {
        match self {
            Self::MakeFolder => (Point::MakeFolderBefore, Point::MakeFolderAfter),
            Self::CreateFile | Self::OpenFile => (Point::CreateFileBefore, Point::CreateFileAfter),
            Self::WriteFile => (Point::WriteFileBefore, Point::WriteFileAfter),
            Self::SyncFile => (Point::SyncFileBefore, Point::SyncFileAfter),
            Self::Link => (Point::LinkBefore, Point::LinkAfter),
            Self::Rename => (Point::RenameBefore, Point::RenameAfter),
            Self::Unlink => (Point::UnlinkBefore, Point::UnlinkAfter),
            Self::SyncFolder => (Point::SyncFolderBefore, Point::SyncFolderAfter),
        }
    }
}

/// Performs an effect between its two failpoints. All effects pass through here.
fn perform<T>(
    effect: Effect,
    path: &Path,
    act: impl FnOnce() -> Result<T, io::Error>,
) -> Result<T, EffectError> {
    let (before, after) = effect.points();
    let done = failpoint::perform(before, after, act);
    done.map_err(|source| EffectError { effect, path: path.to_owned(), source })
}

/// Makes a folder, and missing ones above it, each durable and for the user alone. An existing folder is left as it is.
pub(crate) fn make_folder(path: &Path) -> Result<(), EffectError> {
    match (make_one_folder(path), path.parent()) {
        (Err(error), Some(parent))
            if error.source.kind() == io::ErrorKind::NotFound && !parent.as_os_str().is_empty() =>
        {
            make_folder(parent)?;
            make_one_folder(path)
        }
        (made, _) => made,
    }
}

fn make_one_folder(path: &Path) -> Result<(), EffectError> {
    let mut made = false;
    let done = perform(Effect::MakeFolder, path, || match rustix::fs::mkdir(path, FOLDER_MODE) {
        Ok(()) => {
            made = true;
            Ok(rustix::fs::chmod(path, FOLDER_MODE)?)
        }
        Err(Errno::EXIST) if path.is_dir() => Ok(()),
        Err(errno) => Err(errno.into()),
    });
    if done.is_err() && made {
        let _ = rustix::fs::rmdir(path);
    }
    done?;
    match path.parent() {
        Some(parent) if made => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            let synced = perform(Effect::SyncFolder, parent, || File::open(parent)?.sync_all());
            if synced.is_err() {
                // The folder was made, but its fsync failed. If it stayed, the next caller would take it for durable. If
                // somebody has put files into it already, the removal fails and it stays.
                let _ = rustix::fs::rmdir(path);
            }
            synced
        }
        Some(_) | None => Ok(()),
    }
}

/// Opens a file for reading and writing. A missing one is made, empty; an existing one is never truncated.
pub(crate) fn open_or_create(path: &Path) -> Result<OwnedFd, EffectError> {
    const FLAGS: OFlags = OFlags::RDWR.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
    match rustix::fs::open(path, FLAGS, Mode::empty()) {
        Err(Errno::NOENT) => {}
        opened => return perform(Effect::OpenFile, path, || Ok(opened?)),
    }
    if let Some(parent) = path.parent() {
        make_folder(parent)?;
    }
    perform(Effect::CreateFile, path, || {
        match rustix::fs::open(path, FLAGS | OFlags::CREATE | OFlags::EXCL, FILE_MODE) {
            Ok(descriptor) => {
                rustix::fs::fchmod(&descriptor, FILE_MODE)?;
                Ok(descriptor)
            }
            Err(Errno::EXIST) => Ok(rustix::fs::open(path, FLAGS, Mode::empty())?),
            Err(errno) => Err(errno.into()),
        }
    })
}

impl Folder {
    /// Opens a folder to write in. A missing one is made.
    pub(crate) fn open_or_make(path: &Path) -> Result<Self, EffectError> {
        if let Some(folder) = perform(Effect::MakeFolder, path, || Self::open_existing(path))? {
            return Ok(folder);
        }
        make_folder(path)?;
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        perform(Effect::MakeFolder, path, || Self::open_existing(path)?.ok_or_else(missing))
    }

    /// Removes the temporary files that dead writers of `stem` left. The caller holds the record lock of `stem`.
    pub(crate) fn sweep(&self, stem: &str) -> Result<(), EffectError> {
        let prefix = format!(".{stem}.tmp-");
        let names = perform(Effect::Unlink, &self.path, || self.list())?;
        names
            .iter()
            .filter(|name| name.as_bytes().starts_with(prefix.as_bytes()))
            .try_for_each(|name| self.unlink(name))
    }

    /// Makes a new file, which is durable when this returns. If the name is taken, by anything, it fails with "already
    /// there" and changes nothing. If an effect fails, the name is free again: nobody may find a file whose creation was
    /// reported to have failed.
    pub(crate) fn create(&self, temporary: &OsStr, file: &OsStr, bytes: &[u8]) -> Result<(), EffectError> {
        let ours = self.write_temporary(temporary, bytes)?;
        let made = self.link(temporary, file).and_then(|()| self.sync());
        if made.is_err() && self.is(file, ours) {
            self.put_back(temporary, file, None);
        }
        self.discard(temporary);
        made
    }

    /// Replaces a file that has the bytes `old` (none: there is no file). Readers see the old bytes or the new ones. If an
    /// effect fails, the old bytes are put back, if the disk allows that.
    pub(crate) fn replace(
        &self,
        temporary: &OsStr,
        file: &OsStr,
        bytes: &[u8],
        (old, durability): (Option<&[u8]>, Durability),
    ) -> Result<(), EffectError> {
        let ours = self.write_temporary(temporary, bytes)?;
        let replaced = self.rename(temporary, file).and_then(|()| match durability {
            Durability::Now => self.sync(),
            Durability::WithNext => Ok(()),
        });
        if replaced.is_err() {
            if self.is(file, ours) {
                self.put_back(temporary, file, old);
            }
            self.discard(temporary);
        }
        replaced
    }

    /// Puts the old contents back, after an effect that was performed but reported a failure.
    fn put_back(&self, temporary: &OsStr, file: &OsStr, old: Option<&[u8]>) {
        let undone = match old {
            None => self.unlink(file),
            Some(old) => self.write_temporary(temporary, old).and_then(|_| self.rename(temporary, file)),
        };
        if let Err(error) = undone.and_then(|()| self.sync()) {
            let path = self.path_of(file);
            tracing::warn!(path = %path.display(), %error, "a change that was reported to have failed may be on record");
        }
    }

    /// Removes a file, durably. A missing file is a success. After a failure, the file may be gone all the same.
    pub(crate) fn remove(&self, file: &OsStr) -> Result<(), EffectError> {
        self.unlink(file)?;
        self.sync()
    }

    /// Gives a file another name, which must be free. After a crash in between, the file has both names.
    pub(crate) fn set_aside(&self, file: &OsStr, aside: &OsStr) -> Result<(), EffectError> {
        self.link(file, aside)?;
        self.sync()?;
        self.remove(file)
    }

    /// Renames a file or a folder to the first of these names that is free; false if none is.
    pub(crate) fn move_aside(
        &self,
        file: &OsStr,
        mut others: impl Iterator<Item = OsString>,
    ) -> Result<Option<OsString>, EffectError> {
        let taken = || EffectError {
            effect: Effect::Rename,
            path: self.path_of(file),
            source: io::Error::from(io::ErrorKind::AlreadyExists),
        };
        loop {
            let aside = others.next().ok_or_else(taken)?;
            let moved = perform(Effect::Rename, &self.path_of(file), || {
                let flags = RenameFlags::NOREPLACE;
                Ok(rustix::fs::renameat_with(&self.descriptor, file, &self.descriptor, &aside, flags)?)
            });
            match moved {
                Ok(()) => return self.sync().map(|()| Some(aside)),
                Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) if error.is_already_there() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes a temporary file, durable; returns its identity.
    fn write_temporary(&self, temporary: &OsStr, bytes: &[u8]) -> Result<FileIdentity, EffectError> {
        const FLAGS: OFlags = OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::CLOEXEC);
        let path = self.path_of(temporary);
        let mut file = perform(Effect::CreateFile, &path, || {
            Ok(File::from(rustix::fs::openat(&self.descriptor, temporary, FLAGS, FILE_MODE)?))
        })?;
        let written = perform(Effect::WriteFile, &path, || {
            rustix::fs::fchmod(&file, FILE_MODE)?;
            file.write_all(bytes)
        })
        .and_then(|()| perform(Effect::SyncFile, &path, || file.sync_all().and_then(|()| identity(&file))));
        if written.is_err() {
            self.discard(temporary);
        }
        written
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> Result<(), EffectError> {
        perform(Effect::Rename, &self.path_of(to), || {
            Ok(rustix::fs::renameat(&self.descriptor, from, &self.descriptor, to)?)
        })
    }

    fn link(&self, from: &OsStr, to: &OsStr) -> Result<(), EffectError> {
        perform(Effect::Link, &self.path_of(to), || {
            Ok(rustix::fs::linkat(&self.descriptor, from, &self.descriptor, to, AtFlags::empty())?)
        })
    }

    fn unlink(&self, file: &OsStr) -> Result<(), EffectError> {
        perform(Effect::Unlink, &self.path_of(file), || {
            match rustix::fs::unlinkat(&self.descriptor, file, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                Err(errno) => Err(errno.into()),
            }
        })
    }

    /// Removes a temporary file after a failure whose error matters more. If it stays, the next writer sweeps it.
    fn discard(&self, temporary: &OsStr) {
        if let Err(error) = self.unlink(temporary) {
            tracing::debug!(%error, "a temporary file stays until the next write");
        }
    }

    fn sync(&self) -> Result<(), EffectError> {
        perform(Effect::SyncFolder, &self.path, || Ok(rustix::fs::fsync(&self.descriptor)?))
    }
}

/// A new name for a temporary file of `stem`.
pub(crate) fn temporary_name(stem: &str) -> Result<OsString, IdError> {
    Ok(OsString::from(format!(".{stem}.tmp-{}-{}", std::process::id(), random_hex()?)))
}
