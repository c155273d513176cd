//! What is known of libraries that were tried: a file for each, named by its digest, in the user's cache folder.
//!
//! Best effort, and no record of anything: what cannot be read or written is as if the library had never been seen, and
//! it is tried again. A verdict of another version of this host says nothing either.
use crate::in_process::load;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// A file that is larger is no verdict.
const MAX_BYTES: u64 = 16 * 1024;
/// The folder in the cache folder.
const FOLDER: &str = "verdicts";

/// Where verdicts are kept.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    /// None: nowhere.
    folder: Option<PathBuf>,
}

/// What came of a library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// It can be loaded.
    Loads,
    /// It ends the process that loads it.
    Ends {
        /// How.
        how: String,
        /// The last that it said.
        words: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Kept {
    wharf: String,
    verdict: Verdict,
}

/// How many verdicts are forgotten now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten(pub usize);

impl Verdicts {
    /// Those of a cache folder.
    pub fn below(cache_dir: &Path) -> Self {
        Self { folder: Some(cache_dir.join(FOLDER)) }
    }

    /// What is known of the library with this digest.
    pub(crate) fn of(&self, sha256: &str) -> Option<Verdict> {
        let kept = read(&self.folder.as_ref()?.join(sha256));
        let kept =
            kept.inspect_err(|error| tracing::debug!(%error, sha256, "no verdict can be read")).ok()?;
        (kept.wharf == env!("CARGO_PKG_VERSION")).then_some(kept.verdict)
    }

    /// Keeps what came of it, where that is possible.
    pub(crate) fn keep(&self, sha256: &str, verdict: &Verdict) {
        let Some(folder) = &self.folder else { return };
        let kept = Kept { wharf: env!("CARGO_PKG_VERSION").to_owned(), verdict: verdict.clone() };
        if let Err(error) = write(folder, sha256, &kept) {
            tracing::debug!(%error, sha256, "a verdict cannot be kept; the library will be tried again");
        }
    }

    /// Forgets what is known of this library: of the bytes that it has now.
    ///
    /// # Errors
    /// The library cannot be read, or the file of the verdict cannot be removed.
    pub fn forget(&self, library: &Path) -> io::Result<Forgotten> {
        let Some(folder) = &self.folder else { return Ok(Forgotten(0)) };
        let sha256 = load::digest(&File::open(library)?)?;
        remove(&folder.join(sha256))
    }

    /// Forgets what is known of all libraries.
    ///
    /// # Errors
    /// The folder cannot be read, or a file in it cannot be removed.
    pub fn forget_all(&self) -> io::Result<Forgotten> {
        let Some(folder) = &self.folder else { return Ok(Forgotten(0)) };
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Forgotten(0)),
            Err(error) => return Err(error),
        };
        let mut forgotten = 0;
        for entry in entries {
            forgotten += remove(&entry?.path())?.0;
        }
        Ok(Forgotten(forgotten))
    }
}

fn remove(path: &Path) -> io::Result<Forgotten> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(Forgotten(1)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Forgotten(0)),
        Err(error) => Err(error),
    }
}

fn read(path: &Path) -> io::Result<Kept> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0;
    if !metadata.is_file() || !is_own {
        return Err(io::Error::other("others can write it"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Another process may read or write the same one: it is there whole, or not at all.
fn write(folder: &Path, sha256: &str, kept: &Kept) -> io::Result<()> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let new = folder.join(format!(".{}-{count}", std::process::id()));
    // One that a process with this number left behind is in the way.
    remove(&new)?;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = file.write_all(&serde_json::to_vec(kept)?);
    let written = written.and_then(|()| std::fs::rename(&new, folder.join(sha256)));
    if written.is_err() {
        let _ = remove(&new);
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
    fn what_is_kept_is_known_and_can_be_forgotten() {
        let cache = tempfile::tempdir().unwrap();
        let verdicts = Verdicts::below(&cache.path().join("made/at/the/first/use"));
        assert_eq!(verdicts.of("aa"), None);
        verdicts.keep("aa", &Verdict::Loads);
        verdicts.keep("bb", &ends());
        assert_eq!((verdicts.of("aa"), verdicts.of("bb")), (Some(Verdict::Loads), Some(ends())));
        assert_eq!(verdicts.forget_all().unwrap(), Forgotten(2));
        assert_eq!((verdicts.of("aa"), verdicts.of("bb")), (None, None));
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
    fn what_others_could_have_written_says_nothing() {
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
    fn nowhere_to_keep_them_is_no_error() {
        Verdicts::default().keep("aa", &Verdict::Loads);
        assert_eq!(Verdicts::default().of("aa"), None);
        let file = tempfile::NamedTempFile::new().unwrap();
        let verdicts = Verdicts::below(file.path());
        verdicts.keep("aa", &Verdict::Loads);
        assert_eq!(verdicts.of("aa"), None);
    }
}
