//! A home of the workload's own: an empty folder that its user names as its `HOME` and mounts where it is. It is opened as a
//! whole, so that a server makes in it what programs make in a home (`.cache`, `.config`).
//!
//! Situation: other homes are opened in parts, since a workload could make in them what their user's programs trust
//! (`.ssh/authorized_keys`, `.bashrc`). Nobody logs in to a folder that no other home is; but a folder with such files in it
//! may be a home that is not known here. Conclusion: a folder that holds any of them when the workload is created is
//! treated as every home is. The workload then makes such files itself, so the verdict of the creation is recorded
//! ([`Pins::home`]) and holds for its later starts.
//!
//! [`crate::runtime`] asks for it before it makes a [`Guard`].
use crate::{guard::Guard, keys};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use wharf_sdk::{Mount, Pins, WorkloadSpec};

/// The variable for the home.
pub(crate) const VARIABLE: &str = "HOME";
/// What shells read in the home of their user.
const OF_SHELLS: [&str; 6] = [".bash_login", ".bash_profile", ".bashrc", ".profile", ".zprofile", ".zshrc"];

/// The folder, without links, that a specification names as the workload's home and mounts where it is.
pub(crate) fn asked(spec: &WorkloadSpec) -> Option<PathBuf> {
    let home = spec.env.get(VARIABLE).map(Path::new).filter(|home| home.is_absolute())?;
    let real = home.canonicalize().ok().filter(|real| real.is_dir())?;
    let mounts = spec.mounts.iter().filter_map(|text| Mount::parse(text).ok());
    let mut in_place = mounts.filter(|mount| mount.source == mount.target);
    let is_real = |source: &str| Path::new(source).canonicalize().is_ok_and(|source| source == real);
    in_place.any(|mount| is_real(mount.source)).then_some(real)
}

/// Whether such a folder is a home of the workload's own. `others` guards everything but this folder: the homes of the
/// user, keys, the host's files.
pub(crate) fn is_its_own(folder: &Path, pinned: Option<&Pins>, others: &Guard) -> bool {
    others.lets(folder)
        && match pinned {
            Some(pins) => pins.home.as_deref().is_some_and(|home| Path::new(home) == folder),
            None => !is_of_somebody(folder),
        }
}

/// Whether a folder holds keys, or what a shell reads. What cannot be looked at may be there.
fn is_of_somebody(folder: &Path) -> bool {
    let is_there = |path: PathBuf| match fs::symlink_metadata(path) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
    };
    keys::of(folder).chain(OF_SHELLS.iter().map(|name| folder.join(name))).any(is_there)
}
