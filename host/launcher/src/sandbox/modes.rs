//! Set-id bits: no call that sets a mode may make a program that runs as its user or with its group.
//!
//! Another user of this machine who executes such a file has the account of the workload's user, root's too. A filter sees
//! numbers, not the kind of file behind a path:
//!
//! - `S_ISUID` is `EPERM` in each call that takes a mode.
//! - `S_ISGID` too, where a call makes a file. In `mkdir` the kernel ignores both. A folder below one that has it gets it
//!   from there, without being asked for it.
//! - `S_ISGID` in a call that changes a mode is the launcher's to judge ([`crate::sharing`]): a folder may have it.
//!
//! Only calls that may make a file are looked at for the mode of an `open`: in all others that register holds anything.
//! Left out of the list of calls, because their mode lies in memory, where a filter cannot look: `openat2` (libraries
//! fall back on `openat`), `io_uring`, `file_setattr`.
use crate::sandbox::rules::{Rules, masked};
use libc::{c_int, c_long};
use seccompiler::{BackendError, SeccompRule};

/// Calls that change a mode, each with the position of that argument.
const CHANGING: &[(c_long, u8)] = &[(libc::SYS_fchmod, 1), (libc::SYS_fchmodat, 2)];
/// An older call, and one whose number `libc` lacks on other architectures.
#[cfg(target_arch = "x86_64")]
const CHANGING_OLD: &[(c_long, u8)] = &[(libc::SYS_chmod, 1), (libc::SYS_fchmodat2, 2)];
#[cfg(not(target_arch = "x86_64"))]
const CHANGING_OLD: &[(c_long, u8)] = &[];

/// Calls that make a file, each with the position of the mode.
const MAKING: &[(c_long, u8)] = &[(libc::SYS_mknodat, 2)];
#[cfg(target_arch = "x86_64")]
const MAKING_OLD: &[(c_long, u8)] = &[(libc::SYS_creat, 1), (libc::SYS_mknod, 1)];
#[cfg(not(target_arch = "x86_64"))]
const MAKING_OLD: &[(c_long, u8)] = &[];

/// Calls that make a folder, each with the position of the mode.
const MAKING_FOLDERS: &[(c_long, u8)] = &[(libc::SYS_mkdirat, 2)];
#[cfg(target_arch = "x86_64")]
const MAKING_FOLDERS_OLD: &[(c_long, u8)] = &[(libc::SYS_mkdir, 1)];
#[cfg(not(target_arch = "x86_64"))]
const MAKING_FOLDERS_OLD: &[(c_long, u8)] = &[];

/// Calls that set a mode if their flags say so, each with the position of the flags; the mode is the next argument.
const OPENING: &[(c_long, u8)] = &[(libc::SYS_openat, 2)];
#[cfg(target_arch = "x86_64")]
const OPENING_OLD: &[(c_long, u8)] = &[(libc::SYS_open, 1)];
#[cfg(not(target_arch = "x86_64"))]
const OPENING_OLD: &[(c_long, u8)] = &[];
/// The bit of `O_TMPFILE` that no other flag has.
const UNNAMED: c_int = libc::O_TMPFILE & !libc::O_DIRECTORY;

/// The calls that are refused.
pub(crate) fn forbidden() -> Result<Rules, BackendError> {
    let user_alone = [CHANGING, CHANGING_OLD, MAKING_FOLDERS, MAKING_FOLDERS_OLD].concat();
    let mut rules = with_bits(&user_alone, &[SET_USER])?;
    rules.extend(with_bits(&[MAKING, MAKING_OLD].concat(), &[SET_USER, SET_GROUP])?);
    for &(call, flags) in OPENING.iter().chain(OPENING_OLD) {
        let ways = [libc::O_CREAT, UNNAMED]
            .into_iter()
            .flat_map(|flag| [SET_USER, SET_GROUP].map(|bit| (flag, bit)));
        let ways = ways.map(|(flag, bit)| SeccompRule::new(vec![has(flags, flag)?, has(flags + 1, bit)?]));
        rules.insert(call, ways.collect::<Result<_, _>>()?);
    }
    Ok(rules)
}

/// The calls that are only allowed on a folder.
pub(crate) fn for_folders() -> Result<Rules, BackendError> {
    with_bits(&[CHANGING, CHANGING_OLD].concat(), &[SET_GROUP])
}

const SET_USER: c_int = libc::S_ISUID.cast_signed();
const SET_GROUP: c_int = libc::S_ISGID.cast_signed();

/// These calls, if their mode has one of these bits.
fn with_bits(calls: &[(c_long, u8)], bits: &[c_int]) -> Result<Rules, BackendError> {
    let mut rules = Rules::new();
    for &(call, mode) in calls {
        let ways = bits.iter().map(|&bit| SeccompRule::new(vec![has(mode, bit)?]));
        rules.insert(call, ways.collect::<Result<_, _>>()?);
    }
    Ok(rules)
}

/// The condition that an argument has this bit.
fn has(argument: u8, bit: c_int) -> Result<seccompiler::SeccompCondition, BackendError> {
    masked(argument, u64::from(bit.cast_unsigned()), bit)
}
