//! One workload and how it is reached: what its owner is asked to do, one call or proof at a time. The machine says
//! which of these is done and when (`machine/`); the records are `recording.rs`, the wait for an answer `readiness.rs`.
use crate::config::Config;
use crate::dial::upstream;
use crate::machine::{Earlier, Made};
use crate::spec::specification;
use crate::workload_proxy::WorkloadProxy;
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, time::Instant};
use wharf_model::{Advice, Error, ErrorKind, Result};
use wharf_model::{Opaque, RestartPolicy, RunConfig, Setting, Transport};
use wharf_proxy::Access;
use wharf_records::Store;
use wharf_runtimes::{CallError, RuntimeClient};
use wharf_runtimes::{look, prove_ended, prove_gone, prove_owner};
use wharf_sdk::{Capability, ErrorCode, Exit, Handle, Observation, WorkloadSpec, WorkloadState};

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
    /// The clients that the proxy serves.
    pub(crate) access: Access,
    /// The proxy; made at the first start, kept over restarts.
    pub(crate) front: Option<WorkloadProxy>,
    /// The handle of what is deployed now.
    pub(crate) handle: Option<Handle>,
    /// The handle that an earlier supervisor recorded.
    pub(crate) recorded: Option<Opaque>,
    /// The handle of what it left, if there is anything that does not go on.
    pub(crate) earlier: Option<Handle>,
    /// A server that it left and that goes on, as its owner showed it.
    pub(crate) resumed: Option<Observation>,
}

/// Why nothing is deployed, or nobody knows.
pub(crate) struct NotDeployed {
    pub(crate) error: Error,
    /// The part of it that may be there all the same.
    pub(crate) made: Made,
}

impl<E: Into<Error>> From<E> for NotDeployed {
    /// Nothing was asked of the runtime yet.
    fn from(error: E) -> Self {
        Self { error: error.into(), made: Made::Nothing }
    }
}

impl Deployment {
    /// True if the runtime restarts a workload in place, with all that it wrote.
    pub(crate) fn restarts_in_place(&self) -> bool {
        self.client.stamp().has(&Capability::RESTART_IN_PLACE)
    }

    /// True of a server that goes on when this process ends, and is found again by the next supervisor. One on a pipe
    /// cannot.
    pub(crate) fn survives_supervisor(&self) -> bool {
        self.run.transport != Transport::Stdio && self.client.stamp().has(&Capability::SURVIVES_SUPERVISOR)
    }

    /// The policy that this supervisor follows when the workload has ended: none of its own where the engine restarts
    /// workloads by itself. It gives up by its own rules, and the end that it then tells is recorded.
    pub(crate) fn restart_policy(&self) -> RestartPolicy {
        match self.client.stamp().has(&Capability::RESTARTS_ITSELF) {
            true => RestartPolicy::No,
            false => self.run.restart,
        }
    }

    /// Looks for what an earlier supervisor left: by its uid, and by the recorded handle.
    pub(crate) async fn look_for_earlier(&mut self) -> Result<Earlier> {
        self.recorded = self.store.read_status(&self.run.name)?.handle;
        let recorded = self.recorded.as_ref().map(Opaque::read).transpose().map_err(|error| {
            Error::caused(ErrorKind::Failed, "the recorded handle cannot be read", &error)
        })?;
        // Where there are two of it, nobody chooses one.
        let found = self.find().await?;
        // Its supervisor may have died between the deployment and the record.
        let Some(handle) = recorded.or(found) else {
            return Ok(Earlier::Nothing);
        };
        match self.client.recover(&handle).await {
            Ok(seen) if self.can_go_on(&seen) => {
                tracing::info!("the workload of an earlier supervisor still runs and is resumed");
                (self.handle, self.resumed) = (Some(handle), Some(seen));
                Ok(Earlier::Runs)
            }
            Ok(seen) if seen.state == WorkloadState::Unknown => {
                let message = "its runtime has it, and does not know what it does; look there, or remove it";
                Err(Error::new(ErrorKind::Runtime, message))
            }
            Ok(_) => {
                self.earlier = Some(handle);
                Ok(Earlier::Left)
            }
            Err(error) if error.code() == Some(ErrorCode::NotFound) => Ok(Earlier::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// True of a server with a port that runs.
    fn can_go_on(&self, seen: &Observation) -> bool {
        seen.state == WorkloadState::Running && self.run.transport != Transport::Stdio
    }

    /// Waits until a server that was left running answers.
    pub(crate) async fn await_resumed(&mut self) -> Result<()> {
        let Some(handle) = self.handle.clone() else { return Err(nothing()) };
        let Some(seen) = self.resumed.take() else { return Err(nothing()) };
        let server = upstream(&self.client, &handle, &seen, self.target_port)?;
        self.wait_for_port(&handle, server).await
    }

    /// Makes everything that a start needs. True if it was made of what an earlier attempt left.
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
        // From here on, whatever happens must find the handle, to remove what was deployed.
        self.handle = Some(handle);
        Ok(is_kept)
    }

    /// One listing of the recorded instance must show what was made. Deploying takes its time: another engine may have
    /// taken the endpoint meanwhile, and have made it, while the recorded one still has what it kept.
    pub(crate) async fn prove_made(&self) -> Result<()> {
        let seen = look(&self.client, &self.host_id, &self.run).await?;
        if seen.is_some_and(|seen| seen.handle.is_none_or(|shown| Some(shown) == self.handle)) {
            return Ok(());
        }
        let message =
            format!("the recorded instance of '{}' does not show what was made", self.run.runtime_name);
        Err(Error::new(ErrorKind::Owner, message))
    }

    /// Attaches, starts, waits until the server answers.
    pub(crate) async fn start(&mut self) -> Result<()> {
        let Some(handle) = self.handle.clone() else { return Err(nothing()) };
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

    /// A port that somebody else listens on would be taken for the workload's own.
    async fn check_target_port(&self) -> Result<()> {
        if self.target_port == 0 || self.client.stamp().has(&Capability::PORT_MAPPING) {
            return Ok(());
        }
        match TcpListener::bind(("127.0.0.1", self.target_port)).await {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                let message = format!("the target port {} is taken", self.target_port);
                Err(Error::new(ErrorKind::Conflict, message)
                    .hint("end what listens on it")
                    .advise(Advice::Choose { setting: Setting::TargetPort, value: None }))
            }
            // Some ports need rights that the workload may have; it will tell.
            _ => Ok(()),
        }
    }

    /// Ends what an earlier supervisor left, or what is deployed, and removes it, unless its runtime restarts it in
    /// place. One that is gone already is no failure.
    pub(crate) async fn put_aside(&self, handle: Option<&Handle>) -> Result<()> {
        let Some(handle) = handle else { return Ok(()) };
        let done = match self.restarts_in_place() {
            true => self.client.stop(handle, Duration::ZERO).await,
            false => self.client.remove(handle).await,
        };
        found(done).map(drop)
    }

    /// Stops what was there before a start that failed: it stays, ended, with all that it wrote.
    pub(crate) async fn stop_kept(&self) -> Result<()> {
        let Some(handle) = &self.handle else { return Ok(()) };
        Ok(self.client.stop(handle, Duration::ZERO).await?)
    }

    /// Removes what is deployed, found by its uid if its handle is not known. False if there was nothing, which a
    /// complete listing says.
    pub(crate) async fn remove(&mut self) -> Result<bool> {
        if self.handle.is_none() {
            self.handle = self.find().await?;
        }
        let Some(handle) = &self.handle else { return Ok(false) };
        found(self.client.remove(handle).await)?;
        Ok(true)
    }

    /// The resource that the recorded instance has with this uid. That there is nothing is believed of that instance alone: another
    /// one may have taken the endpoint while the deployment was under way, and has nothing of it.
    async fn find(&self) -> Result<Option<Handle>> {
        match look(&self.client, &self.host_id, &self.run).await? {
            None => Ok(None),
            Some(seen) => seen.handle.map(Some).ok_or_else(|| {
                let runtime = &self.run.runtime_name;
                let message = format!("the runtime '{runtime}' has it, and does not say how to reach it");
                Error::new(ErrorKind::Owner, message)
            }),
        }
    }

    /// Looks for what a deployment that missed its deadline may still bring, and removes it; tells whether it came.
    /// Engines have no event for what they have not made yet.
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
        let any = self.remove().await?;
        if any {
            self.prove_gone().await?;
        }
        Ok(any)
    }

    /// The recorded instance has nothing of it any more; then its handle is of no use.
    pub(crate) async fn prove_gone(&mut self) -> Result<()> {
        prove_gone(&self.client, &self.host_id, &self.run).await?;
        (self.handle, self.earlier) = (None, None);
        Ok(())
    }

    /// It was put aside, and runs no more. It has another handle, or none, when it is deployed again.
    pub(crate) async fn prove_put_aside(&mut self) -> Result<()> {
        self.prove_ended().await?;
        (self.handle, self.earlier) = (None, None);
        Ok(())
    }

    /// It is still the owner that answers.
    pub(crate) async fn prove_owner(&self) -> Result<()> {
        prove_owner(&self.client, &self.run).await
    }

    /// The owner shows nothing of it as running: only then is what was told of its end its end.
    pub(crate) async fn prove_ended(&self) -> Result<()> {
        prove_ended(&self.client, &self.host_id, &self.run).await.map(drop)
    }

    /// How what is deployed ended, if its runtime knows.
    pub(crate) async fn exit(&self) -> Option<Exit> {
        self.client.inspect(self.handle.as_ref()?).await.ok()?.exit
    }
}

fn nothing() -> Error {
    Error::new(ErrorKind::Failed, "nothing is deployed")
}

/// False if there was nothing, which is no failure of a call that removes.
fn found(done: std::result::Result<(), CallError>) -> Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.code() == Some(ErrorCode::NotFound) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The part of a deployment that may be there after an error. A runtime that says that the time was over, that its engine went away
/// or that it failed itself does not know what became of it; every other error means that nothing was deployed.
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
