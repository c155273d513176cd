//! Descriptors that become readable: a process that ended, a folder that changed.
use std::{io, os::fd::OwnedFd};
use tokio::io::{Interest, unix::AsyncFd};

/// Registers a descriptor with the reactor, for reading.
#[expect(
    deprecated,
    reason = "its replacement is unsafe, for types whose descriptor may change or close under the reactor; an OwnedFd \
              keeps its descriptor until it is dropped"
)]
pub(crate) fn readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}
