//! [`Api`]: what all routes work with.
use crate::api::audit::Who;
use crate::api::change::Change;
use crate::api::feed::Feed;
use crate::api::listings::Listings;
use crate::api::metrics::Metrics;
use crate::api::operation::Operation;
use crate::api::operations::{IdempotencyKey, Operations};
use crate::api::problem::Problem;
use crate::api::workload_counts::WorkloadCounts;
use crate::commands::{Context, Host, export};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use wharf_model::{Error, ErrorKind, Result, WorkloadName};
use wharf_runtimes::PluginError;

/// The longest key that is taken.
pub(crate) const MAX_KEY_BYTES: usize = 255;

/// The state that all routes share.
pub(crate) struct Api {
    /// The host, for months.
    pub(crate) host: Arc<Host>,
    /// The operations.
    pub(crate) operations: Arc<Operations>,
    /// The changes of workloads.
    pub(crate) feed: Arc<Feed>,
    /// The lists that are asked for now.
    pub(crate) listings: Listings,
    /// The counters.
    pub(crate) metrics: Arc<Metrics>,
    /// The counts of the workloads' supervisors.
    pub(crate) workload_counts: WorkloadCounts,
    /// Cancelled when what serves ends: streams end with it.
    pub(crate) ending: CancellationToken,
    /// So many requests may wait for operations at a time: each holds a connection.
    pub(crate) waits: Semaphore,
}

/// More requests than this do not wait for an operation, and are answered at once.
pub(crate) const WAITS_MAX: usize = 256;

impl Api {
    /// The context of a request that begins now.
    pub(crate) fn context(&self) -> Result<Context> {
        self.host.context()
    }

    /// An operation once it has ended, or as it is after this time, or when this process is to end, or where too many wait.
    pub(crate) async fn wait(&self, id: &str, at_most: Duration) -> Option<Operation> {
        let Ok(_place) = self.waits.try_acquire() else { return self.operations.get(id) };
        tokio::select! {
            operation = self.operations.wait(id, at_most) => operation,
            () = self.ending.cancelled() => self.operations.get(id),
        }
    }

    /// Fails where there is no such workload: then there is nothing to begin. Its runtime is asked, whatever it did before:
    /// somebody has named the workload.
    pub(crate) fn must_exist(&self, name: &WorkloadName) -> Result<()> {
        let run = export(&self.context()?, name)?;
        self.host.take_back(&run.runtime_name);
        Ok(())
    }

    /// A creation whose runtime, if it names one, is there. A name that nobody provides is the request's fault, and no
    /// trouble that passes by itself.
    pub(crate) fn on_a_runtime_there(
        self: &Arc<Self>,
        change: &Change,
    ) -> impl FnOnce() -> Result<Change> + use<> {
        let (api, change) = (self.clone(), change.clone());
        move || {
            if let Change::Create(request) = &change {
                api.must_provide(request.runtime.as_deref())?;
            }
            Ok(change)
        }
    }

    fn must_provide(&self, runtime: Option<&str>) -> Result<()> {
        let Some(runtime) = runtime.filter(|runtime| !runtime.is_empty()) else { return Ok(()) };
        match self.context()?.plugins().catalog().find(runtime) {
            Err(unknown @ PluginError::UnknownRuntime { .. }) => {
                Err(Error { kind: ErrorKind::Usage, ..Error::from(unknown) })
            }
            // Named, so it is asked whatever it did before; another fault of its library is told by who needs it.
            _ => {
                self.host.take_back(runtime);
                Ok(())
            }
        }
    }

    /// A change of a workload that exists, when it is looked up.
    pub(crate) fn existing(self: &Arc<Self>, change: &Change) -> impl FnOnce() -> Result<Change> + use<> {
        let (api, change) = (self.clone(), change.clone());
        move || {
            if let Change::One(_, name, _) | Change::Edit(name, ..) = &change {
                api.must_exist(name)?;
            }
            if let Change::Edit(_, described, _) = &change {
                api.must_provide(described.runtime.as_deref())?;
            }
            Ok(change)
        }
    }
}

/// The client that asks for a change, and the key by which a repeated request is recognised.
pub(crate) struct Asker {
    /// The client.
    pub(crate) who: Who,
    /// The key.
    pub(crate) key: Option<IdempotencyKey>,
}

impl Asker {
    /// Both, for an operation.
    pub(crate) fn parts(self) -> (Option<IdempotencyKey>, Who) {
        (self.key, self.who)
    }
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Problem> {
        let who = parts.extensions.get::<Who>().cloned();
        let who = who.ok_or_else(|| Error::new(ErrorKind::Failed, "a request did not pass the gate"))?;
        let mut keys = parts.headers.get_all("idempotency-key").iter();
        let key = match (keys.next(), keys.next()) {
            (None, _) => None,
            (Some(key), None) => Some(key.to_str().ok().filter(|key| {
                !key.is_empty()
                    && key.len() <= MAX_KEY_BYTES
                    && key.bytes().all(|byte| byte.is_ascii_graphic())
            })),
            (Some(_), Some(_)) => Some(None),
        };
        match key {
            None => Ok(Self { who, key: None }),
            Some(Some(key)) => Ok(Self { who, key: Some(IdempotencyKey(key.to_owned())) }),
            Some(None) => {
                let message = format!(
                    "an Idempotency-Key is one, of up to {MAX_KEY_BYTES} visible characters of ASCII"
                );
                Err(Error::new(ErrorKind::Usage, message).into())
            }
        }
    }
}
