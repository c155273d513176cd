//! [`Deployment`]: one workload and the connection to its owner. Each method is one call to the owner, or one proof. The
//! machine decides which of them is done and when (`machine/`); the records are in `recording.rs`, the wait for an answer
//! in `readiness.rs` and `readiness_http.rs`.
use crate::config::Config;
use crate::counts::Counts;
use crate::machine::{Earlier, Made};
use crate::session_servers::{SessionServers, clear_session_servers};
use crate::spec::specification;
use crate::workload_proxy::WorkloadProxy;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{net::TcpListener, time::Instant};
use wharf_model::{Advice, Error, ErrorKind, Result};
use wharf_model::{Opaque, RunConfig, Setting, Transport};
use wharf_proxy::Access;
use wharf_records::Store;
use wharf_runtimes::{CallError, RuntimeClient};
use wharf_runtimes::{look, look_briefly, look_cleared_up, prove_ended, prove_gone, prove_owner};
use wharf_sdk::{Capability, ErrorCode, Exit, Handle, Observation, WorkloadSpec, WorkloadState};

/// How long to look for a deployment that missed its deadline, before the workload is left on record as failed.
const LATE_WAIT: Duration = Duration::from_secs(10);

/// How long a plugin may take to clear up behind a deployment that was given up. A listing waits for that within its own
/// deadline, and is repeated.
const CLEAR_UP_WAIT: Duration = Duration::from_secs(30);

/// One workload and the connection to its owner.
pub(crate) struct Deployment {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) run: RunConfig,
    pub(crate) host_id: String,
    pub(crate) client: Arc<RuntimeClient>,
    /// The port that an HTTP server is told to listen on.
    pub(crate) target_port: u16,
    /// The clients that may use the proxy.
    pub(crate) access: Access,
    /// The proxy. It is made at the first start, and kept over restarts.
    pub(crate) proxy: Option<WorkloadProxy>,
    /// True if the server's stream was lost, and is back, and the server was not started since.
    pub(crate) is_reattached: bool,
    /// The servers of its sessions, where each has one; made with the proxy.
    pub(crate) session_servers: Option<SessionServers>,
    /// The handle of the present deployment.
    pub(crate) handle: Option<Handle>,
    /// The handle that an earlier supervisor recorded.
    pub(crate) recorded: Option<Opaque>,
    /// The handle of the deployment that an earlier supervisor left, if it cannot go on.
    pub(crate) earlier: Option<Handle>,
    /// The server that an earlier supervisor left and that goes on, as its owner showed it.
    pub(crate) resumed: Option<Observation>,
    /// How often in a row the workload has ended with exit code 0, starts that failed so included.
    pub(crate) zero_ends: Arc<AtomicU32>,
    /// The counts for metrics.
    pub(crate) counts: Counts,
}

/// The failure of a deployment.
pub(crate) struct NotDeployed {
    pub(crate) error: Error,
    /// The part of it that may exist all the same.
    pub(crate) made: Made,
}

impl<E: Into<Error>> From<E> for NotDeployed {
    /// For errors before the runtime was asked for anything.
    fn from(error: E) -> Self {
        Self { error: error.into(), made: Made::Nothing }
    }
}

impl Deployment {
    /// Counts an end of the workload.
    pub(crate) fn count_end(&self, exit: &Exit) {
        let count = if exit.code == Some(0) { self.zero_ends.load(Relaxed).saturating_add(1) } else { 0 };
        self.zero_ends.store(count, Relaxed);
    }

    /// True if the runtime restarts a workload in place, with all that it wrote.
    pub(crate) fn restarts_in_place(&self) -> bool {
        self.client.stamp().has(&Capability::RESTART_IN_PLACE)
    }

    /// True of a server that goes on when this process ends, so that the next supervisor finds it again. A server on a pipe
    /// cannot.
    pub(crate) fn survives_supervisor(&self) -> bool {
        self.run.transport != Transport::Stdio && self.client.stamp().has(&Capability::SURVIVES_SUPERVISOR)
    }

    /// True if the engine restarts workloads by itself: then this supervisor does not. The engine gives up by its own rules,
    /// and the end that it then reports is recorded.
    pub(crate) fn restarts_itself(&self) -> bool {
        self.client.stamp().has(&Capability::RESTARTS_ITSELF)
    }

    /// Looks for a deployment of an earlier supervisor: by its uid, and by the recorded handle.
    pub(crate) async fn look_for_earlier(&mut self) -> Result<Earlier> {
        clear_session_servers(&self.store, &self.run, (self.client.as_ref(), self.host_id.as_str())).await?;
        self.recorded = self.store.read_status(&self.run.name)?.handle;
        let recorded = self.recorded.as_ref().map(Opaque::read).transpose().map_err(|error| {
            Error::caused(ErrorKind::Failed, "the recorded handle cannot be read", &error)
        })?;
        // Fails if there are two resources of the uid: it must not be guessed which one is right.
        let found = self.find().await?;
        // The earlier supervisor may have died between the deployment and the record; in a restart, the recorded resource is
        // gone by then, and the new one is found by its labels alone.
        let other = found.filter(|found| recorded.as_ref() != Some(found));
        for handle in recorded.into_iter().chain(other) {
            match self.client.recover(&handle).await {
                Ok(seen) => return self.take_up(handle, seen),
                Err(error) if error.code() == Some(ErrorCode::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Earlier::Nothing)
    }

    fn take_up(&mut self, handle: Handle, seen: Observation) -> Result<Earlier> {
        if self.can_go_on(&seen) {
            tracing::info!("the workload of an earlier supervisor still runs and is resumed");
            (self.handle, self.resumed) = (Some(handle), Some(seen));
            return Ok(Earlier::Runs);
        }
        if seen.state == WorkloadState::Unknown {
            let message = "its runtime has it, and does not know what it does";
            let check = self.run.owner().map_or(Advice::CheckRuntimes, |owner| owner.check());
            return Err(Error::new(ErrorKind::Runtime, message).advise(check));
        }
        self.earlier = Some(handle);
        Ok(Earlier::Left)
    }

    /// True of a server with a port that runs. One that somebody has paused would not answer: it is started anew.
    fn can_go_on(&self, seen: &Observation) -> bool {
        let runs = seen.state == WorkloadState::Running && !seen.is_paused();
        runs && self.run.transport != Transport::Stdio
    }

    /// Waits until a server that was left running answers.
    pub(crate) async fn await_resumed(&mut self) -> Result<()> {
        let Some(handle) = self.handle.clone() else { return Err(nothing()) };
        let Some(seen) = self.resumed.take() else { return Err(nothing()) };
        self.wait_for_port(&handle, &seen).await
    }

    /// Makes everything that a start needs. True if it was made from the resource that an earlier attempt left.
    pub(crate) async fn deploy(&mut self) -> std::result::Result<bool, NotDeployed> {
        self.handle = None;
        let stamp = self.client.stamp();
        let mut spec = specification(&self.config, &self.run, stamp, &self.host_id, self.target_port)?;
        self.pin_if_it_is_not(&mut spec).await?;
        self.check_target_port().await?;
        let handle = match self.client.deploy(&spec).await {
            Ok(handle) => handle,
            Err(error) => {
                let made = made_by(&error);
                return Err(NotDeployed { error: error.into(), made });
            }
        };
        let is_kept = self.restarts_in_place() && Opaque::of(&handle).ok() == self.recorded;
        // Set at once: whatever fails from here on, the handle is needed to remove the deployment.
        self.handle = Some(handle);
        Ok(is_kept)
    }

    /// Proves that one listing of the recorded instance shows the deployment. Deploying takes time: meanwhile another
    /// engine may have taken the endpoint and made the container, while the recorded one still has an earlier one.
    pub(crate) async fn prove_made(&self) -> Result<()> {
        let seen = look(&self.client, &self.host_id, &self.run).await?;
        if seen.is_some_and(|seen| seen.handle.is_none_or(|shown| Some(shown) == self.handle)) {
            return Ok(());
        }
        let message =
            format!("the recorded instance of '{}' does not show what was made", self.run.runtime_name);
        Err(Error::new(ErrorKind::Owner, message))
    }

    /// Attaches, starts, and waits until the server answers.
    pub(crate) async fn start(&mut self) -> Result<()> {
        let Some(handle) = self.handle.clone() else { return Err(nothing()) };
        match self.run.transport {
            Transport::Stdio => self.start_stdio(&handle).await,
            Transport::StreamableHttp | Transport::Sse | Transport::Inspector => {
                self.start_http(&handle).await
            }
        }
    }

    /// Pins the names of a workload that has no pins, because an older version created it: they must lead where they lead
    /// at this start, since nobody knows where they led when it was created.
    async fn pin_if_it_is_not(&mut self, spec: &mut WorkloadSpec) -> Result<()> {
        if self.run.pinned.is_some() {
            return Ok(());
        }
        let Some(pins) = self.client.pin(spec).await? else { return Ok(()) };
        let (name, uid) = (self.run.name.clone(), self.run.uid.clone());
        let mut pinned = self.run.clone();
        pinned.set_pins(Some(&pins))?;
        self.run = self.store.update_run_config(&name, &uid, |run| {
            run.pinned = run.pinned.take().or(pinned.pinned);
        })?;
        spec.pinned = self.run.pins()?;
        Ok(())
    }

    /// Fails if another program listens on the server's port: it would be taken for the workload.
    async fn check_target_port(&self) -> Result<()> {
        if self.target_port == 0 || self.client.stamp().has(&Capability::PORT_MAPPING) {
            return Ok(());
        }
        // The workload may listen on either address of loopback.
        for address in ["127.0.0.1", "::1"] {
            // The supervisor may lack the right to bind a port that the workload may bind. If it is not free, the workload
            // itself fails.
            let bound = TcpListener::bind((address, self.target_port)).await;
            if bound.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse) {
                let message = format!("the target port {} is taken", self.target_port);
                return Err(Error::new(ErrorKind::Conflict, message)
                    .hint("end what listens on it")
                    .advise(Advice::Choose { setting: Setting::TargetPort, value: None }));
            }
        }
        Ok(())
    }

    /// Stops a deployment, and removes it unless its runtime restarts it in place. A missing one is a success.
    pub(crate) async fn put_aside(&self, handle: Option<&Handle>) -> Result<()> {
        let Some(handle) = handle else { return Ok(()) };
        let done = match self.restarts_in_place() {
            true => self.client.stop(handle, Duration::ZERO).await,
            false => self.client.remove(handle).await,
        };
        found(done).map(drop)
    }

    /// Stops a deployment after a start that failed, and keeps it with all that it wrote.
    pub(crate) async fn stop_kept(&self) -> Result<()> {
        let Some(handle) = &self.handle else { return Ok(()) };
        Ok(self.client.stop(handle, Duration::ZERO).await?)
    }

    /// Removes the deployment, which is found by its uid if its handle is not known. False if a complete listing shows that
    /// there is none.
    pub(crate) async fn remove(&mut self) -> Result<bool> {
        if self.handle.is_none() {
            self.handle = self.find().await?;
        }
        let Some(handle) = &self.handle else { return Ok(false) };
        found(self.client.remove(handle).await)?;
        Ok(true)
    }

    /// The same for a deployment that was given up, once its plugin has cleared up behind it. Until then there is no answer.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Deadline`] if the start is given up and something may still come of it. In a restart, an owner
    /// without an answer is away, and uses up no attempt.
    pub(crate) async fn remove_given_up(&mut self, is_start: bool) -> Result<bool> {
        if self.handle.is_none() {
            let seen = look_cleared_up(&self.client, &self.host_id, &self.run, CLEAR_UP_WAIT).await;
            let seen = seen.map_err(|error| match error.kind {
                ErrorKind::Deadline if !is_start => Error { kind: ErrorKind::Owner, ..error },
                _ => error,
            });
            let Some(found) = self.handle_of(seen?)? else { return Ok(false) };
            self.handle = Some(found);
        }
        self.remove().await
    }

    /// The handle of the recorded instance's resource with this uid. Only that instance can prove that there is none:
    /// another one may have taken the endpoint during the deployment, and has none.
    async fn find(&self) -> Result<Option<Handle>> {
        self.handle_of(look(&self.client, &self.host_id, &self.run).await?)
    }

    fn handle_of(&self, seen: Option<Observation>) -> Result<Option<Handle>> {
        match seen {
            None => Ok(None),
            Some(seen) => seen.handle.map(Some).ok_or_else(|| {
                let runtime = &self.run.runtime_name;
                let message = format!("the runtime '{runtime}' has it, and does not say how to reach it");
                Error::new(ErrorKind::Owner, message)
            }),
        }
    }

    /// Looks for a deployment that missed its deadline and may still appear, and removes it; true if it appeared. Engines
    /// have no event for a container that they have not made yet, so this polls.
    pub(crate) async fn settle(&mut self) -> Result<bool> {
        let (deadline, mut pause) = (Instant::now() + LATE_WAIT, Duration::from_millis(50));
        loop {
            match self.remove_all().await {
                Ok(true) => return Ok(true),
                other if Instant::now() >= deadline => return other,
                _ => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn remove_all(&mut self) -> Result<bool> {
        if self.handle.is_none() {
            self.handle = self.handle_of(look_briefly(&self.client, &self.host_id, &self.run).await?)?;
        }
        if self.handle.is_none() {
            return Ok(false);
        }
        let any = self.remove().await?;
        if any {
            self.prove_gone().await?;
        }
        Ok(any)
    }

    /// Proves that the recorded instance has nothing of it any more; then the handles are forgotten.
    pub(crate) async fn prove_gone(&mut self) -> Result<()> {
        prove_gone(&self.client, &self.host_id, &self.run).await?;
        (self.handle, self.earlier) = (None, None);
        Ok(())
    }

    /// Proves that the stopped deployment does not run. The next deployment returns its handle.
    pub(crate) async fn prove_put_aside(&mut self) -> Result<()> {
        self.prove_ended().await?;
        (self.handle, self.earlier) = (None, None);
        Ok(())
    }

    /// Proves that the recorded instance still answers.
    pub(crate) async fn prove_owner(&self) -> Result<()> {
        prove_owner(&self.client, &self.run).await
    }

    /// Proves that nothing of it runs; only then is the reported exit its end.
    pub(crate) async fn prove_ended(&self) -> Result<()> {
        prove_ended(&self.client, &self.host_id, &self.run).await.map(drop)
    }

    /// The exit of the deployment, if its runtime knows it.
    pub(crate) async fn exit(&self) -> Option<Exit> {
        self.client.inspect(self.handle.as_ref()?).await.ok()?.exit
    }
}

fn nothing() -> Error {
    Error::new(ErrorKind::Failed, "nothing is deployed")
}

/// False if there was nothing to remove, which is a success.
fn found(done: std::result::Result<(), CallError>) -> Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.code() == Some(ErrorCode::NotFound) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The part of a deployment that may exist after this error. If the deadline passed, the engine went away, or the runtime
/// failed itself, nobody knows what the engine has made; every other error means that nothing was deployed.
fn made_by(error: &CallError) -> Made {
    match error {
        CallError::Deadline { .. } => Made::Late,
        CallError::Malformed { .. } | CallError::Died { .. } => Made::Unknown,
        CallError::Answered(error) => match error.code {
            ErrorCode::Timeout | ErrorCode::Cancelled => Made::Late,
            ErrorCode::Unavailable | ErrorCode::Internal => Made::Unknown,
            _ => Made::Nothing,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::made_by;
    use crate::machine::Made;
    use wharf_runtimes::CallError;
    use wharf_sdk::{Error, ErrorCode};

    #[test]
    fn only_an_error_that_says_so_means_that_nothing_was_deployed() {
        let answered = |code| made_by(&CallError::Answered(Error::new(code, "it failed")));
        assert_eq!(answered(ErrorCode::InvalidArgument), Made::Nothing);
        assert_eq!(answered(ErrorCode::Unavailable), Made::Unknown);
        assert_eq!(answered(ErrorCode::Internal), Made::Unknown);
        assert_eq!(answered(ErrorCode::Cancelled), Made::Late);
        assert_eq!(answered(ErrorCode::Timeout), Made::Late);
        assert_eq!(made_by(&CallError::Deadline { operation: "deploy", deadline_ms: 1 }), Made::Late);
        assert_eq!(made_by(&CallError::Died { operation: "deploy" }), Made::Unknown);
    }
}
