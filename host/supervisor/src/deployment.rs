//! Brings the workload up: what an earlier supervisor left, deploy, record.
use crate::client::protocol::StartMode;
use crate::config::Config;
use crate::dial::upstream;
use crate::spec::specification;
use crate::workload_proxy::WorkloadProxy;
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, time::Instant};
use wharf_failpoint::{Point, reach};
use wharf_model::{Desired, Opaque, Phase, RestartPolicy, RunConfig, StatusRecord, Transport};
use wharf_model::{Error, ErrorKind, Result};
use wharf_proxy::Access;
use wharf_records::Store;
use wharf_runtimes::{CallError, RuntimeClient};
use wharf_runtimes::{look, prove_ended, prove_gone, prove_owner, prove_taken_gone};
use wharf_sdk::{Capability, ErrorCode, Handle, Observation, WorkloadSpec, WorkloadState};

/// How long what another product made may take to end before it is killed.
const TAKEN_GRACE: Duration = Duration::from_secs(10);
/// How long a deployment that missed its deadline is looked for before the workload is left on record as failed.
const LATE_WAIT: Duration = Duration::from_secs(10);
/// One workload and how it is reached.
pub(crate) struct Deployment {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) run: RunConfig,
    pub(crate) host_id: String,
    pub(crate) client: Arc<RuntimeClient>,
    /// The port that an HTTP server is told to listen on.
    pub(crate) target_port: u16,
    /// Whom the proxy serves.
    pub(crate) access: Access,
    /// The proxy; made at the first start, kept over restarts.
    pub(crate) front: Option<WorkloadProxy>,
    /// What is deployed now.
    pub(crate) handle: Option<Handle>,
    /// A deployment was begun, and how it ended is not known: something may be there without a handle.
    pub(crate) uncertain: bool,
    /// The last deployment missed its deadline, and what became of it is not known yet: another one would make a second
    /// of the same uid (R10).
    pub(crate) late: bool,
}

/// Whether the record still allows what a supervisor is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartReason {
    /// As the holder of the operation: the first start.
    Operation,
    /// On its own: a restart, only while the workload is still desired.
    Spontaneous,
}

impl Deployment {
    /// Brings the workload up to ready.
    pub(crate) async fn bring_up(&mut self, occasion: StartReason) -> Result<()> {
        if occasion == StartReason::Spontaneous {
            return self.make_and_start(occasion).await;
        }
        let earlier = self.store.read_status(&self.run.name)?.handle;
        if self.take_over(earlier.as_ref()).await? {
            return Ok(());
        }
        let started = self.make_and_start(occasion).await;
        if started.is_err() && self.found_its_input_over(earlier.as_ref()).await {
            tracing::info!("its input was over before it was started, and it is started once more");
            if let Err(error) = self.clear_for_restart().await {
                tracing::warn!(%error, "it cannot be started once more");
                return started;
            }
            return self.make_and_start(occasion).await;
        }
        started
    }

    /// True if this start took up a container that an earlier attempt had left, and it exited with 0 at once because its
    /// stdin was closed already: an engine opens stdin anew only after the container has exited, so a supervisor that
    /// attached and died before `start` leaves it at its end. A server that ends by itself at once is therefore run twice.
    async fn found_its_input_over(&self, earlier: Option<&Opaque>) -> bool {
        let (Some(handle), Transport::Stdio) = (&self.handle, self.run.transport) else { return false };
        let is_kept = self.keeps() && Opaque::of(handle).ok().as_ref() == earlier;
        let exit =
            if is_kept { self.client.inspect(handle).await.ok().and_then(|seen| seen.exit) } else { None };
        exit.is_some_and(|exit| exit.code == Some(0))
    }

    async fn make_and_start(&mut self, occasion: StartReason) -> Result<()> {
        let stamp = self.client.stamp();
        let mut spec = specification(&self.config, &self.run, stamp, &self.host_id, self.target_port)?;
        self.pin_if_it_is_not(&mut spec).await?;
        self.check_target_port().await?;
        self.uncertain = true;
        let deployed = self.client.deploy(&spec).await;
        self.uncertain = deployed.as_ref().is_err_and(|error| !is_certain(error));
        self.late = deployed.as_ref().is_err_and(is_late);
        let handle = deployed?;
        // From here on whatever happens must find the handle, to remove what was deployed.
        self.handle = Some(handle.clone());
        // Deploying takes its time: another engine may have taken the endpoint meanwhile, and have made it, while the
        // recorded one still has what it kept.
        let seen = look(&self.client, &self.host_id, &self.run).await?;
        if !seen.is_some_and(|seen| seen.handle.is_none_or(|shown| shown == handle)) {
            let message =
                format!("the recorded instance of '{}' does not show what was made", self.run.runtime_name);
            return Err(Error::new(ErrorKind::Owner, message));
        }
        self.record_handle(&handle, occasion).await?;
        reach(Point::HandleRecorded);
        self.made_anew().await?;
        match self.run.transport {
            Transport::Stdio => self.start_stdio(&handle).await,
            Transport::StreamableHttp | Transport::Sse | Transport::Inspector => {
                self.start_http(&handle).await
            }
        }
    }

    /// A workload of a version that recorded no pins is held to where its names lead at this start: nobody knows where
    /// they led when it was created.
    async fn pin_if_it_is_not(&mut self, spec: &mut WorkloadSpec) -> Result<()> {
        if self.run.pinned.is_some() {
            return Ok(());
        }
        let Some(pins) = self.client.pin(spec).await? else { return Ok(()) };
        let (name, uid) = (self.run.name.clone(), self.run.uid.clone());
        self.run = self.store.update_run_config(&name, &uid, |run| {
            run.pinned.get_or_insert(pins);
        })?;
        spec.pinned = self.run.pinned.clone();
        Ok(())
    }

    /// What an earlier supervisor left: a server with a port that still runs is taken over, all else is put aside.
    async fn take_over(&mut self, earlier: Option<&Opaque>) -> Result<bool> {
        // Where there are two of it, nobody chooses one.
        let found = self.client.find(&self.host_id, self.run.uid.as_str()).await?;
        let handle = match earlier {
            Some(recorded) => recorded.read().map_err(|error| {
                Error::caused(ErrorKind::Failed, "the recorded handle cannot be read", &error)
            })?,
            // Its supervisor may have died between the deployment and the record.
            None => match found.or_else(|| self.run.taken_over()) {
                Some(handle) => handle,
                None => return Ok(false),
            },
        };
        match self.client.recover(&handle).await {
            Ok(seen) if self.can_go_on(&seen) => {
                tracing::info!("the workload of an earlier supervisor still runs and is taken over");
                self.handle = Some(handle.clone());
                let server = upstream(&self.client, &handle, &seen, self.target_port)?;
                self.wait_for_port(&handle, server).await?;
                return Ok(true);
            }
            Ok(seen) if seen.state == WorkloadState::Unknown => {
                let message = "its runtime has it, and does not know what it does; look there, or remove it";
                return Err(Error::new(ErrorKind::Runtime, message));
            }
            Ok(_) => {
                self.put_aside(&handle).await?;
                self.prove_ended().await?;
            }
            Err(error) if error.code() == Some(ErrorCode::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(false)
    }

    /// Whether the runtime makes a workload anew out of what it was, with all that it wrote.
    fn keeps(&self) -> bool {
        self.client.stamp().has(&Capability::RESTART_IN_PLACE)
    }

    /// Ends what is not to go on, and removes it, unless its runtime makes it anew out of what it was, or another
    /// product made it.
    async fn put_aside(&self, handle: &Handle) -> Result<()> {
        if self.run.took_over(handle) {
            self.client.stop(handle, TAKEN_GRACE).await?;
        } else if self.keeps() {
            self.client.stop(handle, Duration::ZERO).await?;
        } else {
            self.client.remove(handle).await?;
        }
        Ok(())
    }

    /// Makes room for the next deployment of a workload that has ended.
    pub(crate) async fn clear_for_restart(&mut self) -> Result<()> {
        match &self.handle {
            Some(handle) => match self.put_aside(handle).await {
                Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
                _ => {}
            },
            None if self.late => {
                let came = self.settle().await?;
                tracing::info!(came, "a deployment had missed its deadline, and was looked for");
                self.late = false;
                return Ok(());
            }
            None => return self.remove().await.map(drop),
        }
        self.prove_ended().await?;
        self.handle = None;
        Ok(())
    }

    /// Whether a server runs whose port can be reached. Another product may have published it elsewhere: then it is
    /// made anew.
    fn can_go_on(&self, seen: &Observation) -> bool {
        seen.state == WorkloadState::Running
            && self.run.transport != Transport::Stdio
            && (seen.address.is_some() || !self.run.is_taken_over())
    }

    /// True of a server that goes on when this process ends, and is found again by the next supervisor.
    pub(crate) fn survives_supervisor(&self) -> bool {
        self.run.transport != Transport::Stdio && self.client.stamp().has(&Capability::SURVIVES_SUPERVISOR)
    }

    /// The policy that this supervisor follows when the workload has ended: none of its own where the engine restarts
    /// workloads by itself. What such an engine calls the end it has given up.
    pub(crate) fn restart_policy(&self) -> RestartPolicy {
        match self.client.stamp().has(&Capability::RESTARTS_ITSELF) {
            true => RestartPolicy::No,
            false => self.run.restart,
        }
    }

    /// A port that somebody else listens on would be taken for the workload's own.
    async fn check_target_port(&self) -> Result<()> {
        if self.target_port == 0 || self.client.stamp().has(&Capability::PORT_MAPPING) {
            return Ok(());
        }
        match TcpListener::bind(("127.0.0.1", self.target_port)).await {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                let message = format!("the target port {} is taken", self.target_port);
                Err(Error::new(ErrorKind::Conflict, message)
                    .hint("end what listens on it, or choose another --target-port"))
            }
            // Some ports need rights that the workload may have; it will tell.
            _ => Ok(()),
        }
    }

    /// Stores the handle, durably, before any of the workload's code runs (R12). What is made anew out of what it was
    /// may have the one that is stored.
    async fn record_handle(&self, handle: &Handle, occasion: StartReason) -> Result<()> {
        let recorded = Opaque::of(handle)
            .map_err(|error| Error::caused(ErrorKind::Failed, "the handle cannot be written", &error))?;
        self.change_if(move |record| {
            if occasion == StartReason::Spontaneous && !may_restart(record) {
                return Err(Error::new(ErrorKind::Conflict, "the workload is no longer to run"));
            }
            let is_new = record.handle.as_ref() != Some(&recorded);
            record.handle = Some(recorded);
            Ok(is_new)
        })
        .await
    }

    /// What was taken over is wharf's own now: its labels say so, and nobody need be asked for the old one.
    async fn made_anew(&mut self) -> Result<()> {
        if self.run.is_taken_over() {
            if let Some(taken) = self.run.taken_over() {
                // Only now is there something in its place.
                self.client.remove(&taken).await?;
                prove_taken_gone(&self.client, &self.run, taken).await?;
            }
            let (name, uid) = (self.run.name.clone(), self.run.uid.clone());
            self.run = self.store.update_run_config(&name, &uid, |run| {
                if let Some(imported) = &mut run.imported {
                    imported.handle = None;
                }
            })?;
            reach(Point::TakeoverEnded);
        }
        Ok(())
    }

    /// One change of the record, off the threads that serve clients. A record that is gone is not made again.
    pub(crate) async fn change(
        &self,
        change: impl FnOnce(&mut StatusRecord) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        self.change_if(|record| change(record).map(|()| true)).await
    }

    /// The same for what may be on record already: then it is not written again.
    async fn change_if(
        &self,
        change: impl FnOnce(&mut StatusRecord) -> Result<bool> + Send + 'static,
    ) -> Result<()> {
        let (store, name, uid) = (self.store.clone(), self.run.name.clone(), self.run.uid.clone());
        let work = tokio::task::spawn_blocking(move || {
            store.update_status::<Unwritten>(&name, &uid, |record| {
                let gone = || Error::new(ErrorKind::NotFound, "the workload was removed");
                let mut record = record.ok_or_else(gone)?;
                if change(&mut record)? { Ok(record) } else { Err(Unwritten::Same) }
            })
        });
        match work.await {
            Ok(Ok(_) | Err(Unwritten::Same)) => Ok(()),
            Ok(Err(Unwritten::Failed(error))) => Err(error),
            Err(error) => Err(Error::caused(ErrorKind::Failed, "the record was not written", &error)),
        }
    }

    /// That it is still the owner that answers.
    pub(crate) async fn prove_owner(&self) -> Result<()> {
        prove_owner(&self.client, &self.run).await
    }

    /// That the owner shows nothing of it as running: only then is what was told of its end its end.
    pub(crate) async fn prove_ended(&self) -> Result<()> {
        prove_ended(&self.client, &self.host_id, &self.run).await.map(drop)
    }

    /// Whether a deadline passed over a deployment and nobody knows what became of it.
    pub(crate) fn may_still_come(&self, cause: &Error) -> bool {
        self.uncertain && self.handle.is_none() && cause.kind == ErrorKind::Deadline
    }

    /// Removes whatever is deployed after a start that failed. What may still come is looked for while the locks are
    /// held (R10). What does not come in that time is an error, so that the workload stays on record, and what comes
    /// later is its.
    ///
    /// What was there before this start stays there, ended, with all that it wrote.
    pub(crate) async fn clear_up(&mut self, cause: &Error, mode: StartMode) -> Result<()> {
        if let Some(handle) = self.handle.clone().filter(|_| mode == StartMode::Start && self.keeps()) {
            if !self.run.took_over(&handle) {
                self.client.stop(&handle, Duration::ZERO).await?;
                self.prove_ended().await?;
            }
            self.handle = None;
            return Ok(());
        }
        if !self.may_still_come(cause) {
            return self.remove().await.map(drop);
        }
        match self.settle().await? {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Deadline, "what was to be deployed may still appear")),
        }
    }

    /// Looks for what a deployment that missed its deadline may still bring, and removes it; tells whether it came.
    /// Engines have no event for what they have not made yet.
    async fn settle(&mut self) -> Result<bool> {
        let (deadline, mut pause) = (Instant::now() + LATE_WAIT, Duration::from_millis(50));
        loop {
            self.uncertain = true;
            match self.remove().await {
                Ok(true) => return Ok(true),
                other if Instant::now() >= deadline => return other,
                _ => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Removes whatever is deployed; tells whether there was anything.
    pub(crate) async fn remove(&mut self) -> Result<bool> {
        if self.handle.is_none() && self.uncertain {
            self.handle = self.client.find(&self.host_id, self.run.uid.as_str()).await?;
        }
        self.uncertain = false;
        let Some(handle) = &self.handle else { return Ok(false) };
        if self.run.took_over(handle) {
            self.handle = None;
            return Ok(false);
        }
        match self.client.remove(handle).await {
            Err(error) if error.code() != Some(ErrorCode::NotFound) => return Err(error.into()),
            _ => {}
        }
        prove_gone(&self.client, &self.host_id, &self.run).await?;
        self.handle = None;
        Ok(true)
    }
}

/// Why a record was left as it is.
enum Unwritten {
    /// It says already what it should.
    Same,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Unwritten {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Whether a supervisor may bring its workload back by itself: it is wanted, and no command is at work on it, which
/// would want the same in its own time.
pub(crate) fn may_restart(record: &StatusRecord) -> bool {
    record.desired == Desired::Running && record.phase == Phase::Running
}

/// Whether an error of `deploy` means that nothing was deployed. Who says that the time was over, that the engine went
/// away or that it failed itself does not know what became of it.
fn is_certain(error: &CallError) -> bool {
    let unknown = [ErrorCode::Timeout, ErrorCode::Cancelled, ErrorCode::Unavailable, ErrorCode::Internal];
    error.code().is_some_and(|code| !unknown.contains(&code))
}

/// Whether an error of `deploy` means that its time was over.
fn is_late(error: &CallError) -> bool {
    matches!(error, CallError::Deadline { .. }) || error.code() == Some(ErrorCode::Timeout)
}
