//! The supervisor's control socket, both ends.
//!
//! One connection carries one request and one answer, a line of JSON each, with the version of the protocol: a
//! supervisor of an older version and a newer command line understand each other. The socket lies in the state
//! directory, beside the locks, so that it does not vanish at logout; its path may be longer than a socket's address
//! can be, so both ends reach it through a descriptor of its folder.
use crate::AccessChange;
use crate::access::AccessKeeper;
use crate::client::messages::Answer;
use crate::client::messages::Request;
use crate::client::messages::untold;
use crate::client::protocol::{SupervisorCounts, SupervisorReport};
use crate::client::socket_file::{SocketFile, remove_left};
use crate::counts::Counts;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};
use std::{io, os::fd::AsFd, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc, oneshot},
};
use tokio_util::task::TaskTracker;
use wharf_failpoint::{Point, may_fail, reach};
use wharf_model::{Advice, ErrorKind, WorkloadName};
use wharf_records::StateDir;
use wharf_sdk::Exit;

/// The version of the protocol.
const VERSION: u32 = 1;
/// The longest line in either direction.
const MAX_LINE_BYTES: u64 = 64 * 1024;
/// At most this many connections are open at a time; further ones wait in the listener's queue and take no descriptor.
const CONNECTIONS_MAX: usize = 16;
/// How long a client may take to send its request.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    body: T,
}

/// A request, and the channel for its answer.
pub(crate) struct Asked {
    pub(crate) request: Request,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// The supervisor's end. It is bound under the life lock, so an existing socket belongs to a dead supervisor and is
/// replaced.
pub(crate) struct Server {
    place: SocketFile,
    listener: UnixListener,
}

impl Server {
    pub(crate) fn bind(state: &StateDir, name: &WorkloadName) -> io::Result<Self> {
        state.make_control().map_err(io::Error::other)?;
        let place = SocketFile::of(&state.control(), name)?;
        may_fail(Point::ControlBindBefore)?;
        let listener = place.bind(|| may_fail(Point::ControlBound))?;
        let server = Self { place, listener };
        may_fail(Point::ControlBindAfter).map(|()| server)
    }

    /// Accepts requests, for ever. The tracker knows the connections that have not been answered.
    pub(crate) async fn serve(
        self,
        requests: mpsc::Sender<Asked>,
        (keeper, counts): (AccessKeeper, Counts),
        connections: TaskTracker,
    ) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            // Waits for a place first. The semaphore is never closed.
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let Ok((socket, _)) = self.listener.accept().await else {
                // Probably there are no descriptors left: the next accept would fail at once again.
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            };
            let (requests, keeper, counts) = (requests.clone(), keeper.clone(), counts.clone());
            connections.spawn(async move {
                if let Err(error) = answer(socket, requests, keeper, counts).await {
                    tracing::debug!(%error, "a control connection broke");
                }
                drop(place);
            });
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        reach(Point::ControlUnlinkBefore);
        let _ = std::fs::remove_file(self.place.path());
        reach(Point::ControlUnlinkAfter);
    }
}

/// Removes the sockets of a supervisor that was killed. Only for a caller that knows that there is no supervisor: the
/// holder of the operation lock, once the life lock is free.
pub fn clear(state: &StateDir, name: &WorkloadName) -> io::Result<()> {
    reach(Point::ControlClearBefore);
    let control = remove_left(&state.control(), name);
    let clients = remove_left(&state.sockets(), name);
    reach(Point::ControlClearAfter);
    control.and(clients)
}

async fn answer(
    mut socket: UnixStream,
    requests: mpsc::Sender<Asked>,
    keeper: AccessKeeper,
    counts: Counts,
) -> io::Result<()> {
    let request: Versioned<Request> =
        tokio::time::timeout(REQUEST_DEADLINE, read_line(&mut socket)).await.map_err(io::Error::other)??;
    if request.version > VERSION {
        let message =
            format!("this supervisor speaks version {VERSION}, and was asked in {}", request.version);
        return write_line(&mut socket, &Answer::Refused { kind: untold(), message, advice: Vec::new() })
            .await;
    }
    match request.body {
        Request::ChangeAccess(wanted) => return change_for(socket, keeper, wanted).await,
        Request::Counts {} => return write_line(&mut socket, &Answer::Counts(counts.told())).await,
        _ => {}
    }
    if has_hung_up(&socket) {
        return Ok(());
    }
    let (sender, receiver) = oneshot::channel();
    let is_stop = matches!(request.body, Request::Stop { .. });
    let asked = Asked { request: request.body, answer: sender };
    let answer = async {
        match requests.send(asked).await {
            Ok(()) => receiver.await.ok(),
            Err(_) => None,
        }
    };
    let answer = tokio::select! {
        biased;
        answer = answer => answer,
        // The run loop drops a request without a receiver for its answer.
        () = hung_up(&mut socket) => return Ok(()),
    };
    match answer {
        Some(answer) => write_line(&mut socket, &answer).await,
        // The workload has ended by itself. A command that wants it stopped waits for the end of this process, and then
        // looks.
        None if is_stop => Ok(()),
        None => {
            let message = "the supervisor is ending".to_owned();
            write_line(&mut socket, &Answer::Refused { kind: untold(), message, advice: Vec::new() }).await
        }
    }
}

/// Changes the access at once, even during a restart: a user who shuts somebody out must not wait for it.
///
/// The command that asked may have given up since, with the report that the outcome is unknown; another command, which
/// holds the operation lock now, may have made a change after that. So a request is dropped if its sender has hung up.
async fn change_for(mut socket: UnixStream, keeper: AccessKeeper, wanted: AccessChange) -> io::Result<()> {
    let asker = socket.as_fd().try_clone_to_owned()?;
    let changed = tokio::task::spawn_blocking(move || keeper.change(wanted, || !has_hung_up(&asker))).await;
    match changed.map_err(io::Error::other)? {
        Some(answer) => write_line(&mut socket, &answer).await,
        None => {
            tracing::info!("a change of access is dropped: the command that asked for it is gone");
            Ok(())
        }
    }
}

/// Resolves when nobody is at the other end of a connection any more. A client says nothing after its request.
async fn hung_up(socket: &mut UnixStream) {
    let mut byte = [0];
    while matches!(socket.read(&mut byte).await, Ok(1..)) {}
}

/// True if nobody is at the other end of a connection any more, or if that cannot be found out.
fn has_hung_up(socket: &impl AsFd) -> bool {
    let mut asked = [PollFd::new(socket, PollFlags::RDHUP)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // The kernel reports HUP and ERR even if they were not asked for.
    rustix::io::retry_on_intr(|| poll(&mut asked, Some(&now))).is_err() || !asked[0].revents().is_empty()
}

/// The reason why a supervisor did not do what a command asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The supervisor refused.
    #[error("{message}")]
    Refused {
        /// The kind of failure.
        kind: ErrorKind,
        /// The reason.
        message: String,
        /// The next steps.
        advice: Vec<Advice>,
    },
    /// The supervisor gave no answer; it may be gone.
    #[error("its supervisor gave no answer")]
    Silent {
        /// True if it may have read the request; whether it acted on it is unknown. False if it never got the request.
        was_asked: bool,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

/// Asks a supervisor to stop its workload and to end. Only for the holder of the operation lock.
pub async fn stop(
    state: &StateDir,
    name: &WorkloadName,
    timeout: Duration,
    limit: Duration,
) -> Result<Option<Exit>, ControlError> {
    let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    match ask(state, name, Request::Stop { timeout_ms }, limit).await? {
        Answer::Stopped { exit } => Ok(exit),
        other => Err(unexpected(other)),
    }
}

/// Asks a supervisor to give up a start under way; one that has started refuses.
pub async fn cancel(state: &StateDir, name: &WorkloadName, limit: Duration) -> Result<(), ControlError> {
    match ask(state, name, Request::Cancel {}, limit).await? {
        Answer::Stopped { .. } => Ok(()),
        other => Err(unexpected(other)),
    }
}

/// Asks a supervisor to end and to leave its workload as it is. Only for the holder of the operation lock.
pub async fn leave(state: &StateDir, name: &WorkloadName, limit: Duration) -> Result<(), ControlError> {
    match ask(state, name, Request::Leave {}, limit).await? {
        Answer::Stopped { .. } => Ok(()),
        other => Err(unexpected(other)),
    }
}

/// Asks a supervisor about itself.
pub async fn report(
    state: &StateDir,
    name: &WorkloadName,
    limit: Duration,
) -> Result<SupervisorReport, ControlError> {
    match ask(state, name, Request::Report {}, limit).await? {
        Answer::Report(report) => Ok(report),
        other => Err(unexpected(other)),
    }
}

/// Asks a supervisor for its counts, which costs it little: neither its run loop nor the server is asked.
pub async fn counts(
    state: &StateDir,
    name: &WorkloadName,
    limit: Duration,
) -> Result<SupervisorCounts, ControlError> {
    match ask(state, name, Request::Counts {}, limit).await? {
        Answer::Counts(counts) => Ok(counts),
        other => Err(unexpected(other)),
    }
}

/// Asks a supervisor to change who may use its proxy. Only for the holder of the operation lock.
pub async fn change_access(
    state: &StateDir,
    name: &WorkloadName,
    wanted: AccessChange,
    limit: Duration,
) -> Result<(), ControlError> {
    match ask(state, name, Request::ChangeAccess(wanted), limit).await? {
        Answer::AccessChanged {} => Ok(()),
        other => Err(unexpected(other)),
    }
}

fn unexpected(answer: Answer) -> ControlError {
    match answer {
        Answer::Refused { kind, message, advice } => ControlError::Refused { kind, message, advice },
        Answer::Stopped { .. } | Answer::Report(_) | Answer::Counts(_) | Answer::AccessChanged {} => {
            let message = "its supervisor answered something else".to_owned();
            ControlError::Refused { kind: untold(), message, advice: Vec::new() }
        }
    }
}

async fn ask(
    state: &StateDir,
    name: &WorkloadName,
    request: Request,
    limit: Duration,
) -> Result<Answer, ControlError> {
    let mut was_asked = false;
    let exchange = async {
        let place = SocketFile::of(&state.control(), name)?;
        let mut socket = UnixStream::connect(place.path()).await?;
        was_asked = true;
        write_line(&mut socket, &request).await?;
        read_line::<Versioned<Answer>>(&mut socket).await.map(|answer| answer.body)
    };
    let answer = tokio::time::timeout(limit, exchange).await;
    answer
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|source| ControlError::Silent { was_asked, source })
}

async fn write_line<T: Serialize + Sync>(socket: &mut UnixStream, body: &T) -> io::Result<()> {
    let mut text = serde_json::to_vec(&Versioned { version: VERSION, body })?;
    text.push(b'\n');
    socket.write_all(&text).await
}

async fn read_line<T: for<'de> Deserialize<'de>>(socket: &mut UnixStream) -> io::Result<T> {
    let mut line = Vec::new();
    BufReader::new(socket.take(MAX_LINE_BYTES)).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&line)?)
}
