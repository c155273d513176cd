//! The first process of a workload's pid namespace: it makes what the workload sees, and then reaps and tends the way to
//! its port, if it has a network of its own.
//!
//! The kernel kills everything in the namespace when it ends; it dies with the launcher, whatever the workload does to
//! itself: no signal from within reaches it. It is a child of the launcher's like the workload, which therefore is not
//! process 1, for which signals without a handler mean nothing.
use crate::error::LaunchError;
use crate::port_forward::PortForward;
use crate::sandbox::namespace_spec::{NamespaceSpec, SetUpError};
use crate::sandbox::{Exchanged, drop_privileges, namespaces};
use crate::{INIT_ARGUMENT, port_forward};
use nix::sys::signal::{SigSet, Signal as NixSignal};
use rustix::process::{
    Pid, Signal, WaitOptions, kill_process, set_parent_process_death_signal, wait, waitpid,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, Read, Write},
    net::Shutdown,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};
use wharf_descriptors::FIRST_FREE_DESCRIPTOR;

/// How long it may take; it is this binary, already in memory, and a few hundred system calls.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// What init says about the room.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Furnished,
    /// A port that was to be opened, which says nothing about namespaces.
    Closed {
        message: String,
        errno: Option<i32>,
    },
    Failed(String),
    /// What it was to see is not what it was, which says nothing about namespaces either.
    Exchanged(PathBuf),
}

/// The launcher's side.
pub(crate) struct Init(Pid);

impl Init {
    /// Starts it, and waits until everything is made.
    pub(crate) fn spawn(room: &NamespaceSpec<'_>) -> Result<Self, LaunchError> {
        let failed = |error: io::Error| LaunchError::Namespaces { reason: format!("init: {error}") };
        let (mut socket, theirs) = UnixStream::pair().map_err(failed)?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("wharf-init").arg(INIT_ARGUMENT).env_clear().current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(OwnedFd::from(theirs)));
        wharf_failpoint::hand_on(&mut command);
        let child = command.spawn().map_err(failed)?;
        // It holds the other end of the socket.
        drop(command);
        // Reaped with all others; a `std` child that is dropped is left alone.
        let pid = Pid::from_raw(child.id().cast_signed()).ok_or(LaunchError::StageLost)?;
        let init = Self(pid);
        let answer = init.ask(&mut socket, room);
        if answer.is_err() {
            init.end();
        }
        answer.map(|()| init)
    }

    fn ask(&self, socket: &mut UnixStream, room: &NamespaceSpec<'_>) -> Result<(), LaunchError> {
        let failed = |reason: String| LaunchError::Namespaces { reason };
        let mut exchange = || -> io::Result<Vec<u8>> {
            socket.set_read_timeout(Some(READY_TIMEOUT))?;
            socket.write_all(&serde_json::to_vec(room)?)?;
            socket.shutdown(Shutdown::Write)?;
            let mut text = Vec::new();
            (&*socket).take(MAX_ANSWER_BYTES).read_to_end(&mut text)?;
            Ok(text)
        };
        let text = exchange().map_err(|error| failed(format!("init does not answer: {error}")))?;
        match serde_json::from_slice(&text) {
            Ok(Answer::Furnished) => Ok(()),
            Ok(Answer::Closed { message, errno }) => Err(LaunchError::NotExecuted { message, errno }),
            Ok(Answer::Exchanged(path)) => Err(Exchanged(path).into()),
            Ok(Answer::Failed(reason)) => Err(failed(reason)),
            Err(_) => Err(failed("init ended early".to_owned())),
        }
    }

    /// Ends it, and everything in its namespace. What the launcher has put there must have been reaped, or be so later.
    pub(crate) fn end(&self) {
        let _ = kill_process(self.0, Signal::KILL);
        let _ = waitpid(Some(self.0), WaitOptions::empty());
    }
}

/// Makes the room, and reaps until it is killed.
pub fn run_init() -> ExitCode {
    let begun = set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from);
    let Ok(mut launcher) = begun.and_then(|()| take_launcher()) else { return ExitCode::FAILURE };
    let mut text = Vec::new();
    if launcher.read_to_end(&mut text).is_err() {
        return ExitCode::FAILURE;
    }
    let Ok(room) = serde_json::from_slice::<NamespaceSpec<'_>>(&text) else { return ExitCode::FAILURE };
    // While this process is in this machine's network.
    let answer = match port_forward::open(&room.doors) {
        Ok(doors) => match make(&room, doors) {
            Ok(()) => Answer::Furnished,
            Err(SetUpError::Impossible(why)) => Answer::Failed(why),
            Err(SetUpError::Exchanged(Exchanged(path))) => Answer::Exchanged(path),
        },
        Err((port, error)) => Answer::Closed {
            message: format!("the port {port} cannot be listened on: {error}"),
            errno: error.raw_os_error(),
        },
    };
    let Ok(said) = serde_json::to_vec(&answer) else { return ExitCode::FAILURE };
    // A launcher that has died before it was tied to does not hear.
    if launcher.write_all(&said).is_err() || !matches!(answer, Answer::Furnished) {
        return ExitCode::FAILURE;
    }
    drop((launcher, text, said));
    reap()
}

fn make(room: &NamespaceSpec<'_>, doors: Vec<PortForward>) -> Result<(), SetUpError> {
    namespaces::set_up(room)?;
    drop_privileges().map_err(|error| format!("its privileges cannot be dropped: {error}"))?;
    // For every thread: what ends is the first one's to see.
    ended().thread_set_mask().map_err(|error| format!("signals cannot be blocked: {error}"))?;
    Ok(port_forward::tend(doors).map_err(|error| format!("its port cannot be tended: {error}"))?)
}

/// The socket to the launcher, out of descriptor 2.
fn take_launcher() -> io::Result<UnixStream> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), FIRST_FREE_DESCRIPTOR)?;
    rustix::stdio::dup2_stderr(File::options().write(true).open("/dev/null")?)?;
    Ok(socket.into())
}

/// What tells that a child has ended.
fn ended() -> SigSet {
    SigSet::from(NixSignal::SIGCHLD)
}

/// Orphans come here; nothing else does. The signal that tells of them is blocked.
fn reap() -> ExitCode {
    let ended = ended();
    loop {
        while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
        if ended.wait().is_err() {
            return ExitCode::FAILURE;
        }
    }
}
