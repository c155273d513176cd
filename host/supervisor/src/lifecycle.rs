//! A supervisor's life: the start, the watch, the end.
use crate::access;
use crate::access::AccessKeeper;
use crate::client::control::{Asked, Cancel, Server, next_stop};
use crate::client::messages::Answer;
use crate::client::protocol::{StartMode, SupervisorRequest};
use crate::client_socket::ClientSocket;
use crate::deployment::{Deployment, StartReason};
use crate::events::Ending;
use crate::port::{bind, free_port};
use crate::progress::{Reporter, heard, pass_on};
use crate::run_loop::Watch;
use std::{future::Future, io, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wharf_descriptors as descriptors;
use wharf_failpoint::{Point, reach};
use wharf_model::Backoff;
use wharf_model::{BootId, Event, ProcessIdentity, Transport};
use wharf_model::{Error, ErrorKind, Result};
use wharf_proxy::Access;
use wharf_records::{LifeLock, OperationLock, StateDir, Store};
use wharf_runtimes::connect_owner;
use wharf_runtimes::{EventListener, Plugins};
use wharf_sdk::Capability;

/// The port of a server that has its ports to itself, where none was asked for. The same each time: a specification that
/// changes makes another container.
const OWN_PORT: u16 = 8080;
/// How many control requests may wait.
const QUEUED_REQUESTS: usize = 16;
/// How long the life lock is waited for: a supervisor that was told nothing may see only now that it has no RunConfig.
const LIFE_WAIT: Duration = Duration::from_secs(7);
/// How long clients may take to go when the supervisor ends.
const CLIENTS_GRACE: Duration = Duration::from_secs(1);

pub(crate) type ClientGone = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who looks after a supervisor.
pub(crate) struct StartContext {
    /// The command stays in the terminal of its user, whose interrupt stops the workload.
    pub(crate) foreground: bool,
    /// Resolves when the command has gone away: nobody waits for the start any more, which is then given up; or nobody
    /// stays.
    pub(crate) abandoned: ClientGone,
}

impl StartContext {
    /// What gives the start up, and what is as good as a signal to end.
    fn split(self) -> (ClientGone, ClientGone) {
        let never: ClientGone = Box::pin(std::future::pending());
        if self.foreground { (never, self.abandoned) } else { (self.abandoned, never) }
    }
}

/// Starts the workload and tends it until its end; an error means that it could not be started, and that what there
/// was has been cleared up. Holds the operation lock until the workload is ready, the life lock to the end.
pub(crate) async fn supervise(
    task: &SupervisorRequest,
    operation: OperationLock,
    reporter: &mut dyn Reporter,
    attendance: StartContext,
) -> Result<()> {
    let state = task.config.state();
    // Who asked whether a supervisor was gone may hold the lock for an instant.
    let _life = match LifeLock::acquire(&state, &task.name, LIFE_WAIT).await {
        Ok(life) => life,
        Err(error) => {
            let message = format!("'{}' has a supervisor already", task.name);
            return Err(give_up(
                task,
                None,
                reporter,
                Unstarted::Failed(Error::caused(ErrorKind::Conflict, message, &error)),
            )
            .await);
        }
    };
    let (listener, events) = heard();
    let mut deployment = match prepare(task, listener).await {
        Ok(deployment) => deployment,
        Err(error) => return Err(give_up(task, None, reporter, Unstarted::Failed(error)).await),
    };
    reach(Point::OwnerConnected);
    let doing = match deployment.target_port {
        0 => format!("starting '{}'", task.name),
        port => format!("starting '{}', which is to listen on port {port}", task.name),
    };
    reporter.progress(&doing, None);
    let keeper = AccessKeeper {
        store: deployment.store.clone(),
        name: task.name.clone(),
        uid: task.uid.clone(),
        access: deployment.access.clone(),
        turn: Arc::default(),
    };
    let foreground = attendance.foreground;
    let (abandoned, left) = attendance.split();
    let mut control = match Control::open(&state, keeper, left) {
        Ok(control) => control,
        Err(error) => {
            return Err(give_up(task, Some(deployment), reporter, Unstarted::Failed(error)).await);
        }
    };
    let told = pass_on(events, task, reporter);
    let started = start(&mut deployment, &mut control, abandoned, told).await;
    let (listening, port) = match started {
        Ok(ready) => ready,
        Err((cause, asked)) => {
            let error = give_up(task, Some(deployment), reporter, cause).await;
            if let Some(asked) = asked {
                let _ = asked.answer.send(Answer::Stopped { exit: None });
            }
            control.close().await;
            return Err(error);
        }
    };
    let end = CancellationToken::new();
    let front = deployment.front.clone();
    let access = deployment.access.clone();
    // Its file goes before the life lock does: the next supervisor's has the same name.
    let Listening { port: listener, own_socket } = listening;
    let (_socket_file, own_socket) = own_socket.unzip();
    let listeners = (listener, own_socket);
    let serving = front.clone().map(|front| tokio::spawn(front.serve(listeners, access, end.clone())));
    let watch = Watch {
        ending: Ending::of(&deployment),
        deployment,
        requests: control.requests,
        signalled: control.signalled,
        ready_since: Instant::now(),
        restarts: 0,
        backoff: Backoff::default(),
        foreground,
        mute_since: None,
    };
    drop(operation);
    reach(Point::OperationReleased);
    reach(Point::ReportBefore);
    reporter.ready(port);
    reach(Point::ReportAfter);
    watch.run().await;
    reach(Point::SupervisorEnds);
    // The command that stopped it still waits for its answer.
    control.connections.close().await;
    if let Some(front) = front {
        front.shut_down().await;
    }
    end.cancel();
    if let Some(serving) = serving {
        let _ = tokio::time::timeout(CLIENTS_GRACE, serving).await;
    }
    Ok(())
}

/// What reaches a supervisor from outside.
struct Control {
    requests: mpsc::Receiver<Asked>,
    signalled: oneshot::Receiver<()>,
    connections: Connections,
}

/// The task that takes connections, and those that have not been answered.
struct Connections {
    accepting: JoinHandle<()>,
    open: TaskTracker,
}

impl Control {
    fn open(state: &StateDir, keeper: AccessKeeper, left: ClientGone) -> Result<Self> {
        let failed = |what: &str, error: &io::Error| Error::caused(ErrorKind::Failed, what, error);
        let server = Server::bind(state, &keeper.name)
            .map_err(|error| failed("the control socket cannot be made", &error))?;
        let signalled = signals(left).map_err(|error| failed("signals cannot be received", &error))?;
        let (sender, requests) = mpsc::channel(QUEUED_REQUESTS);
        let open = TaskTracker::new();
        let accepting = tokio::spawn(server.serve(sender, keeper, open.clone()));
        Ok(Self { requests, signalled, connections: Connections { accepting, open } })
    }

    async fn close(self) {
        drop(self.requests);
        self.connections.close().await;
    }
}

impl Connections {
    async fn close(self) {
        self.accepting.abort();
        // The socket goes with it, before the life lock does: the next supervisor's has the same name.
        let _ = self.accepting.await;
        self.open.close();
        let _ = tokio::time::timeout(CLIENTS_GRACE, self.open.wait()).await;
    }
}

/// Brings the workload up and records it as running, unless somebody gives the start up meanwhile: then nothing may
/// be left half done. The request that did it is answered once that is so.
async fn start(
    deployment: &mut Deployment,
    control: &mut Control,
    abandoned: ClientGone,
    told: impl Future<Output = ()>,
) -> std::result::Result<(Listening, u16), (Unstarted, Option<Asked>)> {
    let name = deployment.run.name.clone();
    let error = |why: &str| Error::new(ErrorKind::Failed, format!("'{name}' {why} while it was starting"));
    let given_up = |why: &str| Unstarted::Failed(error(why));
    let ready = async {
        let ready = bring_up(deployment).await?;
        reach(Point::ReadyRecordBefore);
        record_ready(deployment).await?;
        reach(Point::ReadyRecordAfter);
        Ok(ready)
    };
    tokio::select! {
        ready = ready => ready.map_err(|error| (Unstarted::Failed(error), None)),
        asked = next_stop(&mut control.requests, 0, Cancel::Heard) => Err((given_up("was stopped"), asked)),
        _ = &mut control.signalled => Err((Unstarted::Signalled(error("was interrupted")), None)),
        () = abandoned => Err((Unstarted::ClientGone(error("was abandoned")), None)),
        // It ends with the start alone.
        () = told => Err((given_up("was left alone"), None)),
    }
}

async fn prepare(task: &SupervisorRequest, listener: EventListener) -> Result<Deployment> {
    let config = task.config.clone();
    let store = Store::new(config.state());
    let run = store.read_run_config(&task.name)?;
    if run.uid != task.uid {
        return Err(Error::new(ErrorKind::Conflict, format!("'{}' is another workload by now", task.name)));
    }
    let access = Access::new(access::rule(&store, &run)?);
    let host_id = store.make_host_id()?.to_string();
    let mut options = config.connect_options(&host_id);
    options.launcher.extend(descriptors::launcher_argument());
    let plugins = Plugins::new(options).listened_to_by(listener);
    let client = connect_owner(&plugins, &run).await?;
    let target_port = match (run.transport, run.target_port) {
        (Transport::Stdio, _) => 0,
        (_, 0) if client.stamp().has(&Capability::PORT_MAPPING) => OWN_PORT,
        (_, 0) => free_port()
            .await
            .map_err(|error| Error::caused(ErrorKind::Failed, "no free port can be found", &error))?,
        (_, port) => port,
    };
    Ok(Deployment {
        config,
        store,
        run,
        host_id,
        client,
        target_port,
        access,
        front: None,
        handle: None,
        uncertain: false,
        late: false,
    })
}

/// Where the proxy listens.
struct Listening {
    port: TcpListener,
    own_socket: Option<(ClientSocket, UnixListener)>,
}

/// The port first: one that is taken is told before anything runs.
async fn bring_up(deployment: &mut Deployment) -> Result<(Listening, u16)> {
    let listener = bind(&deployment.run).await?;
    let own_socket = ClientSocket::bind(deployment.store.state(), &deployment.run)?;
    reach(Point::PortBound);
    let port = listener
        .local_addr()
        .map_err(|error| Error::caused(ErrorKind::Failed, "the proxy's port cannot be told", &error))?
        .port();
    if deployment.run.port != port {
        // A port that was chosen once stays: clients have written it down.
        let run = &deployment.run;
        deployment.run = deployment.store.update_run_config(&run.name, &run.uid, |run| run.port = port)?;
    }
    let boot = BootId::current()
        .and_then(|boot| ProcessIdentity::current(&boot))
        .map_err(|error| Error::caused(ErrorKind::Failed, "this process cannot be identified", &error))?;
    deployment
        .change(move |record| {
            record.set_supervisor(Some(boot));
            Ok(())
        })
        .await?;
    reach(Point::SupervisorRecorded);
    deployment.bring_up(StartReason::Operation).await?;
    Ok((Listening { port: listener, own_socket }, port))
}

async fn record_ready(deployment: &Deployment) -> Result<()> {
    let ready = deployment.change(|record| {
        record.apply(Event::Ready).map_err(|error| Error::new(ErrorKind::Conflict, error.to_string()))?;
        record.started_at = Some(jiff::Timestamp::now());
        record.last_exit = None;
        record.restarts = 0;
        Ok(())
    });
    ready.await
}

/// Resolves when this process is to end: a signal says so, or whoever stayed with it has gone.
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

/// Why a workload was not started.
enum Unstarted {
    Failed(Error),
    /// The command that waited for it is no more.
    ClientGone(Error),
    /// SIGTERM or SIGINT came. With no client waiting this is a shutdown or a logout, so `desired` stays `running`.
    Signalled(Error),
}

/// Clears up after a start that failed, and returns the error that is to be told.
async fn give_up(
    task: &SupervisorRequest,
    deployment: Option<Deployment>,
    reporter: &mut dyn Reporter,
    cause: Unstarted,
) -> Error {
    // What nobody was told of stays on record.
    let is_dropped = task.mode == StartMode::Create && task.attended;
    let is_abandoned = match cause {
        Unstarted::Failed(_) => false,
        Unstarted::ClientGone(_) => true,
        Unstarted::Signalled(_) => !task.attended,
    };
    let (Unstarted::Failed(mut error) | Unstarted::ClientGone(mut error) | Unstarted::Signalled(mut error)) =
        cause;
    reach(Point::GiveUpBefore);
    let store = Store::new(task.config.state());
    let removed = match deployment {
        Some(mut deployment) => {
            if deployment.may_still_come(&error) {
                reporter.progress("the deadline passed; looking for what may still come", None);
            }
            // What stays on record is looked at: with its output, where its runtime keeps what has ended.
            deployment.clear_up(&error, if is_dropped { StartMode::Create } else { StartMode::Start }).await
        }
        None => Ok(()),
    };
    let cleared = match removed {
        Ok(()) if is_dropped => {
            let points = [Point::StatusRemoved, Point::RunConfigRemoved];
            store.remove_records(&task.name, &task.uid, points).map_err(|removal| {
                // What is told to have failed is not to be taken for a start that was interrupted, if it stays.
                let _: Result<()> = record_failure(&store, task, &error);
                Error::from(removal)
            })
        }
        // An owner that went away meanwhile says nothing about the workload: its start was interrupted, and goes on
        // with the next command.
        _ if !is_dropped && error.kind == ErrorKind::Owner => Ok(()),
        // Nor has a command that died changed its mind.
        Ok(()) if is_abandoned => Ok(()),
        // What could not be removed stays on record.
        Ok(()) => record_failure(&store, task, &error),
        Err(removal) => {
            tracing::error!(error = %removal, "what was deployed could not be removed");
            let stays = format!("'{}' stays on record: {removal}", task.name);
            record_failure(&store, task, &error).map(|()| error = error.clone().hint(stays))
        }
    };
    reach(Point::GiveUpAfter);
    match cleared {
        Ok(()) => error,
        Err(clearing) => error.hint(format!("what was left could not be cleared up: {clearing}")),
    }
}

fn record_failure(store: &Store, task: &SupervisorRequest, cause: &Error) -> Result<()> {
    store.update_status::<Error>(&task.name, &task.uid, |record| {
        let mut record = record.ok_or_else(|| Error::new(ErrorKind::NotFound, "the workload was removed"))?;
        record.apply(Event::StartFailed).map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))?;
        record.status_context = cause.message.clone();
        record.set_supervisor(None);
        Ok(record)
    })?;
    Ok(())
}
