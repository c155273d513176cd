//! System calls of a workload that the launcher answers in the kernel's place: user notification, seccomp_unotify(2).
//!
//! The exec helper installs the filter and passes the listener to the launcher ([`crate::sharing`]). Its own copy is closed
//! when it executes the program, so the launcher alone holds it. Once nobody holds it, these calls return `ENOSYS`. No call
//! is passed on to the kernel (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`): after the check, another thread of the workload could
//! change its arguments in memory. It must not know what the calls are.
#![expect(unsafe_code, reason = "seccompiler makes no listener, and no crate that we have speaks its ioctls")]
use rustix::io::{Errno, Result};
use seccompiler::BpfProgram;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// A call that waits for its answer.
#[derive(Debug)]
pub(crate) struct Call {
    /// The kernel's id of it.
    pub(crate) id: u64,
    /// The thread that makes it, as this process numbers it; 0 if it is not visible from here.
    pub(crate) thread: u32,
    /// The call's number.
    pub(crate) number: i64,
    /// Its arguments, which may be any numbers.
    pub(crate) arguments: [u64; 6],
}

/// Installs a filter on this process. Calls that it matches are sent to the holder of the returned listener.
///
/// # Errors
/// `EINVAL` before Linux 5.0; `EBUSY` if this process has a listener of somebody else already.
pub(crate) fn install(filter: &BpfProgram) -> Result<OwnedFd> {
    let mut steps: Vec<libc::sock_filter> = filter
        .iter()
        .map(|step| libc::sock_filter { code: step.code, jt: step.jt, jf: step.jf, k: step.k })
        .collect();
    let length = u16::try_from(steps.len()).map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog { len: length, filter: steps.as_mut_ptr() };
    let listening = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // Since Linux 5.19, this flag keeps a signal from interrupting a call that is being answered.
    match set_filter(&program, listening | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
        Err(Errno::INVAL) => set_filter(&program, listening),
        installed => installed,
    }
}

fn set_filter(program: &libc::sock_fprog, flags: libc::c_ulong) -> Result<OwnedFd> {
    // SAFETY: the kernel copies the program, whose length is that of the vector behind it, and writes nothing.
    let made = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, std::ptr::from_ref(program))
    };
    if made < 0 {
        return Err(last_error());
    }
    let descriptor = i32::try_from(made).map_err(|_| Errno::BADF)?;
    // SAFETY: with this flag the call returns a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Receives the next call. Blocks if there is none, so the caller must have seen that the listener is readable.
///
/// # Errors
/// `ENOENT`: the calling thread has been killed meanwhile.
pub(crate) fn receive(listener: impl AsFd) -> Result<Call> {
    // SAFETY: all zeros is a valid value of this structure of numbers; the kernel demands it.
    let mut told: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one such structure, which `told` is.
    check(unsafe {
        libc::ioctl(listener.as_fd().as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut told)
    })?;
    Ok(Call { id: told.id, thread: told.pid, number: told.data.nr.into(), arguments: told.data.args })
}

/// True as long as the call waits. Then a file that was opened before by the number of its thread was that thread's.
pub(crate) fn waits(listener: impl AsFd, call: &Call) -> bool {
    // SAFETY: the kernel reads one number.
    let asked = unsafe {
        libc::ioctl(
            listener.as_fd().as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
            std::ptr::from_ref(&call.id),
        )
    };
    check(asked).is_ok()
}

/// Lets the call return 0, or this error.
pub(crate) fn answer(listener: impl AsFd, call: &Call, result: Result<()>) {
    let error = result.err().map_or(0, |error| -error.raw_os_error());
    let mut said = libc::seccomp_notif_resp { id: call.id, val: 0, error, flags: 0 };
    // SAFETY: the kernel reads one such structure.
    let sent =
        unsafe { libc::ioctl(listener.as_fd().as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut said) };
    // A caller that has been killed does not need the answer.
    let _ = check(sent);
}

fn check(returned: libc::c_int) -> Result<()> {
    if returned < 0 { Err(last_error()) } else { Ok(()) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
