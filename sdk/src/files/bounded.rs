//! Reads files that others wrote. A file is opened once, and the checks on it and the read use that one descriptor; a FIFO
//! or a device is refused, and a file is read only up to a limit.
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::fd::AsFd,
    path::Path,
};

/// How to treat a name whose last part is a symbolic link. Links further up are always followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Open the file that the link leads to.
    Follow,
    /// Fail. For files where only the owner of a folder may decide which file is read.
    Refuse,
}

/// Opens a regular file to read it. A FIFO is refused without waiting for its writer, and a device, which may have no end,
/// is refused too.
///
/// # Errors
/// It cannot be opened; or, of kind `InvalidInput`, it is not a regular file.
pub fn open(path: &Path, links: Links) -> io::Result<(File, Metadata)> {
    open_in(CWD, path, links)
}

/// The same in a folder that the caller holds by its descriptor. If the folder is renamed or replaced meanwhile, the entry
/// of the held folder is opened all the same.
///
/// # Errors
/// As for [`open`].
pub fn open_in(folder: impl AsFd, name: &Path, links: Links) -> io::Result<(File, Metadata)> {
    let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    if links == Links::Refuse {
        flags |= OFlags::NOFOLLOW;
    }
    let file = File::from(openat(folder, name, flags, Mode::empty())?);
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok((file, found))
}

/// Reads an opened file from its current position to its end, at most `limit` bytes.
///
/// # Errors
/// It cannot be read; or, of kind `FileTooLarge`, it has more. Nothing beyond the limit is kept in memory.
pub fn read(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let why = format!("it has more than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

/// Opens a regular file and reads all of it.
///
/// # Errors
/// As for [`open`] and [`read`].
pub fn read_file(path: &Path, links: Links, limit: u64) -> io::Result<Vec<u8>> {
    open(path, links).and_then(|(file, _)| read(file, limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{FileType, mknodat};
    use std::{io::Write, os::unix::fs::symlink};

    #[test]
    fn a_file_without_end_is_refused_at_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let (large, fifo) = (folder.path().join("large"), folder.path().join("fifo"));
        File::create(&large).unwrap().set_len(3 << 30).unwrap();
        let refused = read_file(&large, Links::Follow, 4096).unwrap_err();
        assert_eq!(refused.to_string(), "it has more than 4096 bytes");
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        for path in [fifo.as_path(), Path::new("/dev/zero"), folder.path()] {
            let refused = read_file(path, Links::Follow, 4096).unwrap_err();
            assert_eq!(refused.to_string(), "it is not a regular file", "{}", path.display());
        }
    }

    #[test]
    fn a_file_as_large_as_the_limit_is_read_and_a_link_only_where_it_may_be() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        File::create(&file).unwrap().write_all(b"four").unwrap();
        symlink("file", &link).unwrap();
        assert_eq!(read_file(&link, Links::Follow, 4).unwrap(), b"four");
        assert_eq!(read_file(&file, Links::Refuse, 4).unwrap(), b"four");
        assert_eq!(read_file(&file, Links::Refuse, 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(open(&link, Links::Refuse).is_err());
        // The descriptor is used, so it does not matter where the folder's name leads by now.
        let held = File::open(folder.path()).unwrap();
        assert!(open_in(&held, Path::new("file"), Links::Refuse).is_ok());
        assert!(open_in(&held, Path::new("link"), Links::Refuse).is_err());
    }
}
