//! What the launcher waits for.
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

/// Which signals came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signalled {
    /// A child ended.
    pub(crate) child: bool,
    /// The workload is asked to end.
    pub(crate) terminate: bool,
    /// All of it is to be killed now.
    pub(crate) kill: bool,
}

/// The launcher's signals, as a descriptor.
pub(crate) struct Signals(SignalFd);

impl Signals {
    /// Blocks them for this process. A child inherits that; stage two empties its mask before it executes anything.
    pub(crate) fn take() -> io::Result<Self> {
        let mut mask = SigSet::empty();
        // A log at its user's limit of a file's size (RLIMIT_FSIZE) would end this process by SIGXFSZ: blocked, it is an
        // error of the write alone.
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGXFSZ] {
            mask.add(signal);
        }
        mask.thread_block()?;
        Ok(Self(SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// What came since the last call.
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

/// Waits until one of the descriptors can be read (or has ended) or the time has come, and says which.
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
