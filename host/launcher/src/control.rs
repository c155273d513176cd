//! [`Control`]: the launcher's end of the control socket, which carries lines of JSON from the plugin and to it.
use rustix::net::SendFlags;
use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};
use wharf_descriptors::FIRST_FREE_DESCRIPTOR;
use wharf_sdk::launch::Report;

/// The size of a read.
const READ_BYTES: usize = 64 * 1024;

/// The result of a read.
pub(crate) enum Input {
    /// A whole line, without its end.
    Line(Vec<u8>),
    /// A part of a line.
    Partial,
    /// More bytes than the limit, without the end of a line.
    TooLong,
    /// The end: the plugin's process is gone, or no longer wants the workload.
    End,
}

/// The launcher's end of the socket.
pub(crate) struct Control {
    socket: OwnedFd,
    received: Vec<u8>,
}

impl Control {
    /// Takes descriptor 2, and puts `/dev/null` in its place: output of libraries on stderr must not reach the plugin.
    pub(crate) fn take() -> io::Result<Self> {
        let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), FIRST_FREE_DESCRIPTOR)?;
        rustix::stdio::dup2_stderr(File::options().write(true).open("/dev/null")?)?;
        Ok(Self { socket, received: Vec::new() })
    }

    /// Reads the available bytes, once; to be called when the socket is readable.
    pub(crate) fn receive(&mut self, limit: usize) -> io::Result<Input> {
        let searched = self.received.len();
        let mut chunk = [0; READ_BYTES];
        let count = match rustix::io::read(&self.socket, &mut chunk[..]) {
            Ok(0) => return Ok(Input::End),
            Ok(count) => count,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return Ok(Input::Partial),
            // The peer ended and left something unread.
            Err(rustix::io::Errno::CONNRESET) => return Ok(Input::End),
            Err(error) => return Err(error.into()),
        };
        self.received.extend_from_slice(&chunk[..count]);
        let Some(end) = self.received[searched..].iter().position(|&byte| byte == b'\n') else {
            return Ok(if self.received.len() > limit { Input::TooLong } else { Input::Partial });
        };
        let rest = self.received.split_off(searched + end + 1);
        let mut line = std::mem::replace(&mut self.received, rest);
        line.pop();
        Ok(if line.len() > limit { Input::TooLong } else { Input::Line(line) })
    }

    /// The next line, if it has come together with an earlier one.
    pub(crate) fn buffered(&mut self) -> Option<Vec<u8>> {
        let end = self.received.iter().position(|&byte| byte == b'\n')?;
        let rest = self.received.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.received, rest);
        line.pop();
        Some(line)
    }

    /// Reports to the plugin. Never waits: a plugin that does not read finds everything in the state file.
    pub(crate) fn report(&self, report: &Report) {
        if let Ok(mut line) = serde_json::to_vec(report) {
            line.push(b'\n');
            // A report is far smaller than the socket's buffer: it is sent whole or, to a dead peer, not at all.
            let _ = rustix::net::send(&self.socket, &line, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        }
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
