//! Calls of a workload that the launcher answers in its place: user notification, seccomp_unotify(2).
//!
//! Stage two installs the filter and hands the listener to the launcher ([`crate::sharing`]), which alone holds it: it is
//! closed by the execution of the workload's program. Once nobody holds it any more, these calls are `ENOSYS`. Nothing here
//! lets the kernel go on with a call (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`): another thread of the workload could exchange
//! what was judged. It must not know what the calls are.
#![expect(unsafe_code, reason = "seccompiler makes no listener, and no crate that we have speaks its ioctls")]
use rustix::io::{Errno, Result};
use seccompiler::BpfProgram;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// A call that waits for its answer.
#[derive(Debug)]
pub(crate) struct Call {
    /// The kernel's name of it.
    pub(crate) id: u64,
    /// The thread that makes it, as this process numbers it; 0 if it is not seen from here.
    pub(crate) thread: u32,
    /// The call's number.
    pub(crate) number: i64,
    /// Its arguments, of which each may be anything.
    pub(crate) arguments: [u64; 6],
}

/// Installs a filter on this process whose matches are told to the holder of what is returned.
///
/// # Errors
/// `EINVAL` before Linux 5.0; `EBUSY` where a listener of somebody else's hears this process already.
pub(crate) fn install(filter: &BpfProgram) -> Result<OwnedFd> {
    let mut steps: Vec<libc::sock_filter> = filter
        .iter()
        .map(|step| libc::sock_filter { code: step.code, jt: step.jt, jf: step.jf, k: step.k })
        .collect();
    let length = u16::try_from(steps.len()).map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog { len: length, filter: steps.as_mut_ptr() };
    let listening = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // Since Linux 5.19 a signal can no longer take away a call that is being answered.
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

/// Takes the next call. Blocks where there is none: for who has seen that the listener can be read.
///
/// # Errors
/// `ENOENT`: who called has been killed meanwhile.
pub(crate) fn receive(listener: impl AsFd) -> Result<Call> {
    // SAFETY: zeros are a value of this structure of numbers, and what the kernel demands to find.
    let mut told: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one such structure, which `told` is.
    check(unsafe {
        libc::ioctl(listener.as_fd().as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut told)
    })?;
    Ok(Call { id: told.id, thread: told.pid, number: told.data.nr.into(), arguments: told.data.args })
}

/// True as long as the call waits. What was opened by the number of its thread before is of that thread then.
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
    // Who does not wait any more hears nothing.
    let _ = check(sent);
}

fn check(returned: libc::c_int) -> Result<()> {
    if returned < 0 { Err(last_error()) } else { Ok(()) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
