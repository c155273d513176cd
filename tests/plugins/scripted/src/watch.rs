//! Waits for changes of the engine, reported by the kernel (inotify).
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use std::io;
use tokio::net::unix::pipe;
use wharf_test_engine::Engine;

/// Changes of an engine from the moment it was made.
pub(crate) struct Watch {
    /// Ready to be read when there are events, as a pipe is.
    inotify: pipe::Receiver,
}

impl Watch {
    pub(crate) fn of(engine: &Engine) -> io::Result<Self> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        for folder in [engine.root().to_owned(), engine.objects_dir()] {
            add_watch(&inotify, &folder, WatchFlags::MOVED_TO | WatchFlags::DELETE)?;
        }
        Ok(Self { inotify: pipe::Receiver::from_owned_fd_unchecked(inotify)? })
    }

    /// Resolves when something has changed since it resolved the last time.
    pub(crate) async fn changed(&mut self) -> io::Result<()> {
        loop {
            self.inotify.readable().await?;
            // `read` would take what fits for all there is, and nobody is woken for the rest.
            match self.inotify.try_read(&mut [0; 4096]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read.map(drop),
            }
        }
    }
}
