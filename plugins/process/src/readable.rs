//! Waiting for a descriptor to become readable: the end of a process, an event of a folder.
use rustix::fd::OwnedFd;
use std::io;
use tokio::io::{Interest, unix::AsyncFd};

/// Registers a descriptor that this value owns with the reactor.
#[expect(deprecated, reason = "its successor is unsafe; an OwnedFd cannot be closed under the reactor")]
pub(crate) fn readable(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}
