//! `start` and `restart`, and what they share with `run`: a supervisor is started and waited for.
use crate::commands::attended::{Ends, Wait, interrupted};
use crate::commands::context::Manager;
use crate::commands::request::Started;
use std::{os::fd::OwnedFd, time::Duration};
use wharf_failpoint::{Point, reach};
use wharf_model::{Desired, Event, LockKind, Phase, RunConfig, StatusRecord, WorkloadName};
use wharf_model::{Error, ErrorKind, Result};
use wharf_records::{LifeProbe, OperationLock};
use wharf_runtimes::{prove_ended, prove_gone};
use wharf_sdk::Capability;
use wharf_supervisor::client::control;
use wharf_supervisor::{Progress, StartMode, StartOutcome, Supervisor, SupervisorRequest, spawn};

/// How long a supervisor that is going may take to be gone.
const SUPERVISOR_EXIT_WAIT: Duration = Duration::from_secs(5);
/// How long a workload may take to end by itself whose stop was interrupted.
const INTERRUPTED_STOP: Duration = Duration::from_secs(10);
/// How long a supervisor may take to say that its workload runs, its server's answer included.
const REPORT_WAIT: Duration = Duration::from_secs(5);

impl Manager {
    /// Starts a workload that exists. One that runs: success, said so.
    pub async fn start(
        &self,
        name: &WorkloadName,
        wait: bool,
        progress: &mut dyn Progress,
    ) -> Result<Started> {
        self.refuse_nesting()?;
        self.run_config(name)?;
        let operation = self.lock(name).await?;
        self.start_locked(name, operation, wait, progress).await
    }

    /// Stops a workload if it runs, and starts it, as one operation.
    pub async fn restart(
        &self,
        name: &WorkloadName,
        timeout: Duration,
        wait: bool,
        progress: &mut dyn Progress,
    ) -> Result<Started> {
        self.refuse_nesting()?;
        self.run_config(name)?;
        let operation = self.lock(name).await?;
        // It is wanted all the while: a restart that is cut short is finished by whoever comes next.
        self.stop_locked(name, &operation, timeout, Desired::Running).await?;
        self.start_locked(name, operation, wait, progress).await
    }

    pub(crate) async fn start_locked(
        &self,
        name: &WorkloadName,
        operation: OperationLock,
        wait: bool,
        progress: &mut dyn Progress,
    ) -> Result<Started> {
        let run = self.run_config(name)?;
        if run.is_remote() {
            let message = format!("'{name}' is a remote server, which this version of wharf does not serve");
            return Err(Error::new(ErrorKind::Usage, message).hint(format!("its URL: {}", run.remote_url)));
        }
        // R08: an owner that is absent, or another one, is told before anything is changed, or called running.
        let client = self.owner(&run).await?;
        let record = self.record_or_set_aside(&operation)?;
        let supervised = LifeProbe::open(self.store().state())?.is_held(name, LockKind::Life)?;
        let phase = record.as_ref().map(|record| record.phase);
        if supervised && phase == Some(Phase::Running) {
            // The record says so also while the supervisor is bringing the workload back.
            return match control::report(self.store().state(), name, REPORT_WAIT).await {
                Ok(report) if !report.starting => Ok(Started { already_running: true, ..self.started(&run) }),
                Ok(_) | Err(_) => {
                    let message =
                        format!("'{name}' does not run just now: its supervisor is bringing it back");
                    Err(Error::new(ErrorKind::Conflict, message)
                        .hint(format!("wait for it, or run: wharf restart {name}")))
                }
            };
        }
        if supervised && phase == Some(Phase::Stopping) {
            // The command that was stopping it died before the supervisor heard of it: that is finished first.
            self.stop_locked(name, &operation, INTERRUPTED_STOP, Desired::Running).await?;
        }
        // One that has just recorded the end of its workload is still going.
        if supervised && operation.supervisor_gone(SUPERVISOR_EXIT_WAIT).await.is_err() {
            let message = format!("'{name}' has a supervisor and does not run");
            return Err(Error::new(ErrorKind::Conflict, message).hint(format!("run: wharf restart {name}")));
        }
        if run.is_taken_over() {
            self.check_takeover(&run, record.as_ref(), &client).await?;
        }
        self.store().update_status::<Error>(name, &run.uid, |record| {
            let mut record = record.unwrap_or_else(|| StatusRecord::new(run.uid.clone()));
            record.apply(Event::StartBegun).map_err(|error| {
                Error::new(ErrorKind::Conflict, format!("'{name}' cannot be started: {error}"))
                    .hint(format!("its removal was interrupted; finish it: wharf rm {name}"))
            })?;
            record.desired = Desired::Running;
            Ok(record)
        })?;
        reach(Point::StartRecorded);
        self.launch(&run, operation, StartMode::Start, wait, progress).await
    }

    /// Starts the supervisor, which takes the operation over, and waits for its word.
    pub(crate) async fn launch(
        &self,
        run: &RunConfig,
        operation: OperationLock,
        mode: StartMode,
        wait: bool,
        progress: &mut dyn Progress,
    ) -> Result<Started> {
        let until = if wait { Wait::Ready } else { Wait::No };
        let (supervisor, inherited) = self.spawn_supervisor(run, operation, mode, until).await?;
        if !wait {
            return Ok(self.started(run));
        }
        self.await_ready(run, supervisor, inherited, mode, progress, None).await
    }

    /// Waits for the word of a supervisor, or until this process is asked to end: then nobody waits for the supervisor any
    /// more, which gives the start up and clears up.
    pub(crate) async fn await_ready(
        &self,
        run: &RunConfig,
        mut supervisor: Supervisor,
        inherited: OwnedFd,
        mode: StartMode,
        progress: &mut dyn Progress,
        ends: Option<&mut Ends>,
    ) -> Result<Started> {
        let ended = async {
            match ends {
                Some(ends) => ends.next().await,
                None => std::future::pending().await,
            }
        };
        let outcome = tokio::select! {
            outcome = supervisor.outcome(progress) => outcome,
            _ = ended => {
                return Err(interrupted(&format!("the start of '{}', which is given up,", run.name)));
            }
        };
        match outcome {
            StartOutcome::Ready(port) => {
                reach(Point::ReadyHeard);
                Ok(self.ready(run, port))
            }
            outcome => Err(self.not_started(run, inherited, mode, outcome).await),
        }
    }

    /// Starts the supervisor, which takes the operation over. Returned with it is this process' own hold on the lock.
    pub(crate) async fn spawn_supervisor(
        &self,
        run: &RunConfig,
        operation: OperationLock,
        mode: StartMode,
        until: Wait,
    ) -> Result<(Supervisor, OwnedFd)> {
        let task = SupervisorRequest {
            config: self.config().clone(),
            name: run.name.clone(),
            uid: run.uid.clone(),
            mode,
            attended: until != Wait::No,
            foreground: until == Wait::Stay,
        };
        let inherited = operation.into_fd()?;
        reach(Point::OperationHandedOver);
        let spawned = match inherited.try_clone() {
            Ok(descriptor) => spawn(&task, descriptor).await,
            Err(error) => Err(error),
        };
        match spawned {
            Ok(supervisor) => Ok((supervisor, inherited)),
            Err(error) => {
                let error = Error::caused(ErrorKind::Failed, "the supervisor cannot be started", &error);
                Err(self.take_back(run, inherited, mode, error).await)
            }
        }
    }

    /// Why a workload is not ready, with everything cleared up.
    pub(crate) async fn not_started(
        &self,
        run: &RunConfig,
        inherited: OwnedFd,
        mode: StartMode,
        outcome: StartOutcome,
    ) -> Error {
        let how = match outcome {
            StartOutcome::Failed(error) => return error,
            StartOutcome::Ready(_) => "ended".to_owned(),
            StartOutcome::Died { how } => how,
        };
        let message = format!("the supervisor of '{}' {how} before the workload was ready", run.name);
        let error =
            Error::new(ErrorKind::Failed, message).hint(format!("see: wharf logs --proxy {}", run.name));
        self.take_back(run, inherited, mode, error).await
    }

    /// Takes the operation back from a supervisor that died, or never lived, and clears up after it. The lock is
    /// still held through this process' own descriptor.
    async fn take_back(&self, run: &RunConfig, inherited: OwnedFd, mode: StartMode, cause: Error) -> Error {
        let cleared = async {
            let operation = OperationLock::from_fd(self.store().state(), &run.name, inherited)?;
            if self.is_gone(&run.name) {
                // The supervisor had cleared up before it died.
                return Ok(());
            }
            match mode {
                StartMode::Create => self.remove_locked(run, &operation).await,
                StartMode::Start => self.record_failed_start(run, &cause).await,
            }
        };
        match cleared.await {
            Ok(()) => cause,
            Err(error) => cause.hint(format!("what was left could not be cleared up: {error}")),
        }
    }

    async fn record_failed_start(&self, run: &RunConfig, cause: &Error) -> Result<()> {
        let client = self.owner(run).await?;
        let record = self.record(&run.name)?;
        // What another product made is left as it is.
        let handle = self.handle(run, record.as_ref(), &client).await?;
        if let Some(handle) = handle.filter(|handle| !run.took_over(handle)) {
            if client.stamp().has(&Capability::RESTART_IN_PLACE) {
                client.stop(&handle, Duration::ZERO).await?;
                prove_ended(&client, &self.host_id()?, run).await?;
            } else {
                client.remove(&handle).await?;
                prove_gone(&client, &self.host_id()?, run).await?;
            }
        }
        self.store().update_status::<Error>(&run.name, &run.uid, |record| {
            let mut record = record.unwrap_or_else(|| StatusRecord::new(run.uid.clone()));
            record
                .apply(Event::StartFailed)
                .map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))?;
            record.status_context = cause.message.clone();
            record.set_supervisor(None);
            Ok(record)
        })?;
        Ok(())
    }
}

impl Manager {
    /// A workload that is ready on this port.
    pub fn ready(&self, run: &RunConfig, port: u16) -> Started {
        self.started(&RunConfig { port, ..run.clone() })
    }

    pub(crate) fn started(&self, run: &RunConfig) -> Started {
        Started {
            name: run.name.to_string(),
            uid: run.uid.to_string(),
            runtime_name: run.runtime_name.clone(),
            url: if run.port == 0 { String::new() } else { self.url_of(run) },
            port: run.port,
            already_running: false,
        }
    }
}
