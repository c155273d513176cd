//! Starts a supervisor and follows its start, in the command's process.
use crate::client::protocol::{Progress, StartEvent, StartOutcome, SupervisorRequest};
use crate::process::SUPERVISOR_ARGUMENT;
use rustix::process::Pid;
use std::{io, os::fd::OwnedFd, os::unix::net::UnixStream, path::PathBuf, process::Stdio, time::Duration};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use wharf_failpoint::{Point, may_fail, reach};
use wharf_records::StateDir;

/// The longest line of a supervisor.
const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// How long a supervisor's process may take to end after its last line.
const END_WAIT: Duration = Duration::from_secs(2);

/// A supervisor that is starting its workload.
pub struct Supervisor {
    lines: BufReader<tokio::net::UnixStream>,
    /// The part of its next line that has been read.
    line: Vec<u8>,
    pid: Pid,
    process: tokio::process::Child,
    /// Its log, and the log's length before the start; none where it cannot be opened.
    log: Option<(PathBuf, u64)>,
}

/// Starts a supervisor. Descriptor 0 is the operation lock that it inherits, 1 a socket for the task and its lines, 2 its
/// log. It gets a session of its own, and goes on when this process ends, unless the task says otherwise.
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

/// The file for a panic of the supervisor, and for its messages before it opens its own log.
fn open_log(state: &StateDir, task: &SupervisorRequest) -> io::Result<std::fs::File> {
    state.make_logs().map_err(io::Error::other)?;
    crate::log::open_file(&crate::log::log_path(state, &task.name))
}

impl Supervisor {
    /// Its pid, which is not used again before it is reaped.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Tells it that nobody waits for the workload any more: it gives up the start and clears up. [`Self::outcome`] then
    /// returns when it has done so; if the workload was ready before, it returns that.
    pub async fn give_up(&mut self) {
        // If it has ended already, this fails, which does not matter. The word tells this from the command's death.
        let _ = self.lines.get_mut().write_all(b"\n").await;
        let _ = self.lines.get_mut().shutdown().await;
    }

    /// Waits until the workload is ready or could not be started, showing the progress. A caller may drop this future and
    /// call again: no line is lost.
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
                Ok(StartEvent::Warning { message }) => progress.warn(&message),
                Ok(StartEvent::Ready { port }) => return StartOutcome::Ready(port),
                Ok(StartEvent::Failed { error }) => return StartOutcome::Failed(error),
                Err(error) => tracing::debug!(%error, "a line of the supervisor makes no sense"),
            }
        }
    }

    /// The end of its process and its last line, in words that follow its name.
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
