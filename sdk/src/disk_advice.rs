//! [`disk_advice`]: what to do about a disk that takes nothing.
use std::io::{Error, ErrorKind};

/// What to do where a write failed because the disk, or the user's part of it, is full, or the disk may only be read. None
/// for other errors. It goes with the message of the error, which names the file.
#[must_use]
pub fn disk_advice(error: &Error) -> Option<&'static str> {
    match error.kind() {
        ErrorKind::StorageFull => Some("make room on that disk, and try again"),
        ErrorKind::QuotaExceeded => {
            Some("make room: your quota of that disk is used up; remove files of yours, and try again")
        }
        ErrorKind::ReadOnlyFilesystem => Some("mount that disk writable, and try again"),
        _ => None,
    }
}
