//! The launcher's signals as a descriptor, and waiting for several descriptors at once.
use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

/// The signals that came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signalled {
    /// A child ended.
    pub(crate) child: bool,
    /// The workload is to be asked to end.
    pub(crate) terminate: bool,
    /// All of the workload is to be killed now.
    pub(crate) kill: bool,
}

/// The launcher's signals, as a descriptor.
pub(crate) struct Signals(SignalFd);

impl Signals {
    /// Blocks the signals for this process. A child inherits that; the exec helper empties its mask before it executes the
    /// program.
    pub(crate) fn take() -> io::Result<Self> {
        let mut mask = SigSet::empty();
        // SIGXFSZ would end this process when a log reaches the user's limit of a file's size (RLIMIT_FSIZE). Blocked, only
        // the write fails.
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGXFSZ] {
            mask.add(signal);
        }
        mask.thread_block()?;
        Ok(Self(SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// The signals since the last call.
    pub(crate) fn read(&self) -> Signalled {
        let mut signalled = Signalled::default();
        while let Ok(Some(info)) = self.0.read_signal() {
            match i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok()) {
                Some(Signal::SIGCHLD) => signalled.child = true,
                Some(Signal::SIGTERM) => signalled.terminate = true,
                Some(Signal::SIGINT) => signalled.kill = true,
                _ => {}
            }
        }
        signalled
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of the descriptors is readable (or has ended), or the time has come; returns which are readable.
pub(crate) fn wait<const N: usize>(
    descriptors: [Option<BorrowedFd<'_>>; N],
    until: Option<Instant>,
) -> io::Result<[bool; N]> {
    let present: Vec<(usize, BorrowedFd<'_>)> =
        descriptors.iter().enumerate().filter_map(|(index, fd)| fd.map(|fd| (index, fd))).collect();
    let mut polled: Vec<PollFd<'_>> =
        present.iter().map(|(_, fd)| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let timeout = until.map(|until| timespec(until.saturating_duration_since(Instant::now())));
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let mut ready = [false; N];
    for ((index, _), polled) in present.iter().zip(&polled) {
        ready[*index] = !polled.revents().is_empty();
    }
    Ok(ready)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
