//! Opens files by names without a link: a program that can write a folder on the way could have put a link there. The
//! launcher, init and the exec helper use it.
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2},
    io::{Errno, Result},
};
use std::{
    os::fd::OwnedFd,
    path::{Component, Path},
};

/// Opens the file of an absolute path without `..`, as an `O_PATH` descriptor: it can be neither read nor written through
/// it.
///
/// # Errors
/// `ELOOP`: a part of the path is a link.
pub(crate) fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        // Before Linux 5.6, and where a container's filter does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => step_by_step(path),
        opened => opened,
    }
}

fn step_by_step(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut at = openat(CWD, "/", flags, Mode::empty())?;
    for part in path.components() {
        match part {
            Component::RootDir | Component::CurDir => continue,
            Component::Normal(part) => at = openat(&at, part, flags, Mode::empty())?,
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::INVAL),
        }
        if FileType::from_raw_mode(fstat(&at)?.st_mode) == FileType::Symlink {
            return Err(Errno::LOOP);
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn no_link_is_followed_anywhere_on_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        fs::create_dir_all(folder.join("a/b")).unwrap();
        symlink("a", folder.join("link")).unwrap();
        symlink("b", folder.join("a/last")).unwrap();
        type Opener = fn(&Path) -> Result<OwnedFd>;
        for opener in [open as Opener, step_by_step] {
            assert!(opener(&folder.join("a/b")).is_ok() && opener(Path::new("/")).is_ok());
            assert_eq!(opener(&folder.join("link/b")).unwrap_err(), Errno::LOOP);
            assert_eq!(opener(&folder.join("a/last")).unwrap_err(), Errno::LOOP);
            assert_eq!(opener(&folder.join("none")).unwrap_err(), Errno::NOENT);
        }
    }
}
