//! What the launcher tells stage two: what to execute, and the log's descriptor with it.
use rustix::{
    cmsg_space,
    io::IoSlice,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{self, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
};
use wharf_sdk::launch::Sandbox;

/// The bound of an order: a job, and a little more. JSON of the same content.
const MAX_ORDER_BYTES: u64 = wharf_sdk::launch::MAX_JOB_BYTES as u64 + 64 * 1024;

/// What to execute.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order<'a> {
    /// Who gives it: stage two must still be that process' child. None: it is in a pid namespace, out of which it does
    /// not see its parent, and whose init dies with the launcher.
    pub(super) launcher_pid: Option<i32>,
    /// Whether stdout goes to the log too.
    pub(super) log_stdout: bool,
    pub(super) program: Cow<'a, Path>,
    pub(super) args: Cow<'a, [String]>,
    /// The whole environment.
    pub(super) env: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    pub(super) current_dir: Cow<'a, Path>,
    /// Its control groups, which it is to join.
    pub(super) cgroups: Cow<'a, [PathBuf]>,
    /// How many processes it may have, where its control groups do not say.
    pub(super) processes: Option<u64>,
    /// What it may touch.
    pub(super) sandbox: Option<Cow<'a, Sandbox>>,
    /// Nothing is executed: it is only tried whether the sandbox holds.
    pub(super) try_only: bool,
}

/// Why it was not executed; nothing at all is sent when it was.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NotExecuted {
    pub(super) message: String,
    pub(super) errno: Option<i32>,
}

impl Order<'_> {
    /// Sends it: the length with the descriptor, then the text.
    pub(super) fn send(&self, mut socket: &UnixStream, log: BorrowedFd<'_>) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [log];
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        let length = (text.len() as u64).to_le_bytes();
        sendmsg(socket.as_fd(), &[IoSlice::new(&length)], &mut ancillary, SendFlags::NOSIGNAL)?;
        socket.write_all(&text)
    }

    /// Waits for one. None: the launcher ended.
    pub(super) fn receive(mut socket: &UnixStream) -> io::Result<Option<(Order<'static>, OwnedFd)>> {
        let mut length = [0; 8];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let count = loop {
            let mut parts = [IoSliceMut::new(&mut length)];
            match recvmsg(socket.as_fd(), &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Ok(message) => break message.bytes,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        if count == 0 {
            return Ok(None);
        }
        let log = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        let log = log.ok_or_else(|| io::Error::other("the order came without a descriptor"))?;
        socket.read_exact(&mut length[count..])?;
        let length = u64::from_le_bytes(length);
        if length > MAX_ORDER_BYTES {
            return Err(io::Error::other("the order is too long"));
        }
        let mut text = Vec::new();
        socket.take(length).read_to_end(&mut text)?;
        Ok(Some((serde_json::from_slice(&text)?, log)))
    }
}
