//! Tells when a log has grown or was set aside, by inotify(7).
use crate::{logs::failed, readable::readable};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use std::{
    io,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};
use tokio::io::unix::AsyncFd;
use wharf_sdk::Result;

/// Watches one log.
pub(crate) struct Follow {
    events: AsyncFd<OwnedFd>,
    path: PathBuf,
    replaced: bool,
}

impl Follow {
    /// Watches the folder too: the file may not exist yet, and is replaced when it is full.
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let make = || -> io::Result<AsyncFd<OwnedFd>> {
            let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            let folder = path.parent().ok_or_else(|| io::Error::other("it has no folder"))?;
            inotify::add_watch(
                &events,
                folder,
                WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::MODIFY,
            )?;
            readable(events)
        };
        let events = make().map_err(|error| failed(path, &error))?;
        Ok(Self { events, path: path.to_owned(), replaced: false })
    }

    /// Whether another file has taken the log's name since this was last asked.
    pub(crate) fn was_replaced(&self) -> bool {
        self.replaced
    }

    /// Forgets it; true if there was something to forget.
    pub(crate) fn clear_replaced(&mut self) -> bool {
        std::mem::take(&mut self.replaced)
    }

    /// Resolves when the log has changed.
    pub(crate) async fn changed(&mut self) -> io::Result<()> {
        loop {
            let mut guard = self.events.readable().await?;
            let mut space = [MaybeUninit::uninit(); 4096];
            let mut ours = false;
            let read = guard.try_io(|events| {
                let mut reader = Reader::new(events.get_ref(), &mut space);
                loop {
                    let event = reader.next().map_err(io::Error::from)?;
                    let name = event.file_name().map(|name| name.to_bytes().to_vec());
                    if name.as_deref() == self.path.file_name().map(std::os::unix::ffi::OsStrExt::as_bytes) {
                        ours = true;
                        self.replaced |= event.events().intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
                    }
                    if reader.is_buffer_empty() {
                        return Ok(());
                    }
                }
            });
            match read {
                Ok(Ok(())) if ours => return Ok(()),
                Ok(Ok(())) | Err(_) => {}
                Ok(Err(error)) => return Err(error),
            }
        }
    }
}
