//! A launcher of this process' own, and the conversation with it.
use rustix::pipe::{PipeFlags, pipe_with};
use std::{
    os::fd::OwnedFd,
    process::Stdio,
    sync::{Mutex, PoisonError},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::Command as TokioCommand,
    sync::{Mutex as AsyncMutex, watch},
};
use wharf_sdk::launch::{Command, Job, ProcessIdentity, Report};
use wharf_sdk::{Error, ErrorCode, Exit, Result};

/// The longest line of a launcher.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// A launcher that this process started. Dropping it ends the conversation: a workload that has not been let go then
/// never runs, and one on a pipe is ended.
pub(crate) struct Child {
    pub(crate) launcher: ProcessIdentity,
    pub(crate) workload: ProcessIdentity,
    /// The workload's stdout and stdin, until somebody attaches.
    pipes: Mutex<Option<(OwnedFd, OwnedFd)>>,
    control: AsyncMutex<Option<OwnedWriteHalf>>,
    stage: watch::Receiver<Stage>,
}

/// How far a launcher has come.
#[derive(Clone, Debug, PartialEq)]
enum Stage {
    Prepared,
    Started,
    Failed {
        message: String,
        errno: Option<i32>,
    },
    Exited(Exit),
    /// The launcher ended without a word: it was killed.
    Lost,
}

impl Child {
    /// Starts a launcher with a job and waits until both processes exist; nothing of the workload has run then.
    pub(crate) async fn prepare(launcher: &[String], job: &Job, attach: bool) -> Result<Self> {
        let (pipes, stdin, stdout) = if attach { pipes()? } else { (None, Stdio::null(), Stdio::null()) };
        let (ours, theirs) = UnixStream::pair().map_err(|error| Error::io("making a socket", &error))?;
        let theirs = theirs
            .into_std()
            .and_then(|socket| socket.set_nonblocking(false).map(|()| OwnedFd::from(socket)))
            .map_err(|error| Error::io("making a socket", &error))?;
        let [program, args @ ..] = launcher else {
            return Err(Error::invalid("the host gave no launcher"));
        };
        let mut process = TokioCommand::new(program)
            .args(args)
            .arg(&job.name)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(Stdio::from(theirs))
            .current_dir("/")
            .spawn()
            .map_err(|error| Error::io("starting the launcher", &error))?;
        let (reader, mut control) = ours.into_split();
        let mut reader = BufReader::new(reader);
        let mut text = serde_json::to_vec(job).map_err(|error| Error::internal(error.to_string()))?;
        text.push(b'\n');
        let prepared = async {
            control.write_all(&text).await.map_err(|error| Error::io("talking to the launcher", &error))?;
            next(&mut reader).await
        };
        let (launcher, workload) = match prepared.await {
            Ok(Some(Report::Prepared { launcher, workload })) => (launcher, workload),
            Ok(Some(Report::Failed { message, .. })) => {
                return Err(Error::internal(format!("the launcher failed: {message}")));
            }
            Ok(_) => return Err(Error::internal("the launcher ended without a word")),
            Err(error) => return Err(error),
        };
        let (sender, stage) = watch::channel(Stage::Prepared);
        tokio::spawn(async move {
            listen(reader, &sender).await;
            // Reaped here: it is this process' child.
            let _ = process.wait().await;
        });
        Ok(Self {
            launcher,
            workload,
            pipes: Mutex::new(pipes),
            control: AsyncMutex::new(Some(control)),
            stage,
        })
    }

    /// The workload's stdout and stdin, once.
    pub(crate) fn take_pipes(&self) -> Option<(OwnedFd, OwnedFd)> {
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Lets the workload run; returns when its program is executed.
    pub(crate) async fn go(&self, program: &str) -> Result<()> {
        {
            let mut control = self.control.lock().await;
            let socket = control.as_mut().ok_or_else(|| Error::precondition("the workload was stopped"))?;
            if *self.stage.borrow() == Stage::Prepared {
                let mut text =
                    serde_json::to_vec(&Command::Go).map_err(|error| Error::internal(error.to_string()))?;
                text.push(b'\n');
                socket
                    .write_all(&text)
                    .await
                    .map_err(|error| Error::io("talking to the launcher", &error))?;
            }
        }
        let mut stage = self.stage.clone();
        let stage = stage.wait_for(|stage| *stage != Stage::Prepared).await.map(|stage| stage.clone());
        match stage {
            Ok(Stage::Started | Stage::Exited(_)) => Ok(()),
            Ok(Stage::Failed { message, errno }) => Err(not_executed(program, &message, errno)),
            Ok(Stage::Prepared | Stage::Lost) | Err(_) => Err(Error::internal("the launcher was killed")),
        }
    }

    /// Whether it has been let go.
    pub(crate) fn is_started(&self) -> bool {
        *self.stage.borrow() != Stage::Prepared
    }

    /// Ends the conversation, and with it a workload that has not been let go.
    pub(crate) async fn hang_up(&self) {
        self.control.lock().await.take();
    }

    /// How the workload ended, once it has; none if the launcher could not tell.
    pub(crate) async fn exit(&self) -> Option<Exit> {
        let mut stage = self.stage.clone();
        let ended = |stage: &Stage| !matches!(stage, Stage::Prepared | Stage::Started);
        match stage.wait_for(ended).await.map(|stage| stage.clone()) {
            Ok(Stage::Exited(exit)) => Some(exit),
            _ => None,
        }
    }
}

type Pipes = (Option<(OwnedFd, OwnedFd)>, Stdio, Stdio);

/// Pipes for the workload's stdin and stdout; ours are closed in every child.
fn pipes() -> Result<Pipes> {
    let make = || pipe_with(PipeFlags::CLOEXEC).map_err(|error| Error::io("making a pipe", &error.into()));
    let (stdin_reader, stdin_writer) = make()?;
    let (stdout_reader, stdout_writer) = make()?;
    Ok((Some((stdout_reader, stdin_writer)), Stdio::from(stdin_reader), Stdio::from(stdout_writer)))
}

async fn listen(mut reader: BufReader<OwnedReadHalf>, stage: &watch::Sender<Stage>) {
    loop {
        let next = match next(&mut reader).await {
            Ok(Some(Report::Started {})) => Stage::Started,
            Ok(Some(Report::Exited(exit))) => Stage::Exited(exit),
            Ok(Some(Report::Failed { message, errno })) => Stage::Failed { message, errno },
            Ok(Some(Report::Prepared { .. })) => continue,
            Ok(None) | Err(_) => Stage::Lost,
        };
        let is_last = !matches!(next, Stage::Started);
        stage.send_replace(next);
        if is_last {
            return;
        }
    }
}

async fn next(reader: &mut BufReader<OwnedReadHalf>) -> Result<Option<Report>> {
    let mut line = Vec::new();
    let read = reader.take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await;
    match read {
        Ok(0) => Ok(None),
        Ok(_) => serde_json::from_slice(&line)
            .map(Some)
            .map_err(|error| Error::internal(format!("the launcher's word makes no sense: {error}"))),
        Err(error) => Err(Error::io("listening to the launcher", &error)),
    }
}

fn not_executed(program: &str, message: &str, errno: Option<i32>) -> Error {
    let code = match errno.map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NOENT) => ErrorCode::NotFound,
        Some(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => ErrorCode::PermissionDenied,
        Some(rustix::io::Errno::NOEXEC | rustix::io::Errno::TOOBIG) => ErrorCode::InvalidArgument,
        _ => ErrorCode::Internal,
    };
    // A script whose interpreter is missing is "not found" too, though the script is there.
    let hint = if code == ErrorCode::NotFound { "; if it is a script, look at its first line" } else { "" };
    Error::new(code, format!("{program} cannot be executed: {message}{hint}"))
}
