//! [`Changes`]: waits for changes of a log, through inotify(7).
use crate::state::has_ended;
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use std::{
    fs::File,
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};
use tokio::net::unix::pipe;

/// Room for many events at once; the longest one has a name of 255 bytes.
const EVENTS_BYTES: usize = 16 * 1024;

/// Waits until a log should be read again.
pub(super) struct Changes {
    /// An inotify descriptor becomes readable when there are events, like a pipe.
    inotify: pipe::Receiver,
    events: Vec<u8>,
    /// The state file. The launcher records the end of the workload in it, after the last line of the log.
    state: PathBuf,
    /// Whether there has been a state file: a log can also be read after its workload was removed, or before it is made anew.
    had_state: bool,
}

impl Changes {
    /// Watches from now on: the folder of the log (rotation, the first line) and that of the state (a new one, removal).
    pub(super) fn of(log: &Path, state: PathBuf) -> io::Result<Self> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        if let Some(folder) = log.parent() {
            add_watch(&inotify, folder, WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::MASK_ADD)?;
        }
        if let Some(folder) = state.parent() {
            add_watch(&inotify, folder, WatchFlags::DELETE | WatchFlags::MOVED_TO | WatchFlags::MASK_ADD)?;
        }
        let had_state = state.exists();
        let inotify = pipe::Receiver::from_owned_fd_unchecked(inotify)?;
        Ok(Self { inotify, events: vec![0; EVENTS_BYTES], state, had_state })
    }

    /// Waits until something changed since the last call. False: the workload has ended, or was removed.
    ///
    /// `file` is the newest file that is known, which the launcher writes. It is watched through its descriptor, so that
    /// the watch is on that very file. A change just before the watch would be missed, so a new watch counts as a change.
    pub(super) async fn next(&mut self, file: Option<&File>) -> io::Result<bool> {
        if !self.goes_on() {
            return Ok(false);
        }
        if let Some(file) = file
            && self.watched_newly(file)?
        {
            return Ok(true);
        }
        self.happened().await?;
        Ok(self.goes_on())
    }

    fn goes_on(&mut self) -> bool {
        // Its coming is an event, which wakes who waits.
        self.had_state |= self.state.exists();
        !self.had_state || !has_ended(&self.state)
    }

    /// Waits for events and drops them: they only mean that something changed.
    async fn happened(&mut self) -> io::Result<()> {
        loop {
            self.inotify.readable().await?;
            // `read` of Tokio would clear the readiness after a short read, and then nobody is woken for the remaining
            // events.
            match self.inotify.try_read(&mut self.events) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read.map(drop),
            }
        }
    }

    fn watched_newly(&mut self, file: &File) -> io::Result<bool> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        match add_watch(&self.inotify, path, WatchFlags::MODIFY | WatchFlags::MASK_CREATE) {
            Ok(_) => Ok(true),
            // The file is watched already.
            Err(rustix::io::Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
