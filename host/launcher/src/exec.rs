//! The exec helper: the process that waits for `Go` and then executes the workload's program. `main` enters it by
//! [`crate::EXEC_ARGUMENT`].
use crate::exec_request::{ExecRequest, NotExecuted, hand_over};
use crate::relay::Relay;
use crate::sandbox::namespace_spec::forwarded_ports;
use crate::sandbox::{Plan, cgroup, escaped, namespaces, processes};
use crate::unlinked;
use nix::sys::signal::SigSet;
use rustix::{
    fs::Mode,
    process::{Pid, Signal, getppid, set_parent_process_death_signal, setsid, umask},
};
use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Command, ExitCode},
};
use wharf_descriptors::FIRST_FREE_DESCRIPTOR;
use wharf_failpoint::{Point, reach};
use wharf_sdk::launch::Sandbox;

/// The exec helper writes this once it leads its own session and will die with the launcher.
pub(crate) const READY: &[u8] = b"R";

/// Waits for the request and executes the program. Returns if that fails, or, in a pid namespace, with the program's end.
pub fn run_exec() -> ExitCode {
    let Ok(mut launcher) = take_launcher() else { return ExitCode::FAILURE };
    match execute(&launcher) {
        Ok(relay) => {
            // The end of this socket tells the launcher that the program runs.
            drop(launcher);
            return relay.until_the_end();
        }
        // In a trial, the launcher demands this exit code: a process that crashed sends nothing, too.
        Err(Stop::Tried) => return ExitCode::SUCCESS,
        Err(Stop::LauncherEnded) => {}
        Err(Stop::Failed(failure)) => {
            if let Ok(text) = serde_json::to_vec(&failure) {
                let _ = launcher.write_all(&text);
            }
        }
    }
    ExitCode::FAILURE
}

/// The reason why nothing was executed.
enum Stop {
    LauncherEnded,
    /// The request was a trial.
    Tried,
    Failed(NotExecuted),
}

impl Stop {
    fn failed(doing: impl std::fmt::Display, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        Self::Failed(NotExecuted { message: format!("{doing}: {error}"), errno: error.raw_os_error() })
    }
}

/// Enters the sandbox, as the launcher has planned it; in a trial, also tries to get out of it. Returns the listener for
/// the calls that the launcher answers, if there is one.
fn enter(
    sandbox: &Sandbox,
    in_namespaces: bool,
    opened: Vec<(OwnedFd, bool)>,
    try_only: bool,
) -> Result<Option<OwnedFd>, Stop> {
    let failed = |message: String| Stop::Failed(NotExecuted { message, errno: None });
    let (plan, _) = Plan::of(sandbox).map_err(|refusal| failed(refusal.to_string()))?;
    let listener = plan
        .apply(in_namespaces, opened)
        .map_err(|error| failed(format!("the workload cannot be confined: {error}")))?;
    let escaped = if try_only { escaped(&plan, in_namespaces) } else { Vec::new() };
    if escaped.is_empty() {
        return Ok(listener);
    }
    Err(failed(format!("the sandbox does not hold: {}", escaped.join(", "))))
}

/// The socket to the launcher, taken from descriptor 2, which will be the workload's log. A successful exec closes it.
fn take_launcher() -> io::Result<UnixStream> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), FIRST_FREE_DESCRIPTOR)?;
    rustix::stdio::dup2_stderr(File::options().write(true).open("/dev/null")?)?;
    Ok(socket.into())
}

/// Executes the program: this process becomes it, or, in a pid namespace, its parent.
fn execute(mut launcher: &UnixStream) -> Result<Relay, Stop> {
    setsid().map_err(|error| Stop::failed("a new session cannot be made", error))?;
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| Stop::failed("the workload cannot be tied to its launcher", error))?;
    launcher.write_all(READY).map_err(|_| Stop::LauncherEnded)?;
    reach(Point::StageReady);
    let (request, log, opened) = match ExecRequest::receive(launcher) {
        Ok(Some(received)) => received,
        Ok(None) => return Err(Stop::LauncherEnded),
        Err(error) => return Err(Stop::failed("the request cannot be read", error)),
    };
    reach(Point::OrderRead);
    // If the launcher died before `PR_SET_PDEATHSIG` was set, the signal never comes; so the parent is compared.
    if getppid().map(Pid::as_raw_pid) != request.launcher_pid {
        return Err(Stop::LauncherEnded);
    }
    let doing = "the output cannot be directed to the log";
    if request.log_stdout {
        rustix::stdio::dup2_stdout(&log).map_err(|error| Stop::failed(doing, error))?;
    }
    rustix::stdio::dup2_stderr(&log).map_err(|error| Stop::failed(doing, error))?;
    // Without the error number: `ENOENT` for a missing control group would be taken for a missing program.
    cgroup::join(&request.cgroups).map_err(|error| {
        let message = format!("the workload cannot be limited: {error}");
        Stop::Failed(NotExecuted { message, errno: None })
    })?;
    // The workload creates files with the user's usual mask; the launcher's own mask is strict.
    umask(Mode::from_raw_mode(0o022));
    // The launcher blocks its signals, and `std` passes the mask on. `exec` itself resets SIGPIPE.
    SigSet::empty()
        .thread_set_mask()
        .map_err(|error| Stop::failed("the signal mask cannot be emptied", error))?;
    // This failpoint comes before the sandbox, in which the file of the tests' trace may be out of reach.
    reach(Point::ExecBefore);
    let in_namespaces = request.launcher_pid.is_none();
    let null = File::options().read(true).write(true).open("/dev/null");
    let null = null.map_err(|error| Stop::failed("'/dev/null' cannot be opened", error))?;
    if let (Some(sandbox), true) = (&request.sandbox, in_namespaces) {
        namespaces::join(&sandbox.network)
            .map_err(|error| Stop::failed("the workload's namespaces cannot be joined", error))?;
    }
    // The folder is opened in the workload's own view: a descriptor from outside would lead past its mounts.
    let entered = unlinked::open(&request.current_dir).and_then(rustix::process::fchdir);
    entered.map_err(|error| {
        Stop::failed(format_args!("the folder '{}' cannot be entered", request.current_dir.display()), error)
    })?;
    if let Some(count) = request.processes {
        let network = request.sandbox.as_ref().map(|sandbox| &sandbox.network);
        let has_port_forward = network.is_some_and(|network| !forwarded_ports(network).is_empty());
        processes::limit(count, has_port_forward)
            .map_err(|error| Stop::failed("its processes cannot be limited", error))?;
    }
    let mut listener = None;
    if let Some(sandbox) = &request.sandbox {
        let opened = opened.into_iter().zip(request.written.iter().copied()).collect();
        listener = enter(sandbox, in_namespaces, opened, request.try_only)?;
    }
    if request.try_only {
        return Err(Stop::Tried);
    }
    if let Some(listener) = listener {
        hand_over(launcher, listener.as_fd()).map_err(|_| Stop::LauncherEnded)?;
    }
    let mut command = Command::new(request.program.as_ref());
    let env = request.env.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
    command.args(request.args.iter()).env_clear().envs(env);
    let executed = if in_namespaces { Relay::start(&mut command, &null) } else { Err(command.exec()) };
    executed.map_err(|error| {
        Stop::failed(format_args!("'{}' cannot be executed", request.program.display()), error)
    })
}
