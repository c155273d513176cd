//! [`Folder`]: a folder of the state directory, and what is read of it.
//!
//! Called by all of this package that reads, and by [`crate::file::atomic`], which adds what changes something. It must not
//! know what is in the files.
//!
//! Invariant: nothing here changes anything, takes a lock, or follows a link at the end of a path in the folder (R05).
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, Dir, DirEntry, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::ReadError;
use crate::file::file_stamp::FileStamp;

/// The usual length of a record, and more.
pub(crate) const USUAL_BYTES: usize = 8 * 1024;

/// An open folder of the state directory.
pub struct Folder {
    pub(super) descriptor: OwnedFd,
    pub(super) path: PathBuf,
}

/// Device and inode: tells whether two names or descriptors are of one file.
pub(super) type FileIdentity = (u64, u64);

impl Folder {
    /// Opens a folder. None: there is none.
    pub fn open(path: &Path) -> Result<Option<Self>, ReadError> {
        Self::open_existing(path).map_err(|source| ReadError::Unreadable { path: path.to_owned(), source })
    }

    /// The same, with the bare error.
    pub(super) fn open_existing(path: &Path) -> io::Result<Option<Self>> {
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

    /// The same, with the bare error.
    pub(super) fn list(&self) -> io::Result<Vec<OsString>> {
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

    /// Whether the name is that of a folder.
    pub(crate) fn is_folder(&self, file: &OsStr) -> bool {
        let found = rustix::fs::statat(&self.descriptor, file, AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory)
    }

    /// Whether the name leads to this file.
    pub(super) fn is(&self, file: &OsStr, ours: FileIdentity) -> bool {
        let found = rustix::fs::statat(&self.descriptor, file, AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| (found.st_dev, found.st_ino) == ours)
    }
}

/// The identity of an open file.
pub(super) fn identity(file: &File) -> io::Result<FileIdentity> {
    let found = rustix::fs::fstat(file)?;
    Ok((found.st_dev, found.st_ino))
}
