//! Init: the first process of a workload's pid namespace. It sets up the workload's namespaces; then it reaps orphaned
//! processes and, if the workload has a network of its own, serves its port forward.
//!
//! When init ends, the kernel kills everything in the namespace. Init dies with the launcher (`PR_SET_PDEATHSIG`). The
//! workload can neither kill nor stop init: the kernel drops signals to it from inside. The workload is not init itself,
//! because process 1 ignores signals without a handler. The exec helper and init are children of the launcher; the program is
//! a child of the exec helper (`relay.rs`).
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

/// How long init may take to be ready. It is this binary, already in memory, and makes a few hundred system calls.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// Init's answer about the namespaces.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Ready,
    /// A port could not be opened. That does not mean that there can be no namespaces.
    PortUnavailable {
        message: String,
        errno: Option<i32>,
    },
    Failed(String),
    /// A path to show leads elsewhere by now. That does not mean that there can be no namespaces either.
    Exchanged(PathBuf),
}

/// Init, as the launcher holds it.
pub(crate) struct Init(Pid);

impl Init {
    /// Starts init, and waits until everything is set up.
    pub(crate) fn spawn(spec: &NamespaceSpec<'_>) -> Result<Self, LaunchError> {
        let failed = |error: io::Error| LaunchError::Namespaces { reason: format!("init: {error}") };
        let (mut socket, theirs) = UnixStream::pair().map_err(failed)?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("wharf-init").arg(INIT_ARGUMENT).env_clear().current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(OwnedFd::from(theirs)));
        wharf_failpoint::hand_on(&mut command);
        let child = command.spawn().map_err(failed)?;
        // The command holds init's end of the socket, so it is dropped.
        drop(command);
        // Init is reaped together with all other children; dropping the `std` child does nothing.
        let pid = Pid::from_raw(child.id().cast_signed()).ok_or(LaunchError::InitLost)?;
        let init = Self(pid);
        let answer = init.ask(&mut socket, spec);
        if answer.is_err() {
            init.end();
        }
        answer.map(|()| init)
    }

    fn ask(&self, socket: &mut UnixStream, spec: &NamespaceSpec<'_>) -> Result<(), LaunchError> {
        let failed = |reason: String| LaunchError::Namespaces { reason };
        let mut exchange = || -> io::Result<Vec<u8>> {
            socket.set_read_timeout(Some(READY_TIMEOUT))?;
            socket.write_all(&serde_json::to_vec(spec)?)?;
            socket.shutdown(Shutdown::Write)?;
            let mut text = Vec::new();
            (&*socket).take(MAX_ANSWER_BYTES).read_to_end(&mut text)?;
            Ok(text)
        };
        let text = exchange().map_err(|error| failed(format!("init does not answer: {error}")))?;
        match serde_json::from_slice(&text) {
            Ok(Answer::Ready) => Ok(()),
            Ok(Answer::PortUnavailable { message, errno }) => {
                Err(LaunchError::NotExecuted { message, errno })
            }
            Ok(Answer::Exchanged(path)) => Err(Exchanged(path).into()),
            Ok(Answer::Failed(reason)) => Err(failed(reason)),
            Err(_) => Err(failed("init ended early".to_owned())),
        }
    }

    /// Kills init, and so everything in its namespace. The launcher's children in that namespace die, too; its reaper collects
    /// them.
    pub(crate) fn end(&self) {
        let _ = kill_process(self.0, Signal::KILL);
        let _ = waitpid(Some(self.0), WaitOptions::empty());
    }
}

/// In init: sets the namespaces up, and reaps until it is killed.
pub fn run_init() -> ExitCode {
    let begun = set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from);
    let Ok(mut launcher) = begun.and_then(|()| take_launcher()) else { return ExitCode::FAILURE };
    let mut text = Vec::new();
    if launcher.read_to_end(&mut text).is_err() {
        return ExitCode::FAILURE;
    }
    let Ok(spec) = serde_json::from_slice::<NamespaceSpec<'_>>(&text) else { return ExitCode::FAILURE };
    // Before `set_up`, which moves this process into the workload's network.
    let answer = match port_forward::open(&spec.forwarded_ports) {
        Ok(forwards) => match set_up(&spec, forwards) {
            Ok(()) => Answer::Ready,
            Err(SetUpError::Impossible(why)) => Answer::Failed(why),
            Err(SetUpError::Exchanged(Exchanged(path))) => Answer::Exchanged(path),
        },
        Err((port, error)) => Answer::PortUnavailable {
            message: format!("the port {port} cannot be listened on: {error}"),
            errno: error.raw_os_error(),
        },
    };
    let Ok(said) = serde_json::to_vec(&answer) else { return ExitCode::FAILURE };
    // A launcher that died before `PR_SET_PDEATHSIG` was set does not read this, so the write fails and init ends.
    if launcher.write_all(&said).is_err() || !matches!(answer, Answer::Ready) {
        return ExitCode::FAILURE;
    }
    drop((launcher, text, said));
    reap()
}

fn set_up(spec: &NamespaceSpec<'_>, forwards: Vec<PortForward>) -> Result<(), SetUpError> {
    namespaces::set_up(spec)?;
    drop_privileges().map_err(|error| format!("its privileges cannot be dropped: {error}"))?;
    // Before `port_forward::serve` starts its thread, which inherits the mask: the main thread waits for the signal.
    child_ended_signal().thread_set_mask().map_err(|error| format!("signals cannot be blocked: {error}"))?;
    Ok(port_forward::serve(forwards).map_err(|error| format!("its port cannot be served: {error}"))?)
}

/// The socket to the launcher, taken from descriptor 2 (a [`Command`] can hand over only 0 to 2).
fn take_launcher() -> io::Result<UnixStream> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), FIRST_FREE_DESCRIPTOR)?;
    rustix::stdio::dup2_stderr(File::options().write(true).open("/dev/null")?)?;
    Ok(socket.into())
}

/// The signal for the end of a child.
fn child_ended_signal() -> SigSet {
    SigSet::from(NixSignal::SIGCHLD)
}

/// Reaps orphaned processes of the workload, until init is killed. SIGCHLD is blocked and waited for.
fn reap() -> ExitCode {
    let ended = child_ended_signal();
    loop {
        while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
        if ended.wait().is_err() {
            return ExitCode::FAILURE;
        }
    }
}
