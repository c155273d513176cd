//! The paths that a specification mounts: `PATH:PATH[:ro]` opens a file or folder where it is, `HOST:PATH[:ro]` shows it at
//! another place, which takes mounts of the workload's own. [`crate::permission_profile`] asks for them.
//!
//! A folder that holds keys or files of the host's, or where they would lie, is opened in parts: its entries that hold none,
//! without links and without those whose names begin with a dot. The folder itself is not opened, so nothing is made in it:
//! neither keys that are not there yet, nor what a shell runs (`.bashrc`). For the same reason a part with programs of `PATH`,
//! or with settings that a link with a dot leads to (`~/dotfiles`), is not written.
use crate::{guard::Guard, places::Places, trail::Led};
use std::{
    fs,
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
    spec.mounts.iter().map(|text| mounted(text, guard, places)).collect()
}

fn mounted(text: &str, guard: &Guard, places: &Places<'_>) -> Result<Mounted> {
    let mount = Mount::parse(text)
        .map_err(|why| Error::invalid(format!("the mount '{text}' {why}; write PATH or PATH:ro")))?;
    let (name, target) = (Path::new(mount.source), Path::new(mount.target));
    if !name.is_absolute() {
        let message = format!(
            "the mount '{text}' names a volume, and a plain process has none; for a folder write ./{}",
            mount.source
        );
        return Err(Error::unsupported(FIELD, message));
    }
    let Some(led) = places.led(name)? else {
        let message = format!("'{}', which is to be opened, does not exist", mount.source);
        return Err(Error::precondition(message));
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
mod tests {
    use super::*;
    use crate::trail::Trail;
    use std::{collections::BTreeMap, os::unix::fs::symlink};

    #[test]
    fn a_folder_with_keys_has_the_parts_that_hold_none() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        for name in [".ssh", ".cache", "docs", "snap", "share/state", "share/fonts"] {
            fs::create_dir_all(home.join(name)).unwrap();
        }
        fs::File::create(home.join("server.py")).unwrap();
        symlink("docs", home.join("link")).unwrap();
        let env = BTreeMap::from([("HOME".to_owned(), home.display().to_string())]);
        let guard = Guard::new(&env, &[], &[home.join("share/state")]);
        let mut found: Vec<_> =
            parts(&home, &home, &guard).unwrap().into_iter().map(|(_, path)| path).collect();
        found.sort();
        assert_eq!(found, ["docs", "server.py", "share/fonts"].map(|name| home.join(name)));
        for number in 0..PARTS_MAX {
            fs::File::create(home.join(format!("file-{number}"))).unwrap();
        }
        assert!(parts(&home, &home, &guard).is_none(), "each part costs a descriptor");
    }

    /// A home, and its mounts opened: each a path in it and whether it is written.
    fn opened(
        home: &Path,
        guard: &Guard,
        mounts: &[(&str, bool)],
    ) -> Result<(Vec<PathBuf>, Vec<PathBuf>, Sandbox)> {
        let trail = Trail::new(Vec::new());
        let mut places = Places::new(&trail, guard, "demo", None);
        let mounts: Vec<_> = mounts
            .iter()
            .map(|&(name, is_written)| {
                let name = home.join(name);
                let led = trail.lead(&name).unwrap();
                Mounted { name, led, is_written, at: None }
            })
            .collect();
        let mut sandbox = Sandbox::default();
        open(&mounts, Vec::new(), guard, &mut places, &mut sandbox)?;
        let (read, written) = places.settle()?;
        let paths = |places: Vec<Place>| {
            let mut paths: Vec<_> = places.into_iter().map(|place| place.path).collect();
            paths.sort();
            paths
        };
        Ok((paths(read), paths(written), sandbox))
    }

    fn home_of(home: &Path) -> BTreeMap<String, String> {
        [("HOME".to_owned(), home.display().to_string())].into()
    }

    #[test]
    fn a_folder_of_keys_that_holds_wharfs_own_files_is_not_opened_even_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        for name in [".config/editor", "elsewhere/wharf"] {
            fs::create_dir_all(home.join(name)).unwrap();
        }
        let own = home.join(".config/wharf");
        let config = [(".config", false)];
        let is_refused = |mount: (&str, bool)| {
            let guard = Guard::new(&home_of(&home), &[], std::slice::from_ref(&own));
            let refused = opened(&home, &guard, &[mount]).err();
            refused.is_some_and(|error| error.message.contains("files of wharf's own"))
        };
        // It does not exist yet, it is a folder, it is a link.
        assert!(is_refused((".config", false)) && is_refused((".config", true)));
        fs::create_dir(&own).unwrap();
        assert!(is_refused((".config", false)) && is_refused((".config", true)));
        fs::remove_dir(&own).unwrap();
        symlink(home.join("elsewhere/wharf"), &own).unwrap();
        assert!(is_refused((".config", false)) && is_refused((".config", true)));
        assert!(!is_refused((".config/editor", true)));
        let guard = Guard::new(&home_of(&home), &[], &[]);
        assert_eq!(opened(&home, &guard, &config).unwrap().0, [home.join(".config")], "it was named");
    }

    #[test]
    fn nothing_is_made_below_a_place_where_something_else_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        let place = |path: &str, at: Option<&str>| Place {
            name: home.join(path),
            path: home.join(path),
            system: false,
            kept: false,
            at: at.map(|at| home.join(at)),
        };
        let refused = |write: Vec<Place>, read: Vec<Place>| {
            let sandbox = Sandbox { write, read, hidden: vec![home.clone()], ..Sandbox::default() };
            check_nothing_below(&sandbox).is_err()
        };
        let shown = || place("fake", Some("work"));
        assert!(!refused(vec![shown(), place("work", None)], vec![place("work/x", None)]));
        assert!(refused(vec![shown(), place("work/x", None)], Vec::new()));
        assert!(refused(vec![place("work/x", None)], vec![shown()]));
        assert!(refused(vec![shown()], vec![Place { kept: true, ..place("work/x", None) }]));
        assert!(refused(vec![shown()], vec![place("other", Some("work/x"))]));
        // The home is hidden.
        let around = home.parent().unwrap().to_str().unwrap();
        assert!(refused(vec![place("fake", Some(around))], Vec::new()));
    }

    #[test]
    fn a_mount_inside_of_another_counts_also_where_it_is_opened_in_parts_itself() {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().canonicalize().unwrap();
        for name in ["docs", "sub/state", "sub/papers", "sub/deep/papers"] {
            fs::create_dir_all(work.join(name)).unwrap();
        }
        let guard = Guard::new(&BTreeMap::new(), &[], &[work.join("sub/state")]);
        let all = |names: &[&str]| names.iter().map(|name| work.join(name)).collect::<Vec<_>>();
        let both = |mounts: &[(&str, bool)]| {
            let (read, written, _) = opened(&work, &guard, mounts).unwrap();
            (read, written)
        };
        let (docs, parts) = (all(&["docs"]), all(&["sub/deep", "sub/papers"]));
        for is_written in [true, false] {
            for mounts in [[("", is_written), ("sub", !is_written)], [("sub", !is_written), ("", is_written)]]
            {
                let expected = if is_written { (&parts, &docs) } else { (&docs, &parts) };
                let found = both(&mounts);
                assert_eq!((&found.0, &found.1), expected);
            }
        }
    }

    /// Their user keeps them in a folder that is under version control.
    #[test]
    fn what_a_shell_runs_is_not_written_where_a_link_leads_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        for name in [".config", ".ssh", "dotfiles", "settings/shell", "later", "docs"] {
            fs::create_dir_all(home.join(name)).unwrap();
        }
        for name in ["bashrc", "sourced"] {
            fs::File::create(home.join("dotfiles").join(name)).unwrap();
        }
        for (target, link) in [
            ("dotfiles/bashrc", ".bashrc"),
            ("../settings/shell", ".config/fish"),
            // What does not exist yet could be made.
            ("later/profile", ".profile"),
            ("docs", "link"),
        ] {
            symlink(target, home.join(link)).unwrap();
        }
        let guard = Guard::new(&home_of(&home), &[], &[]);
        let (read, written, _) = opened(&home, &guard, &[("", true)]).unwrap();
        assert_eq!(read, ["dotfiles", "later", "settings"].map(|name| home.join(name)));
        assert_eq!(written, [home.join("docs")]);
        assert!(guard.is_run(&home.join("settings/shell/config.fish")), "it lies in it");
        assert_eq!(opened(&home, &guard, &[("dotfiles", true)]).unwrap().1, [home.join("dotfiles")]);
        // With a key beside it, that folder is opened in parts itself.
        fs::File::create(home.join("dotfiles/id")).unwrap();
        symlink("../dotfiles/id", home.join(".ssh/id")).unwrap();
        let guard = Guard::new(&home_of(&home), &[], &[]);
        let (read, written, _) = opened(&home, &guard, &[("", true)]).unwrap();
        let expected = ["dotfiles/bashrc", "dotfiles/sourced", "later", "settings"];
        assert_eq!((read, written), (expected.map(|name| home.join(name)).to_vec(), vec![home.join("docs")]));
    }

    #[test]
    fn a_part_with_programs_that_its_user_runs_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        for name in ["bin", "go/bin", "docs"] {
            fs::create_dir_all(home.join(name)).unwrap();
        }
        let mut env = home_of(&home);
        env.insert("PATH".to_owned(), format!("{0}/bin:{0}/go/bin:/usr/bin", home.display()));
        let guard = Guard::new(&env, &[], &[]);
        let (read, written, sandbox) = opened(&home, &guard, &[("", true)]).unwrap();
        assert_eq!(read, ["bin", "go"].map(|name| home.join(name)));
        assert_eq!(written, [home.join("docs")]);
        assert!(sandbox.hidden.contains(&home) && sandbox.listed.contains(&home));
        // A folder of PATH that does not exist yet, and one by which the user runs programs and the workload does not.
        env.insert("PATH".to_owned(), home.join("docs/later").display().to_string());
        let guard = Guard::new(&env, &[], &[]).with_programs_of(home.join("bin"));
        let (read, written, _) = opened(&home, &guard, &[("", true)]).unwrap();
        assert_eq!(read, ["bin", "docs"].map(|name| home.join(name)));
        assert_eq!(written, [home.join("go")]);
        // One that holds a key, and is opened in parts itself.
        fs::File::create(home.join("bin/tool")).unwrap();
        let guard = Guard::new(&env, &[], &[home.join("bin/state")]).with_programs_of(home.join("bin"));
        let (read, written, _) = opened(&home, &guard, &[("", true)]).unwrap();
        assert_eq!(read, ["bin/tool", "docs"].map(|name| home.join(name)));
        assert_eq!(written, [home.join("go")]);
        // Named itself it is.
        let guard = Guard::new(&env, &[], &[]).with_programs_of(home.join("bin"));
        assert_eq!(opened(&home, &guard, &[("bin", true)]).unwrap().1, [home.join("bin")]);
    }
}
