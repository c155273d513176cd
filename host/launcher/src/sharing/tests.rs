//! System calls as this process would make them, answered by the launcher's code in the same process.
use super::*;
use rustix::fs::{Stat, fstat, stat};
use std::{
    cell::Cell,
    ffi::CString,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    sync::atomic::{AtomicBool, Ordering},
};

const HERE: u64 = 0xffff_ff9c;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("folder")).unwrap();
        fs::File::create(place.path().join("file")).unwrap();
        fs::set_permissions(place.path().join("file"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("folder", place.path().join("to-folder")).unwrap();
        symlink(place.path().join("file"), place.path().join("to-file")).unwrap();
        Self(place)
    }

    fn path(&self, name: &str) -> CString {
        CString::new(self.0.path().join(name).into_os_string().into_vec()).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.0.path().join(name)).unwrap().permissions().mode() & 0o7777
    }
}

fn call(number: i64, arguments: [u64; 4]) -> Call {
    let [a, b, c, d] = arguments;
    let thread = rustix::thread::gettid().as_raw_pid().unsigned_abs();
    Call { id: 0, thread, number, arguments: [a, b, c, d, 0, 0] }
}

fn address(name: &CStr) -> u64 {
    name.as_ptr().addr().try_into().unwrap()
}

fn number(descriptor: &OwnedFd) -> u64 {
    u64::try_from(descriptor.as_raw_fd()).unwrap()
}

fn opened(name: &CStr, flags: OFlags) -> OwnedFd {
    openat(CWD, name, flags | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// Makes each call that names something by an absolute path, or by a descriptor of it.
fn by_each_call(place: &Place, name: &str, mode: u64, ask: impl Fn(&Call)) {
    let path = place.path(name);
    let above = opened(&place.path("."), OFlags::PATH | OFlags::DIRECTORY);
    let within = CString::new(name).unwrap();
    let it = opened(&path, OFlags::RDONLY);
    let as_place = CString::new(format!("/proc/self/fd/{}", it.as_raw_fd())).unwrap();
    ask(&call(libc::SYS_fchmod, [number(&it), mode, 0, 0]));
    ask(&call(libc::SYS_fchmodat, [HERE, address(&path), mode, 0]));
    ask(&call(libc::SYS_fchmodat, [number(&above), address(&within), mode, 0]));
    ask(&call(libc::SYS_fchmodat, [HERE, address(&as_place), mode, 0]));
    #[cfg(target_arch = "x86_64")]
    {
        ask(&call(libc::SYS_chmod, [address(&path), mode, 0, 0]));
        let empty = u64::from(libc::AT_EMPTY_PATH.unsigned_abs());
        ask(&call(libc::SYS_fchmodat2, [number(&it), address(c""), mode, empty]));
    }
}

#[test]
fn a_folder_is_shared_by_each_call_that_changes_a_mode() {
    let place = Place::new();
    for name in ["folder", "to-folder"] {
        by_each_call(&place, name, 0o2775, |call| {
            assert_eq!(share(call, || true), Ok(()), "{name}: {call:?}");
            assert_eq!(place.mode("folder"), 0o2775, "{call:?}");
            fs::set_permissions(place.0.path().join("folder"), fs::Permissions::from_mode(0o700)).unwrap();
        });
    }
}

#[test]
fn a_relative_path_is_resolved_from_the_callers_directory() {
    let place = Place::new();
    let own = std::env::current_dir().unwrap().into_os_string().into_vec();
    let parts = own.split(|&byte| byte == b'/').filter(|part| !part.is_empty()).count();
    let path = [&b"../".repeat(parts), place.path("folder").as_bytes()].concat();
    let path = CString::new(path).unwrap();
    assert_eq!(share(&call(libc::SYS_fchmodat, [HERE, address(&path), 0o2711, 0]), || true), Ok(()));
    assert_eq!(place.mode("folder"), 0o2711);
}

#[test]
fn a_file_never_gets_the_set_gid_bit_and_keeps_its_mode() {
    let place = Place::new();
    for name in ["file", "to-file"] {
        by_each_call(&place, name, 0o2711, |call| {
            assert_eq!(share(call, || true), Err(Errno::PERM), "{name}: {call:?}");
            assert_eq!(place.mode("file"), 0o755, "{call:?}");
        });
    }
}

#[test]
fn a_folder_never_gets_the_set_uid_bit() {
    let place = Place::new();
    let path = place.path("folder");
    let asked = call(libc::SYS_fchmodat, [HERE, address(&path), 0o6755, 0]);
    assert_eq!(share(&asked, || true), Ok(()));
    assert_eq!(place.mode("folder"), 0o2755);
}

#[test]
fn no_call_is_performed_for_a_caller_that_has_ended() {
    let place = Place::new();
    let path = place.path("folder");
    let before = place.mode("folder");
    let asked = call(libc::SYS_fchmodat, [HERE, address(&path), 0o2775, 0]);
    for known in 0..2 {
        let left: Cell<u32> = Cell::new(known);
        let waits = || left.replace(left.get().saturating_sub(1)) > 0;
        assert_eq!(share(&asked, waits), Err(Errno::SRCH));
    }
    assert_eq!(place.mode("folder"), before);
}

#[test]
fn nonsense_arguments_of_a_call_get_an_error_number() {
    let long = CString::new(vec![b'/'; MAX_PATH_BYTES]).unwrap();
    let [folder, none] = [c"/", c"/no/such/folder"];
    let mode = 0o2775;
    for (asked, expected) in [
        ([HERE, 8, mode, 0], Errno::FAULT),
        ([HERE, u64::MAX, mode, 0], Errno::FAULT),
        ([HERE, address(&long), mode, 0], Errno::NAMETOOLONG),
        ([HERE, address(none), mode, 0], Errno::NOENT),
        ([HERE, address(c""), mode, 0], Errno::NOENT),
        ([9_999_999, address(c"x"), mode, 0], Errno::BADF),
        ([u64::from(u32::MAX), address(c"x"), mode, 0], Errno::BADF),
    ] {
        assert_eq!(share(&call(libc::SYS_fchmodat, asked), || true), Err(expected), "{asked:?}");
    }
    assert_eq!(share(&call(libc::SYS_fchmod, [9_999_999, mode, 0, 0]), || true), Err(Errno::BADF));
    assert_eq!(share(&call(libc::SYS_openat, [HERE, address(folder), mode, 0]), || true), Err(Errno::NOSYS));
}

/// A root that leads nowhere else: links out of it end within, and those of /proc are not followed.
#[test]
fn no_name_leads_out_of_the_callers_root() {
    let place = Place::new();
    let folder = place.0.path().join("folder");
    fs::create_dir(folder.join("within")).unwrap();
    symlink("/", folder.join("root")).unwrap();
    symlink("../../../..", folder.join("above")).unwrap();
    symlink("/proc/self/root", folder.join("past")).unwrap();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = opened(&place.path("folder"), flags);
    let same = |it: &Stat| (it.st_dev, it.st_ino);
    let own = same(&fstat(&root).unwrap());
    for name in ["/root", "/above", "/../..", "root/above/root"] {
        let found = look_up(&root, Path::new(name), flags).unwrap();
        assert_eq!(same(&fstat(found).unwrap()), own, "{name}");
    }
    assert_eq!(look_up(&root, Path::new("past"), flags).unwrap_err(), Errno::NOENT);
    let machine = opened(c"/", flags);
    assert_eq!(look_up(&machine, Path::new("/proc/self/root"), flags).unwrap_err(), Errno::LOOP);
}

/// The object that is checked is the one that is changed: if a name leads now to a folder and now to a program, that
/// program never becomes set-gid.
#[test]
fn a_name_that_is_exchanged_meanwhile_makes_no_program() {
    let place = Place::new();
    let (path, done) = (place.path("changing"), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (changing, next) = (place.0.path().join("changing"), place.0.path().join("next"));
            while !done.load(Ordering::Relaxed) {
                for target in ["folder", "file"] {
                    symlink(target, &next).unwrap();
                    fs::rename(&next, &changing).unwrap();
                }
            }
        });
        let mut shared = 0;
        for _ in 0..100_000 {
            let asked = call(libc::SYS_fchmodat, [HERE, address(&path), 0o2775, 0]);
            shared += u32::from(share(&asked, || true).is_ok());
            let file = stat(place.path("file")).unwrap();
            assert_eq!(file.st_mode & 0o7777, 0o755);
            if shared >= 100 {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
        assert!(shared > 0);
    });
}

/// A workload that asks all the time is answered at once at first, and then for a small part of the time.
#[test]
fn answers_take_a_small_share_of_the_time_however_many_are_asked_for() {
    let begun = Instant::now();
    let (mut now, mut taken) = (begun, Duration::ZERO);
    let mut budget = Budget::new(begun);
    let (each, whole) = (Duration::from_millis(7), Duration::from_secs(100));
    while now < begun + whole {
        if let Some(until) = budget.rests_until().filter(|until| *until > now) {
            assert!(taken >= MAX_BURST, "it rested after {taken:?}");
            now = until;
            continue;
        }
        budget.spend(now, now + each);
        (now, taken) = (now + each, taken + each);
    }
    assert!(taken <= MAX_BURST + whole / TIME_SHARE + each, "{taken:?}");
    assert!(taken >= MAX_BURST + whole / (TIME_SHARE + 2), "{taken:?}");
    // After a rest of that length, the whole burst is available again.
    budget.spend(now + whole, now + whole + MAX_BURST / 2);
    assert_eq!(budget.rests_until(), None);
}
