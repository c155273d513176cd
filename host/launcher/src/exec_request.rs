//! What the launcher tells stage two: what to execute, and with it the descriptors of the log and of what the workload
//! may touch.
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

/// How many descriptors go in one message; the kernel takes 253, SCM_MAX_FD in unix(7).
const MAX_DESCRIPTORS: usize = 200;

/// What to execute.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExecRequest<'a> {
    /// Who gives it: stage two must still be that process' child. None: it is in a pid namespace, out of which it does
    /// not see its parent, and whose init dies with the launcher.
    pub(crate) launcher_pid: Option<i32>,
    /// Whether stdout goes to the log too.
    pub(crate) log_stdout: bool,
    pub(crate) program: Cow<'a, Path>,
    pub(crate) args: Cow<'a, [String]>,
    /// The whole environment.
    pub(crate) env: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    pub(crate) current_dir: Cow<'a, Path>,
    /// Its control groups, which it is to join.
    pub(crate) cgroups: Cow<'a, [PathBuf]>,
    /// How many processes it may have, where its control groups do not say.
    pub(crate) processes: Option<u64>,
    /// Of each descriptor that comes after the order: whether the workload may write what it is of.
    pub(crate) written: Vec<bool>,
    /// What holds it back besides.
    pub(crate) sandbox: Option<Cow<'a, Sandbox>>,
    /// Nothing is executed: it is only tried whether the sandbox holds.
    pub(crate) try_only: bool,
}

/// Why it was not executed; nothing at all is sent when it was.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NotExecuted {
    pub(crate) message: String,
    pub(crate) errno: Option<i32>,
}

impl ExecRequest<'_> {
    /// Sends it: the length with the log's descriptor, then the text, then the other descriptors.
    pub(crate) fn send(
        &self,
        mut socket: &UnixStream,
        log: BorrowedFd<'_>,
        opened: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [log];
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        let length = (text.len() as u64).to_le_bytes();
        sendmsg(socket.as_fd(), &[IoSlice::new(&length)], &mut ancillary, SendFlags::NOSIGNAL)?;
        socket.write_all(&text)?;
        opened.chunks(MAX_DESCRIPTORS).try_for_each(|descriptors| send_descriptors(socket, descriptors))
    }

    /// Waits for one. None: the launcher ended.
    pub(crate) fn receive(mut socket: &UnixStream) -> io::Result<Option<Received>> {
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
        let order: ExecRequest<'static> = serde_json::from_slice(&text)?;
        let mut opened = Vec::new();
        while opened.len() < order.written.len() {
            let count = MAX_DESCRIPTORS.min(order.written.len() - opened.len());
            opened.extend(receive_descriptors(socket, count)?);
        }
        Ok(Some((order, log, opened)))
    }
}

/// An order, the log, and what the workload may touch.
type Received = (ExecRequest<'static>, OwnedFd, Vec<OwnedFd>);

/// Gives the launcher the listener of the workload's filter, directly before the program is executed.
pub(crate) fn hand_over(socket: &UnixStream, listener: BorrowedFd<'_>) -> io::Result<()> {
    send_descriptors(socket, &[listener])
}

/// What stage two says after the order: the listener, if it has one; or the beginning of a [`NotExecuted`], for which it
/// has none. Nothing at all: it executes the program.
pub(crate) fn take_over(socket: &UnixStream) -> io::Result<(Option<OwnedFd>, Vec<u8>)> {
    let (byte, mut descriptors) = receive(socket)?;
    match descriptors.pop() {
        Some(listener) => Ok((Some(listener), Vec::new())),
        None => Ok((None, byte)),
    }
}

fn send_descriptors(socket: &UnixStream, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    sendmsg(socket.as_fd(), &[IoSlice::new(&[0])], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Exactly so many, which were sent at once: none may be missing, since they are known by their order.
fn receive_descriptors(socket: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let (_, received) = receive(socket)?;
    if received.len() == count {
        return Ok(received);
    }
    Err(io::Error::other(format!("{} of {count} descriptors came with the order", received.len())))
}

/// One byte, or none at the end; and the descriptors that came with it.
fn receive(socket: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let (mut byte, mut space) = ([0], [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_DESCRIPTORS))]);
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let count = loop {
        match recvmsg(
            socket.as_fd(),
            &mut [IoSliceMut::new(&mut byte)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        ) {
            Ok(message) => break message.bytes,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let mut received = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            received.extend(descriptors);
        }
    }
    Ok((byte[..count].to_vec(), received))
}
