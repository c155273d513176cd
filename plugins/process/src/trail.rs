//! Resolves a name, and tells who could make it lead elsewhere.
//!
//! A workload runs as its user and writes the paths that it was given: it can replace anything there by a link, and at its
//! next start the link would be followed. Where only the system's owner can write, a changed link is an upgrade.
use rustix::fs::{Access, access, stat};
use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};
use wharf_sdk::files;

/// The folders of the system. Outside of them, a path that only root can write is not taken for the system's, since root's
/// own workloads could write it.
const OF_SYSTEM: &[&str] = &[
    "/bin", "/dev", "/etc", "/gnu", "/lib", "/lib32", "/lib64", "/nix", "/opt", "/proc", "/run", "/sbin",
    "/snap", "/sys", "/usr", "/var",
];

/// Where a name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Led {
    /// The path without links.
    pub(crate) path: PathBuf,
    /// Only the system's owner can make the name lead elsewhere.
    pub(crate) is_fixed: bool,
    /// The links on the way that others could replace.
    pub(crate) links: Vec<PathBuf>,
}

/// Follows names.
#[derive(Debug)]
pub(crate) struct Trail {
    is_root: bool,
    /// The paths that workloads of this host may write, as far as they are known.
    writable: Vec<PathBuf>,
    /// For each folder that was looked at, whether only the system's owner can write it.
    fixed: RefCell<HashMap<PathBuf, bool>>,
    /// For each entry that was found, the path that it holds if it is a link.
    targets: RefCell<HashMap<PathBuf, Option<PathBuf>>>,
    /// For each folder of a name, where it leads. Hundreds of names lie in a few folders.
    folders: RefCell<HashMap<PathBuf, Option<Led>>>,
}

impl Trail {
    pub(crate) fn new(writable: Vec<PathBuf>) -> Self {
        let is_root = rustix::process::geteuid().is_root();
        let (fixed, targets, folders) = (RefCell::default(), RefCell::default(), RefCell::default());
        Self { is_root, writable, fixed, targets, folders }
    }

    /// Resolves a name. None if it leads nowhere, or cannot be reached.
    pub(crate) fn lead(&self, name: &Path) -> Option<Led> {
        let (Some(folder), Some(last)) = (name.parent(), name.file_name()) else {
            return self.follow(name, true);
        };
        let folder = self.folder(folder)?;
        let entry = folder.path.join(last);
        match self.target(&entry).ok()? {
            None => {
                let is_fixed = folder.is_fixed && self.is_fixed(&folder.path);
                Some(Led { path: entry, is_fixed, links: folder.links })
            }
            Some(_) => self.follow(name, true),
        }
    }

    /// The same for a name that may lead nowhere yet: where the file will lie, also at the end of a link. None if links lead
    /// in a circle.
    pub(crate) fn lead_to_be(&self, name: &Path) -> Option<Led> {
        self.lead(name).or_else(|| self.follow(name, false))
    }

    /// The same for a folder of names.
    fn folder(&self, name: &Path) -> Option<Led> {
        if let Some(known) = self.folders.borrow().get(name) {
            return known.clone();
        }
        let led = self.lead(name);
        self.folders.borrow_mut().insert(name.to_owned(), led.clone());
        led
    }

    /// The same, from the root on and link by link. If the path need not exist, what does not is taken for no link.
    fn follow(&self, name: &Path, must_exist: bool) -> Option<Led> {
        let (mut is_fixed, mut links) = (true, Vec::new());
        let led = files::follow(name, |entry| {
            let is_entry_fixed = entry.parent().is_none_or(|folder| self.is_fixed(folder));
            is_fixed &= is_entry_fixed;
            let target = match self.target(entry) {
                Err(_) if !must_exist => None,
                target => target?,
            };
            if target.is_some() && !is_entry_fixed {
                links.push(entry.to_owned());
            }
            io::Result::Ok(target)
        });
        Some(Led { path: led.ok()??, is_fixed, links })
    }

    fn target(&self, entry: &Path) -> io::Result<Option<PathBuf>> {
        if let Some(known) = self.targets.borrow().get(entry) {
            return Ok(known.clone());
        }
        let target = files::target(entry)?;
        self.targets.borrow_mut().insert(entry.to_owned(), target.clone());
        Ok(target)
    }

    /// True if only the system's owner can make, replace or remove entries of this folder.
    fn is_fixed(&self, folder: &Path) -> bool {
        if let Some(known) = self.fixed.borrow().get(folder) {
            return *known;
        }
        let is_given = self.writable.iter().any(|writable| folder.starts_with(writable));
        let is_systems = !self.is_root
            || folder.parent().is_none()
            || OF_SYSTEM.iter().any(|system| folder.starts_with(system));
        // The owner of a folder can give themselves the right to write it. So the owner must be root.
        let is_roots = stat(folder).is_ok_and(|stat| stat.st_uid == 0 && stat.st_mode & 0o002 == 0);
        let can_write = !self.is_root && access(folder, Access::WRITE_OK).is_ok();
        let is_fixed = is_roots && is_systems && !can_write && !is_given;
        self.fixed.borrow_mut().insert(folder.to_owned(), is_fixed);
        is_fixed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn a_link_that_a_workload_could_exchange_is_told_from_one_of_the_systems() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        fs::create_dir_all(folder.join("a/b")).unwrap();
        symlink("../a", folder.join("a/up")).unwrap();
        symlink("self", folder.join("self")).unwrap();
        let trail = Trail::new(Vec::new());
        let led = trail.lead(&folder.join("a/up/../a/./up/b")).unwrap();
        assert_eq!((led.path, led.is_fixed), (folder.join("a/b"), false));
        assert_eq!(led.links, [folder.join("a/up"), folder.join("a/up")]);
        for nowhere in ["self", "none", "none/below", "self/below"] {
            assert_eq!(trail.lead(&folder.join(nowhere)), None, "{nowhere}");
        }
        // Where it will lie.
        symlink("a/up/later", folder.join("dangling")).unwrap();
        for (name, path) in
            [("none/below", "none/below"), ("dangling", "a/later"), ("dangling/x", "a/later/x")]
        {
            let led = trail.lead_to_be(&folder.join(name)).unwrap();
            assert_eq!(led.path, folder.join(path), "{name}");
            assert_eq!(led.links.contains(&folder.join("a/up")), name.starts_with("dangling"));
        }
        assert_eq!(trail.lead_to_be(&folder.join("self")), None);
        // What is known of a folder holds for each name in it, and a link in it is followed all the same.
        let known = Trail::new(Vec::new());
        symlink("b", folder.join("a/link")).unwrap();
        for (name, path, links) in [
            ("a/b", "a/b", &[][..]),
            ("a/up/b", "a/b", &["a/up"]),
            ("a/up/link", "a/b", &["a/up", "a/link"]),
            ("a/up/link/..", "a", &["a/up", "a/link"]),
        ] {
            let name = folder.join(name);
            let led = known.lead(&name).unwrap();
            let links: Vec<PathBuf> = links.iter().map(|link| folder.join(link)).collect();
            assert_eq!(
                (&led.path, led.is_fixed, &led.links),
                (&folder.join(path), false, &links),
                "{name:?}"
            );
            assert_eq!(Trail::new(Vec::new()).follow(&name, true), Some(led), "{name:?}");
        }
        let of_system = trail.lead(Path::new("/usr/bin/env")).unwrap();
        assert!(of_system.is_fixed && of_system.links.is_empty(), "{of_system:?}");
        // A folder that a workload of this host was given counts as writable, whoever owns it.
        let given = Trail::new(vec![PathBuf::from("/usr")]);
        assert!(!given.lead(Path::new("/usr/bin/env")).unwrap().is_fixed);
    }
}
