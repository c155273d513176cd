//! Removing a folder that a workload could write, whatever it has made of it.
//!
//! Its owner is the user, and it may have taken the user's own rights away (`chmod 0555`, as Go's cache of modules does),
//! nested folders deeper than descriptors reach, or put links where folders were. So everything is done by descriptor:
//! no link is followed, no other mount is entered, and only folders of this user's are opened up. A folder that lies
//! deeper is moved to the top before it is emptied: neither descriptors nor the stack grow with the depth. Must not know
//! what a workload or a state is.
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

/// How often a folder is emptied that is found not to be empty afterwards.
const ATTEMPTS: usize = 64;

/// What its owner needs of a folder to empty it.
const OWNERS: RawMode = 0o700;

/// Removes a folder and all that is in it. Missing is success.
///
/// # Errors
/// The first reason why something of it stays; all else is gone.
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
        // A folder.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    // Another process may remove the same folder, and move to its top what this one has just looked for there. It goes
    // on removing, so that there is less of it each time.
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

/// A folder that was opened where it is, and may be read and written if it is this user's.
struct Folder {
    fd: OwnedFd,
    mount: Mount,
}

/// Which mount something is on: its id, 0 where the kernel (before Linux 5.8) does not tell, and its device.
type Mount = (u64, (u32, u32));

impl Folder {
    /// `EXDEV`: it is on another mount than it must be.
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
            // A descriptor of this kind takes no fchmod; this link leads to what it holds, wherever its name leads.
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
    /// How many folders have been moved to the top; the next one's name there.
    moved: u64,
    failed: Option<Errno>,
}

impl Emptying<'_> {
    /// Until nothing is left, or nothing of what is left can be removed.
    fn all(mut self) -> rustix::io::Result<()> {
        loop {
            self.failed = None;
            let progress = self.pass(self.top, Self::empty_and_remove)?;
            match self.failed {
                // What was moved here, or made meanwhile, is seen by the next pass.
                None if !progress => return Ok(()),
                Some(error) if !progress => return Err(error),
                _ => {}
            }
        }
    }

    /// Removes what is no folder; does this with what is one. Whether anything became of anything.
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
                // EPERM: what POSIX says of folders. Of what is none, the next step says that it is none.
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

    /// A folder at the top: its files go, its folders come to the top, and it goes.
    fn empty_and_remove(&mut self, top: &Folder, name: &CStr) -> rustix::io::Result<bool> {
        let folder = Folder::open(top.fd.as_fd(), name, Some(top.mount))?;
        let mut progress = false;
        loop {
            let any = self.pass(&folder, Self::move_to_top)?;
            progress |= any;
            match unlinkat(&top.fd, name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => return Ok(true),
                // A folder that is read while it shrinks may hide some of it from one pass.
                Err(Errno::NOTEMPTY | Errno::EXIST) if any => {}
                Err(error) => {
                    self.failed.get_or_insert(error);
                    return Ok(progress);
                }
            }
        }
    }

    fn move_to_top(&mut self, from: &Folder, name: &CStr) -> rustix::io::Result<bool> {
        // Who moves a folder writes to it: what is above it changes.
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

/// Moves a folder to a name that nothing has. `exclusively`: `renameat2` with `RENAME_NOREPLACE`, which NFS, some file
/// systems in user space and kernels before Linux 3.15 do not have.
///
/// Without it somebody may take the name between the look and the move. Only an empty folder is replaced then, by
/// someone who removes it too.
///
/// # Errors
/// `EEXIST`: something has the name.
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
    fn what_was_taken_from_its_owner_is_removed() {
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

    /// A command and a supervisor that give up the same start do.
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
        // Where the folder itself should be, too.
        std::os::unix::fs::symlink(&others, &top).unwrap();
        remove_all(&top).unwrap();
        assert!(!exists(&top) && others.join("folder").is_dir());
    }

    #[test]
    fn no_depth_is_too_deep() {
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
