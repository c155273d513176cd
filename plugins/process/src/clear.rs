//! Removes a folder that a workload could write, in whatever state the workload left it.
//!
//! The workload may have taken the user's own rights away (`chmod 0555`, as Go's cache of modules does), nested folders
//! deeper than there are descriptors, or put links where folders were. So everything is done through descriptors: no link
//! is followed, no other mount is entered, and rights are changed only on this user's folders. A folder that lies deeper is
//! moved to the top before it is emptied: neither descriptors nor the stack grow with the depth. Must not know what a
//! workload or a state is.
use rustix::{
    fs::{
        AtFlags, CWD, Dir, Mode, OFlags, RawMode, RenameFlags, StatxFlags, chmod, openat, renameat,
        renameat_with, statat, statx, unlinkat,
    },
    io::Errno,
    process::geteuid,
};
use std::{
    ffi::{CStr, CString},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

/// How often to try again with a folder that was emptied and is not empty.
const ATTEMPTS: usize = 64;

/// The rights that the owner needs to empty a folder.
const OWNERS: RawMode = 0o700;

/// Removes a folder and everything in it. A missing folder is a success.
///
/// # Errors
/// The first reason why something could not be removed; everything else is gone.
pub(crate) fn remove_all(folder: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let name = CString::new(name.as_bytes())?;
    let parent = match openat(CWD, parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    {
        Err(Errno::NOENT) => return Ok(()),
        parent => parent?,
    };
    match unlinkat(&parent, &name, AtFlags::empty()) {
        Err(Errno::NOENT) | Ok(()) => return Ok(()),
        // The name is a folder.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    // Another process may be removing the same folder, and move folders to its top after this one has looked there. That
    // process goes on removing too, so there is less each time, and the loop ends.
    for _ in 1..ATTEMPTS {
        match empty_and_unlink(parent.as_fd(), &name) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(empty_and_unlink(parent.as_fd(), &name)?)
}

fn empty_and_unlink(parent: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
    let top = Folder::open(parent, name, None)?;
    Emptying { top: &top, moved: 0, failed: None }.all()?;
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// A folder that was opened by its name in another folder. If it belongs to this user, it can be read and written.
struct Folder {
    fd: OwnedFd,
    mount: Mount,
}

/// The mount that a file is on: the mount's id (0 where a kernel before Linux 5.8 does not tell it), and the device.
type Mount = (u64, (u32, u32));

impl Folder {
    /// Opens a folder. The error `EXDEV` means that it is on another mount than `mount`.
    fn open(parent: BorrowedFd<'_>, name: &CStr, mount: Option<Mount>) -> rustix::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(parent, name, flags, Mode::empty())?;
        let seen = statx(&fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID)?;
        let here = (seen.stx_mnt_id, (seen.stx_dev_major, seen.stx_dev_minor));
        if mount.is_some_and(|mount| mount != here) {
            return Err(Errno::XDEV);
        }
        let mode = RawMode::from(seen.stx_mode);
        if seen.stx_uid == geteuid().as_raw() && mode & OWNERS != OWNERS {
            // fchmod(2) does not take an `O_PATH` descriptor. The link in `/proc/self/fd` leads to the folder that it
            // holds, even if the folder's name leads elsewhere.
            let held = format!("/proc/self/fd/{}", fd.as_raw_fd());
            chmod(held, Mode::from_raw_mode(mode & 0o777 | OWNERS))?;
        }
        Ok(Self { fd, mount: here })
    }

    fn entries(&self) -> rustix::io::Result<Dir> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Dir::new(openat(&self.fd, c".", flags, Mode::empty())?)
    }
}

struct Emptying<'a> {
    top: &'a Folder,
    /// The number of folders that were moved to the top; also the next one's name there.
    moved: u64,
    failed: Option<Errno>,
}

impl Emptying<'_> {
    /// Repeats passes until nothing is left, or nothing more can be removed.
    fn all(mut self) -> rustix::io::Result<()> {
        loop {
            self.failed = None;
            let progress = self.pass(self.top, Self::empty_and_remove)?;
            match self.failed {
                // The next pass sees folders that were moved here or made meanwhile.
                None if !progress => return Ok(()),
                Some(error) if !progress => return Err(error),
                _ => {}
            }
        }
    }

    /// Removes all files of a folder and calls `deal_with` for each folder in it. True if anything was removed or moved.
    fn pass(
        &mut self,
        folder: &Folder,
        mut deal_with: impl FnMut(&mut Self, &Folder, &CStr) -> rustix::io::Result<bool>,
    ) -> rustix::io::Result<bool> {
        let mut progress = false;
        for entry in folder.entries()? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let done = match unlinkat(&folder.fd, name, AtFlags::empty()) {
                Ok(()) => Ok(true),
                // POSIX has EPERM for a folder here. If the name is no folder, the next step fails with its own error.
                Err(Errno::ISDIR | Errno::PERM) => deal_with(self, folder, name),
                Err(error) => Err(error),
            };
            match done {
                Ok(any) => progress |= any,
                Err(Errno::NOENT) => {}
                Err(error) => drop(self.failed.get_or_insert(error)),
            }
        }
        Ok(progress)
    }

    /// Removes a folder at the top: removes its files, moves its folders to the top, and removes it.
    fn empty_and_remove(&mut self, top: &Folder, name: &CStr) -> rustix::io::Result<bool> {
        let folder = Folder::open(top.fd.as_fd(), name, Some(top.mount))?;
        let mut progress = false;
        loop {
            let any = self.pass(&folder, Self::move_to_top)?;
            progress |= any;
            match unlinkat(&top.fd, name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => return Ok(true),
                // A directory that is read while entries are removed may hide some of them. So another pass follows as long
                // as passes remove something.
                Err(Errno::NOTEMPTY | Errno::EXIST) if any => {}
                Err(error) => {
                    self.failed.get_or_insert(error);
                    return Ok(progress);
                }
            }
        }
    }

    fn move_to_top(&mut self, from: &Folder, name: &CStr) -> rustix::io::Result<bool> {
        // Moving a folder changes its entry `..`, so the folder itself must be writable: opening it here makes it so.
        drop(Folder::open(from.fd.as_fd(), name, Some(from.mount))?);
        loop {
            let new = format!("moved-{}", self.moved);
            self.moved += 1;
            let exclusively =
                |new: &str| renameat_with(&from.fd, name, &self.top.fd, new, RenameFlags::NOREPLACE);
            match rename_to_free(from, name, self.top, &new, exclusively) {
                Err(Errno::EXIST) => {}
                other => return other.map(|()| true),
            }
        }
    }
}

/// Moves a folder to a name that must be free. `exclusively`: with `renameat2` and `RENAME_NOREPLACE`, which NFS, some file
/// systems in user space and kernels before Linux 3.15 do not have.
///
/// Without it, another process may take the name between the look and the move. The move can then only replace an empty
/// folder, and the only process that makes one here is another one that removes the same folder.
///
/// # Errors
/// `EEXIST`: the name is taken.
fn rename_to_free(
    from: &Folder,
    name: &CStr,
    top: &Folder,
    new: &str,
    exclusively: impl Fn(&str) -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    match exclusively(new) {
        Err(Errno::INVAL | Errno::NOSYS) => {}
        other => return other,
    }
    match statat(&top.fd, new, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => return Err(Errno::EXIST),
        Err(Errno::NOENT) => {}
        Err(error) => return Err(error),
    }
    match renameat(&from.fd, name, &top.fd, new) {
        Err(Errno::NOTEMPTY | Errno::NOTDIR) => Err(Errno::EXIST),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::mkdirat;
    use std::fs;

    fn exists(path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok()
    }

    #[test]
    fn folders_without_rights_for_their_owner_are_removed() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path().join("top");
        fs::create_dir_all(top.join("a/b/c")).unwrap();
        for file in ["a/file", "a/b/file", "a/b/c/file"] {
            fs::File::create(top.join(file)).unwrap();
        }
        for (folder, mode) in [("a/b/c", 0), ("a/b", 0o555), ("a", 0o111), ("", 0)] {
            chmod(top.join(folder), Mode::from_raw_mode(mode)).unwrap();
        }
        remove_all(&top).unwrap();
        assert!(!exists(&top));
        remove_all(&top).unwrap();
        remove_all(&top.join("below/what/is/missing")).unwrap();
    }

    /// A command and a supervisor that both give up a start remove its folder at the same time.
    #[test]
    fn several_that_remove_the_same_folder_all_succeed() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path().join("top");
        for _ in 0..50 {
            for folder in ["a/b/c", "a/d", "e"] {
                fs::create_dir_all(top.join(folder)).unwrap();
                fs::File::create(top.join(folder).join("file")).unwrap();
            }
            let begun = std::sync::Barrier::new(4);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        begun.wait();
                        remove_all(&top).unwrap();
                    });
                }
            });
            assert!(!exists(&top));
        }
    }

    #[test]
    fn a_link_is_removed_and_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let (top, others) = (place.path().join("top"), place.path().join("others"));
        fs::create_dir_all(others.join("folder")).unwrap();
        fs::create_dir_all(top.join("inner")).unwrap();
        chmod(&others, Mode::from_raw_mode(0o500)).unwrap();
        for name in ["link", "inner/link"] {
            std::os::unix::fs::symlink(&others, top.join(name)).unwrap();
        }
        remove_all(&top).unwrap();
        assert!(!exists(&top) && others.join("folder").is_dir());
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&others).unwrap().permissions()) & 0o777,
            0o500
        );
        // A link in the place of the folder itself.
        std::os::unix::fs::symlink(&others, &top).unwrap();
        remove_all(&top).unwrap();
        assert!(!exists(&top) && others.join("folder").is_dir());
    }

    #[test]
    fn folders_of_any_depth_are_removed() {
        const DEPTH: usize = 1500;
        let place = tempfile::tempdir().unwrap();
        let top = place.path().join("top");
        fs::create_dir(&top).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let mut folder = openat(CWD, &top, flags, Mode::empty()).unwrap();
        for _ in 0..DEPTH {
            mkdirat(&folder, c"moved-1", Mode::from_raw_mode(0o700)).unwrap();
            folder = openat(&folder, c"moved-1", flags, Mode::empty()).unwrap();
        }
        remove_all(&top).unwrap();
        assert!(!exists(&top));
    }

    #[test]
    fn a_file_system_that_cannot_move_exclusively_is_cleared_too() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("top/a/deep")).unwrap();
        fs::create_dir_all(place.path().join("top/taken/inner")).unwrap();
        let parent = openat(CWD, place.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let top = Folder::open(parent.as_fd(), c"top", None).unwrap();
        let from = Folder::open(top.fd.as_fd(), c"a", None).unwrap();
        let moved = |new: &str, why: Errno| rename_to_free(&from, c"deep", &top, new, |_| Err(why));
        assert_eq!(moved("taken", Errno::INVAL), Err(Errno::EXIST));
        assert_eq!(moved("free", Errno::ACCESS), Err(Errno::ACCESS));
        assert!(exists(&place.path().join("top/taken/inner")) && exists(&place.path().join("top/a/deep")));
        for (new, why) in [("free", Errno::INVAL), ("other", Errno::NOSYS)] {
            assert_eq!(moved(new, why), Ok(()));
            assert!(exists(&place.path().join("top").join(new)) && !exists(&place.path().join("top/a/deep")));
            fs::create_dir(place.path().join("top/a/deep")).unwrap();
        }
    }
}
