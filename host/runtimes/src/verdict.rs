//! [`Verdicts`]: the results of trying libraries: a file for each, named by the library's digest, in the user's cache
//! folder.
//!
//! This is best effort, and no record: if a verdict cannot be read or written, the library counts as never seen and is
//! tried again. The same holds for a verdict of another version of this host.
use crate::in_process::copy::MAX_LIBRARY_BYTES;
use crate::in_process::load;
use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, MetadataExt},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};
use wharf_sdk::files::{self, Links};

/// A larger file is not read.
const MAX_BYTES: u64 = 16 * 1024;
/// The name of the folder in the cache folder.
const FOLDER: &str = "verdicts";

/// The folder of verdicts.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    /// None: verdicts are not kept.
    folder: Option<PathBuf>,
}

/// The result of trying a library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// It can be loaded.
    Loads,
    /// It ends the process that loads it.
    Ends {
        /// The end of that process, in words.
        how: String,
        /// The last line that it wrote.
        words: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Kept {
    wharf: String,
    verdict: Verdict,
}

/// The number of verdicts that were forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten(pub usize);

impl Verdicts {
    /// The verdicts in a cache folder.
    pub fn below(cache_dir: &Path) -> Self {
        Self { folder: Some(cache_dir.join(FOLDER)) }
    }

    /// The verdict on the library with this digest.
    pub(crate) fn of(&self, sha256: &str) -> Option<Verdict> {
        let kept = read(self.folder.as_ref()?, sha256);
        let kept =
            kept.inspect_err(|error| tracing::debug!(%error, sha256, "no verdict can be read")).ok()?;
        (kept.wharf == env!("CARGO_PKG_VERSION")).then_some(kept.verdict)
    }

    /// Keeps a verdict, if possible.
    pub(crate) fn keep(&self, sha256: &str, verdict: &Verdict) {
        let Some(folder) = &self.folder else { return };
        let kept = Kept { wharf: env!("CARGO_PKG_VERSION").to_owned(), verdict: verdict.clone() };
        if let Err(error) = write(folder, sha256, &kept) {
            tracing::debug!(%error, sha256, "a verdict cannot be kept; the library will be tried again");
        }
    }

    /// Forgets the verdict on the library with the present bytes of this file.
    ///
    /// # Errors
    /// The library is no regular file or cannot be read, or the file of the verdict cannot be removed.
    pub fn forget(&self, library: &Path) -> io::Result<Forgotten> {
        let sha256 = load::digest(&open_library(library)?)?;
        match self.open()? {
            Some(folder) => remove(&folder, &sha256),
            None => Ok(Forgotten(0)),
        }
    }

    /// Forgets the verdicts on all libraries. Files that are no verdicts stay.
    ///
    /// # Errors
    /// The folder cannot be read, or a file in it cannot be removed.
    pub fn forget_all(&self) -> io::Result<Forgotten> {
        let Some(folder) = self.open()? else { return Ok(Forgotten(0)) };
        let mut forgotten = 0;
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            if let Some(name) = entry.file_name().to_str().ok().filter(|name| is_digest(name)) {
                forgotten += remove(&folder, name)?.0;
            }
        }
        Ok(Forgotten(forgotten))
    }

    /// Opens the folder. None: there is none.
    fn open(&self) -> io::Result<Option<OwnedFd>> {
        let Some(folder) = &self.folder else { return Ok(None) };
        match open_folder(folder) {
            Ok(folder) => Ok(Some(folder)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Opens the folder of verdicts without following a link, since files in it are removed.
fn open_folder(folder: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(folder, flags, Mode::empty())?;
    if rustix::fs::fstat(&opened)?.st_uid != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "its folder is another user's"));
    }
    Ok(opened)
}

/// Opens a library to read it.
fn open_library(path: &Path) -> io::Result<File> {
    let (file, found) = files::open(path, Links::Follow)?;
    if found.len() > MAX_LIBRARY_BYTES {
        let why = format!("it has more than {MAX_LIBRARY_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(file)
}

/// True if a name is a SHA-256 in lowercase hexadecimal digits, as the names of verdicts are.
fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn remove(folder: &OwnedFd, name: &str) -> io::Result<Forgotten> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) => Ok(Forgotten(1)),
        Err(Errno::NOENT) => Ok(Forgotten(0)),
        Err(error) => Err(error.into()),
    }
}

fn read(folder: &Path, sha256: &str) -> io::Result<Kept> {
    let (file, found) = files::open_in(open_folder(folder)?, Path::new(sha256), Links::Refuse)?;
    if found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(io::Error::other("others can write it"));
    }
    Ok(serde_json::from_slice(&files::read(file, MAX_BYTES)?)?)
}

/// Writes a verdict. Another process may read or write the same one at the same time, so it is written under another name
/// and renamed.
fn write(folder: &Path, sha256: &str, kept: &Kept) -> io::Result<()> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let folder = open_folder(folder)?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let new = format!(".{}-{count}", std::process::id());
    // An unfinished file of a former process with the same pid may be in the way.
    remove(&folder, &new)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(&folder, &new, flags, Mode::RUSR | Mode::WUSR)?);
    let written = file.write_all(&serde_json::to_vec(kept)?);
    let written = written.and_then(|()| Ok(rustix::fs::renameat(&folder, &new, &folder, sha256)?));
    if written.is_err() {
        let _ = remove(&folder, &new);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn ends() -> Verdict {
        Verdict::Ends { how: "was ended by signal 11".to_owned(), words: String::new() }
    }

    #[test]
    fn a_kept_verdict_is_found_and_can_be_forgotten() {
        let cache = tempfile::tempdir().unwrap();
        let verdicts = Verdicts::below(&cache.path().join("made/at/the/first/use"));
        assert_eq!(verdicts.of("aa"), None);
        let (one, other) = ("a1".repeat(32), "b2".repeat(32));
        verdicts.keep(&one, &Verdict::Loads);
        verdicts.keep(&other, &ends());
        assert_eq!((verdicts.of(&one), verdicts.of(&other)), (Some(Verdict::Loads), Some(ends())));
        assert_eq!(verdicts.forget_all().unwrap(), Forgotten(2));
        assert_eq!((verdicts.of(&one), verdicts.of(&other)), (None, None));
    }

    #[test]
    fn forgetting_all_verdicts_removes_no_other_file() {
        let cache = tempfile::tempdir().unwrap();
        let verdicts = Verdicts::below(cache.path());
        verdicts.keep(&"a1".repeat(32), &Verdict::Loads);
        let folder = cache.path().join(FOLDER);
        let others = ["notes.txt".to_owned(), "A1".repeat(32), "a1".repeat(31), "z1".repeat(32)];
        for name in &others {
            File::create(folder.join(name)).unwrap();
        }
        assert_eq!(verdicts.forget_all().unwrap(), Forgotten(1));
        assert!(others.iter().all(|name| folder.join(name).exists()));
    }

    #[test]
    fn a_link_in_the_place_of_the_folder_is_not_followed() {
        let cache = tempfile::tempdir().unwrap();
        let elsewhere = cache.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, cache.path().join(FOLDER)).unwrap();
        let theirs = elsewhere.join("a1".repeat(32));
        File::create(&theirs).unwrap();
        let verdicts = Verdicts::below(cache.path());
        assert!(verdicts.forget_all().is_err());
        assert!(theirs.exists());
        verdicts.keep(&"b2".repeat(32), &Verdict::Loads);
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 1, "nor is one kept there");
    }

    #[test]
    fn a_cache_folder_of_another_user_is_left_alone() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let cache = tempfile::tempdir().unwrap();
        let verdicts = Verdicts::below(cache.path());
        verdicts.keep(&"a1".repeat(32), &Verdict::Loads);
        let folder = cache.path().join(FOLDER);
        std::os::unix::fs::chown(&folder, Some(65534), Some(65534)).unwrap();
        assert!(verdicts.forget_all().is_err());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn forgetting_a_verdict_does_not_wait_for_a_file_that_is_no_library() {
        let cache = tempfile::tempdir().unwrap();
        let verdicts = Verdicts::below(cache.path());
        let fifo = cache.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
        let large = cache.path().join("large");
        File::create(&large).unwrap().set_len(MAX_LIBRARY_BYTES + 1).unwrap();
        for path in [fifo.as_path(), Path::new("/dev/zero"), cache.path(), &large] {
            let (path, verdicts, (sender, told)) =
                (path.to_owned(), verdicts.clone(), std::sync::mpsc::channel());
            let shown = path.display().to_string();
            std::thread::spawn(move || sender.send(verdicts.forget(&path).is_err()));
            assert_eq!(told.recv_timeout(std::time::Duration::from_secs(60)), Ok(true), "{shown}");
        }
    }

    #[test]
    fn one_librarys_verdict_is_forgotten_by_its_file() {
        let cache = tempfile::tempdir().unwrap();
        let verdicts = Verdicts::below(cache.path());
        let library = cache.path().join("lib.so");
        File::create(&library).unwrap().write_all(b"bytes").unwrap();
        let sha256 = load::digest(&File::open(&library).unwrap()).unwrap();
        verdicts.keep(&sha256, &ends());
        verdicts.keep("other", &ends());
        assert_eq!(verdicts.forget(&library).unwrap(), Forgotten(1));
        assert_eq!(verdicts.forget(&library).unwrap(), Forgotten(0));
        assert_eq!(verdicts.of("other"), Some(ends()));
    }

    #[test]
    fn a_verdict_that_others_could_have_written_is_ignored() {
        let cache = tempfile::tempdir().unwrap();
        let verdicts = Verdicts::below(cache.path());
        verdicts.keep("aa", &Verdict::Loads);
        let file = cache.path().join(FOLDER).join("aa");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(verdicts.of("aa"), None);
        let other = cache.path().join("other");
        verdicts.keep("bb", &Verdict::Loads);
        std::fs::rename(cache.path().join(FOLDER).join("bb"), &other).unwrap();
        std::os::unix::fs::symlink(&other, cache.path().join(FOLDER).join("cc")).unwrap();
        assert_eq!(verdicts.of("cc"), None, "a link");
        File::create(cache.path().join(FOLDER).join("dd")).unwrap().write_all(b"{").unwrap();
        assert_eq!(verdicts.of("dd"), None, "half a file");
    }

    #[test]
    fn a_verdict_of_another_version_says_nothing() {
        let cache = tempfile::tempdir().unwrap();
        let verdicts = Verdicts::below(cache.path());
        let kept = Kept { wharf: "0.0.1".to_owned(), verdict: ends() };
        write(&cache.path().join(FOLDER), "aa", &kept).unwrap();
        assert_eq!(verdicts.of("aa"), None);
    }

    #[test]
    fn without_a_cache_folder_no_verdict_is_kept_and_nothing_fails() {
        Verdicts::default().keep("aa", &Verdict::Loads);
        assert_eq!(Verdicts::default().of("aa"), None);
        let file = tempfile::NamedTempFile::new().unwrap();
        let verdicts = Verdicts::below(file.path());
        verdicts.keep("aa", &Verdict::Loads);
        assert_eq!(verdicts.of("aa"), None);
    }
}
