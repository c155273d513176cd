//! [`Watch`]: waits until files of the state directory may have changed, through inotify(7). Used by `list --watch`, by
//! `logs --follow` and by commands that wait for a lock. It does not poll, write or lock.

use std::io;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::net::unix::pipe;

/// Room for many events at once; the longest event has a name of 255 bytes.
const EVENTS_BYTES: usize = 64 * 1024;

/// Waits until a watched file or folder may have changed.
#[derive(Debug)]
pub struct Watch {
    /// An inotify descriptor becomes readable like a pipe, so Tokio's pipe is used for it; `AsyncFd` can only be made with
    /// `unsafe`.
    inotify: pipe::Receiver,
    events: Vec<u8>,
}

impl Watch {
    /// Watches nothing yet. To be called within a Tokio runtime.
    pub fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { inotify: pipe::Receiver::from_owned_fd_unchecked(inotify)?, events: vec![0; EVENTS_BYTES] })
    }

    /// Watches for writes to the file that the path leads to now.
    pub fn file(&self, path: &Path) -> io::Result<()> {
        inotify::add_watch(&self.inotify, path, WatchFlags::MODIFY).map(drop).map_err(unwatched)
    }

    /// Watches for files that appear in a folder, leave it or are replaced. As long as the folder does not exist, the
    /// nearest folder above is watched instead; so call this again after each change.
    pub fn folder(&self, path: &Path) -> io::Result<()> {
        if self.add_folder(path)? {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
            // The folder may have been made just before the watch on the one above began, without an event. So it is tried
            // once more.
            self.add_folder(path)?;
        }
        Ok(())
    }

    /// Watches the folder; false if there is none.
    fn add_folder(&self, path: &Path) -> io::Result<bool> {
        const COMING_AND_GOING: WatchFlags = WatchFlags::CREATE
            .union(WatchFlags::DELETE)
            .union(WatchFlags::MOVE)
            .union(WatchFlags::DELETE_SELF)
            .union(WatchFlags::MOVE_SELF)
            .union(WatchFlags::ONLYDIR);
        match inotify::add_watch(&self.inotify, path, COMING_AND_GOING) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(unwatched(errno)),
        }
    }

    /// Returns after something has changed. It does not tell what: callers read the records again anyway.
    pub async fn changed(&mut self) -> io::Result<()> {
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

    /// Passes over the changes until now, for a caller that is about to read everything. If there were very many, the rest
    /// is told by [`Self::changed`].
    pub fn pass_over(&mut self) -> io::Result<()> {
        match self.inotify.try_read(&mut self.events) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            read => read.map(drop),
        }
    }
}

/// The system calls a user without a watch left "no space left on device", and no disk is full.
fn unwatched(errno: Errno) -> io::Error {
    match errno {
        Errno::NOSPC => io::Error::other("no more files can be watched (fs.inotify.max_user_watches)"),
        _ => errno.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::Duration;

    #[tokio::test]
    async fn changes_that_were_passed_over_are_not_told_and_later_ones_are() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = Watch::new().unwrap();
        watch.folder(folder.path()).unwrap();
        watch.pass_over().unwrap();
        for name in ["a", "b"] {
            File::create(folder.path().join(name)).unwrap();
            watch.changed().await.unwrap();
            for name in ["c", "d"] {
                File::create(folder.path().join(name)).unwrap();
                std::fs::remove_file(folder.path().join(name)).unwrap();
            }
            watch.pass_over().unwrap();
            assert!(tokio::time::timeout(Duration::ZERO, watch.changed()).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_folder_is_watched_before_it_exists() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("state/runconfigs");
        let mut watch = Watch::new().unwrap();
        watch.folder(&folder).unwrap();
        std::fs::create_dir(root.path().join("state")).unwrap();
        watch.changed().await.unwrap();
        watch.folder(&folder).unwrap();
        std::fs::create_dir(&folder).unwrap();
        watch.changed().await.unwrap();
        watch.folder(&folder).unwrap();
        File::create(folder.join("time.json")).unwrap();
        watch.changed().await.unwrap();
        std::fs::rename(folder.join("time.json"), folder.join("other.json")).unwrap();
        watch.changed().await.unwrap();
        std::fs::remove_file(folder.join("other.json")).unwrap();
        watch.changed().await.unwrap();
    }
}
