//! The paths that a specification mounts: `PATH:PATH[:ro]` opens a file or folder where it is, `HOST:PATH[:ro]` shows it at
//! another place, which takes mounts of the workload's own. [`crate::permission_profile`] asks for them.
//!
//! A folder that holds keys or files of the host's, or where they would lie, is opened in parts: its entries that hold none,
//! without links and without those whose names begin with a dot. The folder itself is not opened, so nothing is made in it:
//! neither keys that are not there yet, nor what a shell runs (`.bashrc`). For the same reason a part with programs of `PATH`,
//! or with settings that a link with a dot leads to (`~/dotfiles`), is not written.
use crate::{guard::Guard, places::Places, trail::Led};
use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::FileTypeExt,
    path::{Component, Path, PathBuf},
};
use wharf_sdk::{
    Error, Measure, Mount, Result, WorkloadSpec,
    launch::{Place, Sandbox},
};

/// The field of errors about mounts.
const FIELD: &str = "mounts";
/// The number of parts in which a folder is opened: each is a descriptor and a rule.
const PARTS_MAX: usize = 96;

/// A mount, and where its source leads.
#[derive(Debug)]
pub(crate) struct Mounted {
    /// The source, as it was named.
    pub(crate) name: PathBuf,
    /// Where that name leads.
    pub(crate) led: Led,
    /// The workload may write it.
    pub(crate) is_written: bool,
    /// The place where it is shown, if that is another one.
    pub(crate) at: Option<PathBuf>,
}

impl Mounted {
    /// Where the workload sees it.
    fn place(&self) -> &Path {
        self.at.as_ref().unwrap_or(&self.led.path)
    }

    /// Whether it lets a path be read and not be written.
    pub(crate) fn protects(&self, path: &Path) -> bool {
        !self.is_written && self.at.is_none() && path.starts_with(&self.led.path)
    }
}

/// The source of a mount that a workload may write.
pub(crate) fn written_source(text: &str) -> Option<&str> {
    Mount::parse(text).ok().filter(|mount| !mount.read_only).map(|mount| mount.source)
}

/// All mounts of a specification.
///
/// # Errors
/// One of them cannot be honoured, is the host's, does not exist, or leads elsewhere than when the workload was
/// created.
pub(crate) fn of(spec: &WorkloadSpec, guard: &Guard, places: &Places<'_>) -> Result<Vec<Mounted>> {
    let mounts: Vec<Mounted> =
        spec.mounts.iter().map(|text| mounted(text, guard, places)).collect::<Result<_>>()?;
    check_different(&mounts)?;
    Ok(mounts)
}

/// Refuses two mounts at one place: only one of them could be seen there, and perhaps not the one that is read-only.
fn check_different(mounts: &[Mounted]) -> Result<()> {
    let mut seen = BTreeSet::new();
    match mounts.iter().map(Mounted::place).find(|place| !seen.insert(*place)) {
        None => Ok(()),
        Some(twice) => Err(Error::invalid(format!("two mounts are at '{}'; leave one out", twice.display()))),
    }
}

fn mounted(text: &str, guard: &Guard, places: &Places<'_>) -> Result<Mounted> {
    check_source(text)?;
    let mount = Mount::parse(text)
        .map_err(|why| Error::invalid(format!("the mount '{text}' {why}; write PATH or PATH:ro")))?;
    let (name, target) = (Path::new(mount.source), Path::new(mount.target));
    let Some(led) = places.led(name)? else {
        let why = match fs::metadata(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => format!("cannot be reached: {error}"),
            _ => "does not exist".to_owned(),
        };
        return Err(Error::precondition(format!("'{}', which is to be opened, {why}", mount.source)));
    };
    if guard.lies_in_hosts(&led.path) {
        let message =
            format!("'{}' is one of the files of wharf's own, which no workload may have", mount.source);
        return Err(Error::invalid(message));
    }
    let at = (name != target).then(|| target.to_owned());
    if let Some(at) = &at {
        check_target(text, &mount, at, places)?;
    }
    Ok(Mounted { name: name.to_owned(), led, is_written: !mount.read_only, at })
}

/// Refuses a source that is no absolute path. The commonest mistake is a name without `./`, with or without options, which is
/// no mount at all.
fn check_source(text: &str) -> Result<()> {
    let source = text.split(':').next().unwrap_or_default();
    if source.starts_with('/') {
        return Ok(());
    }
    let message = format!("the mount '{text}' is refused: '{source}' is no absolute path");
    // Only a shell and the command line know what these stand for.
    if source.is_empty() || source.starts_with(['.', '~']) {
        return Err(Error::invalid(message));
    }
    let message = format!(
        "{message}, and a plain process has no volumes; for a folder of the current one write ./{source}"
    );
    Err(Error::unsupported(FIELD, message))
}

/// Refuses a place that the workload's view cannot have: nothing is made in folders of this machine for it.
fn check_target(text: &str, mount: &Mount<'_>, at: &Path, places: &Places<'_>) -> Result<()> {
    let is_plain = at.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    // A name that does not exist yet is made in a folder of the workload's own, or not at all, which the launcher decides.
    let is_itself = places.trail.lead(at).is_none_or(|led| led.path == at);
    if is_plain && is_itself && at.parent().is_some() {
        return Ok(());
    }
    let message = format!(
        "the mount '{text}' cannot be honoured: '{}' is no place without links and dots; write '{}', which opens it where \
         it is",
        mount.target, mount.source
    );
    Err(Error::unsupported(FIELD, message))
}

/// The error where a mount at another place cannot be had, because of the reason.
pub(crate) fn not_elsewhere(reason: &str) -> Error {
    let message = format!(
        "a mount at another place (HOST:PATH) needs mounts of the workload's own, which cannot be made here ({reason}); a \
         mount of PATH alone opens it where it is"
    );
    Error::unsupported(FIELD, message)
}

/// Opens what is mounted. `granted` are the paths that a profile opens.
///
/// # Errors
/// A mount would open keys that nobody has named, or files of the host's, and they cannot be left out.
pub(crate) fn open(
    mounts: &[Mounted],
    mut granted: Vec<PathBuf>,
    guard: &Guard,
    places: &mut Places<'_>,
    sandbox: &mut Sandbox,
) -> Result<()> {
    granted.extend(mounts.iter().filter(|mount| mount.at.is_none()).map(|mount| mount.led.path.clone()));
    for Mounted { name, led, is_written, at } in mounts {
        if let Some(keys) = guard.unnamed_around(name, &led.path) {
            let (name, keys) = (name.display(), keys.display());
            let message = format!(
                "the mount of '{name}' would open '{keys}', where keys and tokens are; name that itself"
            );
            return Err(Error::invalid(message));
        }
        if fs::symlink_metadata(&led.path).is_ok_and(|found| found.file_type().is_socket()) {
            let message = format!(
                "'{}' is a socket, and a confined process connects to no Unix socket",
                name.display()
            );
            return Err(Error::unsupported(FIELD, message));
        }
        if !guard.is_around(&led.path) {
            // A folder of keys is opened as it is where it is named itself, and wharf's own folder may be one of its entries.
            if guard.is_hosts(&led.path) {
                let message = format!(
                    "'{}' holds files of wharf's own, which no workload may have; name what else is in it",
                    name.display()
                );
                return Err(Error::invalid(message));
            }
            places.mount(name, led, *is_written, at.as_deref());
            if at.is_none() {
                sandbox.hidden.retain(|hidden| !hidden.starts_with(&led.path));
            }
            continue;
        }
        let can_be_split = at.is_none() && guard.may_be_split(&led.path);
        let Some(mut parts) = can_be_split.then(|| parts(name, &led.path, guard)).flatten() else {
            let message = format!(
                "'{}' holds a home, keys or files of wharf's own. A home or a folder in one is opened without them, where it \
                 is, if it has at most {PARTS_MAX} other entries; name folders in it",
                name.display()
            );
            return Err(Error::invalid(message));
        };
        // What another mount names is opened as that one says, and so are the parts of a folder that it names.
        let inner = || granted.iter().filter(|path| **path != led.path && path.starts_with(&led.path));
        parts.retain(|(_, part)| !inner().any(|path| part.starts_with(path)));
        places.held(name, led);
        split(&led.path, parts, *is_written, places, sandbox);
    }
    Ok(())
}

/// Refuses a mount at another place below which something else is shown or hidden: it would have to be made there, in a
/// folder of this machine.
pub(crate) fn check_nothing_below(sandbox: &Sandbox) -> Result<()> {
    let seen = |place: &Place| place.at.clone().unwrap_or_else(|| place.path.clone());
    let read = sandbox.read.iter().filter(|place| place.kept || place.at.is_some());
    let hidden = sandbox.hidden.iter().filter(|folder| folder.is_dir()).cloned();
    let all: Vec<PathBuf> = sandbox.write.iter().chain(read).map(seen).chain(hidden).collect();
    for place in sandbox.write.iter().chain(&sandbox.read) {
        let Some(at) = &place.at else { continue };
        if let Some(other) = all.iter().find(|other| *other != at && other.starts_with(at)) {
            let message = format!(
                "'{}' cannot be shown at '{}': '{}', which is shown to the workload or hidden from it, lies there, and \
                 nothing is made for it in folders of this machine; choose another place",
                place.name.display(),
                at.display(),
                other.display()
            );
            return Err(Error::unsupported(FIELD, message));
        }
    }
    Ok(())
}

/// Whether a mount of a path without links can be honoured, as a whole or in parts.
pub(crate) fn can_be_opened(path: &Path, guard: &Guard) -> bool {
    if guard.is_around(path) {
        return guard.may_be_split(path) && parts(path, path, guard).is_some();
    }
    !guard.is_hosts(path)
}

/// Opens the parts of a folder that is closed as a whole, and that a workload runs in: it finds the neighbours of its
/// script, and writes none of them.
pub(crate) fn open_neighbours(
    name: &Path,
    led: &Led,
    guard: &Guard,
    places: &mut Places<'_>,
    sandbox: &mut Sandbox,
) {
    if guard.may_be_split(&led.path)
        && let Some(parts) = parts(name, &led.path, guard)
    {
        split(&led.path, parts, false, places, sandbox);
    }
}

/// Opens parts of a folder, which itself is hidden and can be listed.
fn split(
    folder: &Path,
    parts: Vec<(PathBuf, PathBuf)>,
    is_written: bool,
    places: &mut Places<'_>,
    sandbox: &mut Sandbox,
) {
    for (name, path) in parts {
        // A folder with programs may have to be split, too: what lies beside them in it belongs to them.
        let mut around = path.ancestors().take_while(|around| *around != folder);
        let is_run = around.any(|around| places.guard.is_run(around));
        let is_written = is_written && !is_run;
        places.part(name, &path, is_written);
    }
    sandbox.hidden.push(folder.to_owned());
    sandbox.listed.push(folder.to_owned());
}

/// Checks the mounts of a workload that sees everything where it is: one that it may only read is not enforced.
///
/// # Errors
/// A mount cannot be honoured, and may not be left out.
pub(crate) fn check_unconfined(
    spec: &WorkloadSpec,
    guard: &Guard,
    places: &Places<'_>,
    weaker: &mut Vec<Measure>,
) -> Result<()> {
    for mount in of(spec, guard, places)? {
        if mount.at.is_some() {
            return Err(not_elsewhere("its profile says privileged"));
        }
        if !mount.is_written {
            let why = "a privileged process writes what its user may";
            spec.leave_out(FIELD, "by the runtime 'process'", why, weaker)?;
        }
    }
    Ok(())
}

/// The entries of a folder that hold neither keys nor files of the host's, as they are named and without links; of an entry
/// that holds some, its own entries. None if there are too many.
fn parts(name: &Path, path: &Path, guard: &Guard) -> Option<Vec<(PathBuf, PathBuf)>> {
    let mut found = Vec::new();
    let mut folders = vec![(name.to_owned(), path.to_owned())];
    while let Some((name, path)) = folders.pop() {
        // A folder that cannot be listed has no parts.
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            let (file, Ok(kind)) = (entry.file_name(), entry.file_type()) else { continue };
            if kind.is_symlink() || file.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let (name, path) = (name.join(&file), path.join(&file));
            if guard.lets(&path) {
                found.push((name, path));
            } else if kind.is_dir() && guard.may_be_split(&path) {
                folders.push((name, path));
            }
            if found.len() + folders.len() > PARTS_MAX {
                return None;
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests;
