//! [`Child`]: a launcher that this process started, and its control socket.
//!
//! Dropping a [`Child`] closes the socket: a workload that was not started yet then ends without a trace; one that runs
//! ends or goes on as its job says.
use rustix::pipe::{PipeFlags, pipe_with};
use std::{
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    process::Stdio,
    sync::{Mutex, PoisonError},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Mutex as AsyncMutex, watch},
    task::AbortHandle,
};
use wharf_sdk::{
    Confinement, Error, Exit, Result,
    launch::{Command, Job, MAX_JOB_BYTES, Report},
    process_identity::ProcessIdentity,
};

/// A report is a few hundred bytes; a longer line is a fault.
const MAX_REPORT_BYTES: u64 = 256 * 1024;

/// The last report of the launcher.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    /// It has reported nothing yet.
    Spawned,
    /// Both processes exist, and the exec helper waits for `Go`.
    Prepared { launcher: ProcessIdentity, workload: ProcessIdentity },
    /// The program runs.
    Started,
    /// The program could not be prepared or executed.
    Failed { message: String, errno: Option<i32>, field: Option<String> },
    /// The job was a trial; the launcher has found out which confinement holds here.
    Tried(Confinement),
    /// The workload has ended.
    Exited(Exit),
    /// The launcher is gone and has not reported how the workload ended.
    Lost,
}

impl Phase {
    /// Whether this is the launcher's last report.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Tried(_) | Self::Exited(_) | Self::Lost)
    }
}

/// This side's ends of the workload's stdout and stdin.
pub(crate) type Pipes = (OwnedFd, OwnedFd);

/// A launcher that this process started.
#[derive(Debug)]
pub(crate) struct Child {
    control: AsyncMutex<OwnedWriteHalf>,
    phase: watch::Receiver<Phase>,
    stdio: Mutex<Option<Pipes>>,
    listener: AbortHandle,
}

impl Child {
    /// Starts a launcher, with pipes for stdin and stdout or without. `turn` is dropped when the launcher has ended,
    /// however it ended. `marks` are the variables by which other processes recognise the launcher: after its supervisor's
    /// death they find it by them.
    pub(crate) fn spawn<Turn: Send + 'static>(
        command: &[String],
        with_stdio: bool,
        marks: &[(&str, &str)],
        turn: Turn,
    ) -> Result<Self> {
        let failed = |error: std::io::Error| Error::io("the launcher cannot be started", &error);
        let Some((program, args)) = command.split_first() else {
            return Err(Error::internal("the host names no launcher"));
        };
        let (ours, theirs) = StdUnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let mut launcher = tokio::process::Command::new(program);
        // The launcher gets neither the host's environment nor the caller's folder.
        launcher.args(args).env_clear().current_dir("/").stderr(Stdio::from(OwnedFd::from(theirs)));
        launcher.envs(marks.iter().copied());
        if cfg!(debug_assertions) {
            // The host's own tests end the launcher at failpoints; releases have none.
            let told = ["WHARF_FAILPOINT", "WHARF_FAILPOINT_TRACE"].into_iter();
            launcher.envs(told.filter_map(|variable| Some((variable, std::env::var_os(variable)?))));
        }
        let stdio = if with_stdio {
            let (stdin, our_writer) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
            let (our_reader, stdout) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
            launcher.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout));
            Some((our_reader, our_writer))
        } else {
            launcher.stdin(Stdio::null()).stdout(Stdio::null());
            None
        };
        let mut process = launcher.spawn().map_err(failed)?;
        // The command holds the launcher's ends of the pipes and the socket, so it is dropped.
        drop(launcher);
        // Reaped by a task of its own, since the launcher may outlive this value.
        tokio::spawn(async move {
            let _ = process.wait().await;
            drop(turn);
        });
        let (reader, writer) = UnixStream::from_std(ours).map_err(failed)?.into_split();
        let (sender, phase) = watch::channel(Phase::Spawned);
        let listener = tokio::spawn(listen(reader, sender)).abort_handle();
        Ok(Self { control: AsyncMutex::new(writer), phase, stdio: Mutex::new(stdio), listener })
    }

    /// Sends the job and waits until both processes exist.
    pub(crate) async fn prepare(&self, job: &Job) -> Result<(ProcessIdentity, ProcessIdentity)> {
        let mut line = serde_json::to_vec(job)
            .map_err(|error| Error::internal(format!("the job cannot be written: {error}")))?;
        if line.len() > MAX_JOB_BYTES {
            return Err(Error::invalid(format!(
                "the arguments and the environment have {} bytes; at most {MAX_JOB_BYTES} are possible",
                line.len()
            )));
        }
        line.push(b'\n');
        // A launcher that fails early closes its end, and this write may fail; its report is read below.
        let sent = self.control.lock().await.write_all(&line).await;
        match self.until(|phase| *phase != Phase::Spawned).await {
            Phase::Prepared { launcher, workload } => Ok((launcher, workload)),
            Phase::Failed { message, field: Some(field), .. } => Err(Error::unsupported(&field, message)),
            Phase::Failed { message, errno, .. } => Err(failure(message, errno)),
            _ => Err(Error::internal(match sent {
                Ok(()) => "the launcher ended without a word".to_owned(),
                Err(error) => format!("the launcher ended without a word: {error}"),
            })),
        }
    }

    /// Sends a job that is a trial, and waits for its result.
    pub(crate) async fn tried(&self, job: &Job) -> Result<Confinement> {
        match self.prepare(job).await {
            Err(error) if !matches!(self.phase(), Phase::Tried(_)) => Err(error),
            _ => match self.phase() {
                Phase::Tried(confinement) => Ok(confinement),
                _ => Err(Error::internal("the launcher did not tell what holds")),
            },
        }
    }

    /// Sends `Go`: the program is executed.
    pub(crate) async fn go(&self) -> Result<()> {
        let mut line = serde_json::to_vec(&Command::Go)
            .map_err(|error| Error::internal(format!("the command cannot be written: {error}")))?;
        line.push(b'\n');
        let sent = self.control.lock().await.write_all(&line).await;
        sent.map_err(|error| Error::io("the launcher does not listen", &error))
    }

    /// The launcher's last report.
    pub(crate) fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    /// Waits for a report of this kind.
    pub(crate) async fn until(&self, is_it: impl FnMut(&Phase) -> bool) -> Phase {
        self.watch().until(is_it).await
    }

    /// Follows the launcher's reports without keeping the child alive.
    pub(crate) fn watch(&self) -> Watch {
        Watch(self.phase.clone())
    }

    /// The workload's stdout and stdin; once.
    pub(crate) fn take_stdio(&self) -> Option<Pipes> {
        self.stdio.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The reports of a launcher, for callers that may wait longer than the [`Child`] lives.
#[derive(Debug)]
pub(crate) struct Watch(watch::Receiver<Phase>);

impl Watch {
    /// Waits for a report of this kind. Returns [`Phase::Lost`] if none will come.
    pub(crate) async fn until(mut self, mut is_it: impl FnMut(&Phase) -> bool) -> Phase {
        match self.0.wait_for(|phase| is_it(phase)).await {
            Ok(phase) => phase.clone(),
            // The task that reads the reports ended with the child.
            Err(_) => Phase::Lost,
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The reading task holds half of the socket; aborting it closes the socket.
        self.listener.abort();
    }
}

async fn listen(reader: OwnedReadHalf, sender: watch::Sender<Phase>) {
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let read = (&mut reader).take(MAX_REPORT_BYTES).read_until(b'\n', &mut line).await;
        if !matches!(read, Ok(count) if count > 0) {
            break;
        }
        let phase = match serde_json::from_slice(&line) {
            Ok(Report::Prepared { launcher, workload }) => Phase::Prepared { launcher, workload },
            Ok(Report::Started {}) => Phase::Started,
            Ok(Report::Failed { message, errno, field }) => Phase::Failed { message, errno, field },
            Ok(Report::Tried(confinement)) => Phase::Tried(confinement),
            Ok(Report::Exited(exit)) => Phase::Exited(exit),
            Err(error) => {
                tracing::warn!(%error, "the launcher said something that is not known");
                break;
            }
        };
        sender.send_replace(phase);
    }
    sender.send_if_modified(|phase| {
        let is_lost = !phase.is_over();
        if is_lost {
            *phase = Phase::Lost;
        }
        is_lost
    });
}

/// The error for a failure of the launcher; the code follows from its error number.
pub(crate) fn failure(message: String, errno: Option<i32>) -> Error {
    match errno {
        Some(errno) => Error::told(message, &std::io::Error::from_raw_os_error(errno)),
        None => Error::internal(message),
    }
}
