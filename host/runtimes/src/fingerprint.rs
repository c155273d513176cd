//! [`Fingerprint`]: tells whether plugins, the folders on the way to them, or the user's configuration have changed since
//! they were read.
//!
//! A process that lives long takes a fingerprint at the beginning of each operation: a few dozen `stat` calls; no file is
//! opened. It must not know what the files contain.
use crate::catalog::{PluginDir, candidates};
use crate::trust;
use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// File systems tell times in steps, of up to 10 ms with the kernel's own clock: two changes in one step look like one.
const TIME_STEP: Duration = Duration::from_millis(50);

/// The results of `stat` for files and folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(Vec<(PathBuf, Option<Stat>)>);

/// Everything that changes when a file is written to, replaced, or given other rights. A process cannot set the time of
/// change (ctime) as it pleases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    device: u64,
    inode: u64,
    mode: u32,
    user: u32,
    size: u64,
    /// In nanoseconds since 1970.
    changed: i128,
}

impl Stat {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            mode: metadata.mode(),
            user: metadata.uid(),
            size: metadata.size(),
            changed: i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec()),
        }
    }
}

impl Fingerprint {
    /// The fingerprint of these folders of plugins, the libraries in them and the ways to those, and of these files. To be
    /// taken before they are read: then a change during the read shows the next time.
    pub fn of(dirs: &[PluginDir], files: &[PathBuf]) -> Self {
        let mut found: Vec<(PathBuf, Option<Stat>)> = Vec::new();
        let stat = |path: &Path| std::fs::metadata(path).ok().map(|metadata| Stat::of(&metadata));
        found.extend(files.iter().map(|path| (path.clone(), stat(path))));
        for dir in dirs {
            found.push((dir.path.clone(), stat(&dir.path)));
            for library in candidates(dir) {
                found.push((library.clone(), stat(&library)));
                trust::visit(&library, &mut |path, metadata| {
                    // Other users make and remove files in a folder like /tmp all the time, so its time of change means
                    // nothing for the library. Its rights and its user do.
                    let mut seen = Stat::of(metadata);
                    if metadata.is_dir() {
                        (seen.size, seen.changed) = (0, 0);
                    }
                    let seen = (path.to_owned(), Some(seen));
                    if !found.contains(&seen) {
                        found.push(seen);
                    }
                });
            }
        }
        Self(found)
    }

    /// True if every later change will show in a later fingerprint. A fingerprint that was taken right after a change may
    /// equal one after a second change.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let Ok(now) = now.duration_since(SystemTime::UNIX_EPOCH) else { return false };
        let (now, step) = (i128::try_from(now.as_nanos()), i128::try_from(TIME_STEP.as_nanos()));
        let (Ok(now), Ok(step)) = (now, step) else { return false };
        // A file with a time in the future, from a clock that was set back, settles nothing.
        self.0.iter().filter_map(|(_, stat)| stat.as_ref()).all(|stat| stat.changed + step < now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn set_mode(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn every_change_of_a_file_changes_its_fingerprint() {
        let root = tempfile::tempdir().unwrap();
        let (plugins, settings) = (root.path().join("plugins"), root.path().join("config.json"));
        fs::create_dir(&plugins).unwrap();
        set_mode(&plugins, 0o755);
        let dirs = [PluginDir { path: plugins.clone(), dedicated: true }];
        let take = || Fingerprint::of(&dirs, std::slice::from_ref(&settings));
        let mut last = take();
        let mut shows = |what: &str| {
            let now = take();
            assert_ne!(now, last, "{what}");
            last = now;
        };
        let library = plugins.join("a.so");
        fs::File::create(&library).unwrap();
        shows("a library was added");
        fs::File::options().write(true).open(&library).unwrap().set_len(1).unwrap();
        shows("a library was written to");
        let other = root.path().join("other");
        fs::copy(&library, &other).unwrap();
        fs::rename(&other, &library).unwrap();
        shows("a library was replaced");
        set_mode(&plugins, 0o777);
        shows("others may write to the folder");
        set_mode(&plugins, 0o755);
        shows("they may not");
        fs::File::create(&settings).unwrap();
        shows("settings were made");
        fs::remove_file(&library).unwrap();
        shows("a library was removed");
        assert_eq!(take(), last);
    }

    #[test]
    fn a_fingerprint_of_this_very_moment_is_not_relied_on() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let taken = Fingerprint::of(&[], &[file.path().to_owned()]);
        let changed = SystemTime::now();
        assert!(!taken.is_settled(changed));
        assert!(taken.is_settled(changed + Duration::from_secs(1)));
        assert!(Fingerprint::of(&[], &[]).is_settled(changed));
    }
}
