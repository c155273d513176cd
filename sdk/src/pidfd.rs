//! [`Process`]: a process held by a descriptor, so that a signal reaches this process or none.
//!
//! For runtimes that recorded a [`ProcessIdentity`] and later signal that process or wait for its end; the host kills a
//! supervisor that hangs through it. It must not know what the process is for. Feature `pidfd`; Linux 5.3 or newer.
use crate::process_identity::{BootId, ProcessIdentity, check_proc};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use std::{io, os::fd::OwnedFd};
use tokio::net::unix::pipe;

pub use rustix::process::Signal;

/// A process held by a descriptor. If it ends and its pid is used again, the descriptor still means the old process.
#[derive(Debug)]
pub struct Process {
    fd: OwnedFd,
    pid: i32,
}

impl Process {
    /// The process that has this pid now. None: no process has it; it may be a thread's by now.
    ///
    /// # Errors
    /// The kernel has no pidfd_open(2), there are no more descriptors, or `/proc` is that of another pid namespace.
    pub fn open(pid: i32) -> io::Result<Option<Self>> {
        // The caller's knowledge about the pid was read from /proc.
        check_proc()?;
        // A record or a handle may hold any number. For kill(2), 0 and negative numbers mean groups; pidfd_open(2) refuses
        // them.
        let Some(raw) = (pid > 0).then(|| Pid::from_raw(pid)).flatten() else { return Ok(None) };
        match pidfd_open(raw, PidfdFlags::empty()) {
            Ok(fd) => Ok(Some(Self { fd, pid })),
            // Threads have numbers of the same kind, and none of them is a process': pidfd_open(2) tells that by ENOENT,
            // and of older kernels by EINVAL.
            Err(Errno::SRCH | Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The recorded process, if it lives.
    ///
    /// Between a question about a pid and a signal to it the process may end and another one get its number. So the
    /// descriptor is opened first and the start time read after it: both are of one process, or the descriptor is of a dead
    /// one, which no signal reaches.
    ///
    /// # Errors
    /// The process could not be looked at: no evidence that it is gone.
    pub fn recorded(identity: &ProcessIdentity) -> io::Result<Option<Self>> {
        let boot = BootId::current()?;
        if identity.boot_id != boot {
            return Ok(None);
        }
        let Some(process) = Self::open(identity.pid)? else { return Ok(None) };
        Ok(identity.is_alive(&boot)?.then_some(process))
    }

    /// Its pid, for messages and for `/proc`.
    #[must_use]
    pub const fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a signal. It is a success, too, if the process has ended.
    ///
    /// # Errors
    /// This user may not signal it.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.fd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Resolves when the process has ended; it need not be a child. To be called within a Tokio runtime. Nothing is polled:
    /// the descriptor becomes readable when the process ends.
    ///
    /// # Errors
    /// The descriptor cannot be watched.
    pub async fn ended(self) -> io::Result<()> {
        pipe::Receiver::from_owned_fd_unchecked(self.fd)?.readable().await
    }

    /// The same as [`Process::ended`], for a caller that keeps the process.
    ///
    /// # Errors
    /// The descriptor cannot be copied or watched.
    pub async fn has_ended(&self) -> io::Result<()> {
        Self { fd: self.fd.try_clone()?, pid: self.pid }.ended().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn r12_another_start_time_or_boot_is_another_process() {
        let own = ProcessIdentity::of(std::process::id().cast_signed()).unwrap();
        assert!(Process::recorded(&own).unwrap().is_some());
        let later = ProcessIdentity { start_time: own.start_time + 1, ..own.clone() };
        assert!(Process::recorded(&later).unwrap().is_none());
        let earlier_boot = ProcessIdentity { boot_id: BootId::from_text("another"), ..own };
        assert!(Process::recorded(&earlier_boot).unwrap().is_none());
    }

    #[test]
    fn a_number_that_means_a_group_or_everybody_is_nobodys() {
        for pid in [0, -1, -std::process::id().cast_signed()] {
            assert!(Process::open(pid).unwrap().is_none(), "{pid}");
        }
    }

    #[test]
    fn r12_a_number_that_a_thread_has_by_now_is_no_process() {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let own = std::fs::read_link("/proc/thread-self").unwrap();
            tell.send(own.file_name().unwrap().to_str().unwrap().parse::<i32>().unwrap()).unwrap();
            let _ = ended.recv();
        });
        let tid = told.recv().unwrap();
        assert!(Process::open(tid).unwrap().is_none());
        // Its start time can be read as a process' can.
        let identity = ProcessIdentity::of(tid).unwrap();
        assert!(Process::recorded(&identity).unwrap().is_none());
        drop(end);
        thread.join().unwrap();
    }

    #[tokio::test]
    async fn the_end_of_a_process_is_an_event() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let process = Process::open(child.id().cast_signed()).unwrap().unwrap();
        tokio::select! {
            biased;
            _ = process.has_ended() => panic!("it lives"),
            () = tokio::task::yield_now() => {}
        }
        process.signal(Signal::KILL).unwrap();
        process.has_ended().await.unwrap();
        child.wait().unwrap();
        process.signal(Signal::KILL).unwrap();
        process.ended().await.unwrap();
    }
}
