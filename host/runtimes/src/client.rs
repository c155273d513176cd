//! [`RuntimeClient`]: the operations of a runtime, typed, with deadlines and checks. It is the only way in which the rest
//! of the host calls a plugin.
use crate::call_counts::{CallCounts, CallOutcome};
use crate::call_documents::{millis, read, write};
use crate::connection::Connection;
use crate::deadlines::{Deadlines, Purpose};
use crate::error::CallError;
use crate::raw_stream::RawStream;
use crate::standing::Standing;
use serde::{Serialize, de::DeserializeOwned};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use wharf_failpoint::{Point, reach};
use wharf_sdk::document::{Nothing, OnWorkload, operation};
use wharf_sdk::stamp::RuntimeStamp;
use wharf_sdk::{
    Capability, Confinement, DialOptions, Error, ErrorCode, Exit, ForeignListing, Handle, Health, Instance,
    LabelSelector, ListQuery, Listing, LogOptions, NetworkVerdict, Observation, Pins, StopOptions,
    WorkloadSpec,
};

/// The number of calls to one runtime at a time; more wait, within their deadlines.
const MAX_CALLS: usize = 64;
/// So much `stop` may take beside its own timeout at most. Whoever asked for it waits, and can ask again.
const STOP_ADDS: Duration = Duration::from_secs(30);
/// The host waits so much longer than the deadline that it gives the plugin, so that the plugin's own error can arrive.
const PLUGIN_ERROR_WAIT: Duration = Duration::from_millis(250);

/// One runtime, connected through one endpoint.
pub struct RuntimeClient {
    stamp: RuntimeStamp,
    connection: Arc<dyn Connection>,
    deadlines: Deadlines,
    bulkhead: Semaphore,
    /// Where its calls are counted.
    counts: Arc<CallCounts>,
    standing: Arc<Standing>,
}

impl RuntimeClient {
    /// Makes a client of a connection; called by the registry.
    pub fn new(stamp: RuntimeStamp, connection: Arc<dyn Connection>, deadlines: Deadlines) -> Self {
        Self {
            stamp,
            connection,
            deadlines,
            bulkhead: Semaphore::new(MAX_CALLS),
            counts: Arc::default(),
            standing: Arc::default(),
        }
    }

    /// Counts its calls there.
    #[must_use]
    pub(crate) fn counted_by(mut self, counts: Arc<CallCounts>) -> Self {
        self.counts = counts;
        self
    }

    /// The runtime's name.
    pub fn name(&self) -> &str {
        &self.stamp.name
    }

    /// The runtime's part of its library's manifest.
    pub fn stamp(&self) -> &RuntimeStamp {
        &self.stamp
    }

    /// Whether it answers nothing at all: all of the plugin's threads are blocked.
    pub(crate) fn is_hung(&self) -> bool {
        self.standing.is_hung()
    }

    /// The connection itself, for callers that need a runtime without the checks and deadlines of this client.
    pub fn connection(&self) -> Arc<dyn Connection> {
        Arc::clone(&self.connection)
    }

    /// The engine that answers, and how it was reached.
    pub async fn instance(&self) -> Result<Instance, CallError> {
        self.call(operation::INSTANCE, Nothing {}, Some(self.deadlines.ask)).await
    }

    /// Whether it can be used here and now.
    pub async fn health(&self) -> Result<Health, CallError> {
        self.call(operation::HEALTH, Nothing {}, Some(self.deadlines.ask)).await
    }

    /// The confinement that the runtime can enforce here; none if it does not tell.
    pub async fn confinement(&self) -> Result<Option<Confinement>, CallError> {
        if self.check_able(&Capability::CONFINE).is_err() {
            return Ok(None);
        }
        self.call(operation::CONFINEMENT, Nothing {}, Some(self.deadlines.change)).await.map(Some)
    }

    /// Whether `deploy` would accept this specification. It is refused here, without asking, if it needs a capability that
    /// is not declared.
    pub async fn validate(&self, spec: &WorkloadSpec) -> Result<(), CallError> {
        self.check_declared(spec)?;
        let Nothing {} = self.call(operation::VALIDATE, spec, Some(self.deadlines.ask)).await?;
        Ok(())
    }

    /// Where the names of files in a specification lead now; none if the runtime does not resolve them. A runtime that does
    /// refuses here what [`Self::validate`] refuses.
    pub async fn pin(&self, spec: &WorkloadSpec) -> Result<Option<Pins>, CallError> {
        if self.check_able(&Capability::PIN).is_err() {
            return Ok(None);
        }
        self.check_declared(spec)?;
        self.call(operation::PIN, spec, Some(self.deadlines.ask)).await.map(Some)
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
        let deadline = match self.stamp.has(&Capability::FETCHES_AT_START) {
            true => self.deadlines.deploy,
            false => self.deadlines.change,
        };
        reach(Point::StartCallBefore);
        let started = self.on_workload(operation::START, handle, Nothing {}, Some(deadline)).await;
        reach(Point::StartCallAfter);
        started.map(|Nothing {}| ())
    }

    /// Ends the workload, killing it after the timeout.
    pub async fn stop(&self, handle: &Handle, timeout: Duration) -> Result<(), CallError> {
        let options = StopOptions { timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX) };
        let deadline = timeout.saturating_add(self.deadlines.change.min(STOP_ADDS));
        reach(Point::StopCallBefore);
        let stopped = self.on_workload(operation::STOP, handle, options, Some(deadline)).await;
        reach(Point::StopCallAfter);
        stopped.map(|Nothing {}| ())
    }

    /// Removes everything that the runtime has of the workload.
    pub async fn remove(&self, handle: &Handle) -> Result<(), CallError> {
        reach(Point::RemoveCallBefore);
        let removed =
            self.on_workload(operation::REMOVE, handle, Nothing {}, Some(self.deadlines.change)).await;
        reach(Point::RemoveCallAfter);
        removed.map(|Nothing {}| ())
    }

    /// The present state of the workload.
    pub async fn inspect(&self, handle: &Handle) -> Result<Observation, CallError> {
        let mut observation: Observation =
            self.on_workload(operation::INSPECT, handle, Nothing {}, Some(self.deadlines.ask)).await?;
        same_uid(operation::INSPECT, &handle.uid, &observation.uid)?;
        let exit = observation.exit.take().map(|exit| self.declared(exit));
        Ok(Observation { exit, ..observation })
    }

    /// The workloads of this host that the query asks for. Other rows are dropped: they are no evidence.
    pub async fn list(&self, query: &ListQuery, purpose: Purpose) -> Result<Listing, CallError> {
        let deadline = self.deadlines.of_listing(purpose);
        let mut listing: Listing = self.call(operation::LIST, query, Some(deadline)).await?;
        listing.workloads.retain(|seen| query.asks_for(&seen.uid));
        Ok(listing)
    }

    /// All resources with these labels that no host of wharf made. A resource that was not asked for is dropped.
    pub async fn discover(&self, selector: &LabelSelector) -> Result<ForeignListing, CallError> {
        self.check_able(&Capability::DISCOVER)?;
        let mut listing: ForeignListing =
            self.call(operation::DISCOVER, selector, Some(self.deadlines.ask)).await?;
        listing.resources.retain(|seen| selector.matches(&seen.labels));
        Ok(listing)
    }

    /// The handle of a workload, found by its labels, for a record without one. None is positive evidence that there is no
    /// such resource.
    ///
    /// # Errors
    /// The runtime could not list everything, or has two resources of that uid: then nothing may be concluded.
    pub async fn find(&self, host_id: &str, uid: &str) -> Result<Option<Handle>, CallError> {
        let (_, found) = self.look(host_id, uid, Purpose::Change).await?;
        found
            .map(|seen| seen.handle.ok_or_else(|| self.unclear("has it, and does not say how to reach it")))
            .transpose()
    }

    fn unclear(&self, why: &str) -> CallError {
        let message = format!("the runtime '{}' {why}", self.name());
        CallError::Answered(Error::new(ErrorCode::Unavailable, message))
    }

    /// The workload with this uid, found by its labels, and the instance that answered. No workload is positive evidence
    /// that this instance has none.
    ///
    /// # Errors
    /// As [`RuntimeClient::find`].
    pub async fn look(
        &self,
        host_id: &str,
        uid: &str,
        purpose: Purpose,
    ) -> Result<(String, Option<Observation>), CallError> {
        let listing = self.list(&ListQuery::one(uid), purpose).await?;
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
        self.on_workload(operation::WAIT, handle, Nothing {}, None).await.map(|exit| self.declared(exit))
    }

    /// An exit as the manifest lets it be: only an engine that was declared to restart workloads does so.
    fn declared(&self, exit: Exit) -> Exit {
        Exit { restarts: exit.restarts && self.stamp.has(&Capability::RESTARTS_ITSELF), ..exit }
    }

    /// Lets the runtime try out whether it enforces the rules of networks.
    ///
    /// # Errors
    /// The runtime has no `probe`, or could not try it out.
    pub async fn probe_network(&self) -> Result<NetworkVerdict, CallError> {
        self.check_able(&Capability::PROBE)?;
        // It may fetch an image, as a deployment does.
        self.call(operation::PROBE_NETWORK, Nothing {}, Some(self.deadlines.deploy)).await
    }

    /// Lets the runtime find a workload that an earlier process deployed.
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
        if options.timestamps {
            self.check_able(&Capability::LOG_TIMESTAMPS)?;
        }
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

    /// Makes a new connection to a port of the workload, for its proxy. Dropping the future, or both sides, gives it up.
    ///
    /// # Errors
    /// The runtime has no `dial`, nobody listens, or there is no answer within the deadline of a question.
    pub async fn dial(&self, handle: &Handle, port: u16) -> Result<RawStream, CallError> {
        self.check_able(&Capability::DIAL)?;
        self.open_within(operation::DIAL, handle, DialOptions { port }, self.deadlines.read).await
    }

    /// Ends the plugin's tasks in this process; workloads stay as they are.
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
        let accepts = &self.stamp.accepts;
        // A runtime that names no kind runs the requests that name it, and its own validation refuses the rest.
        if !accepts.is_empty() && !accepts.iter().any(|accepted| accepted == kind) {
            return refuse("source", format!("runs {}, and not {kind}s", accepts.join("s and ") + "s"));
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
            // A wait may last for days, so it must not take one of the places.
            let _place = if deadline.is_some() { self.bulkhead.acquire().await.ok() } else { None };
            self.connection.call(operation, document).await
        };
        let answer = within(operation, deadline, work).await.and_then(|answer| read(operation, &answer));
        self.counts.count(self.name(), operation, CallOutcome::of(&answer));
        if matches!(answer, Err(CallError::Deadline { .. })) {
            self.standing.doubt(&self.connection);
        }
        answer
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
    tokio::time::timeout(deadline.saturating_add(PLUGIN_ERROR_WAIT), work).await.unwrap_or(Err(error))
}

fn same_uid(operation: &'static str, asked: &str, answered: &str) -> Result<(), CallError> {
    if asked == answered {
        return Ok(());
    }
    Err(CallError::Malformed { operation, why: "it is about another workload".to_owned() })
}
