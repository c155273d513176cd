//! A launcher that this process started, and its control socket.
//!
//! Dropping a [`Child`] closes the socket: a workload that was not started yet is then gone without a trace, one that
//! runs ends or goes on as its job says.
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

/// A report is a few hundred bytes; what is longer is none.
const MAX_REPORT_BYTES: u64 = 256 * 1024;

/// What the launcher has said last.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    /// Nothing yet.
    Spawned,
    /// It waits for the word.
    Prepared { launcher: ProcessIdentity, workload: ProcessIdentity },
    /// The program runs.
    Started,
    /// The program was not executed, or could not be prepared.
    Failed { message: String, errno: Option<i32>, field: Option<String> },
    /// Nothing was to run; this is what holds here.
    Tried(Confinement),
    /// It has ended.
    Exited(Exit),
    /// The launcher is gone and has not said how it ended.
    Lost,
}

impl Phase {
    /// Whether the launcher has nothing more to say.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Tried(_) | Self::Exited(_) | Self::Lost)
    }
}

/// The workload's stdout and stdin, as this side holds them.
pub(crate) type Pipes = (OwnedFd, OwnedFd);

/// A launcher of this process.
#[derive(Debug)]
pub(crate) struct Child {
    control: AsyncMutex<OwnedWriteHalf>,
    phase: watch::Receiver<Phase>,
    stdio: Mutex<Option<Pipes>>,
    listener: AbortHandle,
}

impl Child {
    /// Starts a launcher; its stdin and stdout are pipes, or nothing. Once it is gone, however it ends, `turn` is
    /// dropped. `marks` are what others know it by: a launcher whose supervisor died is found by them.
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
        // The host's environment is not the launcher's business; nor may it hold the caller's folder.
        launcher.args(args).env_clear().current_dir("/").stderr(Stdio::from(OwnedFd::from(theirs)));
        launcher.envs(marks.iter().copied());
        if cfg!(debug_assertions) {
            // The host's own tests end the launcher at points of its work; releases have no such points.
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
        // It holds the other ends of everything.
        drop(launcher);
        // Its own task, since a launcher may outlive this value and must be reaped all the same.
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
        // A launcher that fails early closes its end; what it said is read below.
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

    /// Sends a job that is only to be tried, and waits for what holds.
    pub(crate) async fn tried(&self, job: &Job) -> Result<Confinement> {
        match self.prepare(job).await {
            Err(error) if !matches!(self.phase(), Phase::Tried(_)) => Err(error),
            _ => match self.phase() {
                Phase::Tried(confinement) => Ok(confinement),
                _ => Err(Error::internal("the launcher did not tell what holds")),
            },
        }
    }

    /// Gives the word.
    pub(crate) async fn go(&self) -> Result<()> {
        let mut line = serde_json::to_vec(&Command::Go)
            .map_err(|error| Error::internal(format!("the command cannot be written: {error}")))?;
        line.push(b'\n');
        let sent = self.control.lock().await.write_all(&line).await;
        sent.map_err(|error| Error::io("the launcher does not listen", &error))
    }

    /// What it has said last.
    pub(crate) fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    /// Waits until it has said something of this kind.
    pub(crate) async fn until(&self, is_it: impl FnMut(&Phase) -> bool) -> Phase {
        self.watch().until(is_it).await
    }

    /// Follows what it says, and does not keep it.
    pub(crate) fn watch(&self) -> Watch {
        Watch(self.phase.clone())
    }

    /// The workload's stdout and stdin; once.
    pub(crate) fn take_stdio(&self) -> Option<Pipes> {
        self.stdio.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What a launcher says, for those who wait longer than the [`Child`] may live.
#[derive(Debug)]
pub(crate) struct Watch(watch::Receiver<Phase>);

impl Watch {
    /// Waits until it has said something of this kind; or [`Phase::Lost`].
    pub(crate) async fn until(mut self, mut is_it: impl FnMut(&Phase) -> bool) -> Phase {
        match self.0.wait_for(|phase| is_it(phase)).await {
            Ok(phase) => phase.clone(),
            // The listener was ended, with the child.
            Err(_) => Phase::Lost,
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The listener holds half of the socket.
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

/// What the launcher could not do, with the code that its error number stands for.
pub(crate) fn failure(message: String, errno: Option<i32>) -> Error {
    match errno {
        Some(errno) => {
            let kind = std::io::Error::from_raw_os_error(errno);
            let mut error = Error::io("", &kind);
            error.message = message;
            error
        }
        None => Error::internal(message),
    }
}
