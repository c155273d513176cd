//! Performs the machine's effects ([`Work`] and [`Effect`]) and returns their outcomes as events. The machine decides; here
//! an error is only classified. Errors, exits and handles stay here, and the machine gets their kind.
use crate::access::AccessKeeper;
use crate::client::messages::Answer;
use crate::client::protocol::SupervisorRequest;
use crate::client_socket::ClientSocket;
use crate::deployment::{Deployment, NotDeployed};
use crate::deployment_work::on_deployment;
use crate::ending::{EndWatch, is_disowned};
use crate::machine::{At, Cause, Clearing, Effect, Event, Left, Made, Reply, State, Work, Workload};
use crate::outside::{CLIENTS_GRACE, ClientGone, Control, Outside, Watched};
use crate::preparing::{Listening, bind_port, connect};
use crate::recording::record_failure;
use crate::systemd_scope;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use wharf_failpoint::{Point, reach};
use wharf_model::{Advice, Error, ErrorKind, Result, Transport, how};
use wharf_records::{LifeLock, OperationLock, Store};
use wharf_runtimes::EventListener;
use wharf_sdk::Exit;

/// How long to wait for the life lock. Its holder may be a supervisor whose RunConfig was removed and that has not noticed
/// yet, or a command that takes the lock for an instant to see whether it is free.
const LIFE_WAIT: Duration = Duration::from_secs(7);

/// The objects that effects work on: locks, the deployment, the proxy, and errors and exits in full.
pub(crate) struct Performer<'a> {
    pub(crate) task: &'a SupervisorRequest,
    /// Receives the runtime's events during a start, until the owner is connected.
    pub(crate) events: Option<EventListener>,
    /// The end of a foreground command, which counts as a signal; until signals are taken.
    pub(crate) left: Option<ClientGone>,
    pub(crate) deployment: Option<Deployment>,
    /// The control socket, opened but not listened to yet.
    pub(crate) opened: Option<Control>,
    /// The proxy's listener, until it is served.
    pub(crate) listener: Option<Listening>,
    pub(crate) serving: Option<(JoinHandle<()>, CancellationToken)>,
    pub(crate) watched: Option<Watched>,
    pub(crate) up_since: Instant,
    /// The error of the last effect that failed.
    pub(crate) failure: Option<Error>,
    /// The error of a start that is tried once more.
    pub(crate) kept: Option<Error>,
    /// The reason why the start is given up; the command is told it.
    pub(crate) given_up: Option<Error>,
    /// The workload's exit.
    pub(crate) exit: Exit,
    /// Its exit when it was stopped.
    pub(crate) stopped: Option<Exit>,
    /// The last failure to follow its engine that was logged.
    pub(crate) followed_in_vain: String,
    /// The error of the last attempt to bring the workload back; empty once it runs again.
    pub(crate) last_failure: String,
    /// The file of the user's own socket. It must be removed before the life lock is released: the next supervisor's has
    /// the same name.
    pub(crate) socket_file: Option<ClientSocket>,
    // The locks are the last fields, so they are released when everything else has been dropped.
    pub(crate) life: Option<LifeLock>,
    pub(crate) operation: Option<OperationLock>,
}

impl Performer<'_> {
    /// A message for a waiting client, before this work is done.
    pub(crate) fn announcement(&self, work: Work, state: &State) -> Option<String> {
        let name = &self.task.name;
        match (work, self.deployment.as_ref().map(|deployment| deployment.target_port)) {
            (Work::OpenControl, Some(0)) => Some(format!("starting '{name}'")),
            (Work::OpenControl, Some(port)) => {
                Some(format!("starting '{name}', which is to listen on port {port}"))
            }
            (Work::Settle, _) if state.at == At::Clearing(Clearing::GiveUp) => {
                Some("the deadline passed; looking for what may still come".to_owned())
            }
            (Work::Remove, _)
                if state.made == Made::Unknown && state.at == At::Clearing(Clearing::GiveUp) =>
            {
                Some(format!("waiting until what the start of '{name}' had begun is cleared up"))
            }
            _ => None,
        }
    }

    /// Does one piece of work. If the future is dropped, the work may have happened or not.
    pub(crate) async fn perform(&mut self, work: Work, state: &State) -> Event {
        match self.attempt(work, state).await {
            Ok(event) => event,
            Err(error) => {
                let kind = error.kind;
                self.failure = Some(error);
                Event::Failed(kind)
            }
        }
    }

    async fn attempt(&mut self, work: Work, state: &State) -> Result<Event> {
        match work {
            Work::TakeLife => self.take_life().await?,
            Work::Prepare => return self.prepare().await.map(Event::Prepared),
            Work::Wait(pause) => tokio::time::sleep(pause).await,
            Work::RemoveRecords => {
                let points = [Point::StatusRemoved, Point::RunConfigRemoved];
                self.store().remove_records(&self.task.name, &self.task.uid, points)?;
            }
            Work::RecordFailure(left) => self.record_failure(left),
            Work::Stop(timeout) => return self.stop(timeout, state).await,
            Work::ProveStopped => return self.prove_stopped(state).await,
            Work::BindPort => {
                let is_free = self.task.chosen_port;
                self.listener = Some(bind_port(self.deployment()?, is_free).await?);
            }
            Work::OpenControl => {
                let control = self.open_control()?;
                self.opened = Some(control);
            }
            Work::Deploy => return self.deploy().await,
            Work::Settle => return self.settle(state).await,
            Work::RecordEnd(end) => {
                let exit = self.exit.clone();
                let recorded = self.deployment()?.record_end(end, &exit, state.restarts).await;
                if let Err(error) = recorded {
                    tracing::error!(%error, "the end of the workload could not be recorded");
                }
            }
            Work::RecordExit => {
                let exit = self.exit.clone();
                let recorded = self.deployment()?.record_exit(&exit, state.restarts.saturating_add(1)).await;
                if let Err(error) = recorded {
                    tracing::warn!(%error, "an end of the workload could not be recorded");
                }
            }
            Work::Follow => return self.follow().await,
            Work::Reattach => return self.reattach().await,
            other => return on_deployment(self.deployment()?, other, state).await,
        }
        Ok(Event::Done)
    }

    pub(crate) fn deployment(&mut self) -> Result<&mut Deployment> {
        self.deployment.as_mut().ok_or_else(|| Error::new(ErrorKind::Failed, "no owner is connected"))
    }

    fn store(&self) -> Store {
        Store::new(self.task.config.state())
    }

    async fn take_life(&mut self) -> Result<()> {
        let (state, name) = (self.task.config.state(), &self.task.name);
        let life = LifeLock::acquire(&state, name, LIFE_WAIT).await.map_err(|error| {
            Error::caused(ErrorKind::Conflict, format!("'{name}' has a supervisor already"), &error)
        })?;
        self.life = Some(life);
        Ok(())
    }

    async fn prepare(&mut self) -> Result<Workload> {
        let events = self.events.take();
        let deployment = connect(self.task, events).await?;
        let workload = Workload {
            stdio: deployment.run.transport == Transport::Stdio,
            survives: deployment.survives_supervisor(),
            in_place: deployment.restarts_in_place(),
            restarts_itself: deployment.restarts_itself(),
            policy: deployment.run.restart,
        };
        self.deployment = Some(deployment);
        reach(Point::OwnerConnected);
        Ok(workload)
    }

    fn open_control(&mut self) -> Result<Control> {
        let left = self.left.take().unwrap_or_else(|| Box::pin(std::future::pending()));
        let state = self.task.config.state();
        let deployment = self.deployment()?;
        let keeper = AccessKeeper {
            store: deployment.store.clone(),
            name: deployment.run.name.clone(),
            uid: deployment.run.uid.clone(),
            access: deployment.access.clone(),
            turn: Arc::default(),
        };
        let counts = deployment.counts.clone();
        Control::open(&state, (keeper, counts), left)
    }

    async fn deploy(&mut self) -> Result<Event> {
        self.kept = None;
        match self.deployment()?.deploy().await {
            Ok(kept) => Ok(Event::Deployed { kept }),
            Err(NotDeployed { error, made }) => {
                let kind = error.kind;
                self.failure = Some(error);
                Ok(Event::NotDeployed { kind, made })
            }
        }
    }

    async fn settle(&mut self, state: &State) -> Result<Event> {
        let came = self.deployment()?.settle().await?;
        if state.at != At::Clearing(Clearing::GiveUp) {
            tracing::info!(came, "a deployment had missed its deadline, and was looked for");
        } else if !came {
            let message = "a resource of this deployment may still appear";
            self.failure = Some(Error::new(ErrorKind::Deadline, message));
        }
        Ok(Event::Settled { came })
    }

    fn record_failure(&mut self, left: Left) {
        let Some(error) = self.given_up.take() else { return };
        if left == Left::Interrupted {
            self.given_up = Some(stays(error, self.task.name.to_string()));
            return;
        }
        let recorded = record_failure(&self.store(), self.task, &error);
        let uncleared = |clearing: &Error| format!("left-over resources could not be removed: {clearing}");
        // The error of the removal stays for the command that asked for the end of the start.
        let hint = match (left, recorded, self.failure.clone()) {
            // The records of the failed workload stay, so they must say why: otherwise it would be taken for an interrupted
            // start. The removal's error tells why they stay.
            (Left::Records, _, Some(removal)) => Some(uncleared(&removal)),
            (Left::Resource, Ok(()), Some(removal)) => {
                tracing::error!(error = %removal, "the deployed resource could not be removed");
                Some(format!("'{}' stays on record: {removal}", self.task.name))
            }
            (_, Err(recording), _) => Some(uncleared(&recording)),
            (_, Ok(()), _) => None,
        };
        self.given_up = Some(hint.into_iter().fold(error, Error::hint));
    }

    /// Does one effect that takes no time.
    pub(crate) async fn now(&mut self, effect: Effect, state: &State, outside: &mut Outside<'_>) {
        match effect {
            Effect::Work(_) | Effect::End => {}
            Effect::Answer(Reply::Ends) => outside.answer(Answer::Stopped { exit: None }),
            Effect::Answer(Reply::Stopped) => {
                outside.answer(Answer::Stopped { exit: Some(self.stopped.take().unwrap_or_default()) });
            }
            Effect::Answer(Reply::Refused) => {
                let error = self.failure.take();
                let unknown = || Error::new(ErrorKind::Failed, "it could not be stopped");
                outside.answer(Answer::refused(error.unwrap_or_else(unknown)));
            }
            Effect::Answer(reply) => outside.reply(reply, state),
            Effect::KeepError => self.kept = self.failure.take(),
            Effect::GiveUp(cause) => self.give_up(cause, state.is_dropped()),
            Effect::GivenUp => reach(Point::GiveUpAfter),
            Effect::ReportReady => self.report_ready(outside),
            Effect::WatchEnd => self.watch_end(outside),
            Effect::HearExit => self.hear_exit(outside).await,
            Effect::BeginRestart => reach(Point::RestartBefore),
            Effect::Cleared => reach(Point::RestartCleared),
            Effect::Back => {
                reach(Point::RestartAfter);
                self.set_up_since(outside);
                self.last_failure.clear();
                tracing::info!(restarts = state.restarts, "the workload is back");
            }
            Effect::NoteFailure => {
                if let Some(error) = self.failure.take() {
                    tracing::warn!(name = %self.task.name, %error, "the restart failed");
                    self.last_failure.clone_from(&error.message);
                    self.exit.reason = error.message;
                }
            }
            Effect::TellUncleared => self.tell("the deployed resource could not be removed"),
            Effect::TellUnstopped => self.tell("the workload could not be stopped"),
        }
    }

    fn tell(&self, what: &str) {
        if let Some(error) = &self.failure {
            tracing::error!(%error, "{what}");
        }
    }

    fn give_up(&mut self, cause: Cause, is_dropped: bool) {
        reach(Point::GiveUpBefore);
        let name = &self.task.name;
        let said = |why: &str| Error::new(ErrorKind::Failed, format!("'{name}' {why} while it was starting"));
        let failure = self.kept.take().or(self.failure.take());
        let error = match cause {
            Cause::Failed(_) => failure.unwrap_or_else(|| said("failed")),
            // By another command, which was asked for as well as this one.
            Cause::Stopped => Error { kind: ErrorKind::Conflict, ..said("was stopped") },
            Cause::Interrupted => said("was interrupted"),
            Cause::Abandoned => said("was abandoned"),
        };
        // The start of a workload that was there before stays as it is where its owner went away.
        let is_kept = cause == Cause::Failed(ErrorKind::Owner) && !is_dropped;
        self.given_up = Some(if is_kept { stays(error, name.to_string()) } else { error });
    }

    fn set_up_since(&mut self, outside: &mut Outside<'_>) {
        self.up_since = Instant::now();
        outside.up_since = self.up_since;
    }

    /// Serves clients, releases the operation lock, and reports to the client that waits.
    fn report_ready(&mut self, outside: &mut Outside<'_>) {
        let mut port = 0;
        if let (Some(listening), Some(deployment)) = (self.listener.take(), &self.deployment) {
            port = deployment.run.port;
            let (socket_file, own_socket) = listening.own_socket.unzip();
            self.socket_file = socket_file;
            if let Some(proxy) = deployment.proxy.clone() {
                let end = CancellationToken::new();
                let serving =
                    proxy.serve((listening.port, own_socket), deployment.access.clone(), end.clone());
                self.serving = Some((tokio::spawn(serving), end));
            }
        }
        self.set_up_since(outside);
        self.operation = None;
        reach(Point::OperationReleased);
        reach(Point::ReportBefore);
        outside.reporter.ready(port);
        reach(Point::ReportAfter);
        // In the foreground its end is the command's, which stays where it is.
        if !self.task.foreground {
            tokio::spawn(systemd_scope::enter(self.task.name.clone(), self.task.uid.clone()));
        }
    }

    fn watch_end(&mut self, outside: &mut Outside<'_>) {
        if let Some(deployment) = &self.deployment {
            let end = Arc::new(Mutex::new(EndWatch::of(deployment)));
            self.watched = Some(Watched { proxy: deployment.proxy.clone(), end });
            outside.watched.clone_from(&self.watched);
        }
    }

    async fn hear_exit(&mut self, outside: &mut Outside<'_>) {
        self.exit = outside.exit.take().or(self.stopped.take()).unwrap_or_default();
        (self.watched, outside.watched) = (None, None);
        outside.reports.last_end = Some(how(&self.exit));
        if let Some(deployment) = &self.deployment {
            deployment.count_end(&self.exit);
            outside.reports.zero_ends = deployment.zero_ends.clone();
        }
        reach(Point::ExitHeard);
        let (name, exit) = (&self.task.name, &self.exit);
        tracing::info!(%name, code = ?exit.code, signal = ?exit.signal, "the workload {}", how(exit));
        let Some(deployment) = &self.deployment else { return };
        if let Some(proxy) = &deployment.proxy
            && !deployment.answers_after(exit).await
        {
            proxy.close_upstream(wharf_proxy::SERVER_RESTARTED).await;
        }
    }

    /// The last steps: waiting requests get no answer any more, sessions end, connections may finish. Returns the error of
    /// a start that was given up.
    pub(crate) async fn end(self, outside: &mut Outside<'_>) -> Result<()> {
        if self.given_up.is_none() {
            reach(Point::SupervisorEnds);
        }
        outside.close().await;
        if let Some((serving, end)) = self.serving {
            if let Some(deployment) = self.deployment {
                // A supervisor whose RunConfig is gone removes nothing.
                let removes = !is_disowned(&deployment.store, &deployment.run.name, &deployment.run.uid);
                // No session is opened from now on, and none comes after those that end here.
                if let Some(proxy) = deployment.proxy {
                    proxy.shut_down().await;
                }
                if let Some(servers) = deployment.session_servers.filter(|_| removes) {
                    servers.close().await;
                }
            }
            end.cancel();
            let _ = tokio::time::timeout(CLIENTS_GRACE, serving).await;
        }
        outside.watched = None;
        self.given_up.map_or(Ok(()), Err)
    }
}

/// The error of a start that stays on record as interrupted, since its owner went away: who reads it must know that.
fn stays(error: Error, name: String) -> Error {
    error
        .hint("it stays on record, and is started when it is reconciled once its engine is back")
        .advise(Advice::Start { name: name.clone() })
        .advise(Advice::Remove { name })
}
