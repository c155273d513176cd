//! The control socket: lines of JSON from the plugin, and to it.
use rustix::net::SendFlags;
use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};
use wharf_descriptors::FIRST_FREE_DESCRIPTOR;
use wharf_sdk::launch::Report;

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// What arrived.
pub(crate) enum Input {
    /// A whole line, without its end.
    Line(Vec<u8>),
    /// Part of one.
    Partial,
    /// More than the bound without an end.
    TooLong,
    /// Nothing more will come: the plugin's process is gone, or wants the workload gone.
    End,
}

/// The launcher's end of the socket.
pub(crate) struct Control {
    socket: OwnedFd,
    received: Vec<u8>,
}

impl Control {
    /// Takes descriptor 2, and puts `/dev/null` in its place: what a library may say there is not for the plugin.
    pub(crate) fn take() -> io::Result<Self> {
        let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), FIRST_FREE_DESCRIPTOR)?;
        rustix::stdio::dup2_stderr(File::options().write(true).open("/dev/null")?)?;
        Ok(Self { socket, received: Vec::new() })
    }

    /// Reads what there is, once; to be called when the socket is readable.
    pub(crate) fn receive(&mut self, limit: usize) -> io::Result<Input> {
        let searched = self.received.len();
        let mut chunk = [0; READ_BYTES];
        let count = match rustix::io::read(&self.socket, &mut chunk[..]) {
            Ok(0) => return Ok(Input::End),
            Ok(count) => count,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return Ok(Input::Partial),
            // A peer that ended with something unread.
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

    /// A line that came together with an earlier one.
    pub(crate) fn buffered(&mut self) -> Option<Vec<u8>> {
        let end = self.received.iter().position(|&byte| byte == b'\n')?;
        let rest = self.received.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.received, rest);
        line.pop();
        Some(line)
    }

    /// Tells the plugin. Never waits: a plugin that does not read finds everything in the state file.
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
