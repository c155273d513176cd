//! The byte streams that the runtime gives by order.
use std::{
    io::{self, Read, Write},
    os::fd::OwnedFd,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, sink};
use wharf_sdk::{ByteStream, Error, Result};

/// How much an echo holds.
const ECHO_BYTES: usize = 4096;

/// `echo` · `flood` (never ends) · `silent` (never says anything; logs its end) · `deaf` (the same, and takes nothing;
/// logs both ends) · `folder` (hands over a descriptor that is no stream) · `reader-panics` (one line, then the reader
/// panics) · `reader-breaks` (one line, then an error) · `descriptors`.
pub(crate) fn make(told: Option<&str>, uid: &str) -> Result<ByteStream> {
    let uid = uid.to_owned();
    match told {
        Some("echo") => {
            let (reader, writer) = tokio::io::simplex(ECHO_BYTES);
            Ok(ByteStream::new(reader, writer))
        }
        Some("flood") => Ok(ByteStream::reading(tokio::io::repeat(b'x'))),
        Some("silent") => Ok(ByteStream::new(Silent(uid), sink())),
        Some("deaf") => Ok(ByteStream::new(Silent(uid.clone()), Deaf(uid))),
        Some("folder") => {
            let folder = std::fs::File::open("/").map_err(|error| Error::io("opening a folder", &error))?;
            Ok(ByteStream::of_descriptors(Some(folder.into()), None))
        }
        Some("reader-panics") => Ok(ByteStream::reading(OneLine { said: false, then_panics: true })),
        Some("reader-breaks") => Ok(ByteStream::reading(OneLine { said: false, then_panics: false })),
        Some("descriptors") => descriptors(uid).map_err(|error| Error::io("making pipes", &error)),
        _ => Ok(ByteStream::reading(tokio::io::empty())),
    }
}

/// Says `hello` through one pipe, and logs what came through the other once that one is closed everywhere.
fn descriptors(uid: String) -> io::Result<ByteStream> {
    let (output, mut to_output) = io::pipe()?;
    let (mut from_input, input) = io::pipe()?;
    to_output.write_all(b"hello")?;
    tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        let ended = from_input.read_to_string(&mut text).is_ok();
        tracing::info!("{uid}: input ended ({ended}) after '{text}'");
    });
    Ok(ByteStream::of_descriptors(Some(OwnedFd::from(output)), Some(OwnedFd::from(input))))
}

struct Silent(String);

impl AsyncRead for Silent {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        tracing::info!("{}: reader dropped", self.0);
    }
}

/// Takes nothing, and does not end.
struct Deaf(String);

impl AsyncWrite for Deaf {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl Drop for Deaf {
    fn drop(&mut self) {
        tracing::info!("{}: writer dropped", self.0);
    }
}

struct OneLine {
    said: bool,
    then_panics: bool,
}

impl AsyncRead for OneLine {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.said {
            self.said = true;
            buf.put_slice(b"line\n");
            return Poll::Ready(Ok(()));
        }
        assert!(!self.then_panics, "told to panic in the reader");
        Poll::Ready(Err(io::Error::other("told to break")))
    }
}
