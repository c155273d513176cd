//! No set-id bits: no call that sets a mode may set them, so that no workload makes a program that runs as its user.
//!
//! Another user of this machine who executes such a file has the account of the workload's user, root's too. A filter sees
//! numbers, not what a path means; so the rule is one for all kinds of files:
//!
//! - `S_ISUID` is `EPERM` in each call that takes a mode.
//! - `S_ISGID` too, but not in `mkdir`, where the kernel ignores both. A folder below one that has it gets it from there,
//!   without being asked for it. `chmod g+s` of a folder is refused with the rest: a file that may be executed is told from
//!   a folder by the kernel alone. So `git init --shared` makes no repository, and says which folder it could not share.
//!
//! Only calls that may make a file are looked at for the mode of an `open`: in all others that register holds anything.
//! Left out of the list of calls, because their mode lies in memory, where a filter cannot look: `openat2` (libraries
//! fall back on `openat`), `io_uring`, `file_setattr`.
use crate::sandbox::rules::{Rules, masked};
use libc::{c_int, c_long};
use seccompiler::{BackendError, SeccompRule};

/// Calls that set a mode, and the argument that it is.
const SETTING: &[(c_long, u8)] =
    &[(libc::SYS_fchmod, 1), (libc::SYS_fchmodat, 2), (libc::SYS_mknodat, 2), (libc::SYS_mkdirat, 2)];
/// The older forms, and one whose number `libc` lacks elsewhere.
#[cfg(target_arch = "x86_64")]
const SETTING_OLD: &[(c_long, u8)] = &[
    (libc::SYS_chmod, 1),
    (libc::SYS_creat, 1),
    (libc::SYS_fchmodat2, 2),
    (libc::SYS_mkdir, 1),
    (libc::SYS_mknod, 1),
];
#[cfg(not(target_arch = "x86_64"))]
const SETTING_OLD: &[(c_long, u8)] = &[];

/// Calls that set a mode if their flags say so, and the argument that the flags are; the mode is the next one.
const OPENING: &[(c_long, u8)] = &[(libc::SYS_openat, 2)];
#[cfg(target_arch = "x86_64")]
const OPENING_OLD: &[(c_long, u8)] = &[(libc::SYS_open, 1)];
#[cfg(not(target_arch = "x86_64"))]
const OPENING_OLD: &[(c_long, u8)] = &[];
/// The bit of `O_TMPFILE` that no other flag has.
const UNNAMED: c_int = libc::O_TMPFILE & !libc::O_DIRECTORY;

/// The calls that are refused.
pub(crate) fn forbidden() -> Result<Rules, BackendError> {
    let mut rules = Rules::new();
    for &(call, mode) in SETTING.iter().chain(SETTING_OLD) {
        let bits = set_id_bits(call).map(|bit| SeccompRule::new(vec![has(mode, bit)?]));
        rules.insert(call, bits.collect::<Result<_, _>>()?);
    }
    for &(call, flags) in OPENING.iter().chain(OPENING_OLD) {
        let ways = [libc::O_CREAT, UNNAMED]
            .into_iter()
            .flat_map(|flag| set_id_bits(call).map(move |bit| (flag, bit)));
        let ways = ways.map(|(flag, bit)| SeccompRule::new(vec![has(flags, flag)?, has(flags + 1, bit)?]));
        rules.insert(call, ways.collect::<Result<_, _>>()?);
    }
    Ok(rules)
}

/// The bits that a call may not be given.
fn set_id_bits(call: c_long) -> impl Iterator<Item = c_int> {
    let makes_folder = FOLDER_MAKERS.contains(&call);
    [libc::S_ISUID, libc::S_ISGID]
        .into_iter()
        .filter(move |&bit| !(makes_folder && bit == libc::S_ISGID))
        .map(u32::cast_signed)
}

#[cfg(target_arch = "x86_64")]
const FOLDER_MAKERS: &[c_long] = &[libc::SYS_mkdir, libc::SYS_mkdirat];
#[cfg(not(target_arch = "x86_64"))]
const FOLDER_MAKERS: &[c_long] = &[libc::SYS_mkdirat];

/// An argument that has this bit.
fn has(argument: u8, bit: c_int) -> Result<seccompiler::SeccompCondition, BackendError> {
    masked(argument, u64::from(bit.cast_unsigned()), bit)
}
