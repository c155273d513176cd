//! [`Opened`]: the files and folders of a sandbox, each opened once, by a name without links. Mounts and rules are made
//! from these descriptors or checked against them; no name is looked up again.
//!
//! A mount can only be made from a file that was opened in the same namespace, so init opens the same paths in the same way
//! and compares ([`Seen`]); the rules of Landlock use the descriptors themselves.
use crate::unlinked;
use rustix::{fs::fstat, io::Errno};
use serde::{Deserialize, Serialize};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};
use wharf_sdk::{
    OpenPaths,
    launch::{Place, Sandbox},
};

/// A path that leads to another file by now.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{path}' was exchanged for something else while the workload was started, by somebody who can write there; look at \
     it, and start the workload again",
    path = .0.display()
)]
pub(crate) struct Exchanged(pub(crate) PathBuf);

/// The opened files and folders of a sandbox.
#[derive(Debug, Default)]
pub(crate) struct Opened(Vec<(Seen, OwnedFd)>);

/// A place of a sandbox, with device and inode of the file or folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) place: Place,
    pub(crate) is_written: bool,
    device: u64,
    inode: u64,
}

impl Opened {
    /// Opens all existing places.
    pub(crate) fn of(sandbox: &Sandbox) -> Result<Self, (PathBuf, Errno)> {
        let lists = [(&sandbox.write, true), (&sandbox.read, false)];
        let all = lists.iter().flat_map(|(list, is_written)| list.iter().map(|place| (place, *is_written)));
        let mut opened = Vec::new();
        for (place, is_written) in all {
            let descriptor = match unlinked::open(&place.path) {
                Ok(descriptor) => descriptor,
                // It does not exist, or the user cannot reach it anyway.
                Err(Errno::NOENT | Errno::ACCESS | Errno::NOTDIR) => continue,
                Err(error) => return Err((place.path.clone(), error)),
            };
            let stat = fstat(&descriptor).map_err(|error| (place.path.clone(), error))?;
            let (device, inode) = (stat.st_dev, stat.st_ino);
            opened.push((Seen { place: place.clone(), is_written, device, inode }, descriptor));
        }
        Ok(Self(opened))
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.0.iter().map(|(seen, _)| seen.clone()).collect()
    }

    /// The descriptors, in the order of [`Opened::written`].
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.0.iter().map(|(_, descriptor)| descriptor.as_fd()).collect()
    }

    /// For each descriptor, whether it is to be written.
    pub(crate) fn written(&self) -> Vec<bool> {
        self.0.iter().map(|(seen, _)| seen.is_written).collect()
    }

    /// The paths, for people.
    pub(crate) fn paths(&self) -> OpenPaths {
        let mut paths = OpenPaths::default();
        for (Seen { place, is_written, .. }, _) in &self.0 {
            let list = match (place.system, is_written) {
                (true, _) => &mut paths.system,
                (false, true) => &mut paths.write,
                (false, false) => &mut paths.read,
            };
            list.push(place.path.display().to_string());
        }
        for list in [&mut paths.write, &mut paths.read, &mut paths.system] {
            list.sort();
            list.dedup();
        }
        // For instance, the system's folders of PATH.
        let system = &paths.system;
        paths.read.retain(|path| !system.iter().any(|system| Path::new(path).starts_with(system)));
        paths
    }
}

impl Seen {
    /// Opens it again in this process's namespace, and compares.
    pub(crate) fn open(&self) -> Result<OwnedFd, Exchanged> {
        let exchanged = |_| Exchanged(self.place.path.clone());
        let opened = unlinked::open(&self.place.path).map_err(exchanged)?;
        let stat = fstat(&opened).map_err(exchanged)?;
        let is_same = (stat.st_dev, stat.st_ino) == (self.device, self.inode);
        if is_same { Ok(opened) } else { Err(Exchanged(self.place.path.clone())) }
    }

    /// Where the workload sees it.
    pub(crate) fn path(&self) -> &Path {
        self.place.at.as_ref().unwrap_or(&self.place.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    fn place(path: &Path) -> Place {
        Place { name: path.to_owned(), path: path.to_owned(), system: false, kept: false, at: None }
    }

    #[test]
    fn a_path_that_was_exchanged_after_it_was_opened_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        for name in ["data", "other"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        let data = folder.join("data");
        let sandbox =
            Sandbox { write: vec![place(&data), place(&folder.join("none"))], ..Sandbox::default() };
        let opened = Opened::of(&sandbox).unwrap();
        let [seen] = &opened.seen()[..] else { panic!("{opened:?}") };
        assert!(seen.open().is_ok());
        fs::rename(&data, folder.join("away")).unwrap();
        assert_eq!(seen.open().unwrap_err(), Exchanged(data.clone()));
        fs::rename(folder.join("other"), &data).unwrap();
        assert_eq!(seen.open().unwrap_err(), Exchanged(data.clone()));
        fs::remove_dir(&data).unwrap();
        symlink("away", &data).unwrap();
        assert_eq!(seen.open().unwrap_err(), Exchanged(data.clone()));
        assert_eq!(Opened::of(&sandbox).unwrap_err(), (data, Errno::LOOP));
    }
}
