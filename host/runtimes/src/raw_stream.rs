//! [`RawStream`]: the stream that a plugin opens for a log, an attached workload or a connection, and how the host reads
//! and writes it.
//!
//! The proxy of a workload takes both sides, a command that shows a log only the reading one. It must not know what the
//! bytes mean.
use rustix::fs::{FileType, fstat};
use std::{io, os::fd::OwnedFd};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{UnixStream, unix::pipe};

/// The reading side.
pub type Reader = Box<dyn AsyncRead + Send + Unpin>;
/// The writing side.
pub type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// A byte stream of a runtime.
pub enum RawStream {
    /// Plain descriptors, now the host's own: pipes or Unix sockets.
    Descriptors {
        /// The workload's output.
        reader: Option<OwnedFd>,
        /// The workload's input.
        writer: Option<OwnedFd>,
    },
    /// Bytes that go through the plugin.
    Copied {
        /// The workload's output.
        reader: Reader,
        /// The workload's input; dropping it is the half-close.
        writer: Writer,
    },
}

impl RawStream {
    /// The reading side alone, for a log; without one, an empty reader. To be called within a Tokio runtime.
    ///
    /// # Errors
    /// The descriptor is neither a pipe nor a Unix socket, or cannot be watched.
    pub fn into_reader(self) -> io::Result<Reader> {
        match self {
            Self::Copied { reader, .. } => Ok(reader),
            Self::Descriptors { reader: Some(reader), .. } => reading(reader),
            Self::Descriptors { reader: None, .. } => Ok(Box::new(tokio::io::empty())),
        }
    }

    /// Both sides, for an attached workload. To be called within a Tokio runtime.
    ///
    /// # Errors
    /// There is only one side; or as for [`RawStream::into_reader`].
    pub fn into_sides(self) -> io::Result<(Reader, Writer)> {
        match self {
            Self::Copied { reader, writer } => Ok((reader, writer)),
            Self::Descriptors { reader: Some(reader), writer: Some(writer) } => {
                Ok((reading(reader)?, writing(writer)?))
            }
            Self::Descriptors { .. } => Err(io::Error::other("the runtime attached one side only")),
        }
    }
}

fn reading(descriptor: OwnedFd) -> io::Result<Reader> {
    Ok(if is_pipe(&descriptor)? {
        widen(&descriptor);
        Box::new(pipe::Receiver::from_owned_fd(descriptor)?)
    } else {
        Box::new(socket(descriptor)?)
    })
}

fn writing(descriptor: OwnedFd) -> io::Result<Writer> {
    Ok(if is_pipe(&descriptor)? {
        widen(&descriptor);
        Box::new(pipe::Sender::from_owned_fd(descriptor)?)
    } else {
        Box::new(socket(descriptor)?)
    })
}

fn is_pipe(descriptor: &OwnedFd) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(descriptor)?.st_mode).is_fifo())
}

/// Enlarges a pipe from the usual 64 KiB, so that a large message needs fewer switches between the two sides. The kernel
/// may refuse (there is a limit on all pipes of a user), which only costs speed.
fn widen(pipe: &OwnedFd) {
    const PIPE_BYTES: usize = 256 * 1024;
    if let Err(error) = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES) {
        tracing::debug!(%error, "a pipe keeps its size");
    }
}

fn socket(descriptor: OwnedFd) -> io::Result<UnixStream> {
    let socket = std::os::unix::net::UnixStream::from(descriptor);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_pipe_holds_a_large_message() {
        let (receiver, sender) = rustix::pipe::pipe().unwrap();
        let most: usize =
            std::fs::read_to_string("/proc/sys/fs/pipe-max-size").unwrap().trim().parse().unwrap();
        let _reader = reading(receiver).unwrap();
        assert!(most < 256 * 1024 || rustix::pipe::fcntl_getpipe_size(&sender).unwrap() >= 256 * 1024);
    }

    #[test]
    fn widening_leaves_a_descriptor_that_is_no_pipe_alone() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        widen(&one.into());
    }

    #[tokio::test]
    async fn a_log_may_come_through_a_socket_and_one_without_a_reading_side_is_at_its_end() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let stream = RawStream::Descriptors { reader: Some(ours.into()), writer: None };
        let (mut reader, mut writer) = (stream.into_reader().unwrap(), writing(theirs.into()).unwrap());
        writer.write_all(b"one line\n").await.unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "one line\n");
        let mut nothing = RawStream::Descriptors { reader: None, writer: None }.into_reader().unwrap();
        assert_eq!(nothing.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(RawStream::Descriptors { reader: None, writer: None }.into_sides().is_err());
    }
}
