//! The life of a workload that is ready: requests, its end, its restarts.
use crate::client::control::{Asked, Cancel, next_stop, refuse_access, refuse_cancel};
use crate::client::messages::{Answer, Request};
use crate::client::protocol::SupervisorReport;
use crate::deployment::{Deployment, StartReason, may_restart};
use crate::events::{
    Ending, LONGEST_ABSENCE, STDIN_GRACE, SupervisorEvent, disowned, is_disowned, mute, muted,
};
use std::time::Duration;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use wharf_failpoint::{Point, reach};
use wharf_model::{Backoff, how, wants_restart};
use wharf_model::{Desired, Event, RestartPolicy, Transport};
use wharf_model::{Error, ErrorKind, Result};
use wharf_runtimes::last_exit;
use wharf_sdk::Exit;

/// How long a real request may take when the supervisor is asked about its server.
const PING_DEADLINE: Duration = Duration::from_secs(3);
/// Watches one workload.
pub(crate) struct Watch {
    pub(crate) deployment: Deployment,
    pub(crate) requests: mpsc::Receiver<Asked>,
    /// Resolves when this process is asked to end by a signal.
    pub(crate) signalled: oneshot::Receiver<()>,
    pub(crate) ready_since: Instant,
    pub(crate) restarts: u32,
    pub(crate) backoff: Backoff,
    /// In the foreground a signal is the user's wish to stop the workload.
    pub(crate) foreground: bool,
    /// Since when the server can no longer be spoken to.
    pub(crate) mute_since: Option<Instant>,
    pub(crate) ending: Ending,
}

impl Watch {
    /// Runs until the workload has ended for good or was stopped; then the supervisor ends.
    pub(crate) async fn run(mut self) {
        loop {
            match self.next().await {
                SupervisorEvent::ControlRequest(asked) => {
                    if self.answer(asked).await {
                        return;
                    }
                }
                SupervisorEvent::Signalled => return self.leave().await,
                SupervisorEvent::ConfigRemoved => {
                    tracing::warn!("its RunConfig is gone: the supervisor ends, and removes nothing");
                    return;
                }
                SupervisorEvent::Exited(exit) => {
                    if !self.after_exit(exit).await {
                        return;
                    }
                }
                SupervisorEvent::StdoutClosed => self.mute_since = Some(Instant::now()),
                SupervisorEvent::StdoutClosedTimeout => {
                    if self.is_attached_again().await {
                        continue;
                    }
                    tracing::warn!("the server closed its output and still runs; it is ended");
                    match self.end_mute().await {
                        Ok(exit) => {
                            if !self.after_exit(exit).await {
                                return;
                            }
                        }
                        Err(error) => {
                            tracing::error!(%error, "it could not be ended; it is tried again");
                            self.mute_since = Some(Instant::now() + LONGEST_ABSENCE);
                        }
                    }
                }
            }
        }
    }

    async fn next(&mut self) -> SupervisorEvent {
        let deployment = &self.deployment;
        tokio::select! {
            biased;
            Some(asked) = self.requests.recv() => SupervisorEvent::ControlRequest(asked),
            _ = &mut self.signalled => SupervisorEvent::Signalled,
            () = disowned(deployment) => SupervisorEvent::ConfigRemoved,
            exit = self.ending.exit() => SupervisorEvent::Exited(exit),
            () = muted(deployment, self.mute_since) => SupervisorEvent::StdoutClosed,
            () = mute(self.mute_since) => SupervisorEvent::StdoutClosedTimeout,
        }
    }

    /// Answers a request; true if the supervisor ends.
    async fn answer(&mut self, asked: Asked) -> bool {
        match asked.request {
            Request::Report {} => {
                let report = self.report().await;
                let _ = asked.answer.send(Answer::Report(report));
                false
            }
            Request::Cancel {} => {
                refuse_cancel(asked);
                false
            }
            Request::ChangeAccess(_) => {
                refuse_access(asked);
                false
            }
            Request::Leave {} => {
                let _ = asked.answer.send(Answer::Stopped { exit: None });
                true
            }
            Request::Stop { timeout_ms } => {
                reach(Point::StopHeard);
                match self.end_workload(Duration::from_millis(timeout_ms)).await {
                    Ok(exit) => {
                        reach(Point::StopDone);
                        let _ = asked.answer.send(Answer::Stopped { exit: Some(exit) });
                        true
                    }
                    Err(error) => {
                        tracing::error!(%error, "the workload could not be stopped");
                        let _ = asked.answer.send(Answer::refused(error));
                        false
                    }
                }
            }
        }
    }

    async fn report(&self) -> SupervisorReport {
        let ping = match &self.deployment.front {
            Some(front) => front.ping(PING_DEADLINE).await,
            None => Err("it has no proxy".to_owned()),
        };
        SupervisorReport {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: u64::try_from(self.ready_since.elapsed().as_millis()).unwrap_or(u64::MAX),
            restarts: self.restarts,
            starting: false,
            ping_us: ping.as_ref().ok().and_then(|time| u64::try_from(time.as_micros()).ok()),
            ping_error: ping.err().unwrap_or_default(),
        }
    }

    /// Ends the workload in the order of the protocol: clients are answered, stdin is closed, then signals.
    async fn end_workload(&mut self, timeout: Duration) -> Result<Exit> {
        if let Some(front) = &self.deployment.front {
            front.close_upstream("the server is being stopped").await;
        }
        self.end_processes(timeout).await
    }

    /// Whether a workload that goes on without its stream (its engine was restarted under it) can be spoken to again.
    async fn is_attached_again(&mut self) -> bool {
        match self.deployment.reattach().await {
            Ok(()) => {
                tracing::info!("the workload's stream was lost, and is back");
                self.mute_since = None;
                self.ending = Ending::of(&self.deployment);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "it cannot be attached again");
                false
            }
        }
    }

    /// Whether it ended because its engine went away and took its input along: to a server that is the end of its work,
    /// to its user it is not.
    fn was_cut_off(&self, exit: &Exit) -> bool {
        exit.code == Some(0) && self.deployment.run.transport == Transport::Stdio && self.ending.was_away()
    }

    /// Ends a workload on the supervisor's own account.
    async fn end_mute(&mut self) -> Result<Exit> {
        self.deployment.prove_owner().await?;
        self.end_workload(STDIN_GRACE).await
    }

    /// Only what the recorded instance says is its end.
    async fn end_processes(&self, timeout: Duration) -> Result<Exit> {
        let exit = self.ask_to_end(timeout).await?;
        self.deployment.prove_ended().await?;
        Ok(exit)
    }

    async fn ask_to_end(&self, timeout: Duration) -> Result<Exit> {
        let Some(handle) = self.deployment.handle.clone() else { return Ok(Exit::default()) };
        let client = self.deployment.client.clone();
        // Only who reads stdin ends at its end.
        let grace = match self.deployment.run.transport {
            Transport::Stdio => timeout.min(STDIN_GRACE),
            _ => Duration::ZERO,
        };
        let by_itself = tokio::time::timeout(grace, client.wait(&handle)).await;
        if let Ok(Ok(exit)) = by_itself {
            // What is left of it, such as children that went on, is cleared up all the same.
            client.stop(&handle, Duration::ZERO).await?;
            return Ok(exit);
        }
        client.stop(&handle, timeout).await?;
        Ok(client.inspect(&handle).await.ok().and_then(|seen| seen.exit).unwrap_or_default())
    }

    /// Restarts the workload by policy, or records its end; false if the supervisor ends.
    async fn after_exit(&mut self, exit: Exit) -> bool {
        let name = self.deployment.run.name.clone();
        reach(Point::ExitHeard);
        tracing::info!(%name, code = ?exit.code, signal = ?exit.signal, "the workload {}", how(&exit));
        if let Some(front) = &self.deployment.front {
            front.close_upstream("the server ended; it is being restarted").await;
        }
        let policy = self.deployment.restart_policy();
        let cut_off = self.was_cut_off(&exit);
        if !(wants_restart(policy, &exit) || cut_off && policy != RestartPolicy::No) {
            let why = if cut_off { "its engine went away, and its input with it" } else { "" };
            self.record_end(&exit, why).await;
            return false;
        }
        let mut exit = exit;
        let mut unreachable = Duration::from_secs(1);
        self.mute_since = None;
        self.backoff.ended(self.ready_since.elapsed());
        let mut engine_is_away = false;
        loop {
            let pause = if engine_is_away {
                unreachable = (unreachable * 2).min(LONGEST_ABSENCE);
                Some(unreachable)
            } else {
                self.backoff.next_pause()
            };
            let Some(pause) = pause else {
                self.clear().await;
                self.record_end(&exit, "it ended too often in a row").await;
                return false;
            };
            match self.bring_back(pause).await {
                RestartOutcome::Ready => return true,
                RestartOutcome::Gone => return false,
                RestartOutcome::Stays => {}
                RestartOutcome::Failed(error) => {
                    tracing::warn!(%name, %error, "the restart failed");
                    // An engine that cannot be reached uses up no attempt.
                    let was_away = std::mem::replace(&mut engine_is_away, error.kind == ErrorKind::Owner);
                    if engine_is_away && !was_away {
                        self.backoff.give_back();
                    }
                    exit.reason = error.message;
                }
            }
        }
    }

    /// One attempt to restart, during which requests are still heard.
    async fn bring_back(&mut self, pause: Duration) -> RestartOutcome {
        let mut begun = false;
        let restart = async {
            tokio::time::sleep(pause).await;
            if is_unwanted(&self.deployment) {
                // What it ended as is left to the command that is at work on it.
                return Ok(false);
            }
            self.deployment.prove_owner().await?;
            begun = true;
            reach(Point::RestartBefore);
            self.deployment.clear_for_restart().await?;
            reach(Point::RestartCleared);
            self.deployment.bring_up(StartReason::Spontaneous).await?;
            reach(Point::RestartAfter);
            Ok::<bool, Error>(true)
        };
        let interrupted = tokio::select! {
            outcome = restart => Err(outcome),
            asked = next_stop(&mut self.requests, self.restarts, Cancel::Refused) => Ok(asked),
            _ = &mut self.signalled => Ok(None),
        };
        match interrupted {
            Err(Ok(false)) => RestartOutcome::Gone,
            Err(Ok(true)) => {
                self.restarts += 1;
                self.ready_since = Instant::now();
                self.ending = Ending::of(&self.deployment);
                tracing::info!(restarts = self.restarts, "the workload is back");
                RestartOutcome::Ready
            }
            Err(Err(error)) => match error.kind {
                // Stopped or removed meanwhile: the command that did it has the word now.
                ErrorKind::Conflict | ErrorKind::NotFound if is_unwanted(&self.deployment) => {
                    self.clear().await;
                    RestartOutcome::Gone
                }
                _ => RestartOutcome::Failed(error),
            },
            Ok(asked) => self.stop_while_restarting(asked, begun).await,
        }
    }

    /// A stop, or a signal, that comes while the workload is being brought back. What a restart that was begun has left
    /// half made is removed, what an earlier one may still bring is looked for; before that, what ended stays as it is,
    /// with its logs.
    async fn stop_while_restarting(&mut self, asked: Option<Asked>, begun: bool) -> RestartOutcome {
        let asked = match asked {
            Some(Asked { request: Request::Leave {}, answer }) => {
                let _ = answer.send(Answer::Stopped { exit: None });
                return RestartOutcome::Gone;
            }
            other => other,
        };
        let timeout = match asked.as_ref().map(|asked| &asked.request) {
            Some(Request::Stop { timeout_ms }) => Duration::from_millis(*timeout_ms),
            _ => Duration::from_secs(5),
        };
        let ended = match self.end_workload(timeout).await {
            Ok(exit) if begun || self.deployment.late => {
                self.deployment.clear_for_restart().await.map(|()| exit)
            }
            ended => ended,
        };
        match (ended, asked) {
            (Ok(exit), Some(asked)) => {
                let _ = asked.answer.send(Answer::Stopped { exit: Some(exit) });
                RestartOutcome::Gone
            }
            (Err(error), Some(asked)) => {
                let _ = asked.answer.send(Answer::refused(error));
                RestartOutcome::Stays
            }
            (Ok(_), None) if self.foreground => {
                self.record_end(&Exit { code: Some(0), ..Exit::default() }, "").await;
                RestartOutcome::Gone
            }
            (_, None) => RestartOutcome::Gone,
        }
    }

    async fn clear(&mut self) {
        if let Err(error) = self.deployment.clear_for_restart().await {
            tracing::error!(%error, "what was deployed could not be removed");
        }
    }

    /// Records the end of a workload that is not restarted.
    async fn record_end(&mut self, exit: &Exit, context: &str) {
        let fine = exit.code == Some(0) && context.is_empty();
        let context = match (fine, context) {
            (true, _) => String::new(),
            (false, "") => format!("it {}", how(exit)),
            (false, more) => format!("it {}: {more}", how(exit)),
        };
        let last = last_exit(exit);
        let restarts = self.restarts;
        reach(Point::EndRecordBefore);
        let written = self.deployment.change(move |record| {
            // A command that is stopping or removing it writes the transition itself.
            if record.phase.is_transitional() {
                return Ok(());
            }
            let event = if fine { Event::Completed } else { Event::Failed };
            record.apply(event).map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))?;
            if fine {
                record.desired = Desired::Stopped;
            }
            record.status_context = context;
            record.last_exit = Some(last);
            record.restarts = restarts;
            record.set_supervisor(None);
            Ok(())
        });
        if let Err(error) = written.await {
            tracing::error!(%error, "the end of the workload could not be recorded");
        }
        reach(Point::EndRecordAfter);
    }

    /// Ends because of a signal. A server on a pipe cannot outlive its supervisor; one with a port can, where its runtime
    /// says so, and is found again. Nothing is recorded: it is still desired, unless the user ended it in the foreground.
    async fn leave(&mut self) {
        if self.deployment.survives_supervisor() && !self.foreground {
            return;
        }
        match self.end_workload(Duration::from_secs(5)).await {
            Ok(_) if self.foreground => self.record_end(&Exit { code: Some(0), ..Exit::default() }, "").await,
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "the workload could not be stopped"),
        }
    }
}

/// Whether the records say that the workload is no longer this supervisor's to bring back. What cannot be read says nothing.
fn is_unwanted(deployment: &Deployment) -> bool {
    let run = &deployment.run;
    is_disowned(&deployment.store, &run.name, &run.uid)
        || match deployment.store.read_status(&run.name) {
            Ok(record) => record.uid != run.uid || !may_restart(&record),
            Err(error) => error.is_not_found(),
        }
}

enum RestartOutcome {
    Ready,
    /// It could not be stopped, and is tried again.
    Stays,
    Failed(Error),
    Gone,
}
