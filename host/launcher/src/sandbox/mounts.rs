//! The workload's view of the files: everything where it is, read-only except for the places that it may write, without the
//! hidden folders, and with its own folders for temporary files.
//!
//! Landlock decides which of the visible files may be read. This view covers what Landlock does not: names, modes, owners,
//! times and extended attributes, watches. Init calls it in a mount namespace of its own ([`crate::sandbox::namespaces`]).
use crate::sandbox::namespace_spec::{NamespaceSpec, SetUpError};
use crate::sandbox::opened::Seen;
use crate::unlinked;
use rustix::{
    fs::{FileType, StatVfsMountFlags, fstat, fstatvfs},
    io::Errno,
    mount::{
        MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_change, mount_remount,
        move_mount, open_tree,
    },
};
use std::{
    collections::{BTreeMap, HashSet},
    ffi::{CStr, OsString},
    fs::{self, DirBuilder, File},
    io,
    ops::Bound,
    os::{
        fd::OwnedFd,
        unix::{
            ffi::OsStringExt,
            fs::{DirBuilderExt, symlink},
        },
    },
    path::{Path, PathBuf},
};
use wharf_sdk::files;

/// Folders for temporary files that everybody can write: each workload has its own, in memory.
pub(crate) const PRIVATE: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
/// Their size, and the mode.
const PRIVATE_OPTIONS: &CStr = c"size=256m,mode=1777";
/// A hidden folder contains only folders and links on the way to visible files.
const HIDDEN_OPTIONS: &CStr = c"size=64k,mode=755";

/// The treatment of a path and of everything below it.
enum MountAction {
    /// It is not visible. If it is listed, it is a read-only mount of its own even in a folder that is the workload's: what is
    /// made there fails, and is not lost in memory.
    Hidden { is_listed: bool },
    /// It is replaced by an empty folder that can be written.
    Private,
    /// It is visible where it is.
    Shown { tree: OwnedFd, is_folder: bool, writable: bool },
}

/// Sets up the mounts of this namespace.
pub(crate) fn arrange(spec: &NamespaceSpec<'_>) -> Result<(), SetUpError> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| format!("mounts cannot be made one's own: {error}"))?;
    let mut paths = Paths::default();
    let mut actions = BTreeMap::new();
    for folder in PRIVATE.iter().map(Path::new).filter_map(|path| paths.real(path)) {
        actions.insert(folder, MountAction::Private);
    }
    for folder in spec.hidden.iter().filter_map(|path| paths.real(path)) {
        if folder.parent().is_some() && folder.is_dir() {
            let is_listed = spec.listed.contains(&folder);
            actions.entry(folder).or_insert(MountAction::Hidden { is_listed });
        }
    }
    // Opened before anything is hidden.
    for seen in outermost_first(&spec.places) {
        let (path, writable) = (seen.path(), seen.is_written);
        if seen.place.at.is_some() {
            check_place(&actions, path)?;
        } else {
            // Only notes the links on the way; the file that is shown is the opened one.
            let _ = paths.real(&seen.place.name);
        }
        let needed = match nearest(&actions, path, true) {
            _ if seen.place.at.is_some() => true,
            Some((at, MountAction::Shown { .. })) if at == path => false,
            Some((_, MountAction::Shown { writable: true, .. })) => seen.place.kept,
            Some((_, MountAction::Hidden { .. } | MountAction::Private)) => true,
            Some((_, MountAction::Shown { writable: false, .. })) | None => writable,
        };
        let opened = seen.open()?;
        if seen.place.kept {
            hold_folders_above(&mut actions, path)?;
        }
        if needed && let Some(shown) = shown(path, &opened, writable)? {
            actions.insert(path.to_owned(), shown);
        }
    }
    let elsewhere = spec.places.iter().filter_map(|seen| seen.place.at.as_deref());
    elsewhere.into_iter().try_for_each(|at| check_nothing_below(&actions, at))?;
    let current_dir = paths.real(&spec.current_dir);
    for (path, action) in &actions {
        settle(&actions, path, action)
            .map_err(|error| format!("'{}' cannot be shown or hidden: {error}", path.display()))?;
    }
    let links = paths.links.iter().filter(|(path, _)| is_hidden(&actions, path));
    for (path, target) in links {
        make_folders(path.parent())
            .and_then(|()| symlink(target, path))
            .map_err(|error| format!("the link '{}' cannot be made: {error}", path.display()))?;
    }
    if let Some(folder) = current_dir.filter(|folder| is_hidden(&actions, folder)) {
        let made = make_folders(Some(&folder));
        made.map_err(|error| format!("the folder '{}' cannot be made: {error}", folder.display()))?;
    }
    close_the_rest(&actions)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
    mount("proc", "/proc", "proc", flags, None)
        .map_err(|error| format!("/proc cannot be mounted: {error}"))?;
    check_kept(spec, &actions)
}

/// Fails unless a place where something else is shown exists, or is made in a folder that only the workload sees: nothing is
/// made in folders of this machine.
fn check_place(actions: &BTreeMap<PathBuf, MountAction>, at: &Path) -> Result<(), SetUpError> {
    let above = nearest(actions, at, false);
    let is_own = matches!(above, Some((_, MountAction::Hidden { .. } | MountAction::Private)));
    if is_own || unlinked::open(at).is_ok() {
        return Ok(());
    }
    Err(format!("'{}' does not exist, and cannot be made for the workload alone", at.display()).into())
}

/// Fails if something is shown or hidden below a place where something else is shown: it would have to be made there, in a
/// folder of this machine.
fn check_nothing_below(actions: &BTreeMap<PathBuf, MountAction>, at: &Path) -> Result<(), String> {
    // Paths are in the order of their components, so those below a path follow it.
    let mut after = actions.range::<Path, _>((Bound::Excluded(at), Bound::Unbounded));
    match after.next().filter(|(path, _)| path.starts_with(at)) {
        None => Ok(()),
        Some((path, _)) => Err(format!(
            "'{}', which is shown or hidden as well, lies in '{}', and nothing is made there for it",
            path.display(),
            at.display()
        )),
    }
}

/// Mounts every folder onto itself that lies between a read-only place and the writable place around it. Without that, the
/// workload could rename such a folder and put another one in its place; a mount point cannot be renamed.
fn hold_folders_above(actions: &mut BTreeMap<PathBuf, MountAction>, kept: &Path) -> Result<(), SetUpError> {
    for folder in kept.ancestors().skip(1) {
        let is_renamed = match nearest(actions, folder, true) {
            Some((at, MountAction::Shown { writable: true, .. })) => at != folder,
            _ => false,
        };
        if is_renamed {
            let opened = unlinked::open(folder)
                .map_err(|error| format!("'{}' cannot be opened: {error}", folder.display()))?;
            if let Some(shown) = shown(folder, &opened, true)? {
                actions.insert(folder.to_owned(), shown);
            }
        }
    }
    Ok(())
}

/// Fails unless every read-only place inside of a writable one is really read-only, and neither the place nor a folder
/// above it within the writable one can be renamed or removed.
fn check_kept(spec: &NamespaceSpec<'_>, actions: &BTreeMap<PathBuf, MountAction>) -> Result<(), SetUpError> {
    let kept: Vec<&Path> = spec.places.iter().filter(|seen| seen.place.kept).map(Seen::path).collect();
    if kept.is_empty() {
        return Ok(());
    }
    let mounts =
        fs::read("/proc/self/mountinfo").map_err(|error| format!("mounts cannot be read: {error}"))?;
    let mounts: HashSet<PathBuf> =
        mounts.split(|&byte| byte == b'\n').filter_map(|line| Some(parse(line)?.0)).collect();
    for path in kept {
        let flags = unlinked::open(path).and_then(fstatvfs).map(|found| found.f_flag);
        if !flags.is_ok_and(|flags| flags.contains(StatVfsMountFlags::RDONLY)) {
            return Err(format!("'{}' cannot be made read-only", path.display()).into());
        }
        let is_written = |above: &Path| {
            matches!(nearest(actions, above, true), Some((_, MountAction::Shown { writable: true, .. })))
        };
        let mut held = path.ancestors().filter(|at| *at == path || is_written(at));
        if let Some(renamed) = held.find(|at| !mounts.contains(*at)) {
            return Err(format!("'{}' cannot be kept from being renamed", renamed.display()).into());
        }
    }
    Ok(())
}

/// Sorts the places so that a place comes after those that contain it; for the same path, the writable one comes first.
fn outermost_first(places: &[Seen]) -> Vec<&Seen> {
    let mut places: Vec<&Seen> = places.iter().collect();
    places.sort_by_key(|seen| (seen.path().components().count(), !seen.is_written));
    places
}

/// The treatment of the deepest path that contains a path, or equals it if `itself`.
fn nearest<'a>(
    actions: &'a BTreeMap<PathBuf, MountAction>,
    path: &Path,
    itself: bool,
) -> Option<(&'a Path, &'a MountAction)> {
    let found = path.ancestors().skip(usize::from(!itself)).find_map(|above| actions.get_key_value(above));
    found.map(|(path, action)| (path.as_path(), action))
}

fn is_hidden(actions: &BTreeMap<PathBuf, MountAction>, path: &Path) -> bool {
    matches!(nearest(actions, path, true), Some((_, MountAction::Hidden { .. } | MountAction::Private)))
}

/// A copy of the mount of an opened file. None for a device, which can be used where it is.
fn shown(real: &Path, opened: &OwnedFd, writable: bool) -> Result<Option<MountAction>, String> {
    let failed = |error: Errno| format!("'{}' cannot be shown: {error}", real.display());
    let is_folder = match fstat(opened).map(|found| FileType::from_raw_mode(found.st_mode)) {
        Ok(FileType::Directory) => true,
        Ok(FileType::CharacterDevice) => return Ok(None),
        Ok(_) => false,
        Err(error) => return Err(failed(error)),
    };
    // The copy includes mounts below it: the kernel refuses a copy that would uncover what they hide.
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(opened, "", flags | OpenTreeFlags::AT_EMPTY_PATH).map_err(failed)?;
    Ok(Some(MountAction::Shown { tree, is_folder, writable }))
}

/// Applies one treatment. Paths are treated after those that contain them.
fn settle(actions: &BTreeMap<PathBuf, MountAction>, path: &Path, action: &MountAction) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    match action {
        // It lies in a folder that is not visible already.
        MountAction::Hidden { is_listed: false }
            if matches!(
                nearest(actions, path, false),
                Some((_, MountAction::Hidden { .. } | MountAction::Private))
            ) => {}
        MountAction::Hidden { .. } => {
            make_folders(Some(path))?;
            mount("none", path, "tmpfs", flags, HIDDEN_OPTIONS)?;
        }
        MountAction::Private => mount("none", path, "tmpfs", flags, PRIVATE_OPTIONS)?,
        MountAction::Shown { tree, is_folder, .. } => {
            if *is_folder {
                make_folders(Some(path))?;
            } else {
                make_folders(path.parent())?;
                if !fs::exists(path)? {
                    File::create_new(path)?;
                }
            }
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
            move_mount(tree, "", unlinked::open(path)?, "", flags)?;
        }
    }
    Ok(())
}

fn make_folders(path: Option<&Path>) -> io::Result<()> {
    match path {
        Some(path) => DirBuilder::new().recursive(true).mode(0o755).create(path),
        None => Ok(()),
    }
}

/// Makes every mount read-only, except for the writable places; in these, set-id bits and devices have no effect.
fn close_the_rest(actions: &BTreeMap<PathBuf, MountAction>) -> Result<(), String> {
    let mounts =
        fs::read("/proc/self/mountinfo").map_err(|error| format!("mounts cannot be read: {error}"))?;
    for line in mounts.split(|&byte| byte == b'\n') {
        let Some((path, flags)) = parse(line) else { continue };
        let closed = match nearest(actions, &path, true) {
            Some((_, MountAction::Shown { writable: true, .. })) if path.starts_with("/dev") => {
                MountFlags::NOSUID
            }
            Some((_, MountAction::Shown { writable: true, .. })) => MountFlags::NOSUID | MountFlags::NODEV,
            Some((at, MountAction::Private)) if at == path => continue,
            _ => MountFlags::RDONLY,
        };
        if flags.contains(closed) || flags.contains(MountFlags::RDONLY) {
            continue;
        }
        match mount_remount(&path, flags | MountFlags::BIND | closed, "") {
            // If a mount lies under another one, or out of this user's reach, the workload cannot reach it either.
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::INVAL) => {}
            Err(error) => return Err(format!("'{}' cannot be closed: {error}", path.display())),
        }
    }
    Ok(())
}

/// The place and the flags of a mount, proc_pid_mountinfo(5). A remount must repeat the flags.
fn parse(line: &[u8]) -> Option<(PathBuf, MountFlags)> {
    let mut fields = line.split(|&byte| byte == b' ').skip(4);
    let path = PathBuf::from(OsString::from_vec(unescaped(fields.next()?)));
    let flags = fields.next()?.split(|&byte| byte == b',').fold(MountFlags::empty(), |flags, option| {
        flags
            | match option {
                b"ro" => MountFlags::RDONLY,
                b"nosuid" => MountFlags::NOSUID,
                b"nodev" => MountFlags::NODEV,
                b"noexec" => MountFlags::NOEXEC,
                b"noatime" => MountFlags::NOATIME,
                b"nodiratime" => MountFlags::NODIRATIME,
                b"relatime" => MountFlags::RELATIME,
                b"nosymfollow" => MountFlags::NOSYMFOLLOW,
                _ => MountFlags::empty(),
            }
    });
    Some((path, flags))
}

/// Decodes space, tab, line end and backslash, which are written as three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let digits =
            after.get(..3).filter(|_| byte == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(decoded) = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(decoded);
            rest = &after[3..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    bytes
}

/// Collects the links on the way to visible files: names that lead through a hidden folder must still lead there.
#[derive(Default)]
struct Paths {
    links: BTreeMap<PathBuf, PathBuf>,
    plain: HashSet<PathBuf>,
}

impl Paths {
    /// Resolves a path. None if it cannot be reached.
    fn real(&mut self, path: &Path) -> Option<PathBuf> {
        let real = files::follow(path, |entry| {
            if self.plain.contains(entry) {
                return io::Result::Ok(None);
            }
            let target = files::target(entry)?;
            match &target {
                Some(target) => drop(self.links.insert(entry.to_owned(), target.clone())),
                None => drop(self.plain.insert(entry.to_owned())),
            }
            Ok(target)
        });
        real.ok()?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_remounted_with_its_own_flags() {
        let line =
            b"36 35 98:0 /mnt1 /a\\040b rw,nosuid,noatime shared:1 - ext3 /dev/root rw,errors=continue";
        let (path, flags) = parse(line).unwrap();
        assert_eq!(path, Path::new("/a b"));
        assert_eq!(flags, MountFlags::NOSUID | MountFlags::NOATIME);
        assert!(parse(b"").is_none());
    }

    #[test]
    fn nothing_is_made_below_a_place_where_something_else_is_shown() {
        let actions: BTreeMap<PathBuf, MountAction> =
            ["/home/me/x", "/tmp"].map(|path| (PathBuf::from(path), MountAction::Private)).into();
        for at in ["/home", "/home/me", "/"] {
            let why = check_nothing_below(&actions, Path::new(at)).unwrap_err();
            assert!(why.contains("'/home/me/x'"), "{at}: {why}");
        }
        for at in ["/home/me/x", "/home/me/x/y", "/home/m", "/srv", "/tmp", "/usr"] {
            assert_eq!(check_nothing_below(&actions, Path::new(at)), Ok(()), "{at}");
        }
    }

    #[test]
    fn links_on_the_way_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        fs::create_dir_all(folder.join("a/b")).unwrap();
        symlink("../a", folder.join("a/up")).unwrap();
        symlink(folder.join("a/up/b"), folder.join("link")).unwrap();
        symlink("self", folder.join("self")).unwrap();
        let mut paths = Paths::default();
        assert_eq!(paths.real(&folder.join("link")), Some(folder.join("a/b")));
        assert_eq!(paths.links.get(&folder.join("a/up")), Some(&PathBuf::from("../a")));
        assert!(paths.links.contains_key(&folder.join("link")));
        assert_eq!(paths.real(&folder.join("self")), None);
        assert_eq!(paths.real(&folder.join("none")), None);
    }
}
