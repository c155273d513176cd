//! Processes that are proven to be the ones that were recorded.
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::{io, os::fd::OwnedFd};
use tokio::net::unix::pipe;
use wharf_sdk::launch::{ProcessIdentity, ProcessStat, boot_id};

/// A process, held by a descriptor: whatever happens to its pid, this means that process and no other.
#[derive(Debug)]
pub(crate) struct Process {
    fd: OwnedFd,
    pid: i32,
}

impl Process {
    /// The process that has this pid now. None: there is none.
    pub(crate) fn open(pid: i32) -> io::Result<Option<Self>> {
        let Some(raw) = Pid::from_raw(pid) else { return Ok(None) };
        match pidfd_open(raw, PidfdFlags::empty()) {
            Ok(fd) => Ok(Some(Self { fd, pid })),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The recorded process, if it lives. The start time is read after the descriptor was opened, so that both are of
    /// one process or the descriptor is of a dead one, which no signal reaches.
    pub(crate) fn recorded(identity: &ProcessIdentity) -> io::Result<Option<Self>> {
        if identity.boot_id != boot_id()? {
            return Ok(None);
        }
        let Some(process) = Self::open(identity.pid)? else { return Ok(None) };
        match ProcessStat::of(identity.pid) {
            Ok(stat) if stat.start_time == identity.start_time && !stat.is_dead() => Ok(Some(process)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Its pid, for words and for `/proc`.
    pub(crate) const fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a signal. One to a process that has ended is success.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.fd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Resolves when it has ended. Its descriptor is ready to be read then, as a pipe is; nothing is polled.
    pub(crate) async fn ended(self) -> io::Result<()> {
        pipe::Receiver::from_owned_fd_unchecked(self.fd)?.readable().await
    }

    /// The same, without giving it up.
    pub(crate) async fn has_ended(&self) -> io::Result<()> {
        Self { fd: self.fd.try_clone()?, pid: self.pid }.ended().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r12_another_start_time_or_boot_is_another_process() {
        let own = ProcessIdentity::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(Process::recorded(&own).unwrap().is_some());
        let later = ProcessIdentity { start_time: own.start_time + 1, ..own.clone() };
        assert!(Process::recorded(&later).unwrap().is_none());
        let earlier_boot = ProcessIdentity { boot_id: "another".to_owned(), ..own };
        assert!(Process::recorded(&earlier_boot).unwrap().is_none());
    }
}
