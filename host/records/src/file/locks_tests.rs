use std::collections::HashSet;
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::file::byte_lock::Range;
use crate::file::test_process::{command, leash, name, start};
use crate::*;
use wharf_model::LockKind;

const LONG: Duration = Duration::from_secs(60);
const NONE: Duration = Duration::ZERO;

fn state_below(root: &Path) -> StateDir {
    StateDir::new(root.join("state"))
}

fn is_held(state: &StateDir, text: &str, kind: LockKind) -> bool {
    LifeProbe::open(state).unwrap().is_held(&name(text), kind).unwrap()
}

fn entries(root: &Path) -> usize {
    std::fs::read_dir(root).unwrap().count()
}

#[test]
fn a_lock_excludes_the_same_lock_of_the_same_workload_alone() {
    let root = tempfile::tempdir().unwrap();
    let state = state_below(root.path());
    let held = OperationLock::try_acquire(&state, &name("time")).unwrap();
    let second = OperationLock::try_acquire(&state, &name("time")).unwrap_err();
    assert!(second.is_busy());
    assert_eq!(second.to_string(), "time is busy: its operation lock is held");

    let _record = held.record(LONG).unwrap();
    let _life = LifeLock::try_acquire(&state, &name("time")).unwrap();
    let _other = OperationLock::try_acquire(&state, &name("fetch")).unwrap();
    drop(_record);
    drop(held);
    OperationLock::try_acquire(&state, &name("time")).unwrap();
}

#[test]
fn asking_about_a_lock_takes_none_and_makes_no_file() {
    let root = tempfile::tempdir().unwrap();
    let state = state_below(root.path());
    let before = LifeProbe::open(&state).unwrap();
    assert!(!before.is_held(&name("time"), LockKind::Life).unwrap());
    assert_eq!(entries(root.path()), 0, "asking made something");

    let life = LifeLock::try_acquire(&state, &name("time")).unwrap();
    let probe = LifeProbe::open(&state).unwrap();
    assert!(probe.is_held(&name("time"), LockKind::Life).unwrap());
    assert!(!probe.is_held(&name("time"), LockKind::Operation).unwrap());
    assert!(!probe.is_held(&name("fetch"), LockKind::Life).unwrap());
    drop(life);
    // The probe is still open, and had it taken anything, this would be busy.
    assert!(!probe.is_held(&name("time"), LockKind::Life).unwrap());
    LifeLock::try_acquire(&state, &name("time")).unwrap();
}

#[test]
fn a_wait_ends_with_the_holder() {
    let root = tempfile::tempdir().unwrap();
    let state = state_below(root.path());
    let held = OperationLock::try_acquire(&state, &name("time")).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| OperationLock::acquire_blocking(&state, &name("time"), LONG).unwrap());
        drop(held);
        drop(waiting.join().unwrap());
    });
}

#[test]
fn a_wait_has_a_deadline_and_what_comes_later_is_let_go() {
    let root = tempfile::tempdir().unwrap();
    let state = state_below(root.path());
    let held = RecordLock::acquire_blocking(&state, &name("time"), NONE).unwrap();
    assert!(RecordLock::acquire_blocking(&state, &name("time"), NONE).unwrap_err().is_busy());
    drop(held);
    // The thread of the wait above may get the lock first; it keeps it for a moment only.
    RecordLock::acquire_blocking(&state, &name("time"), LONG).unwrap();
}

#[tokio::test]
async fn an_asynchronous_wait_has_a_deadline_and_what_comes_later_is_let_go() {
    let root = tempfile::tempdir().unwrap();
    let state = state_below(root.path());
    let held = OperationLock::acquire(&state, &name("time"), NONE).await.unwrap();
    assert!(OperationLock::acquire(&state, &name("time"), NONE).await.unwrap_err().is_busy());
    drop(held);
    OperationLock::acquire(&state, &name("time"), LONG).await.unwrap();
}

#[tokio::test]
async fn the_end_of_a_supervisor_is_awaited_under_the_operation_lock() {
    let root = tempfile::tempdir().unwrap();
    let state = state_below(root.path());
    let operation = OperationLock::try_acquire(&state, &name("time")).unwrap();
    operation.supervisor_gone(NONE).await.unwrap();
    let mut supervisor = start("life", root.path(), "alive");
    assert!(operation.supervisor_gone(NONE).await.unwrap_err().is_busy());
    drop(supervisor.child.stdin.take());
    operation.supervisor_gone(LONG).await.unwrap();
    supervisor.succeeds();
}

#[test]
fn a_lock_ends_when_its_process_is_killed() {
    let root = tempfile::tempdir().unwrap();
    let state = state_below(root.path());
    let mut supervisor = start("life", root.path(), "alive");
    assert!(is_held(&state, "time", LockKind::Life));
    assert!(LifeLock::try_acquire(&state, &name("time")).unwrap_err().is_busy());
    supervisor.child.kill().unwrap();
    supervisor.child.wait().unwrap();
    assert!(!is_held(&state, "time", LockKind::Life));
    LifeLock::try_acquire(&state, &name("time")).unwrap();
}

#[test]
fn an_operation_lock_survives_the_process_that_took_it_in_the_one_that_inherits_it() {
    let root = tempfile::tempdir().unwrap();
    let state = state_below(root.path());
    let fifo = leash(root.path());
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();

    let mut ancestor = command("ancestor", root.path()).stdout(Stdio::null()).spawn().unwrap();
    assert!(ancestor.wait().unwrap().success());
    // Opens when the heir has opened the other end, so when it has taken over the lock.
    let held_back = OpenOptions::new().write(true).open(&fifo).unwrap();
    assert!(is_held(&state, "time", LockKind::Operation));
    assert!(OperationLock::try_acquire(&state, &name("time")).unwrap_err().is_busy());

    drop(held_back);
    OperationLock::acquire_blocking(&state, &name("time"), LONG).unwrap();
}

#[test]
fn a_lock_that_was_handed_on_is_free_when_the_last_copy_is_closed() {
    let root = tempfile::tempdir().unwrap();
    let state = state_below(root.path());
    let descriptor = OperationLock::try_acquire(&state, &name("time")).unwrap().into_fd().unwrap();
    assert!(is_held(&state, "time", LockKind::Operation));
    let heir = OperationLock::from_fd(&state, &name("time"), descriptor.try_clone().unwrap()).unwrap();
    drop(descriptor);
    assert!(is_held(&state, "time", LockKind::Operation));
    drop(heir);
    assert!(!is_held(&state, "time", LockKind::Operation));
}

#[test]
fn an_inherited_descriptor_that_does_not_hold_the_lock_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let state = state_below(root.path());
    let inherit = |descriptor: OwnedFd| OperationLock::from_fd(&state, &name("time"), descriptor);
    let lock_file = || OwnedFd::from(OpenOptions::new().read(true).write(true).open(state.locks()).unwrap());
    let other_file = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());

    assert!(matches!(inherit(other_file()), Err(LockError::NotTheLockFile { .. })), "no lock file at all");
    drop(OperationLock::try_acquire(&state, &name("fetch")).unwrap());
    assert!(matches!(inherit(other_file()), Err(LockError::NotTheLockFile { .. })), "another file");
    assert!(matches!(inherit(lock_file()), Err(LockError::NotHeld { .. })), "held by nobody");
    let _held = OperationLock::try_acquire(&state, &name("time")).unwrap();
    assert!(matches!(inherit(lock_file()), Err(LockError::NotHeld { .. })), "held by another description");
    let of_another = OperationLock::try_acquire(&state, &name("fetch")).unwrap().into_fd().unwrap();
    assert!(matches!(inherit(of_another), Err(LockError::NotHeld { .. })), "holds another workload's");
}

#[test]
fn the_lock_file_stays_and_can_be_replaced_by_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let state = state_below(root.path());
    drop(OperationLock::try_acquire(&state, &name("time")).unwrap());
    assert!(state.locks().exists());

    std::fs::remove_file(state.locks()).unwrap();
    std::os::unix::fs::symlink("/dev/null", state.locks()).unwrap();
    assert!(matches!(OperationLock::try_acquire(&state, &name("time")), Err(LockError::NoLockFile { .. })));
    assert!(matches!(LifeProbe::open(&state), Err(LockError::Failed { .. })));
}

#[test]
fn no_two_of_many_names_share_a_byte() {
    let mut offsets = HashSet::new();
    for number in 0..20_000 {
        let name = name(&format!("workload-{number}"));
        for kind in [LockKind::Operation, LockKind::Record, LockKind::Life] {
            let offset = Range { name: name.clone(), kind }.offset();
            assert!(offset >= 0 && offset.checked_add(1).is_some());
            assert!(offsets.insert(offset), "{name} {kind}");
        }
    }
}
