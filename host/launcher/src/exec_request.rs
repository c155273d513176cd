//! [`ExecRequest`]: the launcher's request to the exec helper, with the descriptors of the log and of the files that the
//! workload may use.
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

/// The limit of a request: a job and a little more, since both hold the same data.
const MAX_ORDER_BYTES: u64 = wharf_sdk::launch::MAX_JOB_BYTES as u64 + 64 * 1024;

/// The number of descriptors in one message; the kernel takes 253, SCM_MAX_FD in unix(7).
const MAX_DESCRIPTORS: usize = 200;

/// The program to execute, with its surroundings.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExecRequest<'a> {
    /// The pid of the launcher: the exec helper must still be its child. None: the exec helper is in a pid namespace, where
    /// it does not see its parent, and which ends with the launcher.
    pub(crate) launcher_pid: Option<i32>,
    /// Whether stdout goes to the log too.
    pub(crate) log_stdout: bool,
    pub(crate) program: Cow<'a, Path>,
    pub(crate) args: Cow<'a, [String]>,
    /// The whole environment.
    pub(crate) env: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    pub(crate) current_dir: Cow<'a, Path>,
    /// The control groups that the exec helper joins.
    pub(crate) cgroups: Cow<'a, [PathBuf]>,
    /// The limit of processes that the exec helper sets, where the control groups have none.
    pub(crate) processes: Option<u64>,
    /// For each descriptor that follows the request: whether the workload may write that file.
    pub(crate) written: Vec<bool>,
    /// The sandbox.
    pub(crate) sandbox: Option<Cow<'a, Sandbox>>,
    /// A trial: nothing is executed, the exec helper only tests whether the sandbox holds.
    pub(crate) try_only: bool,
}

/// The reason why the program was not executed. If it was executed, nothing is sent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NotExecuted {
    pub(crate) message: String,
    pub(crate) errno: Option<i32>,
}

impl ExecRequest<'_> {
    /// Sends the request: the length with the log's descriptor, then the text, then the other descriptors.
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

    /// Waits for a request. None: the launcher ended.
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
        let log = log.ok_or_else(|| io::Error::other("the request came without a descriptor"))?;
        socket.read_exact(&mut length[count..])?;
        let length = u64::from_le_bytes(length);
        if length > MAX_ORDER_BYTES {
            return Err(io::Error::other("the request is too long"));
        }
        let mut text = Vec::new();
        socket.take(length).read_to_end(&mut text)?;
        let request: ExecRequest<'static> = serde_json::from_slice(&text)?;
        let mut opened = Vec::new();
        while opened.len() < request.written.len() {
            let count = MAX_DESCRIPTORS.min(request.written.len() - opened.len());
            opened.extend(receive_descriptors(socket, count)?);
        }
        Ok(Some((request, log, opened)))
    }
}

/// A request, the log, and the files that the workload may use.
type Received = (ExecRequest<'static>, OwnedFd, Vec<OwnedFd>);

/// In the exec helper: gives the launcher the listener of the workload's filter, directly before the program is executed.
pub(crate) fn hand_over(socket: &UnixStream, listener: BorrowedFd<'_>) -> io::Result<()> {
    send_descriptors(socket, &[listener])
}

/// In the launcher: receives the listener, if there is one. If there is none, returns the beginning of a [`NotExecuted`],
/// or nothing: then the program is being executed.
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

/// Receives this number of descriptors, which were sent in one message. They are identified by their order, so none may be
/// missing.
fn receive_descriptors(socket: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let (_, received) = receive(socket)?;
    if received.len() == count {
        return Ok(received);
    }
    Err(io::Error::other(format!("{} of {count} descriptors came with the request", received.len())))
}

/// Reads one byte (none at the end) and the descriptors that came with it.
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
