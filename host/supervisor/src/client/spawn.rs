//! The command's side of a supervisor's start.
use crate::client::protocol::{Progress, StartEvent, StartOutcome, SupervisorRequest};
use crate::process::SUPERVISOR_ARGUMENT;
use rustix::process::Pid;
use std::{io, os::fd::OwnedFd, os::unix::net::UnixStream, path::PathBuf, process::Stdio, time::Duration};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use wharf_failpoint::{Point, may_fail, reach};
use wharf_records::StateDir;

/// The longest line that a supervisor says.
const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// How long a supervisor that says nothing more may take to be gone.
const END_WAIT: Duration = Duration::from_secs(2);

/// A supervisor that is starting its workload.
pub struct Supervisor {
    lines: BufReader<tokio::net::UnixStream>,
    /// As much of its next line as has been read.
    line: Vec<u8>,
    pid: Pid,
    process: tokio::process::Child,
    /// Its log, and how long that was before; none where it cannot be opened.
    log: Option<(PathBuf, u64)>,
}

/// Starts a supervisor: descriptor 0 is the operation lock that it inherits, 1 a socket for the task and its lines,
/// 2 its log. It gets a session of its own, and goes on when this process ends, unless the task says otherwise.
pub async fn spawn(task: &SupervisorRequest, operation: OwnedFd) -> io::Result<Supervisor> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let state = task.config.state();
    let log = open_log(&state, task)
        .inspect_err(
            |error| tracing::warn!(name = %task.name, %error, "the supervisor's log cannot be opened"),
        )
        .ok();
    let log_before = log.as_ref().and_then(|log| Some(log.metadata().ok()?.len()));
    may_fail(Point::SupervisorSpawnBefore)?;
    let process = tokio::process::Command::new(&task.config.executable)
        .arg(SUPERVISOR_ARGUMENT)
        .arg(task.name.as_str())
        .current_dir("/")
        .stdin(Stdio::from(operation))
        .stdout(Stdio::from(OwnedFd::from(theirs)))
        .stderr(log.map_or_else(Stdio::null, Stdio::from))
        .spawn()?;
    may_fail(Point::SupervisorSpawnAfter)?;
    let mut socket = tokio::net::UnixStream::from_std(ours)?;
    let mut text = serde_json::to_vec(task)?;
    text.push(b'\n');
    socket.write_all(&text).await?;
    reach(Point::TaskWritten);
    let pid =
        process.id().and_then(|pid| Pid::from_raw(pid.cast_signed())).ok_or(io::ErrorKind::InvalidData)?;
    let log = log_before.map(|before| (crate::log::log_path(&state, &task.name), before));
    Ok(Supervisor { lines: BufReader::new(socket), line: Vec::new(), pid, process, log })
}

/// Where a panic of the supervisor goes, and what it says before its own log is open.
fn open_log(state: &StateDir, task: &SupervisorRequest) -> io::Result<std::fs::File> {
    state.make_logs().map_err(io::Error::other)?;
    crate::log::open_file(&crate::log::log_path(state, &task.name))
}

impl Supervisor {
    /// Its pid, which is its own until it is reaped.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Tells it that nobody waits for the workload any more: it gives the start up, clears up, and [`Self::outcome`]
    /// returns when it has done so, or that the workload was ready before.
    pub async fn give_up(&mut self) {
        // One that has ended needs no word.
        let _ = self.lines.get_mut().shutdown().await;
    }

    /// Waits until the workload is ready or could not be started, showing what happens. A caller may drop this future
    /// and call again: no line is lost.
    pub async fn outcome(&mut self, progress: &mut dyn Progress) -> StartOutcome {
        loop {
            let read = (&mut self.lines).take(MAX_LINE_BYTES).read_until(b'\n', &mut self.line).await;
            if !matches!(read, Ok(1..)) {
                return StartOutcome::Died { how: self.end().await };
            }
            match serde_json::from_slice(&std::mem::take(&mut self.line)) {
                Ok(StartEvent::Progress { message, amount: None }) => progress.step(&message),
                Ok(StartEvent::Progress { message, amount: Some((done, total)) }) => {
                    progress.amount(&message, done, total);
                }
                Ok(StartEvent::Ready { port }) => return StartOutcome::Ready(port),
                Ok(StartEvent::Failed { error }) => return StartOutcome::Failed(error),
                Err(error) => tracing::debug!(%error, "a line of the supervisor makes no sense"),
            }
        }
    }

    /// How its process ended, and the last that it said, in words that follow its name.
    async fn end(&mut self) -> String {
        let how = match tokio::time::timeout(END_WAIT, self.process.wait()).await {
            Ok(Ok(status)) => wharf_runtimes::how(status),
            Ok(Err(_)) => "ended".to_owned(),
            Err(_) => "closed its socket".to_owned(),
        };
        match self.log.as_ref().and_then(|(path, before)| crate::log::last_words(path, *before)) {
            Some(words) => format!("{how} ({words})"),
            None => how,
        }
    }
}
