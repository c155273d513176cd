//! The check of `doctor` on the folders that wharf writes to: each must take a small file, down to the disk.
//!
//! Rights alone say nothing about a disk that is full, a quota that is used up or a file system without inodes. Nothing is
//! left, and no name appears (R05): the file has none.
use super::advice::word;
use super::finding::Finding;
use rustix::fs::{Mode, OFlags, open, statvfs, unlink};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use wharf_supervisor::Config;

/// As many bytes as a record usually takes: some file systems keep a few within the inode, where one always has room.
const BYTES: usize = 8 * 1024;

/// More folders of runtimes are not tried.
const MAX_RUNTIMES: usize = 64;

/// The reason why a folder takes no file, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unwritable {
    pub(super) message: String,
    pub(super) remedy: String,
}

/// Tries the folders of data and of the cache. Without the first no plain process starts; a cache can be done without.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let data = config.data_dir.join("runtimes");
    let found = std::fs::read_dir(&data).into_iter().flatten().take(MAX_RUNTIMES);
    let runtimes: Vec<PathBuf> = found.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let below = std::iter::once(data).chain(runtimes);
    let data = unwritable(&config.data_dir, below, "--data-dir")
        .map(|found| Finding::failed("data", found.message, found.remedy));
    let cache = config.cache_dir.as_ref().and_then(|cache| {
        let below = ["plugins", "verdicts"].map(|name| cache.join(name));
        let found = unwritable(cache, below, "--cache-dir")?;
        let message = format!("{}; plugins are copied anew for each command", found.message);
        Some(Finding::warning("cache", message, found.remedy))
    });
    data.into_iter().chain(cache).collect()
}

/// The first of a folder and those below it that takes no file; `option` names another one. What is not there yet is made in
/// the next folder above.
pub(super) fn unwritable(
    root: &Path,
    below: impl IntoIterator<Item = PathBuf>,
    option: &str,
) -> Option<Unwritable> {
    let existing = root.ancestors().find(|path| path.exists())?;
    if existing != root {
        let found = try_folder(existing, option)?;
        return Some(Unwritable {
            message: format!("{} cannot be made: {}", root.display(), found.message),
            remedy: found.remedy,
        });
    }
    let below = below.into_iter().filter(|path| path.is_dir());
    std::iter::once(root.to_owned()).chain(below).find_map(|folder| try_folder(&folder, option))
}

fn try_folder(folder: &Path, option: &str) -> Option<Unwritable> {
    let error = write_to(folder).err()?;
    let is_out_of_inodes = error.kind() == ErrorKind::StorageFull && !has_inodes(folder);
    Some(told(folder, &error, is_out_of_inodes, option))
}

/// Writes a file to the disk; it is gone once it is closed.
fn write_to(folder: &Path) -> io::Result<()> {
    let mut file = nameless(folder)?;
    file.write_all(&[0; BYTES])?;
    file.sync_all()
}

/// A file of this folder that has no name.
pub(super) fn nameless(folder: &Path) -> io::Result<File> {
    const FLAGS: OFlags = OFlags::RDWR.union(OFlags::CLOEXEC);
    const MODE: Mode = Mode::RUSR.union(Mode::WUSR);
    match open(folder, FLAGS | OFlags::TMPFILE, MODE) {
        Ok(file) => return Ok(file.into()),
        // The file system has no files without a name, as many a network's: one loses its name at once.
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => {}
        Err(errno) => return Err(errno.into()),
    }
    let unique = wharf_model::random_hex().map_err(io::Error::other)?;
    let path = folder.join(format!(".wharf-doctor-{unique}"));
    let file = open(&path, FLAGS | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW, MODE)?;
    unlink(&path)?;
    Ok(file.into())
}

/// Whether one more file can be made there. A file system that does not count them has none free and none at all.
fn has_inodes(folder: &Path) -> bool {
    statvfs(folder).is_ok_and(|found| found.f_files == 0 || found.f_favail > 0)
}

fn told(folder: &Path, error: &io::Error, is_out_of_inodes: bool, option: &str) -> Unwritable {
    let shown = folder.display();
    let named = word(&shown.to_string());
    let remedy = match error.kind() {
        ErrorKind::StorageFull if is_out_of_inodes => {
            format!("remove files from that disk (df -i {named} counts them)")
        }
        ErrorKind::StorageFull => format!("make room on that disk (df -h {named} shows it)"),
        ErrorKind::QuotaExceeded => "make room: your quota of that disk is used up (quota -s)".to_owned(),
        ErrorKind::ReadOnlyFilesystem => "mount it writable".to_owned(),
        ErrorKind::PermissionDenied => match foreign_owner(folder) {
            Some(owner) => format!("run: chown {} {named} (it belongs to user {owner})", own_user()),
            None => format!("run: chmod u+rwx {named}"),
        },
        ErrorKind::NotADirectory => "it is no folder: remove it".to_owned(),
        _ => "see what the system's log says of that disk (dmesg)".to_owned(),
    };
    let why = if is_out_of_inodes { "its file system has no inode left: " } else { "" };
    Unwritable {
        message: format!("{shown} cannot be written: {why}{error}"),
        remedy: format!("{remedy}, or name another one: {option}"),
    }
}

/// The owner of a folder, if that is another user.
fn foreign_owner(folder: &Path) -> Option<u32> {
    let owner = std::fs::metadata(folder).ok()?.uid();
    (owner != own_user()).then_some(owner)
}

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn r05_a_folder_that_can_be_written_stays_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let below = root.path().join("below");
        std::fs::create_dir(&below).unwrap();
        let before = std::fs::metadata(&below).unwrap().modified().unwrap();
        let missing = root.path().join("missing");
        assert_eq!(unwritable(root.path(), [below.clone(), missing.clone()], "--state-dir"), None);
        assert_eq!(unwritable(&missing.join("deeper"), [], "--state-dir"), None, "it can be made");
        assert!(!missing.exists());
        assert_eq!(std::fs::read_dir(&below).unwrap().count(), 0);
        assert_eq!(std::fs::metadata(&below).unwrap().modified().unwrap(), before);
    }

    #[test]
    fn a_folder_below_that_takes_no_file_is_named() {
        let root = tempfile::tempdir().unwrap();
        let below = root.path().join("below");
        std::fs::create_dir(&below).unwrap();
        std::fs::set_permissions(&below, std::fs::Permissions::from_mode(0o500)).unwrap();
        let found = unwritable(root.path(), [below.clone()], "--data-dir");
        if rustix::process::geteuid().is_root() {
            assert_eq!(found, None, "nothing is forbidden to root");
            return;
        }
        let found = found.unwrap();
        assert!(found.message.starts_with(&format!("{} cannot be written", below.display())), "{found:?}");
        let remedy = format!("run: chmod u+rwx {}, or name another one: --data-dir", below.display());
        assert_eq!(found.remedy, remedy);
    }

    #[test]
    fn each_reason_has_its_remedy() {
        let folder = Path::new("/a b");
        for (errno, is_out_of_inodes, why, remedy) in [
            (
                Errno::NOSPC,
                false,
                "written: No space left",
                "make room on that disk (df -h '/a b' shows it), ",
            ),
            (
                Errno::NOSPC,
                true,
                "no inode left: No space",
                "remove files from that disk (df -i '/a b' counts",
            ),
            (Errno::DQUOT, false, "written: ", "make room: your quota of that disk is used up"),
            (
                Errno::ROFS,
                false,
                "written: Read-only file system",
                "mount it writable, or name another one: ",
            ),
            (
                Errno::ACCESS,
                false,
                "written: Permission denied",
                "run: chmod u+rwx '/a b', or name another one",
            ),
            (Errno::IO, false, "written: Input/output error", "see what the system's log says"),
        ] {
            let found = told(folder, &errno.into(), is_out_of_inodes, "--cache-dir");
            assert!(found.message.contains(why) && found.remedy.starts_with(remedy), "{found:?}");
            assert!(found.remedy.ends_with("or name another one: --cache-dir"), "{found:?}");
        }
    }
}
