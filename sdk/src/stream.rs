//! Byte streams of a runtime: logs, attached stdio, connections to ports.
use std::os::fd::OwnedFd;
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream with a reading and a writing side, each of which may be missing.
///
/// Both sides have back-pressure: a slow reader slows its writer down, and only a bounded amount waits in between.
pub struct ByteStream(pub(crate) Kind);

pub(crate) enum Kind {
    /// Descriptors of this process, which the host gets as they are: no copy and no task per read.
    Descriptors { reader: Option<OwnedFd>, writer: Option<OwnedFd> },
    /// Any reader and writer; tasks of the SDK copy the bytes.
    Copied {
        reader: Option<Box<dyn AsyncRead + Send + Unpin>>,
        writer: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    },
}

impl ByteStream {
    /// A stream that can only be read.
    pub fn reading(reader: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self(Kind::Copied { reader: Some(Box::new(reader)), writer: None })
    }

    /// A stream with both sides. The writer's `shutdown` is the half-close.
    pub fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self(Kind::Copied { reader: Some(Box::new(reader)), writer: Some(Box::new(writer)) })
    }

    /// A stream made of plain pipes or sockets, which the host gets as they are: the fast way. Closing the writer is the
    /// half-close.
    pub fn of_descriptors(reader: Option<OwnedFd>, writer: Option<OwnedFd>) -> Self {
        Self(Kind::Descriptors { reader, writer })
    }
}

impl std::fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ByteStream")
    }
}
