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
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, Dir, DirEntry, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::effect::{Effect, EffectError};
use crate::error::ReadError;
use crate::file::file_stamp::FileStamp;
use wharf_failpoint as failpoint;
use wharf_failpoint::Point;
use wharf_model::{IdError, random_hex};

const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const FOLDER_MODE: Mode = Mode::RWXU;

/// The usual length of a record, and more.
pub(crate) const USUAL_BYTES: usize = 8 * 1024;

/// When a file's new name outlives a crash of the machine. Its bytes are on the disk before it gets that name: whatever
/// happens, readers find the old ones or the new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Before the writer goes on.
    Now,
    /// With the next change in the same folder, by any process: for records that such a crash makes meaningless.
    WithNext,
}

/// An open folder of the state directory.
pub struct Folder {
    descriptor: OwnedFd,
    path: PathBuf,
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
    /// Opens a folder. None: there is none.
    pub fn open(path: &Path) -> Result<Option<Self>, ReadError> {
        Self::open_existing(path).map_err(|source| ReadError::Unreadable { path: path.to_owned(), source })
    }

    /// Opens a folder to write in. A missing one is made.
    pub(crate) fn open_or_make(path: &Path) -> Result<Self, EffectError> {
        if let Some(folder) = perform(Effect::MakeFolder, path, || Self::open_existing(path))? {
            return Ok(folder);
        }
        make_folder(path)?;
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        perform(Effect::MakeFolder, path, || Self::open_existing(path)?.ok_or_else(missing))
    }

    fn open_existing(path: &Path) -> io::Result<Option<Self>> {
        const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
        match rustix::fs::open(path, FLAGS, Mode::empty()) {
            Ok(descriptor) => Ok(Some(Self { descriptor, path: path.to_owned() })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The path of a file of this folder.
    pub(crate) fn path_of(&self, file: &OsStr) -> PathBuf {
        self.path.join(file)
    }

    /// The names of all files and folders in it.
    pub fn names(&self) -> Result<Vec<OsString>, ReadError> {
        self.list().map_err(|source| ReadError::Unreadable { path: self.path.clone(), source })
    }

    fn list(&self) -> io::Result<Vec<OsString>> {
        let entry_name = |entry: rustix::io::Result<DirEntry>| -> io::Result<OsString> {
            Ok(OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned())
        };
        let names = Dir::read_from(&self.descriptor)?.map(entry_name);
        // Every folder also has entries for itself and for the one above.
        names.filter(|name| !matches!(name, Ok(name) if name == "." || name == "..")).collect()
    }

    /// Reads a regular file that has at most `limit` bytes. It is opened once, so the checks and the bytes are of the same
    /// file. A FIFO does not block.
    pub fn read(&self, file: &OsStr, limit: usize) -> Result<Vec<u8>, ReadError> {
        self.read_stamped(file, limit).map(|(bytes, _)| bytes)
    }

    /// The same, with the stamp of the opened file, which is taken before the bytes are read: whoever writes to the file
    /// meanwhile gives it another one.
    pub(crate) fn read_stamped(&self, file: &OsStr, limit: usize) -> Result<(Vec<u8>, FileStamp), ReadError> {
        let path = || self.path_of(file);
        let unreadable = |source: io::Error| ReadError::Unreadable { path: path(), source };
        let opened = match self.open_to_read(file) {
            Ok(opened) => opened,
            Err(Errno::NOENT) => return Err(ReadError::NotFound { path: path() }),
            Err(errno) => return Err(unreadable(errno.into())),
        };
        let found = rustix::fs::fstat(&opened).map_err(|errno| unreadable(errno.into()))?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
        }
        let length = usize::try_from(found.st_size).unwrap_or(usize::MAX);
        if length > limit {
            return Err(ReadError::TooLarge { path: path(), limit });
        }
        // Records are replaced, never written in place. So the length that the opened file has is all that it will have.
        let mut bytes = Vec::with_capacity(length);
        opened.take(length as u64).read_to_end(&mut bytes).map_err(unreadable)?;
        Ok((bytes, FileStamp::of(&found)))
    }

    /// The stamp of the file that has this name now; none if there is none, or it cannot be looked at.
    pub(crate) fn stamp(&self, file: &OsStr) -> Option<FileStamp> {
        let found = rustix::fs::statat(&self.descriptor, file, AtFlags::SYMLINK_NOFOLLOW);
        found.ok().as_ref().map(FileStamp::of)
    }

    /// Reads a record of usual length into a buffer that is used again and again, with one system call less than
    /// [`Folder::read`]: it counts in a listing of thousands. None if these may not be all bytes. A caller that cannot
    /// parse the bytes must read the file with [`Folder::read`]: the read may have ended early at an I/O error.
    pub(crate) fn read_usual<'a>(&self, bytes: &'a mut Vec<u8>, file: &OsStr) -> Option<&'a [u8]> {
        let opened = self.open_to_read(file).ok()?;
        bytes.clear();
        bytes.reserve(USUAL_BYTES);
        rustix::io::read(&opened, spare_capacity(bytes)).ok()?;
        let is_all = !bytes.is_empty() && bytes.len() < bytes.capacity();
        is_all.then_some(bytes.as_slice())
    }

    fn open_to_read(&self, file: &OsStr) -> Result<File, Errno> {
        const FLAGS: OFlags =
            OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);
        rustix::fs::openat(&self.descriptor, file, FLAGS, Mode::empty()).map(File::from)
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

    /// Whether the name is that of a folder.
    pub(crate) fn is_folder(&self, file: &OsStr) -> bool {
        let found = rustix::fs::statat(&self.descriptor, file, AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory)
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

    /// Whether the name leads to this file.
    fn is(&self, file: &OsStr, ours: FileIdentity) -> bool {
        let found = rustix::fs::statat(&self.descriptor, file, AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| (found.st_dev, found.st_ino) == ours)
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

/// Device and inode: tells whether two names or descriptors are of one file.
type FileIdentity = (u64, u64);

fn identity(file: &File) -> io::Result<FileIdentity> {
    let found = rustix::fs::fstat(file)?;
    Ok((found.st_dev, found.st_ino))
}

/// A new name for a temporary file of `stem`.
pub(crate) fn temporary_name(stem: &str) -> Result<OsString, IdError> {
    Ok(OsString::from(format!(".{stem}.tmp-{}-{}", std::process::id(), random_hex()?)))
}
