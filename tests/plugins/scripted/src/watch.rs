//! Waits for changes of the engine, told by the kernel (inotify).
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use std::{io, mem::MaybeUninit, os::fd::OwnedFd};
use tokio::io::{Interest, unix::AsyncFd};
use wharf_test_engine::Engine;

/// Changes of an engine from the moment it was made.
pub(crate) struct Watch {
    inotify: AsyncFd<OwnedFd>,
}

impl Watch {
    #[expect(
        deprecated,
        reason = "its replacement is unsafe, for types whose descriptor may change; an OwnedFd keeps its descriptor"
    )]
    pub(crate) fn of(engine: &Engine) -> io::Result<Self> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        for folder in [engine.root().to_owned(), engine.objects_dir()] {
            add_watch(&inotify, &folder, WatchFlags::MOVED_TO | WatchFlags::DELETE)?;
        }
        Ok(Self { inotify: AsyncFd::with_interest(inotify, Interest::READABLE)? })
    }

    /// Resolves when something has changed since it resolved the last time.
    pub(crate) async fn changed(&mut self) -> io::Result<()> {
        const BUFFER_BYTES: usize = 4096;
        loop {
            let mut ready = self.inotify.readable().await?;
            let mut buffer = [MaybeUninit::<u8>::uninit(); BUFFER_BYTES];
            let read = ready.try_io(|inotify| Ok(rustix::io::read(inotify, &mut buffer).map(drop)?));
            if let Ok(outcome) = read {
                return outcome;
            }
        }
    }
}
