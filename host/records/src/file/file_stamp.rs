//! [`FileStamp`]: what a `stat` call tells of a file, to know it again.
//!
//! Situation: other processes replace records by rename at any moment, and an editor may write into one. The inode of a
//! file that was replaced is soon that of a new file, and file systems tell times in steps: so a file and one that was
//! replaced twice in the same step can look alike. Conclusion: device, inode, length, and the times of writing and of change
//! together tell a file; the time of change (ctime) cannot be set by a process. They are taken from the opened file before
//! its bytes are read, so a write during the read shows at the next look. And a file is known again only if it had last been
//! changed some time before the read ([`FileStamp::is_settled`]): each later change then has a later time.
//!
//! A clock that was set back makes a file's time one of the future: it is not known again until that time has come. On a
//! file system of another machine a look tells what that system tells the kernel, as when a file is opened; the state
//! directory is one machine's, whose own writers are seen at once.
use rustix::fs::Stat;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The kernel's own clock goes in steps of up to 10 ms.
const TIME_STEP: Duration = Duration::from_millis(50);

/// The marks of a file by which a later look knows it again, with the same bytes and rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileStamp {
    identity: (u64, u64),
    length: i128,
    /// In nanoseconds since 1970.
    written: i128,
    /// The same, of the last change of any kind.
    changed: i128,
}

impl FileStamp {
    pub(crate) fn of(found: &Stat) -> Self {
        // The types of the fields are those of the machine.
        fn nanoseconds(seconds: impl Into<i128>, rest: impl Into<i128>) -> i128 {
            seconds.into() * 1_000_000_000 + rest.into()
        }
        Self {
            identity: (found.st_dev, found.st_ino),
            length: found.st_size.into(),
            written: nanoseconds(found.st_mtime, found.st_mtime_nsec),
            changed: nanoseconds(found.st_ctime, found.st_ctime_nsec),
        }
    }

    /// Whether every change after `now` shows in a later stamp.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        let Ok(now) = now.duration_since(UNIX_EPOCH) else { return false };
        let nanoseconds = |time: Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
        self.changed < nanoseconds(now.saturating_sub(TIME_STEP))
    }
}
