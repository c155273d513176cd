//! [`Outside`]: the sources of events, and the answers that go back: requests on the control socket, signals, the end of
//! the waiting client, the loss of the RunConfig, the workload's end. The machine decides which of them are listened to.
use crate::access::AccessKeeper;
use crate::client::control::{Asked, Server};
use crate::client::messages::{Answer, Request};
use crate::counts::Counts;
use crate::ending::{EndWatch, disowned};
use crate::machine::{Ask, Ending, Event, Reply, State};
use crate::progress::{Reporter, Told};
use crate::report::Reports;
use crate::workload_proxy::WorkloadProxy;
use std::{future::Future, io, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Mutex, mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::task::TaskTracker;
use wharf_model::{Error, ErrorKind, Result};
use wharf_model::{Uid, WorkloadName};
use wharf_records::{StateDir, Store};
use wharf_sdk::Exit;

/// How many control requests may wait.
const QUEUED_REQUESTS: usize = 16;
/// How long clients may take to disconnect when the supervisor ends.
pub(crate) const CLIENTS_GRACE: Duration = Duration::from_secs(1);

/// Resolves when a command has gone away.
pub(crate) type ClientGone = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The sources of events.
pub(crate) struct Outside<'a> {
    pub(crate) reporter: &'a mut dyn Reporter,
    /// The runtime's events about a start.
    pub(crate) told: Told,
    /// Resolves when the client has gone that waits for the start.
    pub(crate) client_gone: ClientGone,
    pub(crate) store: Store,
    pub(crate) name: WorkloadName,
    pub(crate) uid: Uid,
    pub(crate) control: Option<Control>,
    /// The channel for the answer to the last request.
    pub(crate) asked: Option<oneshot::Sender<Answer>>,
    /// The reports that wait for the server.
    pub(crate) reports: Reports,
    pub(crate) watched: Option<Watched>,
    /// The workload's exit.
    pub(crate) exit: Option<Exit>,
    /// The moment when the workload was up.
    pub(crate) up_since: Instant,
}

/// A workload that is up.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) proxy: Option<WorkloadProxy>,
    /// Its end: the run loop or a stop waits for it.
    pub(crate) end: Arc<Mutex<EndWatch>>,
}

impl Outside<'_> {
    /// The next event from a source that this state listens to; pending for ever if there is none. May be dropped and
    /// called again.
    pub(crate) async fn next(&mut self, state: &State) -> Event {
        let hears = state.hears();
        let (requests, signalled) = match &mut self.control {
            Some(control) => (Some(&mut control.requests), Some(&mut control.signalled)),
            None => (None, None),
        };
        tokio::select! {
            // Signals and ends come before requests: however many there are, they delay neither.
            biased;
            () = next_signal(signalled), if hears.signals => Event::Signalled,
            (exit, was_away) = exited(self.watched.as_ref()), if hears.exit => {
                let ending = ending(&exit, was_away, self.up_since);
                self.exit = Some(exit);
                Event::Exited(ending)
            }
            asked = next_request(requests), if hears.requests => {
                let ask = ask(&asked.request);
                self.asked = Some(asked.answer);
                Event::Request(ask)
            }
            () = disowned(&self.store, &self.name, &self.uid), if hears.config => {
                tracing::warn!("its RunConfig is gone: the supervisor ends, and removes nothing");
                Event::ConfigRemoved
            }
            () = stdout_closed(self.watched.as_ref()), if hears.stdout => Event::StdoutClosed,
            () = &mut self.client_gone, if hears.client => Event::ClientGone,
            () = self.told.pass_on(self.reporter), if state.is_starting() => std::future::pending().await,
            else => std::future::pending().await,
        }
    }

    /// Answers the last request.
    pub(crate) fn answer(&mut self, answer: Answer) {
        if let Some(asked) = self.asked.take() {
            let _ = asked.send(answer);
        }
    }

    /// Answers a request that changes nothing. It does not wait: a report, which needs the server, is sent by its own task.
    pub(crate) fn reply(&mut self, reply: Reply, state: &State) {
        let refused = |kind, why: &str| Answer::refused(Error::new(kind, why));
        let answer = match reply {
            Reply::Report => {
                if let Some(asked) = self.asked.take() {
                    let proxy = self.watched.as_ref().and_then(|watched| watched.proxy.as_ref());
                    self.reports.answer(asked, state, self.up_since, proxy);
                }
                return;
            }
            Reply::NotStarting => refused(ErrorKind::Conflict, "it has started already"),
            Reply::OutOfTurn => refused(ErrorKind::Failed, "it was asked out of turn"),
            Reply::Ends | Reply::Stopped | Reply::Refused => Answer::Stopped { exit: None },
        };
        self.answer(answer);
    }

    /// Closes the control socket. Waiting requests get no answer any more; answered ones get time to read it.
    pub(crate) async fn close(&mut self) {
        self.reports.close();
        if let Some(control) = self.control.take() {
            control.close().await;
        }
    }
}

/// An end in the machine's terms.
pub(crate) fn ending(exit: &Exit, was_away: bool, up_since: Instant) -> Ending {
    let ran_for = up_since.elapsed();
    Ending { succeeded: exit.code == Some(0), was_away, restarts: exit.restarts, ran_for }
}

fn ask(request: &Request) -> Ask {
    match request {
        Request::Stop { timeout_ms } => Ask::Stop(Duration::from_millis(*timeout_ms)),
        Request::Cancel {} => Ask::Cancel,
        Request::Leave {} => Ask::Leave,
        Request::Report {} => Ask::Report,
        // Both are answered before they come here.
        Request::ChangeAccess(_) | Request::Counts {} => Ask::ChangeAccess,
    }
}

async fn next_request(requests: Option<&mut mpsc::Receiver<Asked>>) -> Asked {
    if let Some(requests) = requests {
        while let Some(asked) = requests.recv().await {
            // A command that hung up has reported that the outcome is unknown, and another command may hold the lock by now.
            if !asked.answer.is_closed() {
                return asked;
            }
            tracing::info!(request = ?asked.request, "a request is dropped: its command is gone");
        }
    }
    std::future::pending().await
}

async fn next_signal(signalled: Option<&mut oneshot::Receiver<()>>) {
    match signalled {
        Some(signalled) => drop(signalled.await),
        None => std::future::pending().await,
    }
}

async fn exited(watched: Option<&Watched>) -> (Exit, bool) {
    let Some(watched) = watched else { return std::future::pending().await };
    let mut end = watched.end.lock().await;
    let exit = end.exit().await;
    (exit, end.was_away())
}

async fn stdout_closed(watched: Option<&Watched>) {
    match watched.and_then(|watched| watched.proxy.as_ref()) {
        Some(proxy) => proxy.disconnected().await,
        None => std::future::pending().await,
    }
}

/// The control socket and signals.
pub(crate) struct Control {
    requests: mpsc::Receiver<Asked>,
    signalled: oneshot::Receiver<()>,
    /// The task that accepts connections.
    accepting: JoinHandle<()>,
    /// Connections that have not been answered.
    open: TaskTracker,
}

impl Control {
    /// Opens the control socket and takes signals. `left`, the end of a foreground command, counts as one.
    pub(crate) fn open(
        state: &StateDir,
        (keeper, counts): (AccessKeeper, Counts),
        left: ClientGone,
    ) -> Result<Self> {
        let failed = |what: &str, error: &io::Error| Error::caused(ErrorKind::Failed, what, error);
        let server = Server::bind(state, &keeper.name)
            .map_err(|error| failed("the control socket cannot be made", &error))?;
        let signalled = signals(left).map_err(|error| failed("signals cannot be received", &error))?;
        let (sender, requests) = mpsc::channel(QUEUED_REQUESTS);
        let open = TaskTracker::new();
        let accepting = tokio::spawn(server.serve(sender, (keeper, counts), open.clone()));
        Ok(Self { requests, signalled, accepting, open })
    }

    async fn close(self) {
        drop(self.requests);
        self.accepting.abort();
        // The task removes the socket's file. That must happen before the life lock is released: the next supervisor's has
        // the same name.
        let _ = self.accepting.await;
        self.open.close();
        let _ = tokio::time::timeout(CLIENTS_GRACE, self.open.wait()).await;
    }
}

/// Resolves when this process must end: at a signal, or when the foreground command has gone.
fn signals(left: ClientGone) -> io::Result<oneshot::Receiver<()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = left => {}
        }
        let _ = sender.send(());
    });
    Ok(receiver)
}
