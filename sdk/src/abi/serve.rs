//! Operations by name, to the methods of the author's trait.
use super::{gate::Gates, pump::Pump, world};
use crate::document::{self, DocumentError, Nothing, OnWorkload, operation};
use crate::types::{Error, ErrorCode, Handle, LogOptions, Result, StopOptions, WorkloadSpec};
use crate::{Attach, ByteStream, Logs, Runtime};
use abi_stable::{
    sabi_trait::prelude::TD_Opaque,
    std_types::{RResult, RString},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};
use wharf_abi::{FfiFuture, Plugin, Plugin_TO, PluginBox, Reply, Stream_TO, StreamBox};

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;
type Opener = fn(Arc<dyn std::any::Any + Send + Sync>, String) -> Boxed<ByteStream>;

/// The optional abilities of a type.
#[derive(Clone, Copy, Default)]
pub(super) struct Abilities {
    pub(super) logs: Option<Opener>,
    pub(super) attach: Option<Opener>,
}

/// A runtime with its type erased.
pub(super) trait Served: Send + Sync {
    /// One operation.
    fn call(self: Arc<Self>, operation: String, document: String) -> Boxed<String>;
    /// One stream.
    fn open(self: Arc<Self>, operation: String, document: String) -> Boxed<ByteStream>;
}

/// An author's runtime with what the SDK adds to it.
pub(super) struct Typed<T> {
    runtime: Arc<T>,
    abilities: Abilities,
    gates: Gates,
}

impl<T: Runtime> Typed<T> {
    pub(super) fn new(runtime: Arc<T>, abilities: Abilities) -> Self {
        Self { runtime, abilities, gates: Gates::default() }
    }

    /// The operations that change nothing, and `validate`.
    async fn read(&self, operation: &str, document: &str) -> Result<String> {
        let runtime = &self.runtime;
        match operation {
            operation::INSTANCE => reply(runtime.instance().await?),
            operation::HEALTH => reply(runtime.health().await),
            operation::LIST => reply(runtime.list().await?),
            operation::VALIDATE => {
                runtime.validate(&specification(document)?).await?;
                reply(Nothing {})
            }
            operation::INSPECT => reply(runtime.inspect(&handle(document)?).await?),
            operation::WAIT => reply(runtime.wait(&handle(document)?).await?),
            _ => self.change(operation, document).await,
        }
    }

    /// The operations that change a workload, one at a time for each uid.
    async fn change(&self, operation: &str, document: &str) -> Result<String> {
        let runtime = &self.runtime;
        match operation {
            operation::DEPLOY => {
                let spec = specification(document)?;
                let _turn = self.gates.enter(&spec.uid).await;
                let handle = runtime.deploy(&spec).await?;
                if handle.uid != spec.uid {
                    return Err(Error::internal("deploy returned a handle of another workload"));
                }
                reply(handle)
            }
            operation::START => {
                let handle = handle(document)?;
                let _turn = self.gates.enter(&handle.uid).await;
                runtime.start(&handle).await?;
                reply(Nothing {})
            }
            operation::STOP => {
                let body: OnWorkload<StopOptions> = read(document)?;
                let _turn = self.gates.enter(&body.handle.uid).await;
                runtime.stop(&body.handle, body.options).await?;
                reply(Nothing {})
            }
            operation::REMOVE => {
                let handle = handle(document)?;
                let _turn = self.gates.enter(&handle.uid).await;
                runtime.remove(&handle).await?;
                reply(Nothing {})
            }
            operation::RECOVER => {
                let handle = handle(document)?;
                let _turn = self.gates.enter(&handle.uid).await;
                reply(runtime.recover(&handle).await?)
            }
            other => Err(unknown(other)),
        }
    }
}

impl<T: Runtime> Served for Typed<T> {
    fn call(self: Arc<Self>, operation: String, document: String) -> Boxed<String> {
        Box::pin(async move {
            let deadline =
                document::read::<serde::de::IgnoredAny>(&document).map_err(bad_document)?.deadline_ms;
            let work = self.read(&operation, &document);
            match deadline {
                None => work.await,
                Some(ms) => {
                    tokio::time::timeout(Duration::from_millis(ms), work).await.unwrap_or_else(|_| {
                        Err(Error::new(ErrorCode::Timeout, format!("'{operation}' took longer than {ms} ms")))
                    })
                }
            }
        })
    }

    fn open(self: Arc<Self>, operation: String, document: String) -> Boxed<ByteStream> {
        let opener = match operation.as_str() {
            operation::LOGS => self.abilities.logs,
            operation::ATTACH => self.abilities.attach,
            _ => None,
        };
        match opener {
            Some(open) => open(self.runtime.clone(), document),
            None => Box::pin(async move { Err(unknown(&operation)) }),
        }
    }
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

fn typed<T: Runtime>(runtime: Arc<dyn std::any::Any + Send + Sync>) -> Result<Arc<T>> {
    runtime.downcast().map_err(|_| Error::internal("the ability was registered for another type"))
}

fn read<B: DeserializeOwned>(document: &str) -> Result<B> {
    Ok(document::read(document).map_err(bad_document)?.body)
}

fn handle(document: &str) -> Result<Handle> {
    Ok(read::<OnWorkload>(document)?.handle)
}

/// A specification with something that this SDK does not know asks for what cannot be done.
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

/// A document that cannot be read, as an error.
pub(super) fn bad_document(error: DocumentError) -> Error {
    match error {
        DocumentError::Form { source } => Error::invalid(format!("the document cannot be read: {source}")),
        DocumentError::Newer { .. } => Error::new(ErrorCode::Unsupported, error.to_string()),
    }
}

/// What the host holds of a runtime.
struct Exported(Option<Arc<dyn Served>>);

pub(super) fn plugin_box(served: Arc<dyn Served>) -> PluginBox {
    Plugin_TO::from_value(Exported(Some(served)), TD_Opaque)
}

impl Exported {
    fn served(&self) -> Result<Arc<dyn Served>> {
        self.0.clone().ok_or_else(|| Error::unavailable("the runtime was shut down"))
    }
}

impl Plugin for Exported {
    fn call(&self, operation: RString, document: RString) -> FfiFuture<Reply> {
        let served = self.served();
        world::run(async move { Ok(served?.call(operation.into(), document.into()).await?.into()) })
    }

    fn open(&self, operation: RString, document: RString) -> FfiFuture<RResult<StreamBox, RString>> {
        let served = self.served();
        world::run(async move {
            let stream = served?.open(operation.into(), document.into()).await?;
            Ok(Stream_TO::from_value(Pump::start(stream)?, TD_Opaque))
        })
    }

    fn shut_down(&self, _deadline_ms: u64) -> FfiFuture<()> {
        FfiFuture::new(async {})
    }
}

impl Drop for Exported {
    /// The author's values are dropped by the plugin's own threads, where a panic of theirs stays.
    fn drop(&mut self) {
        if let (Some(served), Ok(world)) = (self.0.take(), world::handle()) {
            world.spawn(async move { drop(served) });
        }
    }
}
