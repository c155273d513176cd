//! The operations of a runtime, typed, as one host calls them.
use super::breach::{Breach, Checked, ensure};
use super::subject::{Fault, Link, Pipe};
use crate::document::{self, Nothing, OnWorkload, operation};
use crate::{
    DialOptions, ErrorCode, Exit, Handle, Health, Instance, ListQuery, Listing, LogOptions, NetworkVerdict,
    Observation, Pins, StopOptions, WorkloadSpec,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{cell::Cell, rc::Rc, sync::Arc};

/// One host, connected to the runtime under test.
pub(super) struct Client {
    pub(super) host_id: String,
    link: Arc<dyn Link>,
    /// The operation that was called last: if the step runs out of time, the report names it.
    asked: Rc<Asked>,
}

/// The operation that was called last.
#[derive(Debug, Default)]
pub(super) struct Asked(Cell<&'static str>);

impl Asked {
    pub(super) fn last(&self) -> &'static str {
        self.0.get()
    }
}

impl Client {
    pub(super) fn new(host_id: String, link: Arc<dyn Link>, asked: Rc<Asked>) -> Self {
        Self { host_id, link, asked }
    }

    pub(super) async fn instance(&self) -> Result<Instance, Fault> {
        self.call(operation::INSTANCE, Nothing {}).await
    }

    pub(super) async fn health(&self) -> Result<Health, Fault> {
        self.call(operation::HEALTH, Nothing {}).await
    }

    pub(super) async fn validate(&self, spec: &WorkloadSpec) -> Result<(), Fault> {
        self.call(operation::VALIDATE, spec).await.map(|Nothing {}| ())
    }

    pub(super) async fn pin(&self, spec: &WorkloadSpec) -> Result<Pins, Fault> {
        self.call(operation::PIN, spec).await
    }

    pub(super) async fn deploy(&self, spec: &WorkloadSpec) -> Result<Handle, Fault> {
        self.call(operation::DEPLOY, spec).await
    }

    pub(super) async fn start(&self, handle: &Handle) -> Result<(), Fault> {
        self.on_workload(operation::START, handle, Nothing {}).await.map(|Nothing {}| ())
    }

    pub(super) async fn stop(&self, handle: &Handle, timeout_ms: u64) -> Result<(), Fault> {
        let options = StopOptions { timeout_ms };
        self.on_workload(operation::STOP, handle, options).await.map(|Nothing {}| ())
    }

    pub(super) async fn remove(&self, handle: &Handle) -> Result<(), Fault> {
        self.on_workload(operation::REMOVE, handle, Nothing {}).await.map(|Nothing {}| ())
    }

    pub(super) async fn inspect(&self, handle: &Handle) -> Result<Observation, Fault> {
        self.on_workload(operation::INSPECT, handle, Nothing {}).await
    }

    pub(super) async fn list(&self, query: &ListQuery) -> Result<Listing, Fault> {
        self.call(operation::LIST, query).await
    }

    pub(super) async fn wait(&self, handle: &Handle) -> Result<Exit, Fault> {
        self.on_workload(operation::WAIT, handle, Nothing {}).await
    }

    pub(super) async fn probe_network(&self) -> Result<NetworkVerdict, Fault> {
        self.call(operation::PROBE_NETWORK, Nothing {}).await
    }

    pub(super) async fn recover(&self, handle: &Handle) -> Result<Observation, Fault> {
        self.on_workload(operation::RECOVER, handle, Nothing {}).await
    }

    pub(super) async fn logs(&self, handle: &Handle, options: LogOptions) -> Result<Pipe, Fault> {
        self.open(operation::LOGS, handle, options).await
    }

    pub(super) async fn attach(&self, handle: &Handle) -> Result<Pipe, Fault> {
        self.open(operation::ATTACH, handle, Nothing {}).await
    }

    pub(super) async fn dial(&self, handle: &Handle, port: u16) -> Result<Pipe, Fault> {
        self.open(operation::DIAL, handle, DialOptions { port }).await
    }

    /// The row of a listing for a workload. More than one row is a breach of the contract.
    pub(super) async fn listed(&self, uid: &str) -> Checked<Option<Observation>> {
        self.listed_by(&ListQuery::ALL, uid).await
    }

    /// The workload as a listing shows it that is asked for nothing else.
    pub(super) async fn listed_alone(&self, uid: &str) -> Checked<Option<Observation>> {
        self.listed_by(&ListQuery::one(uid), uid).await
    }

    async fn listed_by(&self, query: &ListQuery, uid: &str) -> Checked<Option<Observation>> {
        let listing = self.list(query).await.doing("list")?;
        let mut found = listing.workloads.into_iter().filter(|seen| seen.uid == uid);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(Breach("the listing has the workload twice".to_owned())),
            (seen, None) => Ok(seen),
        }
    }

    async fn on_workload<O: Serialize, A: DeserializeOwned>(
        &self,
        operation: &'static str,
        handle: &Handle,
        options: O,
    ) -> Result<A, Fault> {
        self.call(operation, OnWorkload { handle: handle.clone(), options }).await
    }

    async fn call<B: Serialize, A: DeserializeOwned>(
        &self,
        operation: &'static str,
        body: B,
    ) -> Result<A, Fault> {
        self.asked.0.set(operation);
        let text = self.link.call(operation, write(body)?).await?;
        let answer = document::read(&text);
        answer
            .map(|envelope| envelope.body)
            .map_err(|error| Fault::Broken(format!("its answer to '{operation}' cannot be read: {error}")))
    }

    async fn open<O: Serialize>(
        &self,
        operation: &'static str,
        handle: &Handle,
        options: O,
    ) -> Result<Pipe, Fault> {
        self.asked.0.set(operation);
        self.link.open(operation, write(OnWorkload { handle: handle.clone(), options })?).await
    }
}

fn write(body: impl Serialize) -> Result<String, Fault> {
    document::write(body, None).map_err(|error| Fault::Broken(error.to_string()))
}

/// Turns an answer into a passed or a failed check.
pub(super) trait Answer<T> {
    /// The answer must be a success.
    fn doing(self, what: &str) -> Checked<T>;
    /// The answer must be the error with this code.
    fn refused(self, what: &str, code: ErrorCode) -> Checked;
    /// The answer must be an error.
    fn fails(self, what: &str) -> Checked<crate::Error>;
}

impl<T> Answer<T> for Result<T, Fault> {
    fn doing(self, what: &str) -> Checked<T> {
        self.map_err(|fault| Breach(format!("{what}: {fault}")))
    }

    fn refused(self, what: &str, code: ErrorCode) -> Checked {
        let error = self.fails(what)?;
        ensure(error.code == code, || {
            let (code, found) = (code.as_str(), error.code.as_str());
            format!("{what}: the error must be {code}, and is {found}: {}", error.message)
        })
    }

    fn fails(self, what: &str) -> Checked<crate::Error> {
        match self {
            Err(Fault::Answered(error)) => Ok(error),
            Err(Fault::Broken(why)) => Err(Breach(format!("{what}: {why}"))),
            Ok(_) => Err(Breach(format!("{what}: it succeeds"))),
        }
    }
}
