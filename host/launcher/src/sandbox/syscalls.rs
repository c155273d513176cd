//! The filter of system calls: a list of those that a workload may make.
//!
//! A call that is not on the list returns `ENOSYS`, as on a kernel without that call, so that programs fall back on an
//! older one. These calls are left out, because ordinary programs do not need them and they had many security bugs:
//!
//! - namespaces and mounts: `unshare`, `setns`, `mount` and its kin, `pivot_root`, `chroot`; of `clone` the flags that make
//!   namespaces (`EPERM`), and `clone3`, whose flags a filter cannot see (libraries fall back on `clone`);
//! - other processes' memory and descriptors: `ptrace`, `process_vm_*`, `pidfd_getfd`, `kcmp`;
//! - the kernel itself: modules, `kexec`, `bpf`, `perf_event_open`, `userfaultfd`, `io_uring`, clocks, swap, quotas,
//!   `syslog`, `acct`, `reboot`, keyrings, `open_by_handle_at`, `personality`, port I/O;
//! - `openat2`, whose mode a filter cannot see ([`crate::sandbox::modes`]; `EPERM` for a set-id bit in any other call);
//! - what is shared with all of the user's processes by number: System V IPC, POSIX message queues, `/dev/tty`'s input
//!   (`TIOCSTI`, `TIOCLINUX`: `EPERM`); others' limits, which can kill (`prlimit64` of another than oneself: `EPERM`).
//!
//! Sockets are `EACCES` unless they are of the Internet (and of `NETLINK_ROUTE`, through which programs read the
//! interfaces): a Unix socket of this machine (an agent with keys, a container engine, the session's bus) would undo
//! everything else, and no path can be told in a filter. Pairs (`socketpair`) are free but for those of datagrams, from
//! which one can send to any path. Where only ports are allowed, sockets are TCP alone, which Landlock then looks at: at
//! `connect` and `bind`. So what connects or binds without these is `EPERM` there: sending with `MSG_FASTOPEN`, which
//! connects, and `listen` where no port is to be listened on, which would take any port.
use crate::sandbox::modes;
use crate::sandbox::rules::{Rules, condition, masked};
use libc::{c_int, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use wharf_sdk::launch::Network;

macro_rules! numbers {
    ($($name:ident)*) => { &[$(libc::$name),*] };
}

/// On every architecture.
const ALLOWED: &[c_long] = numbers! {
    // Files.
    SYS_chdir SYS_close SYS_close_range SYS_copy_file_range SYS_dup SYS_dup3 SYS_faccessat SYS_faccessat2
    SYS_fadvise64 SYS_fallocate SYS_fchdir SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_fcntl
    SYS_fdatasync SYS_fgetxattr SYS_flistxattr SYS_flock SYS_fremovexattr SYS_fsetxattr SYS_fstat SYS_fstatfs
    SYS_fsync SYS_ftruncate SYS_getcwd SYS_getdents64 SYS_getxattr SYS_inotify_add_watch SYS_inotify_init1
    SYS_inotify_rm_watch SYS_ioctl SYS_lgetxattr SYS_linkat SYS_listxattr SYS_llistxattr SYS_lremovexattr SYS_lseek
    SYS_lsetxattr SYS_mkdirat SYS_mknodat SYS_newfstatat SYS_openat SYS_pread64 SYS_preadv SYS_preadv2
    SYS_pwrite64 SYS_pwritev SYS_pwritev2 SYS_read SYS_readahead SYS_readlinkat SYS_readv SYS_removexattr
    SYS_renameat SYS_renameat2 SYS_sendfile SYS_setxattr SYS_splice SYS_statfs SYS_statx SYS_symlinkat SYS_sync
    SYS_syncfs SYS_tee SYS_truncate SYS_umask SYS_unlinkat SYS_utimensat SYS_vmsplice SYS_write
    SYS_writev
    // Waiting, pipes, timers, clocks.
    SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait
    SYS_epoll_pwait2 SYS_eventfd2 SYS_getitimer SYS_gettimeofday SYS_nanosleep SYS_pipe2 SYS_ppoll SYS_pselect6
    SYS_setitimer SYS_signalfd4 SYS_timer_create SYS_timer_delete SYS_timer_getoverrun SYS_timer_gettime
    SYS_timer_settime SYS_timerfd_create SYS_timerfd_gettime SYS_timerfd_settime SYS_times
    // Memory.
    SYS_brk SYS_madvise SYS_membarrier SYS_memfd_create SYS_mincore SYS_mlock SYS_mlock2 SYS_mlockall SYS_mmap
    SYS_mprotect SYS_mremap SYS_msync SYS_munlock SYS_munlockall SYS_munmap SYS_pkey_alloc SYS_pkey_free
    SYS_pkey_mprotect
    // Processes, threads, signals.
    SYS_capget SYS_capset SYS_clone SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_futex SYS_futex_waitv
    SYS_get_robust_list SYS_getcpu SYS_getpgid SYS_getpid SYS_getppid SYS_getpriority SYS_getrusage SYS_getsid
    SYS_gettid SYS_ioprio_get SYS_ioprio_set SYS_kill SYS_pidfd_open SYS_pidfd_send_signal SYS_prctl SYS_prlimit64
    SYS_restart_syscall SYS_rseq SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask SYS_rt_sigqueueinfo
    SYS_rt_sigreturn SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_rt_tgsigqueueinfo SYS_sched_get_priority_max
    SYS_sched_get_priority_min SYS_sched_getaffinity SYS_sched_getattr SYS_sched_getparam SYS_sched_getscheduler
    SYS_sched_rr_get_interval SYS_sched_setaffinity SYS_sched_setattr SYS_sched_setparam SYS_sched_setscheduler
    SYS_sched_yield SYS_set_robust_list SYS_set_tid_address SYS_setpgid SYS_setpriority SYS_setsid SYS_sigaltstack
    SYS_tgkill SYS_tkill SYS_wait4 SYS_waitid
    // Identity and surroundings.
    SYS_getegid SYS_geteuid SYS_getgid SYS_getgroups SYS_getrandom SYS_getresgid SYS_getresuid SYS_getuid SYS_setgid
    SYS_setgroups SYS_setregid SYS_setresgid SYS_setresuid SYS_setreuid SYS_setuid SYS_sysinfo SYS_uname
    // Sockets, as far as the second filter allows making them.
    SYS_accept SYS_accept4 SYS_bind SYS_connect SYS_getpeername SYS_getsockname SYS_getsockopt SYS_listen
    SYS_recvfrom SYS_recvmmsg SYS_recvmsg SYS_sendmmsg SYS_sendmsg SYS_sendto SYS_setsockopt SYS_shutdown SYS_socket
    SYS_socketpair
    // Further confinement by the workload itself.
    SYS_landlock_add_rule SYS_landlock_create_ruleset SYS_landlock_restrict_self SYS_seccomp
};

/// Older calls, which newer architectures never had, and two calls whose numbers `libc` lacks on other architectures.
#[cfg(target_arch = "x86_64")]
const ALLOWED_OLD: &[c_long] = numbers! {
    SYS_access SYS_alarm SYS_arch_prctl SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_epoll_create SYS_epoll_wait
    SYS_eventfd SYS_fchmodat2 SYS_fork SYS_futimesat SYS_getdents SYS_getpgrp SYS_getrlimit SYS_inotify_init SYS_lchown SYS_link
    SYS_lstat SYS_mkdir SYS_mknod SYS_open SYS_pause SYS_pipe SYS_poll SYS_readlink SYS_rename SYS_rmdir SYS_select
    SYS_setrlimit SYS_signalfd SYS_stat SYS_symlink SYS_sync_file_range SYS_time SYS_unlink SYS_utime SYS_utimes SYS_vfork
};
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_OLD: &[c_long] = &[];

/// The flags of `clone` that make a namespace. (`CLONE_NEWTIME` works only with `clone3`.)
const NEW_NAMESPACES: c_int = libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS;
/// The part of a socket's type that is not a flag, `SOCK_TYPE_MASK` of the kernel.
const SOCKET_TYPE_MASK: u64 = 0xf;
/// The types of Internet sockets beside streams: datagram, raw, RDM, sequenced packets, DCCP.
const OTHER_SOCKET_TYPES: [c_int; 5] =
    [libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_RDM, libc::SOCK_SEQPACKET, libc::SOCK_DCCP];

/// `BPF_RET | BPF_K` of linux/filter.h.
const RETURN: u16 = 0x06;

/// The filters, to be installed in this order, followed by [`told`] or [`untold`].
pub(crate) fn filters(network: &Network) -> Result<Vec<BpfProgram>, BackendError> {
    let errno = |errno: c_int| SeccompAction::Errno(errno.unsigned_abs());
    let listed: Rules = ALLOWED.iter().chain(ALLOWED_OLD).map(|&number| (number, Vec::new())).collect();
    Ok(vec![
        compile(forbidden_sockets(network)?, SeccompAction::Allow, errno(libc::EACCES))?,
        compile(forbidden_flags(network)?, SeccompAction::Allow, errno(libc::EPERM))?,
        compile(modes::forbidden()?, SeccompAction::Allow, errno(libc::EPERM))?,
        compile(listed, errno(libc::ENOSYS), SeccompAction::Allow)?,
    ])
}

/// The filter that sends the calls that are only allowed on a folder to a listener.
pub(crate) fn told() -> Result<BpfProgram, BackendError> {
    // seccompiler has no such action. So the program is compiled with another return value, which nothing else in it
    // returns, and that value is replaced.
    let mut program = compile(modes::for_folders()?, SeccompAction::Allow, SeccompAction::Trace(0))?;
    for step in program.iter_mut().filter(|step| step.code == RETURN && step.k == libc::SECCOMP_RET_TRACE) {
        step.k = libc::SECCOMP_RET_USER_NOTIF;
    }
    Ok(program)
}

/// The filter that refuses these calls, where there can be no listener.
pub(crate) fn untold() -> Result<BpfProgram, BackendError> {
    compile(modes::for_folders()?, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM.unsigned_abs()))
}

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    matching: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let architecture: TargetArch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, otherwise, matching, architecture)?.try_into()
}

fn forbidden_sockets(network: &Network) -> Result<Rules, BackendError> {
    let domain = |family: c_int| equals(0, family);
    let mut rules = vec![SeccompRule::new(vec![
        differs(0, libc::AF_INET)?,
        differs(0, libc::AF_INET6)?,
        differs(0, libc::AF_NETLINK)?,
    ])?];
    rules.push(SeccompRule::new(vec![domain(libc::AF_NETLINK)?, differs(2, libc::NETLINK_ROUTE)?])?);
    if let Network::Ports { listen, connect } = network {
        rules.push(SeccompRule::new(vec![domain(libc::AF_NETLINK)?])?);
        for family in [libc::AF_INET, libc::AF_INET6] {
            if listen.is_empty() && connect.is_empty() {
                rules.push(SeccompRule::new(vec![domain(family)?])?);
                continue;
            }
            for kind in OTHER_SOCKET_TYPES {
                rules.push(SeccompRule::new(vec![domain(family)?, masked(1, SOCKET_TYPE_MASK, kind)?])?);
            }
            // For Landlock, streams of SCTP, SMC or Multipath TCP are no TCP.
            let tcp = [differs(2, libc::IPPROTO_IP)?, differs(2, libc::IPPROTO_TCP)?];
            rules.push(SeccompRule::new([vec![domain(family)?], tcp.to_vec()].concat())?);
        }
    }
    let mut pairs = Vec::new();
    // A raw Unix socket is a datagram socket.
    for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW] {
        pairs.push(SeccompRule::new(vec![masked(1, SOCKET_TYPE_MASK, kind)?])?);
    }
    Ok([(libc::SYS_socket, rules), (libc::SYS_socketpair, pairs)].into())
}

fn forbidden_flags(network: &Network) -> Result<Rules, BackendError> {
    let mut namespaces = Vec::new();
    for bit in (0..31).map(|shift| 1 << shift).filter(|bit| NEW_NAMESPACES & bit != 0) {
        namespaces.push(SeccompRule::new(vec![masked(0, u64::from(bit.cast_unsigned()), bit)?])?);
    }
    let mut input = Vec::new();
    for request in [libc::TIOCSTI, libc::TIOCLINUX] {
        let request = c_int::try_from(request).unwrap_or(c_int::MAX);
        input.push(SeccompRule::new(vec![equals(1, request)?])?);
    }
    let others = vec![SeccompRule::new(vec![differs(0, 0)?])?];
    let mut rules: Rules =
        [(libc::SYS_clone, namespaces), (libc::SYS_ioctl, input), (libc::SYS_prlimit64, others)].into();
    if let Network::Ports { listen, .. } = network {
        // The position of the flags. Flags in a message's header are only written by the kernel.
        for (call, argument) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
            let flag = libc::MSG_FASTOPEN;
            rules.insert(
                call,
                vec![SeccompRule::new(vec![masked(argument, u64::from(flag.cast_unsigned()), flag)?])?],
            );
        }
        if listen.is_empty() {
            rules.insert(libc::SYS_listen, Vec::new());
        }
    }
    Ok(rules)
}

fn equals(argument: u8, value: c_int) -> Result<SeccompCondition, BackendError> {
    condition(argument, SeccompCmpOp::Eq, value)
}

fn differs(argument: u8, value: c_int) -> Result<SeccompCondition, BackendError> {
    condition(argument, SeccompCmpOp::Ne, value)
}

#[cfg(test)]
mod tests;
