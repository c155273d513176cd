//! Folders that a group shares: the one use of a set-id bit that a workload needs (`git init --shared`, `install -d -m
//! 2775`, archives with such folders), done by the launcher in its place.
//!
//! A filter of system calls cannot tell a folder, where the bit passes the group on to new entries, from a program, which
//! would then run with that group for everybody. So a call of the `chmod` family with `S_ISGID` waits until the launcher
//! has answered it ([`listener`]). It opens the named folder with `O_DIRECTORY`, so that the kernel refuses anything else,
//! and changes the mode of that descriptor. The names are looked up in the caller's view: from its own root, through its
//! own mounts (one that is read-only stays so), without the launcher's capabilities. The launcher has the workload's user
//! and groups, and no rule of Landlock is about modes. So it changes only modes that the workload could have changed
//! without the filter, and never a program's.
//!
//! One call is answered at a time, between everything else that the launcher does, and their number is limited: the
//! launcher is in none of the workload's control groups, so without a limit the workload could use the launcher's time to
//! get past its limit of processors ([`Budget`]). A name that leads to a file system which does not answer holds up this
//! launcher with its own workload, until both are killed. Called by [`crate::running`]; it must not know what a sandbox
//! allows.
use crate::sandbox::listener::{self, Call};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{CWD, Mode, OFlags, ResolveFlags, chmodat, openat, openat2, readlinkat},
    io::{Errno, Result, pread},
    thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities},
};
use std::{
    ffi::{CStr, OsStr},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// `PATH_MAX`, with the zero at its end.
const MAX_PATH_BYTES: usize = 4096;
/// How often to look a name up again that somebody renames meanwhile.
const MAX_LOOKUPS: usize = 16;
/// The permissions, the sticky bit and the group's bit.
const SETTABLE_BITS: u32 = 0o3777;
/// Answers may take so much time without a pause: enough for thousands of folders of an archive.
const MAX_BURST: Duration = Duration::from_secs(1);
/// In the long run, answers may take this fraction of the time: one part in this many.
const TIME_SHARE: u32 = 10;

/// Answers these calls of one workload.
pub(crate) struct Sharing {
    listener: OwnedFd,
    budget: Budget,
}

/// Limits the time that answers take.
struct Budget {
    /// The time that they took, less the time that was given back since.
    spent: Duration,
    /// The moment at which `spent` was computed.
    at: Instant,
}

impl Budget {
    const fn new(now: Instant) -> Self {
        Self { spent: Duration::ZERO, at: now }
    }

    fn spend(&mut self, began: Instant, now: Instant) {
        let given_back = now.saturating_duration_since(self.at) / TIME_SHARE;
        self.spent = self.spent.saturating_sub(given_back) + now.saturating_duration_since(began);
        self.at = now;
    }

    /// The moment until which no call may be answered, if more than the burst was spent. It may be in the past.
    fn rests_until(&self) -> Option<Instant> {
        let over = self.spent.checked_sub(MAX_BURST)?;
        self.at.checked_add(over.checked_mul(TIME_SHARE)?)
    }
}

impl Sharing {
    /// `listener` is that of the filter that the exec helper has installed on itself.
    pub(crate) fn new(listener: OwnedFd) -> Self {
        Self { listener, budget: Budget::new(Instant::now()) }
    }

    /// The moment until which no call may be answered. None: a call may be answered now.
    pub(crate) fn rests_until(&self) -> Option<Instant> {
        self.budget.rests_until().filter(|until| *until > Instant::now())
    }

    /// Answers a waiting call, if there is one. False: nobody is left who could make one.
    pub(crate) fn serve(&mut self) -> bool {
        let mut polled = [PollFd::new(&self.listener, PollFlags::IN)];
        if poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_err() {
            return true;
        }
        let happened = polled[0].revents();
        if !happened.contains(PollFlags::IN) {
            return happened.is_empty();
        }
        let began = Instant::now();
        if let Ok(call) = listener::receive(&self.listener) {
            let waits = || listener::waits(&self.listener, &call);
            listener::answer(&self.listener, &call, share(&call, waits));
        }
        self.budget.spend(began, Instant::now());
        true
    }
}

impl AsFd for Sharing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// The object of a call.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Descriptor(i32),
    /// The name at this address, beginning at a descriptor (or `AT_FDCWD`).
    Name {
        at: i32,
        address: u64,
        follows: bool,
        may_be_empty: bool,
    },
}

/// The object of a call, and the mode to set.
fn read(call: &Call) -> Option<(Target, u32)> {
    let [first, second, third, fourth, ..] = call.arguments;
    // The kernel, too, reads only 32 bits of each.
    #[expect(clippy::cast_possible_truncation, reason = "a register's lower half")]
    let low = |argument: u64| argument as u32;
    let name = |at: u64, address, flags: u64| {
        let has = |flag: i32| low(flags).cast_signed() & flag != 0;
        Target::Name {
            at: low(at).cast_signed(),
            address,
            follows: !has(libc::AT_SYMLINK_NOFOLLOW),
            may_be_empty: has(libc::AT_EMPTY_PATH),
        }
    };
    let here = u64::from(libc::AT_FDCWD.cast_unsigned());
    let (target, mode) = match call.number {
        libc::SYS_fchmod => (Target::Descriptor(low(first).cast_signed()), second),
        libc::SYS_fchmodat => (name(first, second, 0), third),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_fchmodat2 => (name(first, second, fourth), third),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chmod => (name(here, first, 0), second),
        _ => return None,
    };
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (here, fourth);
    Some((target, low(mode)))
}

/// Does what the call asks for, if its object is a folder. `waits` is true as long as the caller waits for the answer.
fn share(call: &Call, waits: impl Fn() -> bool) -> Result<()> {
    let (target, mode) = read(call).ok_or(Errno::NOSYS)?;
    let place = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let caller = openat(CWD, format!("/proc/{}", call.thread), place, Mode::empty())?;
    // Only this check shows that the opened process is the caller: its number could have been another's before.
    if !waits() {
        return Err(Errno::SRCH);
    }
    let name = match target {
        Target::Descriptor(number) => Named::Descriptor(number),
        Target::Name { at, address, follows, may_be_empty } => {
            Named::of(&caller, at, name_at(&caller, address)?, follows, may_be_empty)?
        }
    };
    // If the caller was killed, the name that was read may be another program's.
    if !waits() {
        return Err(Errno::SRCH);
    }
    let root = openat(&caller, "root", place, Mode::empty())?;
    without_privileges(|| {
        let folder = match &name {
            Named::Descriptor(number) => openat(&caller, format!("fd/{number}"), place, Mode::empty())
                .map_err(|error| match error {
                    Errno::NOENT => Errno::BADF,
                    error => error,
                }),
            Named::Path { path, follows } => {
                look_up(&root, path, if *follows { place } else { place | OFlags::NOFOLLOW })
            }
        };
        let folder = folder.map_err(|error| match error {
            // It is no folder, or a link of /proc leads out of the caller's view.
            Errno::NOTDIR | Errno::LOOP | Errno::NOSYS => Errno::PERM,
            error => error,
        })?;
        // Through this link, since `fchmod` refuses an `O_PATH` descriptor.
        let opened = format!("/proc/self/fd/{}", folder.as_raw_fd());
        chmodat(CWD, opened, Mode::from_raw_mode(mode & SETTABLE_BITS), rustix::fs::AtFlags::empty())
    })
}

/// The folder to open.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    Descriptor(i32),
    /// A path from the caller's root.
    Path {
        path: PathBuf,
        follows: bool,
    },
}

impl Named {
    fn of(caller: &OwnedFd, at: i32, name: PathBuf, follows: bool, may_be_empty: bool) -> Result<Self> {
        if let Some(number) = own_descriptor(&name) {
            return Ok(Self::Descriptor(number));
        }
        if name.is_absolute() {
            return Ok(Self::Path { path: name, follows });
        }
        let base = if at == libc::AT_FDCWD { "cwd".to_owned() } else { format!("fd/{at}") };
        let is_empty = name.as_os_str().is_empty();
        if is_empty && !may_be_empty {
            return Err(Errno::NOENT);
        }
        if is_empty && at != libc::AT_FDCWD {
            return Ok(Self::Descriptor(at));
        }
        let base = readlinkat(caller, base, Vec::new()).map_err(|_| Errno::BADF)?;
        let base = PathBuf::from(std::ffi::OsString::from_vec(base.into_bytes()));
        if !base.is_absolute() {
            return Err(Errno::NOTDIR);
        }
        Ok(Self::Path { path: base.join(name), follows })
    }
}

/// The number in a name like `/proc/self/fd/N`, which libraries use to change the mode of an `O_PATH` descriptor. For the
/// launcher, `self` would be another process.
fn own_descriptor(name: &Path) -> Option<i32> {
    let number = name.strip_prefix("/proc/self/fd").ok()?.to_str()?;
    number.parse().ok().filter(|number: &i32| *number >= 0)
}

/// The name at an address of the caller's memory.
fn name_at(caller: &OwnedFd, address: u64) -> Result<PathBuf> {
    let memory = openat(caller, "mem", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut bytes = [0; MAX_PATH_BYTES];
    let count = pread(&memory, &mut bytes[..], address).map_err(|_| Errno::FAULT)?;
    let cut_off = if count == MAX_PATH_BYTES { Errno::NAMETOOLONG } else { Errno::FAULT };
    let name = CStr::from_bytes_until_nul(&bytes[..count]).map_err(|_| cut_off)?;
    Ok(Path::new(OsStr::from_bytes(name.to_bytes())).to_owned())
}

/// Opens a folder by its name below a root, which no part of the name may leave. Links are followed, except those of /proc,
/// which lead out of it.
fn look_up(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd> {
    let held = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let mut found = Err(Errno::AGAIN);
    for _ in 0..MAX_LOOKUPS {
        found = openat2(root, path, flags, Mode::empty(), held);
        // Something on the way was renamed, and the kernel cannot tell whether the name left the root.
        if !matches!(found, Err(Errno::AGAIN)) {
            break;
        }
    }
    found
}

/// Acts without the launcher's capabilities, with only the rights that the workload's user has.
fn without_privileges<T>(act: impl FnOnce() -> Result<T>) -> Result<T> {
    let own = capabilities(None)?;
    set_capabilities(None, CapabilitySets { effective: CapabilitySet::empty(), ..own })?;
    let done = act();
    set_capabilities(None, own)?;
    done
}

#[cfg(test)]
mod tests;
