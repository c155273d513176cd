//! Connects the exported functions of a library to the author's types. Called by the code that `export_runtime!` writes.
use super::{forward, serve, tokio_runtime};
use crate::context::{ConnectDocument, Context, HostServices};
use crate::types::{Error, Result};
use crate::{Attach, Confine, Dial, Discover, Logs, Probe, Runtime, document};
use abi_stable::std_types::{RResult, RString};
use std::{future::Future, pin::Pin, sync::Arc};
use wharf_abi::{FfiFuture, HostBox, PluginBox, PluginModule, PluginModule_Ref};

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// One name of the library, and the function that makes the runtime behind it.
pub struct Registration {
    name: &'static str,
    connect: fn(Context, serve::Abilities) -> Boxed<Arc<dyn serve::Served>>,
    abilities: serve::Abilities,
}

impl Registration {
    /// Registers a type under a name.
    pub fn new<T: Runtime>(name: &'static str) -> Self {
        Self {
            name,
            connect: |context, abilities| {
                Box::pin(async move {
                    let runtime = Arc::new(T::connect(context).await?);
                    Ok(Arc::new(serve::Typed::new(runtime, abilities)) as Arc<dyn serve::Served>)
                })
            },
            abilities: serve::Abilities::default(),
        }
    }

    /// The type implements [`Logs`].
    #[must_use]
    pub fn logs<T: Logs>(mut self) -> Self {
        self.abilities.logs = Some(serve::logs::<T>);
        self
    }

    /// The type implements [`Attach`].
    #[must_use]
    pub fn attach<T: Attach>(mut self) -> Self {
        self.abilities.attach = Some(serve::attach::<T>);
        self
    }

    /// The type implements [`Dial`].
    #[must_use]
    pub fn dial<T: Dial>(mut self) -> Self {
        self.abilities.dial = Some(serve::dial::<T>);
        self
    }

    /// The type implements [`Confine`].
    #[must_use]
    pub fn confine<T: Confine>(mut self) -> Self {
        self.abilities.confine = Some(serve::confine::<T>);
        self
    }

    /// The type implements [`crate::Pin`].
    #[must_use]
    pub fn pin<T: crate::Pin>(mut self) -> Self {
        self.abilities.pin = Some(serve::pin::<T>);
        self
    }

    /// The type implements [`Discover`].
    #[must_use]
    pub fn discover<T: Discover>(mut self) -> Self {
        self.abilities.discover = Some(serve::discover::<T>);
        self
    }

    /// The type implements [`Probe`].
    #[must_use]
    pub fn probe<T: Probe>(mut self) -> Self {
        self.abilities.probe = Some(serve::probe::<T>);
        self
    }
}

/// The root module of a library.
pub fn module(
    describe: extern "C" fn() -> RString,
    connect: extern "C" fn(HostBox, RString) -> FfiFuture<RResult<PluginBox, RString>>,
) -> PluginModule_Ref {
    use abi_stable::prefix_type::PrefixTypeTrait;
    PluginModule { describe, connect }.leak_into_prefix()
}

/// Connects one runtime of the library.
pub fn connect(
    host: HostBox,
    document: RString,
    registrations: fn() -> Vec<Registration>,
    module: &'static str,
) -> FfiFuture<RResult<PluginBox, RString>> {
    let host = Arc::new(host);
    let text = String::from(document);
    // The name and the endpoint in the document decide which Tokio runtime this one runs on.
    let begun = document::read::<ConnectDocument>(&text).map_err(serve::bad_document).and_then(|read| {
        Ok((tokio_runtime::of(&read.body.runtime_name, read.body.endpoint.as_deref())?, read.body))
    });
    let (tokio, document) = match begun {
        Ok(begun) => begun,
        Err(error) => return tokio_runtime::refuse(&error),
    };
    let work = forward::to(host.clone(), async move {
        forward::install(&host, &document.log_level, module);
        let name = document.runtime_name.clone();
        let registration = registrations()
            .into_iter()
            .find(|registration| registration.name == name)
            .ok_or_else(|| Error::not_found(format!("this library provides no runtime named '{name}'")))?;
        let context = context(document, host.clone());
        let served = (registration.connect)(context, registration.abilities).await?;
        Ok(serve::plugin_box(served, host))
    });
    tokio_runtime::run(&tokio, work)
}

fn context(document: ConnectDocument, host: Arc<HostBox>) -> Context {
    Context {
        runtime_name: document.runtime_name,
        endpoint: document.endpoint,
        host_id: document.host_id,
        data_dir: document.data_dir,
        log_dir: document.log_dir,
        private_dirs: document.private_dirs,
        launcher: document.launcher,
        configuration: document.configuration,
        host: HostServices(host),
    }
}
