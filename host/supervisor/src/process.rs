//! The process of a detached supervisor: takes over its inherited descriptors, closes the others, sets up its log and
//! signals, and calls the run loop. `main` enters it by [`SUPERVISOR_ARGUMENT`].
use crate::client::protocol::{StartEvent, SupervisorRequest};
use crate::log::{RotatedLog, log_path};
use crate::outside::ClientGone;
use crate::progress::Lines;
use crate::run_loop::{StartContext, supervise};
use nix::sys::signal::SigSet;
use rustix::stdio::{dup2_stdin, dup2_stdout, stdin, stdout};
use std::{
    fs::File,
    io::{self, BufRead, Write},
    os::unix::net::UnixStream,
    process::ExitCode,
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    signal::unix::{SignalKind, signal},
};
use wharf_descriptors as descriptors;
use wharf_failpoint::{Point, reach};
use wharf_records::OperationLock;

/// The first argument that makes the binary a supervisor.
pub const SUPERVISOR_ARGUMENT: &str = "__supervise";

/// How long to wait for the task.
const TASK_WAIT: Duration = Duration::from_secs(10);

/// Runs a detached supervisor; the binary calls it before anything else, with descriptors as `spawn` sets them.
pub fn run() -> ExitCode {
    match detached() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is the supervisor's log.
            let _ = writeln!(io::stderr(), "error: the supervisor could not begin: {error}");
            ExitCode::FAILURE
        }
    }
}

fn detached() -> io::Result<()> {
    descriptors::close_inherited();
    descriptors::raise_limit();
    // The supervisor leaves the terminal of the command that started it, and takes back signals that the command blocked.
    let _ = rustix::process::setsid();
    SigSet::empty().thread_set_mask()?;
    let operation = rustix::io::fcntl_dupfd_cloexec(stdin(), 3)?;
    let socket = UnixStream::from(rustix::io::fcntl_dupfd_cloexec(stdout(), 3)?);
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    reach(Point::TaskReadBefore);
    let (mut task, was_told) = read_task(&socket)?;
    reach(Point::TaskReadAfter);
    // The executable's file may be replaced meanwhile: the supervisor starts children of its own version.
    task.config.executable = "/proc/self/exe".into();
    start_log(&task);
    let operation =
        OperationLock::from_fd(&task.config.state(), &task.name, operation).map_err(io::Error::other)?;
    reach(Point::OperationInherited);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Signals that the caller ignored would stay ignored in all children, unless they have a handler here.
        let _handled = (
            signal(SignalKind::child())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::pipe())?,
            // SIGXFSZ would end this process when its log reaches the user's limit of a file's size (RLIMIT_FSIZE). With a
            // handler, only the write fails.
            signal(SignalKind::from_raw(nix::libc::SIGXFSZ))?,
        );
        let abandoned = abandoned(&socket, &task, was_told)?;
        let mut reporter = Lines::new(socket, task.foreground)?;
        let context = StartContext { foreground: task.foreground, abandoned };
        if let Err(error) = supervise(&task, operation, &mut reporter, context).await {
            tracing::error!(%error, "the workload could not be started");
            reporter.end(&StartEvent::Failed { error });
        }
        Ok(())
    })
}

/// The task, and whether the command has already told this to give up.
fn read_task(socket: &UnixStream) -> io::Result<(SupervisorRequest, bool)> {
    // The command writes the task at once. If it died before, the operation lock is held no longer than this.
    socket.set_read_timeout(Some(TASK_WAIT))?;
    let (mut line, mut reader) = (String::new(), io::BufReader::new(socket));
    reader.read_line(&mut line)?;
    // Bytes that have come with the task are nowhere else any more.
    Ok((serde_json::from_str(&line)?, !reader.buffer().is_empty()))
}

/// Resolves when the command has gone that waits for the workload, or stays with it; if the start outlives the command,
/// only when it was told to give up.
fn abandoned(socket: &UnixStream, task: &SupervisorRequest, mut was_told: bool) -> io::Result<ClientGone> {
    let outlives_command = task.outlives_command;
    if !task.attended {
        return Ok(Box::pin(std::future::pending()));
    }
    let socket = socket.try_clone()?;
    socket.set_nonblocking(true)?;
    let mut socket = tokio::net::UnixStream::from_std(socket)?;
    Ok(Box::pin(async move {
        let mut byte = [0];
        while matches!(socket.read(&mut byte).await, Ok(1..)) {
            was_told = true;
        }
        if outlives_command && !was_told {
            std::future::pending::<()>().await;
        }
    }))
}

fn start_log(task: &SupervisorRequest) {
    let log = RotatedLog::open(&log_path(&task.config.state(), &task.name));
    tracing_subscriber::fmt()
        .with_writer(move || log.clone())
        // If the log cannot be written, the subscriber would report that on stderr, which is the same file, and panic if
        // that fails.
        .log_internal_errors(false)
        .with_ansi(false)
        .with_env_filter(tracing_subscriber::EnvFilter::new(&task.config.log_level))
        .init();
}
