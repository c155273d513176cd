//! The operations of a runtime with their types, deadlines and checks: what the rest of the host sees of a plugin.
use crate::connection::Connection;
use crate::error::CallError;
use crate::raw_stream::RawStream;
use serde::{Serialize, de::DeserializeOwned};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use wharf_failpoint::{Point, reach};
use wharf_sdk::document::{self, Nothing, OnWorkload, operation};
use wharf_sdk::stamp::RuntimeStamp;
use wharf_sdk::{
    Capability, Confinement, DialOptions, Error, ErrorCode, Exit, Handle, Health, Instance, ListQuery,
    Listing, LogOptions, Observation, Pins, Sought, StopOptions, Strangers, WorkloadSpec,
};

/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// How many calls of one runtime may be under way; more wait, within their deadlines.
const MAX_CALLS: usize = 64;
/// How much longer the host waits than it tells the plugin to, so that the plugin's own error arrives if it can.
const GRACE: Duration = Duration::from_millis(250);

/// How long each kind of operation may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// Questions: instance, health, inspect, list, validate, and until a connection is made (dial).
    pub read: Duration,
    /// Changes that are quick by nature: start, remove, recover; and what `stop` adds to its own timeout.
    pub change: Duration,
    /// Deploy, which may fetch an image.
    pub deploy: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            // Podman asks its machine's package manager about itself before it answers, which takes seconds on a busy one.
            read: Duration::from_secs(10),
            change: Duration::from_secs(30),
            deploy: Duration::from_secs(600),
        }
    }
}

/// One runtime, connected through one endpoint.
pub struct RuntimeClient {
    stamp: RuntimeStamp,
    connection: Arc<dyn Connection>,
    deadlines: Deadlines,
    bulkhead: Semaphore,
}

impl RuntimeClient {
    /// A client of a connection; made by the registry.
    pub fn new(stamp: RuntimeStamp, connection: Arc<dyn Connection>, deadlines: Deadlines) -> Self {
        Self { stamp, connection, deadlines, bulkhead: Semaphore::new(MAX_CALLS) }
    }

    /// The runtime's name.
    pub fn name(&self) -> &str {
        &self.stamp.name
    }

    /// What it declares.
    pub fn stamp(&self) -> &RuntimeStamp {
        &self.stamp
    }

    /// What carries the documents, for whoever speaks to a runtime without the checks and deadlines of this client.
    pub fn connection(&self) -> Arc<dyn Connection> {
        Arc::clone(&self.connection)
    }

    /// Which engine answers, and how it was reached.
    pub async fn instance(&self) -> Result<Instance, CallError> {
        self.call(operation::INSTANCE, Nothing {}, Some(self.deadlines.read)).await
    }

    /// Whether it can be used here and now.
    pub async fn health(&self) -> Result<Health, CallError> {
        self.call(operation::HEALTH, Nothing {}, Some(self.deadlines.read)).await
    }

    /// What it can enforce here; none where it does not tell.
    pub async fn confinement(&self) -> Result<Option<Confinement>, CallError> {
        if self.check_able(&Capability::CONFINE).is_err() {
            return Ok(None);
        }
        self.call(operation::CONFINEMENT, Nothing {}, Some(self.deadlines.change)).await.map(Some)
    }

    /// Whether `deploy` would accept this. What is not declared is refused here, without asking.
    pub async fn validate(&self, spec: &WorkloadSpec) -> Result<(), CallError> {
        self.check_declared(spec)?;
        let Nothing {} = self.call(operation::VALIDATE, spec, Some(self.deadlines.read)).await?;
        Ok(())
    }

    /// Where the names of files in a specification lead now; none where the runtime does not tell.
    pub async fn pin(&self, spec: &WorkloadSpec) -> Result<Option<Pins>, CallError> {
        if self.check_able(&Capability::PIN).is_err() {
            return Ok(None);
        }
        self.check_declared(spec)?;
        self.call(operation::PIN, spec, Some(self.deadlines.read)).await.map(Some)
    }

    /// Makes everything that `start` needs.
    pub async fn deploy(&self, spec: &WorkloadSpec) -> Result<Handle, CallError> {
        self.check_declared(spec)?;
        reach(Point::DeployBefore);
        let deployed = self.call(operation::DEPLOY, spec, Some(self.deadlines.deploy)).await;
        reach(Point::DeployAfter);
        let handle: Handle = deployed?;
        same_uid(operation::DEPLOY, &spec.uid, &handle.uid)?;
        Ok(handle)
    }

    /// Lets a deployed workload run.
    pub async fn start(&self, handle: &Handle) -> Result<(), CallError> {
        reach(Point::StartCallBefore);
        let started =
            self.on_workload(operation::START, handle, Nothing {}, Some(self.deadlines.change)).await;
        reach(Point::StartCallAfter);
        started.map(|Nothing {}| ())
    }

    /// Ends the workload, killing it after the timeout.
    pub async fn stop(&self, handle: &Handle, timeout: Duration) -> Result<(), CallError> {
        let options = StopOptions { timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX) };
        let deadline = timeout.saturating_add(self.deadlines.change);
        reach(Point::StopCallBefore);
        let stopped = self.on_workload(operation::STOP, handle, options, Some(deadline)).await;
        reach(Point::StopCallAfter);
        stopped.map(|Nothing {}| ())
    }

    /// Removes whatever is left of the workload.
    pub async fn remove(&self, handle: &Handle) -> Result<(), CallError> {
        reach(Point::RemoveCallBefore);
        let removed =
            self.on_workload(operation::REMOVE, handle, Nothing {}, Some(self.deadlines.change)).await;
        reach(Point::RemoveCallAfter);
        removed.map(|Nothing {}| ())
    }

    /// The workload now.
    pub async fn inspect(&self, handle: &Handle) -> Result<Observation, CallError> {
        let observation: Observation =
            self.on_workload(operation::INSPECT, handle, Nothing {}, Some(self.deadlines.read)).await?;
        same_uid(operation::INSPECT, &handle.uid, &observation.uid)?;
        Ok(observation)
    }

    /// The workloads of this host that are asked for. A row that was not asked for is dropped: it says nothing.
    pub async fn list(&self, query: &ListQuery) -> Result<Listing, CallError> {
        let mut listing: Listing = self.call(operation::LIST, query, Some(self.deadlines.read)).await?;
        listing.workloads.retain(|seen| query.asks_for(&seen.uid));
        Ok(listing)
    }

    /// Everything with these labels that no host of wharf made.
    pub async fn strangers(&self, sought: &Sought) -> Result<Strangers, CallError> {
        self.check_able(&Capability::TAKEOVER)?;
        self.call(operation::STRANGERS, sought, Some(self.deadlines.read)).await
    }

    /// The handle of a workload by its labels, for a record that has none. None is positive evidence that there is no
    /// such resource.
    ///
    /// # Errors
    /// Where the runtime could not list everything, or has two resources of that uid: then nothing may be concluded.
    pub async fn find(&self, host_id: &str, uid: &str) -> Result<Option<Handle>, CallError> {
        let (_, found) = self.look(host_id, uid).await?;
        found
            .map(|seen| seen.handle.ok_or_else(|| self.unclear("has it, and does not say how to reach it")))
            .transpose()
    }

    fn unclear(&self, why: &str) -> CallError {
        let message = format!("the runtime '{}' {why}", self.name());
        CallError::Answered(Error::new(ErrorCode::Unavailable, message))
    }

    /// The answer to the question "what have you of this uid": the instance, and the workload that it has by its labels.
    /// No workload is positive evidence that it has none.
    ///
    /// # Errors
    /// As [`RuntimeClient::find`].
    pub async fn look(&self, host_id: &str, uid: &str) -> Result<(String, Option<Observation>), CallError> {
        let listing = self.list(&ListQuery::one(uid)).await?;
        let mut ours =
            listing.workloads.into_iter().filter(|seen| seen.host_id == host_id && seen.uid == uid);
        let found = ours.next();
        if let (Some(one), Some(other)) = (&found, ours.next()) {
            let both = format!("has two resources with its uid: {} and {}", one.object, other.object);
            return Err(self.unclear(&both));
        }
        if found.is_none() && !listing.complete {
            return Err(self.unclear("could not list everything"));
        }
        Ok((listing.instance, found))
    }

    /// Resolves when the workload ends.
    pub async fn wait(&self, handle: &Handle) -> Result<Exit, CallError> {
        self.on_workload(operation::WAIT, handle, Nothing {}, None).await
    }

    /// Takes a workload of an earlier process up again.
    pub async fn recover(&self, handle: &Handle) -> Result<Observation, CallError> {
        reach(Point::RecoverCallBefore);
        let recovered =
            self.on_workload(operation::RECOVER, handle, Nothing {}, Some(self.deadlines.change)).await;
        reach(Point::RecoverCallAfter);
        let observation: Observation = recovered?;
        same_uid(operation::RECOVER, &handle.uid, &observation.uid)?;
        Ok(observation)
    }

    /// The workload's output.
    pub async fn logs(&self, handle: &Handle, options: LogOptions) -> Result<RawStream, CallError> {
        self.check_able(&Capability::LOGS)?;
        self.open(operation::LOGS, handle, options).await
    }

    /// The workload's stdin and stdout.
    pub async fn attach(&self, handle: &Handle) -> Result<RawStream, CallError> {
        self.check_able(&Capability::ATTACH)?;
        reach(Point::AttachBefore);
        let attached = self.open(operation::ATTACH, handle, Nothing {}).await;
        reach(Point::AttachAfter);
        attached
    }

    /// A new connection to a port of the workload, for its proxy. Dropping the future, or both sides, gives it up.
    ///
    /// # Errors
    /// Where the runtime has no `dial`, nobody listens, or there is no answer within the deadline of a question.
    pub async fn dial(&self, handle: &Handle, port: u16) -> Result<RawStream, CallError> {
        self.check_able(&Capability::DIAL)?;
        self.open_within(operation::DIAL, handle, DialOptions { port }, self.deadlines.read).await
    }

    /// Ends what the plugin runs in this process; workloads stay as they are.
    pub async fn shut_down(&self, deadline: Duration) {
        let ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let _ = tokio::time::timeout(deadline, self.connection.shut_down(ms)).await;
    }

    fn check_able(&self, ability: &Capability) -> Result<(), CallError> {
        if self.stamp.has(ability) {
            return Ok(());
        }
        let message = format!("the runtime '{}' has no '{ability}'", self.name());
        Err(CallError::Answered(Error::new(ErrorCode::Unsupported, message)))
    }

    fn check_declared(&self, spec: &WorkloadSpec) -> Result<(), CallError> {
        let refuse = |field: &str, what: String| {
            let message = format!("the runtime '{}' {what}", self.name());
            Err(CallError::Answered(Error::unsupported(field, message)))
        };
        let kind = spec.source.kind();
        if !self.stamp.accepts.iter().any(|accepted| accepted == kind) {
            return refuse(
                "source",
                format!("runs {}, and not {kind}s", self.stamp.accepts.join("s and ") + "s"),
            );
        }
        for (capability, field) in spec.requirements() {
            if !self.stamp.has(&capability) {
                let needs = if field == capability.as_str() {
                    String::new()
                } else {
                    format!(", which {field} needs")
                };
                return refuse(field, format!("has no '{capability}'{needs}"));
            }
        }
        Ok(())
    }

    async fn on_workload<O: Serialize, A: DeserializeOwned>(
        &self,
        operation: &'static str,
        handle: &Handle,
        options: O,
        deadline: Option<Duration>,
    ) -> Result<A, CallError> {
        self.call(operation, OnWorkload { handle: handle.clone(), options }, deadline).await
    }

    async fn call<B: Serialize, A: DeserializeOwned>(
        &self,
        operation: &'static str,
        body: B,
        deadline: Option<Duration>,
    ) -> Result<A, CallError> {
        let document = write(operation, body, deadline)?;
        let work = async {
            // A wait may last for days and must not take a place from the others.
            let _place = if deadline.is_some() { self.bulkhead.acquire().await.ok() } else { None };
            self.connection.call(operation, document).await
        };
        read(operation, &within(operation, deadline, work).await?)
    }

    async fn open<O: Serialize>(
        &self,
        operation: &'static str,
        handle: &Handle,
        options: O,
    ) -> Result<RawStream, CallError> {
        self.open_within(operation, handle, options, self.deadlines.change).await
    }

    async fn open_within<O: Serialize>(
        &self,
        operation: &'static str,
        handle: &Handle,
        options: O,
        deadline: Duration,
    ) -> Result<RawStream, CallError> {
        let deadline = Some(deadline);
        let document = write(operation, OnWorkload { handle: handle.clone(), options }, deadline)?;
        within(operation, deadline, self.connection.open(operation, document)).await
    }
}

impl std::fmt::Debug for RuntimeClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuntimeClient").field("name", &self.stamp.name).finish_non_exhaustive()
    }
}

async fn within<T>(
    operation: &'static str,
    deadline: Option<Duration>,
    work: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    let Some(deadline) = deadline else { return work.await };
    let error = CallError::Deadline { operation, deadline_ms: millis(deadline) };
    tokio::time::timeout(deadline.saturating_add(GRACE), work).await.unwrap_or(Err(error))
}

fn write<B: Serialize>(
    operation: &'static str,
    body: B,
    deadline: Option<Duration>,
) -> Result<String, CallError> {
    document::write(body, deadline.map(millis)).map_err(|error| {
        let message = format!("the document for '{operation}' cannot be written: {error}");
        CallError::Answered(Error::new(ErrorCode::InvalidArgument, message))
    })
}

fn read<A: DeserializeOwned>(operation: &'static str, text: &str) -> Result<A, CallError> {
    let malformed = |why: String| CallError::Malformed { operation, why };
    if text.len() > MAX_ANSWER_BYTES {
        return Err(malformed(format!(
            "it has {} bytes, and at most {MAX_ANSWER_BYTES} are read",
            text.len()
        )));
    }
    document::read(text).map(|envelope| envelope.body).map_err(|error| {
        match std::error::Error::source(&error) {
            Some(source) => malformed(format!("{error}: {source}")),
            None => malformed(error.to_string()),
        }
    })
}

fn same_uid(operation: &'static str, asked: &str, answered: &str) -> Result<(), CallError> {
    if asked == answered {
        return Ok(());
    }
    Err(CallError::Malformed { operation, why: "it is about another workload".to_owned() })
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
