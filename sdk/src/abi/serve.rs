//! Maps operations by name to the methods of the author's trait. Called by the ABI's entries for every call and every
//! stream.
use super::under_way::{Mark, UnderWay};
use super::{forward, pump::Pump, tokio_runtime};
use crate::document::{self, DocumentError, Nothing, OnWorkload, operation};
use crate::keyed_lock::KeyedLock;
use crate::types::{
    DialOptions, Error, ErrorCode, Handle, ListQuery, LogOptions, Result, StopOptions, WorkloadSpec,
};
use crate::{Attach, ByteStream, Confine, Dial, Discover, Logs, Probe, Runtime};
use abi_stable::{
    sabi_trait::prelude::TD_Opaque,
    std_types::{RResult, RString},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;
use wharf_abi::{FfiFuture, HostBox, Plugin, Plugin_TO, PluginBox, Reply, Stream_TO, StreamBox};

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;
type Caller = fn(Arc<dyn std::any::Any + Send + Sync>) -> Boxed<String>;
type Asker = fn(Arc<dyn std::any::Any + Send + Sync>, String) -> Boxed<String>;
type Opener = fn(Arc<dyn std::any::Any + Send + Sync>, String) -> Boxed<ByteStream>;

/// The optional abilities of a type.
#[derive(Clone, Copy, Default)]
pub(super) struct Abilities {
    pub(super) logs: Option<Opener>,
    pub(super) attach: Option<Opener>,
    pub(super) dial: Option<Opener>,
    pub(super) confine: Option<Caller>,
    pub(super) pin: Option<Asker>,
    pub(super) discover: Option<Asker>,
    pub(super) probe: Option<Caller>,
}

/// A runtime whose type is erased.
pub(super) trait Served: Send + Sync {
    /// Marks a deployment, before any of it is run.
    fn begin(&self, operation: &str, document: &str) -> Option<Mark>;
    /// Runs one operation.
    fn call(self: Arc<Self>, operation: String, document: String) -> Boxed<String>;
    /// Opens one stream.
    fn open(self: Arc<Self>, operation: String, document: String) -> Boxed<ByteStream>;
}

/// An author's runtime together with the parts that the SDK adds to it.
pub(super) struct Typed<T> {
    runtime: Arc<T>,
    abilities: Abilities,
    /// Orders `deploy`, `start`, `stop`, `remove` and `recover`, by uid.
    locks: KeyedLock,
    /// Each deployment is marked until its future has been dropped: a question about the workload waits for that.
    deploying: UnderWay,
}

impl<T: Runtime> Typed<T> {
    pub(super) fn new(runtime: Arc<T>, abilities: Abilities) -> Self {
        Self { runtime, abilities, locks: KeyedLock::default(), deploying: UnderWay::default() }
    }

    /// The operations that change nothing, and `validate`.
    async fn read(&self, operation: &str, document: &str) -> Result<String> {
        let runtime = &self.runtime;
        match operation {
            operation::INSTANCE => reply(runtime.instance().await?),
            operation::HEALTH => reply(runtime.health().await),
            operation::LIST => {
                let query: ListQuery = read(document)?;
                for uid in query.uids.iter().flatten() {
                    self.deploying.until_none(uid).await;
                }
                reply(runtime.list(&query).await?)
            }
            operation::CONFINEMENT => self.find_out(self.abilities.confine, operation).await,
            operation::PROBE_NETWORK => self.find_out(self.abilities.probe, operation).await,
            operation::PIN => self.ask(self.abilities.pin, operation, document).await,
            operation::DISCOVER => self.ask(self.abilities.discover, operation, document).await,
            operation::VALIDATE => {
                runtime.validate(&specification(document)?).await?;
                reply(Nothing {})
            }
            operation::INSPECT => reply(runtime.inspect(&handle(document)?).await?),
            operation::WAIT => reply(runtime.wait(&handle(document)?).await?),
            _ => self.change(operation, document).await,
        }
    }

    async fn find_out(&self, caller: Option<Caller>, operation: &str) -> Result<String> {
        caller.ok_or_else(|| unknown(operation))?(self.runtime.clone()).await
    }

    async fn ask(&self, asker: Option<Asker>, operation: &str, document: &str) -> Result<String> {
        let asker = asker.ok_or_else(|| unknown(operation))?;
        asker(self.runtime.clone(), document.to_owned()).await
    }

    /// The operations that change a workload, one at a time for each uid.
    async fn change(&self, operation: &str, document: &str) -> Result<String> {
        let runtime = &self.runtime;
        match operation {
            operation::DEPLOY => {
                let spec = specification(document)?;
                let _turn = self.locks.lock(&spec.uid).await;
                let handle = runtime.deploy(&spec).await?;
                if handle.uid != spec.uid {
                    return Err(Error::internal("deploy returned a handle of another workload"));
                }
                reply(handle)
            }
            operation::START => {
                let handle = handle(document)?;
                let _turn = self.locks.lock(&handle.uid).await;
                runtime.start(&handle).await?;
                reply(Nothing {})
            }
            operation::STOP => {
                let body: OnWorkload<StopOptions> = read(document)?;
                let _turn = self.locks.lock(&body.handle.uid).await;
                runtime.stop(&body.handle, body.options).await?;
                reply(Nothing {})
            }
            operation::REMOVE => {
                let handle = handle(document)?;
                let _turn = self.locks.lock(&handle.uid).await;
                runtime.remove(&handle).await?;
                reply(Nothing {})
            }
            operation::RECOVER => {
                let handle = handle(document)?;
                let _turn = self.locks.lock(&handle.uid).await;
                reply(runtime.recover(&handle).await?)
            }
            other => Err(unknown(other)),
        }
    }
}

impl<T: Runtime> Served for Typed<T> {
    fn begin(&self, operation: &str, document: &str) -> Option<Mark> {
        #[derive(Deserialize)]
        struct Named {
            uid: String,
        }
        // Whatever else is wrong with the specification is for the deployment to say.
        let named = (operation == operation::DEPLOY).then(|| read::<Named>(document).ok()).flatten()?;
        Some(self.deploying.begin(&named.uid))
    }

    fn call(self: Arc<Self>, operation: String, document: String) -> Boxed<String> {
        Box::pin(async move {
            let deadline = deadline(&document)?;
            within(deadline, &operation, self.read(&operation, &document)).await
        })
    }

    fn open(self: Arc<Self>, operation: String, document: String) -> Boxed<ByteStream> {
        let opener = match operation.as_str() {
            operation::LOGS => self.abilities.logs,
            operation::ATTACH => self.abilities.attach,
            operation::DIAL => self.abilities.dial,
            _ => None,
        };
        match opener {
            Some(open) => Box::pin(async move {
                let deadline = deadline(&document)?;
                within(deadline, &operation, open(self.runtime.clone(), document)).await
            }),
            None => Box::pin(async move { Err(unknown(&operation)) }),
        }
    }
}

/// How long the caller waits, in milliseconds.
fn deadline(document: &str) -> Result<Option<u64>> {
    Ok(document::read::<serde::de::IgnoredAny>(document).map_err(bad_document)?.deadline_ms)
}

/// Applies the deadline on this side too: when it passes, the author's future is dropped, and the error names the
/// operation.
async fn within<T>(
    deadline_ms: Option<u64>,
    operation: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(ms) = deadline_ms else { return work.await };
    tokio::time::timeout(Duration::from_millis(ms), work).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorCode::Timeout, format!("'{operation}' took longer than {ms} ms")))
    })
}

/// The opener of `logs` for a type.
pub(super) fn logs<T: Logs>(
    runtime: Arc<dyn std::any::Any + Send + Sync>,
    document: String,
) -> Boxed<ByteStream> {
    Box::pin(async move {
        let body: OnWorkload<LogOptions> = read(&document)?;
        typed::<T>(runtime)?.logs(&body.handle, body.options).await
    })
}

/// The opener of `attach` for a type.
pub(super) fn attach<T: Attach>(
    runtime: Arc<dyn std::any::Any + Send + Sync>,
    document: String,
) -> Boxed<ByteStream> {
    Box::pin(async move { typed::<T>(runtime)?.attach(&handle(&document)?).await })
}

/// The opener of `dial` for a type.
pub(super) fn dial<T: Dial>(
    runtime: Arc<dyn std::any::Any + Send + Sync>,
    document: String,
) -> Boxed<ByteStream> {
    Box::pin(async move {
        let body: OnWorkload<DialOptions> = read(&document)?;
        typed::<T>(runtime)?.dial(&body.handle, body.options).await
    })
}

/// Calls `confinement` on a type.
pub(super) fn confine<T: Confine>(runtime: Arc<dyn std::any::Any + Send + Sync>) -> Boxed<String> {
    Box::pin(async move { reply(typed::<T>(runtime)?.confinement().await?) })
}

/// Calls `probe_network` on a type.
pub(super) fn probe<T: Probe>(runtime: Arc<dyn std::any::Any + Send + Sync>) -> Boxed<String> {
    Box::pin(async move { reply(typed::<T>(runtime)?.probe_network().await?) })
}

/// Calls `pin` on a type.
pub(super) fn pin<T: crate::Pin>(
    runtime: Arc<dyn std::any::Any + Send + Sync>,
    document: String,
) -> Boxed<String> {
    Box::pin(async move { reply(typed::<T>(runtime)?.pin(&specification(&document)?).await?) })
}

/// Calls `discover` on a type.
pub(super) fn discover<T: Discover>(
    runtime: Arc<dyn std::any::Any + Send + Sync>,
    document: String,
) -> Boxed<String> {
    Box::pin(async move { reply(typed::<T>(runtime)?.discover(&read(&document)?).await?) })
}

fn typed<T: Runtime>(runtime: Arc<dyn std::any::Any + Send + Sync>) -> Result<Arc<T>> {
    runtime.downcast().map_err(|_| Error::internal("the ability was registered for another type"))
}

fn read<B: DeserializeOwned>(document: &str) -> Result<B> {
    Ok(document::read(document).map_err(bad_document)?.body)
}

fn handle(document: &str) -> Result<Handle> {
    Ok(read::<OnWorkload>(document)?.handle)
}

/// Reads a specification. A field that this SDK does not know is something that the user asked for and that the runtime
/// cannot do, so the specification is refused as unsupported.
fn specification(document: &str) -> Result<WorkloadSpec> {
    document::read(document).map(|envelope| envelope.body).map_err(|error| match error {
        DocumentError::Form { source } => {
            Error::new(ErrorCode::Unsupported, format!("the specification cannot be honoured: {source}"))
        }
        newer @ DocumentError::Newer { .. } => bad_document(newer),
    })
}

fn reply(body: impl Serialize) -> Result<String> {
    document::write(body, None)
        .map_err(|error| Error::internal(format!("the answer cannot be written: {error}")))
}

fn unknown(operation: &str) -> Error {
    Error::new(ErrorCode::Unsupported, format!("this runtime has no operation '{operation}'"))
}

/// The error for a document that cannot be read.
pub(super) fn bad_document(error: DocumentError) -> Error {
    match error {
        DocumentError::Form { source } => Error::invalid(format!("the document cannot be read: {source}")),
        DocumentError::Newer { .. } => Error::new(ErrorCode::Unsupported, error.to_string()),
    }
}

/// The object that the host holds for a connected runtime.
struct Exported {
    served: Mutex<Option<Arc<dyn Served>>>,
    /// Kept as long as the runtime is, so that its log records still reach the host.
    host: Arc<HostBox>,
    /// The Tokio runtime that runs the author's code.
    tokio: tokio::runtime::Handle,
    /// Set to true at the shutdown; each operation under way holds a receiver and ends then.
    closing: watch::Sender<bool>,
}

/// Makes the object that the host will hold. Must be called on the plugin's own Tokio runtime.
pub(super) fn plugin_box(served: Arc<dyn Served>, host: Arc<HostBox>) -> PluginBox {
    let closing = watch::Sender::new(false);
    let tokio = tokio::runtime::Handle::current();
    Plugin_TO::from_value(Exported { served: Mutex::new(Some(served)), host, tokio, closing }, TD_Opaque)
}

fn was_shut_down() -> Error {
    Error::unavailable("the runtime was shut down")
}

impl Exported {
    fn slot(&self) -> MutexGuard<'_, Option<Arc<dyn Served>>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs an operation, which ends early if the runtime is shut down. `mark` is held until its future has been dropped.
    fn operation<T: Send + 'static>(
        &self,
        mark: Option<Mark>,
        work: impl FnOnce(Arc<dyn Served>) -> Boxed<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send + 'static {
        let served = self.slot().clone();
        let mut closing = self.closing.subscribe();
        forward::to(self.host.clone(), async move {
            let _mark = mark;
            let served = served.ok_or_else(was_shut_down)?;
            tokio::select! {
                biased;
                () = closed(&mut closing) => Err(was_shut_down()),
                outcome = work(served) => outcome,
            }
        })
    }
}

async fn closed(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

impl Plugin for Exported {
    fn call(&self, operation: RString, document: RString) -> FfiFuture<Reply> {
        // A worker may be in the midst of a deployment that the host has given up, and a listing that is asked for after
        // that must not overtake it. So it is marked here, in the order of the host's calls, and not by the worker.
        let mark = self.slot().as_ref().and_then(|served| served.begin(&operation, &document));
        let work = self.operation(mark, move |served| served.call(operation.into(), document.into()));
        tokio_runtime::run(&self.tokio, async move { Ok(work.await?.into()) })
    }

    fn open(&self, operation: RString, document: RString) -> FfiFuture<RResult<StreamBox, RString>> {
        let work = self.operation(None, move |served| {
            Box::pin(async move {
                let stream = served.open(operation.into(), document.into()).await?;
                Ok(Stream_TO::from_value(Pump::start(stream), TD_Opaque))
            })
        });
        tokio_runtime::run(&self.tokio, work)
    }

    fn shut_down(&self, deadline_ms: u64) -> FfiFuture<()> {
        let (served, closing) = (self.slot().take(), self.closing.clone());
        let end = forward::to(self.host.clone(), async move {
            closing.send_replace(true);
            let _ = tokio::time::timeout(Duration::from_millis(deadline_ms), closing.closed()).await;
            drop(served);
        });
        let ending = self.tokio.spawn(end);
        FfiFuture::new(async move {
            // If the author's drop panics, the panic stays in the task; it has been logged.
            let _ = ending.await;
        })
    }
}

impl Drop for Exported {
    /// Lets the plugin's own threads drop the author's values, so that a panic of their drop stays there.
    fn drop(&mut self) {
        if let Some(served) = self.slot().take() {
            self.tokio.spawn(forward::to(self.host.clone(), async move { drop(served) }));
        }
    }
}
