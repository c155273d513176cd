//! The filters as the kernel runs them: a small interpreter runs the program of each.
use super::*;
use seccompiler::sock_filter;

/// `AUDIT_ARCH_X86_64` and `AUDIT_ARCH_I386` of linux/audit.h. The filters are for this machine's own architecture.
#[cfg(target_arch = "x86_64")]
const HERE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const HERE: u32 = 0xc000_00b7;
const I386: u32 = 0x4000_0003;
/// The first number of the x32 interface.
const X32: c_long = 0x4000_0000;

const ALLOWED_ACTION: u32 = 0x7fff_0000;
const KILLED: u32 = 0x8000_0000;

fn refused(errno: c_int) -> u32 {
    0x0005_0000 | errno.unsigned_abs()
}

/// The answer of a classic BPF program to a call. The arguments are in the order of `seccomp_data`.
fn answer(program: &[sock_filter], architecture: u32, number: c_long, arguments: [u64; 6]) -> u32 {
    let number = u32::try_from(number).unwrap();
    let mut words = vec![number, architecture, 0, 0];
    for argument in arguments {
        words.extend(
            [argument & u64::from(u32::MAX), argument >> 32].map(|half| u32::try_from(half).unwrap()),
        );
    }
    let (mut at, mut accumulator) = (0, 0_u32);
    loop {
        let step = &program[at];
        let k = step.k;
        at += 1;
        let jump = |holds: bool| usize::from(if holds { step.jt } else { step.jf });
        match step.code {
            0x20 => accumulator = words[usize::try_from(k).unwrap() / 4],
            0x54 => accumulator &= k,
            0x05 => at += usize::try_from(k).unwrap(),
            0x15 => at += jump(accumulator == k),
            0x25 => at += jump(accumulator > k),
            0x35 => at += jump(accumulator >= k),
            0x06 => return k,
            other => panic!("the interpreter does not know {other:#x}"),
        }
    }
}

/// The answer of all filters together: the kernel takes the most severe one.
fn verdict(architecture: u32, number: c_long, arguments: [u64; 6]) -> u32 {
    verdict_with(told().unwrap(), architecture, number, arguments)
}

/// The same with this filter as the last one, for the calls that are only allowed on a folder.
fn verdict_with(last: BpfProgram, architecture: u32, number: c_long, arguments: [u64; 6]) -> u32 {
    let mut filters = filters(&Network::Open).unwrap();
    filters.push(last);
    let answers = filters.iter().map(|filter| answer(filter, architecture, number, arguments));
    answers.min_by_key(|&answer| if answer == KILLED { 0 } else { answer }).unwrap()
}

fn here(number: c_long, arguments: &[u64]) -> u32 {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    verdict(HERE, number, all)
}

/// Garbage, as it is found in a register that a caller does not set.
const GARBAGE: u64 = 0xffff_ffff_ffff_f9ed;

/// Modes that are looked at as if only these bits were in them, and what else may be in the register.
const REST: [u64; 5] = [0, 0o755, 0o100_777, 1 << 40, 0xffff_0000];

#[test]
fn no_call_that_makes_a_file_sets_a_set_id_bit() {
    let making: &[(c_long, usize)] = &[
        (libc::SYS_mknodat, 2),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_creat, 1),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_mknod, 1),
    ];
    for &(call, at) in making {
        let with = |mode: u64| {
            let mut arguments = [0; 6];
            arguments[at] = mode;
            here(call, &arguments)
        };
        for bits in [0o4000, 0o2000, 0o6000] {
            for rest in REST {
                assert_eq!(with(bits | rest), refused(libc::EPERM), "call {call}, mode {bits:o}");
            }
        }
        for mode in [0o755, 0o644, 0o1777, 0, 0o100_644] {
            assert_eq!(with(mode), ALLOWED_ACTION, "call {call}, mode {mode:o}");
        }
    }
}

/// `S_ISGID` is sent to the launcher, or refused where it does not listen; `S_ISUID` is refused in either case.
#[test]
fn chmod_sets_no_set_uid_bit_and_asks_the_launcher_about_set_gid() {
    let changing: &[(c_long, usize)] = &[
        (libc::SYS_fchmod, 1),
        (libc::SYS_fchmodat, 2),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_fchmodat2, 2),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_chmod, 1),
    ];
    for &(call, at) in changing {
        for (last, group) in [(told(), libc::SECCOMP_RET_USER_NOTIF), (untold(), refused(libc::EPERM))] {
            let last = last.unwrap();
            let with = |mode: u64| {
                let mut arguments = [0; 6];
                arguments[at] = mode;
                verdict_with(last.clone(), HERE, call, arguments)
            };
            for rest in REST {
                assert_eq!(with(0o2000 | rest), group, "call {call}, mode {rest:o}");
                assert_eq!(with(0o4000 | rest), refused(libc::EPERM), "call {call}, mode {rest:o}");
                assert_eq!(with(0o6000 | rest), refused(libc::EPERM), "call {call}, mode {rest:o}");
            }
            for mode in [0o755, 0o644, 0o1777, 0, 0o100_644] {
                assert_eq!(with(mode), ALLOWED_ACTION, "call {call}, mode {mode:o}");
            }
        }
    }
}

#[test]
fn an_open_that_may_make_a_file_sets_no_set_id_bit_and_any_other_is_let_be() {
    let opening: &[(c_long, usize)] = &[
        (libc::SYS_openat, 2),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_open, 1),
    ];
    for &(call, at) in opening {
        let with = |flags: c_int, mode: u64| {
            let mut arguments = [0; 6];
            (arguments[at], arguments[at + 1]) = (u64::from(flags.cast_unsigned()), mode);
            here(call, &arguments)
        };
        for flags in [libc::O_CREAT, libc::O_TMPFILE, libc::O_CREAT | libc::O_EXCL | libc::O_RDWR] {
            for mode in [0o4755, 0o2755, GARBAGE] {
                assert_eq!(with(flags, mode), refused(libc::EPERM), "call {call}, {flags:#x}, {mode:o}");
            }
            assert_eq!(with(flags, 0o1755), ALLOWED_ACTION);
        }
        for flags in [libc::O_RDONLY, libc::O_RDWR | libc::O_TRUNC, libc::O_DIRECTORY, libc::O_PATH] {
            assert_eq!(with(flags, GARBAGE), ALLOWED_ACTION, "call {call}, {flags:#x}");
        }
    }
}

#[test]
fn a_folder_may_be_made_with_a_bit_that_the_kernel_ignores() {
    let making: &[(c_long, usize)] = &[
        (libc::SYS_mkdirat, 2),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_mkdir, 1),
    ];
    for &(call, at) in making {
        let with = |mode: u64| {
            let mut arguments = [0; 6];
            arguments[at] = mode;
            here(call, &arguments)
        };
        assert_eq!(with(0o2775), ALLOWED_ACTION);
        assert_eq!(with(0o4775), refused(libc::EPERM));
    }
}

#[test]
fn calls_that_hide_their_mode_from_filters_are_blocked() {
    const FILE_SETATTR: c_long = 469;
    let unseen = [libc::SYS_openat2, libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, FILE_SETATTR];
    for call in unseen.into_iter().chain([libc::SYS_open_by_handle_at, libc::SYS_io_uring_register]) {
        assert_eq!(here(call, &[]), refused(libc::ENOSYS), "call {call}");
    }
}

#[test]
fn other_system_call_interfaces_are_blocked() {
    for number in 0..1024 {
        assert_eq!(verdict(I386, number, [0; 6]), KILLED, "call {number} of 32 bits");
        if cfg!(target_arch = "x86_64") {
            assert_eq!(here(X32 | number, &[]), refused(libc::ENOSYS), "call {number} of x32");
        }
    }
}
