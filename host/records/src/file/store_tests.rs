use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::SystemTime;

use serde_json::json;

use crate::file::test_process::{command, name};
use crate::*;
use wharf_model::{HostId, LockKind, RunConfig, StatusRecord, Uid};

struct TestStore {
    root: tempfile::TempDir,
    store: Store,
}

/// Bytes, mode and time of everything below a folder.
type Snapshot = BTreeMap<PathBuf, (Vec<u8>, u32, SystemTime)>;

impl TestStore {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(StateDir::new(root.path().join("state")));
        Self { root, store }
    }

    fn create(&self, text: &str) -> Uid {
        let uid = Uid::random().unwrap();
        self.store.create_run_config(&RunConfig::new(uid.clone(), name(text), "cat")).unwrap();
        uid
    }

    fn first_status(&self, text: &str, uid: &Uid) -> StatusRecord {
        self.store.write_status(&name(text), uid, 0, StatusRecord::new(uid.clone())).unwrap()
    }

    fn run_config(&self, text: &str) -> PathBuf {
        self.store.state().run_configs().join(format!("{text}.json"))
    }

    /// Puts bytes where a RunConfig belongs.
    fn plant(&self, text: &str, bytes: &[u8]) -> PathBuf {
        let path = self.run_config(text);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        plant(&path, bytes);
        path
    }
}

#[expect(clippy::disallowed_methods, reason = "the damage is the point")]
fn plant(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

fn snapshot(folder: &Path) -> Snapshot {
    let mut found = Snapshot::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let about = fs::symlink_metadata(&path).unwrap();
        if about.is_dir() {
            found.extend(snapshot(&path));
        }
        let bytes = if about.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        found.insert(path, (bytes, about.permissions().mode(), about.modified().unwrap()));
    }
    found
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn r01_of_many_creations_of_a_name_exactly_one_wins() {
    let host = TestStore::new();
    let barrier = Barrier::new(16);
    let winners: Vec<Uid> = std::thread::scope(|scope| {
        let create = || {
            let uid = Uid::random().unwrap();
            let config = RunConfig::new(uid.clone(), name("time"), "cat");
            barrier.wait();
            match host.store.create_run_config(&config) {
                Ok(()) => Some(uid),
                Err(StoreError::AlreadyExists { .. }) => None,
                Err(error) => panic!("{error:?}"),
            }
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(create)).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(winners.len(), 1);
    assert_eq!(host.store.read_run_config(&name("time")).unwrap().uid, winners[0]);
    assert_eq!(names_in(&host.store.state().run_configs()), ["time.json"]);
}

#[test]
fn r11_every_concurrent_change_of_a_record_counts() {
    let host = TestStore::new();
    let uid = host.create("time");
    host.first_status("time", &uid);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let count = |current: Option<StatusRecord>| {
                        let mut record = current.unwrap();
                        record.restarts += 1;
                        Ok::<_, StoreError>(record)
                    };
                    host.store.update_status(&name("time"), &uid, count).unwrap();
                }
            });
        }
    });
    let record = host.store.read_status(&name("time")).unwrap();
    assert_eq!((record.restarts, record.revision), (40, 41));
}

#[test]
fn a_write_compares_revision_and_uid() {
    let host = TestStore::new();
    let uid = host.create("time");
    let first = host.first_status("time", &uid);
    assert_eq!(first.revision, 1);
    let second = host.store.write_status(&name("time"), &uid, 1, first.clone()).unwrap();
    assert_eq!(second.revision, 2);

    let late = host.store.write_status(&name("time"), &uid, 1, first.clone()).unwrap_err();
    assert!(matches!(late, StoreError::RevisionConflict { expected: 1, found: 2, .. }), "{late:?}");
    let other = Uid::random().unwrap();
    let ghost = host.store.write_status(&name("time"), &other, 2, first).unwrap_err();
    assert!(matches!(ghost, StoreError::UidConflict { .. }), "{ghost:?}");
    assert_eq!(host.store.read_status(&name("time")).unwrap(), second);

    let anew = host.store.write_status(&name("time"), &uid, 2, StatusRecord::new(uid.clone())).unwrap();
    assert_eq!(anew.revision, 3, "the store counts, not the caller");
}

#[test]
fn a_record_that_goes_while_all_are_listed_is_no_fault() {
    let host = TestStore::new();
    host.create("stays");
    std::thread::scope(|scope| {
        let come_and_go = scope.spawn(|| {
            for _ in 0..50 {
                let uid = host.create("goes");
                host.store.remove_run_config(&name("goes"), &uid).unwrap();
            }
        });
        while !come_and_go.is_finished() {
            let listing = host.store.list_run_configs().unwrap();
            assert!(listing.iter().all(|(_, outcome)| outcome.is_ok()), "{listing:?}");
            assert!(listing.iter().any(|(name, _)| name.as_str() == "stays"));
        }
    });
}

#[test]
fn a_refused_change_writes_nothing() {
    let host = TestStore::new();
    let uid = host.create("time");
    host.first_status("time", &uid);
    let before = snapshot(&host.store.state().statuses());
    let refused = host
        .store
        .update_status(&name("time"), &uid, |_| Err(StoreError::IdentityChanged { name: name("time") }));
    assert!(refused.is_err());
    let altered = host.store.update_run_config(&name("time"), &uid, |config| config.name = name("other"));
    assert!(matches!(altered, Err(StoreError::IdentityChanged { .. })));
    let emptied = host.store.update_run_config(&name("time"), &uid, |config| config.server.clear());
    assert!(matches!(emptied, Err(StoreError::Invalid { .. })));
    let huge = host.store.update_run_config(&name("time"), &uid, |config| {
        config.cmd_args = vec!["x".repeat(RECORD_BYTES_MAX)];
    });
    assert!(matches!(huge, Err(StoreError::TooLarge { .. })));
    assert_eq!(snapshot(&host.store.state().statuses()), before);
    assert_eq!(host.store.read_run_config(&name("time")).unwrap().server, "cat");
}

#[test]
fn a_newer_record_is_listed_but_not_rewritten_and_not_removed() {
    let host = TestStore::new();
    let uid = host.create("time");
    let path = host.run_config("time");
    let newer = fs::read_to_string(&path).unwrap().replace("v0.1.0", "v0.9.0");
    plant(&path, newer.as_bytes());
    assert!(host.store.list_run_configs().unwrap()[0].1.as_ref().unwrap().schema_version.is_newer());

    let refused = host.store.update_run_config(&name("time"), &uid, |config| config.port = 1).unwrap_err();
    let words = format!(
        "{} has schema v0.9.0, and this wharf writes v0.1.0: change time with a newer wharf",
        path.display()
    );
    assert_eq!(refused.to_string(), words);
    assert!(matches!(host.store.remove_run_config(&name("time"), &uid), Err(StoreError::Newer { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
}

#[test]
fn r11_a_corrupt_file_keeps_its_bytes_its_name_and_its_neighbours() {
    let host = TestStore::new();
    host.create("aa");
    let uid = host.create("zz");
    let whole = fs::read(host.run_config("zz")).unwrap();
    let truncated = &whole[..whole.len() / 2];
    for damage in [truncated, b"", b"\0\0\0\0", b"[]", &[b'['; 4096], b"{\"uid\": \xff}"] {
        let path = host.plant("mm", damage);
        let listing = host.store.list_run_configs().unwrap();
        let names: Vec<_> = listing.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["aa", "mm", "zz"]);
        assert!(listing[0].1.is_ok() && listing[2].1.is_ok());
        assert!(listing[1].1.as_ref().unwrap_err().is_corrupt());

        let create = host.store.create_run_config(&RunConfig::new(uid.clone(), name("mm"), "cat"));
        assert!(matches!(create, Err(StoreError::AlreadyExists { .. })));
        assert!(host.store.update_run_config(&name("mm"), &uid, |_| {}).is_err());
        assert!(host.store.remove_run_config(&name("mm"), &uid).is_err());
        assert_eq!(fs::read(&path).unwrap(), damage);
    }
}

#[test]
fn r11_what_cannot_be_looked_at_is_not_corrupt() {
    let host = TestStore::new();
    let uid = host.create("file");
    let folder = host.store.state().run_configs();
    fs::create_dir(folder.join("folder.json")).unwrap();
    symlink("loop.json", folder.join("loop.json")).unwrap();
    let (fifo, mode) = (folder.join("fifo.json"), rustix::fs::Mode::RUSR);
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
    for (name, outcome) in host.store.list_run_configs().unwrap() {
        if name.as_str() == "file" {
            assert_eq!(outcome.unwrap().uid, uid);
            continue;
        }
        assert!(matches!(outcome, Err(ReadError::Unreadable { .. })), "{name}");
        let operation = OperationLock::try_acquire(host.store.state(), &name).unwrap();
        let kept = host.store.quarantine(RecordKind::RunConfig, &operation);
        assert!(matches!(kept, Err(StoreError::NotCorrupt { .. })), "{name}");
    }
    let host = TestStore::new();
    plant(&host.root.path().join("state"), b"");
    assert!(matches!(host.store.list_run_configs(), Err(ReadError::Unreadable { .. })));
}

#[test]
fn a_file_without_end_is_not_read_to_its_end() {
    let host = TestStore::new();
    let path = host.plant("huge", b"");
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    let fault = host.store.read_run_config(&name("huge")).unwrap_err();
    assert!(matches!(fault, ReadError::TooLarge { limit: RECORD_BYTES_MAX, .. }), "{fault:?}");
}

#[test]
fn a_corrupt_file_is_set_aside_by_a_command_only_and_keeps_its_bytes() {
    let host = TestStore::new();
    let elsewhere = TestStore::new();
    let folder = host.store.state().run_configs();
    for (damage, aside) in [("one", "time.json.corrupt-1"), ("two", "time.json.corrupt-2")] {
        host.plant("time", damage.as_bytes());
        let foreign = OperationLock::try_acquire(elsewhere.store.state(), &name("time")).unwrap();
        let refused = host.store.quarantine(RecordKind::RunConfig, &foreign);
        assert!(matches!(refused, Err(StoreError::ForeignLock { .. })));
        let operation = OperationLock::try_acquire(host.store.state(), &name("time")).unwrap();
        let path = host.store.quarantine(RecordKind::RunConfig, &operation).unwrap();
        assert_eq!(path, folder.join(aside));
        assert_eq!(fs::read_to_string(path).unwrap(), damage);
    }
    host.create("time");
    let operation = OperationLock::try_acquire(host.store.state(), &name("time")).unwrap();
    let sound = host.store.quarantine(RecordKind::RunConfig, &operation);
    assert!(matches!(sound, Err(StoreError::NotCorrupt { .. })));
    assert_eq!(host.store.list_run_configs().unwrap().len(), 1);
}

#[test]
fn r11_what_a_killed_writer_left_disturbs_no_reader_and_is_swept_by_the_next_writer() {
    let host = TestStore::new();
    let uid = host.create("time");
    let folder = host.store.state().run_configs();
    let own = [".time.tmp-1-00", ".time.tmp-2-ff"];
    for left in own.iter().chain(&[".time-2.tmp-1-00", "README", "Upper.json"]) {
        plant(&folder.join(left), b"{\"half\":");
    }
    let listing = host.store.list_run_configs().unwrap();
    assert_eq!(listing.len(), 1);
    host.store.update_run_config(&name("time"), &uid, |config| config.port = 1).unwrap();
    assert_eq!(names_in(&folder), [".time-2.tmp-1-00", "README", "Upper.json", "time.json"]);
}

#[test]
fn unknown_fields_survive_the_store() {
    let host = TestStore::new();
    let uid = host.create("time");
    let path = host.run_config("time");
    let mut file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    file["later"] = json!({"kept": [1, 2]});
    plant(&path, file.to_string().as_bytes());
    host.store.update_run_config(&name("time"), &uid, |config| config.port = 4711).unwrap();
    file["port"] = json!(4711);
    let written: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(written, file);
}

#[test]
fn removal_is_of_one_creation_and_may_be_repeated() {
    let host = TestStore::new();
    let uid = host.create("time");
    host.first_status("time", &uid);
    let other = Uid::random().unwrap();
    let wrong = host.store.remove_status(&name("time"), &other);
    assert!(matches!(wrong, Err(StoreError::UidConflict { .. })));
    assert!(host.store.remove_run_config(&name("time"), &other).is_err());
    for _ in 0..2 {
        host.store.remove_status(&name("time"), &uid).unwrap();
        host.store.remove_run_config(&name("time"), &uid).unwrap();
    }
    assert!(host.store.read_status(&name("time")).unwrap_err().is_not_found());
    assert!(names_in(&host.store.state().run_configs()).is_empty());
    host.create("time");
}

#[test]
fn r05_reading_writes_nothing() {
    let host = TestStore::new();
    assert!(host.store.list_run_configs().unwrap().is_empty());
    assert!(host.store.list_statuses().unwrap().is_empty());
    assert!(host.store.read_status(&name("time")).unwrap_err().is_not_found());
    assert_eq!(host.store.state().host_id().unwrap(), None);
    assert!(names_in(host.root.path()).is_empty(), "reading made something");

    let uid = host.create("time");
    host.first_status("time", &uid);
    let id = host.store.state().make_host_id().unwrap();
    let damaged = host.plant("bad", b"{");
    plant(&damaged.with_file_name(".time.tmp-1-00"), b"");
    let folders = [host.store.state().run_configs(), host.store.state().statuses()];
    let chmod = |mode| {
        for folder in &folders {
            fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    chmod(0o500);
    let before = snapshot(host.root.path());
    assert_eq!(host.store.list_run_configs().unwrap().len(), 2);
    assert_eq!(host.store.list_statuses().unwrap().len(), 1);
    assert_eq!(host.store.state().host_id().unwrap(), Some(id));
    let probe = LifeProbe::open(host.store.state()).unwrap();
    assert!(!probe.is_held(&name("time"), LockKind::Life).unwrap());
    assert_eq!(snapshot(host.root.path()), before);
    chmod(0o700);
}

#[test]
fn all_makers_of_the_host_id_get_the_same_one() {
    let host = TestStore::new();
    let ids: Vec<HostId> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| host.store.state().make_host_id().unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(host.store.state().host_id().unwrap().as_ref(), Some(&ids[0]));

    plant(&host.store.state().root().join("host-id"), b"damaged");
    let refused = host.store.state().make_host_id().unwrap_err();
    assert!(matches!(refused, StoreError::HostId { .. }));
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    for role in ["umask-0", "umask-077", "umask-0777"] {
        let root = tempfile::tempdir().unwrap();
        let done = command(role, root.path()).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        let found = snapshot(root.path());
        assert_eq!(found.len(), 1 + 4 + 2 + 2, "{:?}", found.keys());
        for (path, (_, mode, _)) in found {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode & 0o7777, expected, "{role}: {}", path.display());
        }
    }
}
