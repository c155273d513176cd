//! [`Shelf`]: records of one kind that a process which lives long has read, each for as long as its file stays as it was.
//! Such a record costs one `stat` call, and is neither opened nor parsed.
//!
//! For what is only shown; who acts on a record reads the file. Nothing is ever taken from here without a look at the file:
//! [`FileStamp`] says why that is enough.
use crate::error::ReadError;
use crate::file::file_stamp::FileStamp;
use crate::file::folder::{Folder, USUAL_BYTES};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use wharf_model::WorkloadName;

/// At most this many records are kept, none of them longer than a usual one. What is beyond is read each time.
const KEPT_MAX: usize = 4096;

/// The records of one kind.
pub(crate) struct Shelf<T>(Mutex<HashMap<WorkloadName, (FileStamp, T)>>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Shelf<T> {
    fn kept(&self) -> MutexGuard<'_, HashMap<WorkloadName, (FileStamp, T)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops what has none of these names, which are in order: its file was removed.
    pub(crate) fn keep_only(&self, names: &[WorkloadName]) {
        self.kept().retain(|name, _| names.binary_search(name).is_ok());
    }
}

impl<T: Clone> Shelf<T> {
    /// The record in a file: the one that is kept, if the file has not changed since; else as `decode` reads it.
    pub(crate) fn read(
        &self,
        (folder, file): (&Folder, &OsStr),
        name: &WorkloadName,
        limit: usize,
        decode: impl FnOnce(&[u8]) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        self.read_at(SystemTime::now(), (folder, file), name, limit, decode)
    }

    /// The same. `now` is not after the call; a later one is for tests.
    fn read_at(
        &self,
        now: SystemTime,
        (folder, file): (&Folder, &OsStr),
        name: &WorkloadName,
        limit: usize,
        decode: impl FnOnce(&[u8]) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        if let Some(stamp) = folder.stamp(file)
            && let Some((kept, record)) = self.kept().get(name)
            && *kept == stamp
        {
            return Ok(record.clone());
        }
        let read = folder.read_stamped(file, limit).and_then(|(bytes, stamp)| {
            let record = decode(&bytes)?;
            Ok((record, stamp, bytes.len()))
        });
        let mut kept = self.kept();
        match read {
            Ok((record, stamp, length)) => {
                let has_room = kept.len() < KEPT_MAX || kept.contains_key(name);
                if has_room && length <= USUAL_BYTES && stamp.is_settled(now) {
                    kept.insert(name.clone(), (stamp, record.clone()));
                } else {
                    kept.remove(name);
                }
                Ok(record)
            }
            Err(error) => {
                kept.remove(name);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::test_process::name;
    use std::fs::{self, File, FileTimes, Permissions};
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::time::{Duration, UNIX_EPOCH};

    struct Rig {
        root: tempfile::TempDir,
        shelf: Shelf<Vec<u8>>,
    }

    impl Rig {
        fn new() -> Self {
            Self { root: tempfile::tempdir().unwrap(), shelf: Shelf::default() }
        }

        fn path(&self, file: &str) -> PathBuf {
            self.root.path().join(file)
        }

        fn write(&self, file: &str, bytes: &[u8]) {
            File::create(self.path(file)).unwrap().write_all(bytes).unwrap();
        }

        /// Changes the file until that shows in its time of change. The tests pretend that it is much later, while only a
        /// step of the clock must be over.
        fn change(&self, act: impl Fn(&File)) {
            let changed = || {
                let found = fs::metadata(self.path("a.json")).unwrap();
                (found.ctime(), found.ctime_nsec())
            };
            let before = changed();
            while changed() == before {
                act(&File::options().write(true).open(self.path("a.json")).unwrap());
            }
        }

        /// The bytes, and whether the file was read for them.
        fn read_at(&self, now: SystemTime) -> (Result<Vec<u8>, ReadError>, bool) {
            let folder = Folder::open(self.root.path()).unwrap().unwrap();
            let mut was_read = false;
            let read =
                self.shelf.read_at(now, (&folder, OsStr::new("a.json")), &name("a"), 100_000, |bytes| {
                    was_read = true;
                    Ok(bytes.to_vec())
                });
            (read, was_read)
        }

        /// The same, when all changes are long ago.
        fn read(&self) -> (Vec<u8>, bool) {
            let (read, was_read) = self.read_at(SystemTime::now() + Duration::from_secs(3600));
            (read.unwrap(), was_read)
        }
    }

    #[test]
    fn a_file_that_stays_as_it_was_is_read_once() {
        let rig = Rig::new();
        rig.write("a.json", b"1");
        assert_eq!(rig.read(), (b"1".to_vec(), true));
        for _ in 0..3 {
            assert_eq!(rig.read(), (b"1".to_vec(), false));
        }
    }

    #[test]
    fn every_change_of_a_file_is_seen_at_once() {
        let rig = Rig::new();
        rig.write("a.json", b"1");
        let modified = fs::metadata(rig.path("a.json")).unwrap().modified().unwrap();
        assert_eq!(rig.read(), (b"1".to_vec(), true));
        rig.write("b.json", b"2");
        fs::rename(rig.path("b.json"), rig.path("a.json")).unwrap();
        assert_eq!(rig.read(), (b"2".to_vec(), true), "it was replaced by one of the same length");
        rig.change(|file| {
            rig.write("a.json", b"3");
            file.set_times(FileTimes::new().set_modified(modified)).unwrap();
        });
        assert_eq!(rig.read(), (b"3".to_vec(), true), "it was written to, and its time set");
        rig.change(|file| file.set_permissions(Permissions::from_mode(0o600)).unwrap());
        assert_eq!(rig.read(), (b"3".to_vec(), true), "somebody may have changed its rights");
        fs::remove_file(rig.path("a.json")).unwrap();
        let far = SystemTime::now() + Duration::from_secs(3600);
        assert!(rig.read_at(far).0.is_err_and(|error| error.is_not_found()));
        rig.write("b.json", b"4");
        symlink(rig.path("b.json"), rig.path("a.json")).unwrap();
        assert!(rig.read_at(far).0.is_err(), "a link is no record");
        fs::remove_file(rig.path("a.json")).unwrap();
        fs::rename(rig.path("b.json"), rig.path("a.json")).unwrap();
        assert_eq!(rig.read(), (b"4".to_vec(), true));
    }

    #[test]
    fn a_file_that_has_just_changed_is_not_kept() {
        let rig = Rig::new();
        rig.write("a.json", b"1");
        let changed = fs::metadata(rig.path("a.json")).unwrap().modified().unwrap();
        assert!(rig.read_at(changed).1);
        assert!(rig.read_at(changed).1, "another change in the same moment would look the same");
        assert!(rig.read_at(UNIX_EPOCH).1, "a clock that was set back tells nothing");
        assert!(rig.read().1);
        assert!(!rig.read_at(changed).1, "it was kept later, and has not changed since");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let rig = Rig::new();
        rig.write("a.json", &vec![b' '; USUAL_BYTES + 1]);
        assert!(rig.read().1);
        assert!(rig.read().1, "a long one is not kept");
        rig.write("a.json", b"1");
        let stamp = Folder::open(rig.root.path()).unwrap().unwrap().stamp(OsStr::new("a.json")).unwrap();
        for number in 0..KEPT_MAX {
            rig.shelf.kept().insert(name(&format!("b{number}")), (stamp, Vec::new()));
        }
        assert!(rig.read().1);
        assert!(rig.read().1, "there is no room");
        rig.shelf.keep_only(&[name("a"), name("b7")]);
        assert_eq!(rig.shelf.kept().len(), 1, "the others have no file any more");
        assert!(rig.read().1);
        assert!(!rig.read().1);
    }
}
