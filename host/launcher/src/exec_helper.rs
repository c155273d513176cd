//! [`ExecHelper`]: the exec helper, as the launcher starts and commands it.
use crate::error::LaunchError;
use crate::exec::READY;
use crate::exec_request::{ExecRequest, NotExecuted};
use crate::sandbox::Opened;
use crate::{EXEC_ARGUMENT, exec_request, signals};
use rustix::process::Pid;
use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use wharf_sdk::launch::{HOST_VARIABLE, Job, UID_VARIABLE};
use wharf_sdk::process_identity::ProcessIdentity;

/// How long the exec helper may take to be ready; it is this binary, already in memory.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest text of a failure.
const MAX_FAILURE_BYTES: u64 = 64 * 1024;

/// The process that waits for `Go`.
pub(crate) struct ExecHelper {
    pub(crate) pid: Pid,
    pub(crate) identity: ProcessIdentity,
    socket: UnixStream,
}

/// The surroundings that the launcher has made for it.
pub(crate) struct Surroundings {
    /// Whether there are namespaces, which it joins.
    pub(crate) in_namespaces: bool,
    /// The control groups that it joins.
    pub(crate) cgroups: Vec<PathBuf>,
    /// A limit of processes that it sets for itself.
    pub(crate) processes: Option<u64>,
    /// The opened files that the workload may use.
    pub(crate) opened: Opened,
}

impl ExecHelper {
    /// Starts the exec helper with this process's stdin and stdout, and waits until it is ready.
    pub(crate) fn spawn(job: &Job) -> Result<Self, LaunchError> {
        let failed = |error: io::Error| LaunchError::system("the workload's process cannot be made", error);
        let (socket, theirs) = UnixStream::pair().map_err(failed)?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0(format!("wharf-launch {}", job.name))
            .arg(EXEC_ARGUMENT)
            .env_clear()
            // The marks by which the workload's processes are found: it stays as one of them in a pid namespace.
            .env(UID_VARIABLE, &job.uid)
            .env(HOST_VARIABLE, &job.host_id)
            .stdin(Stdio::inherit())
            .stdout(if job.log_stdout { Stdio::null() } else { Stdio::inherit() })
            .stderr(Stdio::from(OwnedFd::from(theirs)));
        wharf_failpoint::hand_on(&mut command);
        let child = command.spawn().map_err(failed)?;
        // The command holds the other end of the socket, so it is dropped.
        drop(command);
        // The exec helper is reaped together with all other children, by `reaper::reap`; dropping the `std` child does
        // nothing.
        let number = child.id().cast_signed();
        let pid = Pid::from_raw(number).ok_or(LaunchError::ExecHelperLost)?;
        let identity = ProcessIdentity::of(number).map_err(failed)?;
        let mut helper = Self { pid, identity, socket };
        helper.await_ready()?;
        Ok(helper)
    }

    fn await_ready(&mut self) -> Result<(), LaunchError> {
        self.socket.set_read_timeout(Some(READY_TIMEOUT)).map_err(|error| self.lost(error))?;
        let mut byte = [0; READY.len()];
        self.socket.read_exact(&mut byte).map_err(|error| self.lost(error))?;
        if byte == *READY { Ok(()) } else { Err(self.refusal(&byte)) }
    }

    fn lost(&self, error: io::Error) -> LaunchError {
        // An exec helper that was killed has left bytes unread that were sent to it.
        if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) {
            return LaunchError::ExecHelperLost;
        }
        LaunchError::system("the workload's process did not become ready", error)
    }

    /// The exec helper failed before it was ready, and sends the reason.
    fn refusal(&mut self, start: &[u8]) -> LaunchError {
        let mut text = start.to_vec();
        let _ = (&self.socket).take(MAX_FAILURE_BYTES).read_to_end(&mut text);
        not_executed(&text)
    }

    /// Sends the request, and waits until the program runs or is known not to. Returns the listener for the calls that are
    /// to be answered in its place.
    pub(crate) fn execute(
        self,
        job: &Job,
        surroundings: &Surroundings,
        log: OwnedFd,
    ) -> Result<Option<OwnedFd>, LaunchError> {
        let request = ExecRequest {
            launcher_pid: (!surroundings.in_namespaces).then(|| rustix::process::getpid().as_raw_pid()),
            log_stdout: job.log_stdout,
            program: Cow::Borrowed(&job.program),
            args: Cow::Borrowed(&job.args),
            env: job
                .env
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .chain([(UID_VARIABLE, job.uid.as_str()), (HOST_VARIABLE, job.host_id.as_str())])
                .map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value)))
                .collect(),
            current_dir: Cow::Borrowed::<Path>(&job.current_dir),
            cgroups: Cow::Borrowed(&surroundings.cgroups),
            processes: surroundings.processes,
            written: surroundings.opened.written(),
            sandbox: job.sandbox.as_ref().map(Cow::Borrowed),
            try_only: job.try_only,
        };
        request
            .send(&self.socket, log.as_fd(), &surroundings.opened.descriptors())
            .map_err(|error| LaunchError::system("the workload's process does not listen", error))?;
        // From here on only the workload holds the writing end of the log's pipe, so that its end is noticed.
        drop(log);
        self.socket.set_read_timeout(None).map_err(|error| self.lost(error))?;
        let (listener, mut text) = exec_request::take_over(&self.socket).map_err(|error| self.lost(error))?;
        // A successful exec closes the socket, and nothing is sent.
        (&self.socket).take(MAX_FAILURE_BYTES).read_to_end(&mut text).map_err(|error| self.lost(error))?;
        if text.is_empty() { Ok(listener) } else { Err(not_executed(&text)) }
    }
}

fn not_executed(text: &[u8]) -> LaunchError {
    match serde_json::from_slice::<NotExecuted>(text) {
        Ok(NotExecuted { message, errno }) => LaunchError::NotExecuted { message, errno },
        Err(_) => LaunchError::ExecHelperLost,
    }
}

/// Replaces this process's stdin and stdout by `/dev/null`: only the workload may hold its pipes, or their ends would never
/// be noticed.
pub(crate) fn release_stdio() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}

/// The log's pipe: the launcher's end, which never blocks, and the workload's, which does.
pub(crate) fn log_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&reader, rustix::fs::OFlags::NONBLOCK)?;
    Ok((reader, writer))
}

/// Waits for the control socket or a signal.
pub(crate) fn wait_for(
    control: BorrowedFd<'_>,
    signals: BorrowedFd<'_>,
    until: Option<Instant>,
) -> Result<[bool; 2], LaunchError> {
    signals::wait([Some(control), Some(signals)], until)
        .map_err(|error| LaunchError::system("the launcher cannot wait", error))
}
