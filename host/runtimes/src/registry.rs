//! [`Plugins`]: runtimes by name. It finds a name's library, loads it at its first use, and connects to the runtime.
use crate::catalog::Catalog;
use crate::client::{RuntimeClient, millis};
use crate::connection::{Answer, Connection};
use crate::error::{CallError, PluginError};
use crate::in_process::calls;
use crate::in_process::handed_over::Earlier;
use crate::in_process::plugin_thread::PluginThread;
use crate::in_process::stream;
use crate::libraries::{Cells, Libraries, Library, cell};
use crate::options::{ConnectOptions, EventListener};
use crate::raw_stream::RawStream;
use abi_stable::{sabi_trait::prelude::TD_Opaque, std_types::RString};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::OnceCell, task::JoinError};
use wharf_abi::{Host, Host_TO, HostBox, PluginBox};
use wharf_sdk::document::{self, ConnectDocument, EVENT, Event, LOG, LogRecord};

/// How long a runtime may take to connect.
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);

/// The plugins that one search found, with the options of that moment. A process that lives long makes another value when
/// they have changed; both share the loaded libraries.
pub struct Plugins {
    options: ConnectOptions,
    listener: Option<EventListener>,
    catalog: Catalog,
    loaded: Arc<Libraries>,
    libraries: Cells<PathBuf, Library>,
    clients: Cells<Reached, RuntimeClient>,
}

/// The key of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Reached {
    name: String,
    /// The recorded endpoint, for existing workloads.
    endpoint: Option<String>,
    /// The id of the host that connects.
    host_id: String,
    /// Options that override the user's configuration, for a new workload.
    options: BTreeMap<String, String>,
}

impl Plugins {
    /// Searches for plugins; loads none.
    pub fn new(options: ConnectOptions) -> Self {
        let catalog = Catalog::of(&options.dirs);
        Self::with(catalog, options)
    }

    /// The plugins of a catalog; searches for no others.
    pub fn with(catalog: Catalog, options: ConnectOptions) -> Self {
        Self {
            options,
            listener: None,
            catalog,
            loaded: Arc::default(),
            libraries: Mutex::default(),
            clients: Mutex::default(),
        }
    }

    /// Shares the libraries that other searches of this process have loaded.
    #[must_use]
    pub fn sharing(mut self, loaded: Arc<Libraries>) -> Self {
        self.loaded = loaded;
        self
    }

    /// Adds a listener for the events of runtimes that are connected from now on.
    #[must_use]
    pub fn listened_to_by(mut self, listener: EventListener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// The catalog of the search.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The runtime of exactly this name at this endpoint; its library is loaded if needed. The runtime labels its resources
    /// with this host id, and lists those that carry it. The id is empty for a host that has none yet.
    ///
    /// # Errors
    /// Every fault that a plugin can have. A runtime whose engine does not answer is connected all the same.
    pub async fn connect(
        &self,
        name: &str,
        endpoint: Option<&str>,
        host_id: &str,
    ) -> Result<Arc<RuntimeClient>, PluginError> {
        let endpoint = endpoint.map(str::to_owned);
        let (name, host_id, options) = (name.to_owned(), host_id.to_owned(), BTreeMap::new());
        self.connect_at(Reached { name, endpoint, host_id, options }).await
    }

    /// The runtime of exactly this name, for a new workload with these options: each replaces the value of the same name in
    /// the user's configuration of the runtime.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_with(
        &self,
        name: &str,
        options: &BTreeMap<String, String>,
        host_id: &str,
    ) -> Result<Arc<RuntimeClient>, PluginError> {
        let (name, host_id, options) = (name.to_owned(), host_id.to_owned(), options.clone());
        self.connect_at(Reached { name, endpoint: None, host_id, options }).await
    }

    async fn connect_at(&self, reached: Reached) -> Result<Arc<RuntimeClient>, PluginError> {
        let client = self.client(reached.clone());
        let client = client.get_or_try_init(|| async {
            let path = &self.catalog.find(&reached.name)?.library.path;
            let library = cell(&self.libraries, path.clone());
            let pin = self.pin(path);
            let library = library.get_or_try_init(|| self.loaded.load(path, pin, &self.options)).await?;
            Ok(Arc::new(self.connect_in(library, &reached).await?))
        });
        client.await.cloned()
    }

    /// The cell for a client. Clients that were connected without a host id, or with another one, are dropped; so are those
    /// with options of one workload, as soon as nobody uses them: a process that lives for months meets any number of
    /// options.
    fn client(&self, reached: Reached) -> Arc<OnceCell<Arc<RuntimeClient>>> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|other, cell| {
            other.host_id == reached.host_id
                && (other.options.is_empty() || *other == reached || is_used(cell))
        });
        clients.entry(reached).or_default().clone()
    }

    fn pin(&self, path: &Path) -> Option<String> {
        self.options.pins.get(path.file_name()?.to_str()?).cloned()
    }

    /// Ends the plugins' tasks in this process.
    pub async fn shut_down(&self, deadline: Duration) {
        let cells: Vec<_> =
            self.clients.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        futures_util::future::join_all(
            cells.iter().filter_map(|cell| cell.get()).map(|client| client.shut_down(deadline)),
        )
        .await;
    }

    async fn connect_in(&self, library: &Library, reached: &Reached) -> Result<RuntimeClient, PluginError> {
        let name = reached.name.as_str();
        let failed = |source| PluginError::Connect { name: name.to_owned(), source };
        // The bytes that were loaded may be newer than those that the search saw, so the manifest is taken from the loaded
        // ones.
        let stamp = library.loaded.stamp.runtimes.iter().find(|runtime| runtime.name == name).cloned();
        let stamp = stamp.ok_or_else(|| {
            failed(CallError::Malformed {
                operation: "connect",
                why: "the library no longer provides it".to_owned(),
            })
        })?;
        let data_dir = self.options.data_dir.join(name);
        make_private_dir(&data_dir);
        let document = self.connect_document(reached, data_dir).map_err(failed)?;
        let module = library.loaded.module;
        let host: HostBox = {
            let listener = self.listener.clone();
            Host_TO::from_value(Services { runtime: name.to_owned(), listener }, TD_Opaque)
        };
        let about = (library.path.display().to_string(), name.to_owned());
        let lane =
            library.thread().map_err(|source| PluginError::Host { path: library.path.clone(), source })?;
        let connecting = lane.run({
            let about = about.clone();
            async move {
                let _call = calls::begin(&about.0, &about.1, "connect");
                module.connect()(host, document.into()).await
            }
        });
        let deadline_ms = millis(CONNECT_DEADLINE);
        let connected = tokio::time::timeout(CONNECT_DEADLINE, connecting)
            .await
            .map_err(|_| failed(CallError::Deadline { operation: "connect", deadline_ms }))?
            .map_err(|error| failed(died("connect", &error)))?;
        let plugin = connected.into_result().map_err(|text| failed(answered("connect", &text)))?;
        let (plugin, earlier) = (Some(Arc::new(plugin)), library.earlier.clone());
        let connection = InProcess { plugin, lane, earlier, about };
        Ok(RuntimeClient::new(stamp, Arc::new(connection), self.options.deadlines))
    }

    fn connect_document(&self, reached: &Reached, data_dir: PathBuf) -> Result<String, CallError> {
        let (options, name) = (&self.options, reached.name.as_str());
        let mut configuration = options.configurations.get(name).cloned().unwrap_or_default();
        if configuration.is_null() && !reached.options.is_empty() {
            configuration = serde_json::json!({});
        }
        // If the configuration is no object, the runtime refuses it.
        if let serde_json::Value::Object(configuration) = &mut configuration {
            let said = reached.options.iter().map(|(key, value)| (key.clone(), value.clone().into()));
            configuration.extend(said);
        }
        let internal = |why: String| CallError::Malformed { operation: "connect", why };
        let document = ConnectDocument {
            runtime_name: name.to_owned(),
            endpoint: reached.endpoint.clone(),
            host_id: reached.host_id.clone(),
            data_dir,
            log_dir: options.log_dir.clone(),
            private_dirs: options.private_dirs.clone(),
            launcher: options.launcher.clone(),
            configuration,
            log_level: options.log_level.clone(),
        };
        document::write(document, Some(millis(CONNECT_DEADLINE))).map_err(|error| internal(error.to_string()))
    }
}

/// Whether somebody is connecting this client, or has it.
fn is_used(cell: &Arc<OnceCell<Arc<RuntimeClient>>>) -> bool {
    Arc::strong_count(cell) > 1 || cell.get().is_some_and(|client| Arc::strong_count(client) > 1)
}

/// Makes the runtime's folder if possible. If it cannot be made, the runtime can still answer questions, so that reading
/// works on a read-only disk (R05); an operation that writes there reports the error.
fn make_private_dir(dir: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    if let Err(error) = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir) {
        tracing::debug!(%error, path = %dir.display(), "the runtime's folder cannot be made");
    }
}

/// A connection to a runtime in this process.
struct InProcess {
    /// None only while this is being dropped.
    plugin: Option<Arc<PluginBox>>,
    lane: PluginThread,
    earlier: Arc<Earlier>,
    /// The library's file, and the runtime's name.
    about: (String, String),
}

impl InProcess {
    fn plugin(&self) -> Arc<PluginBox> {
        self.plugin.clone().unwrap_or_else(|| unreachable!("only drop takes it"))
    }

    fn begin(&self, operation: &'static str) -> calls::Call {
        calls::begin(&self.about.0, &self.about.1, operation)
    }
}

impl Connection for InProcess {
    fn call(&self, operation: &'static str, document: String) -> Answer<String> {
        let (plugin, call) = (self.plugin(), self.begin(operation));
        let work = self.lane.run(async move {
            let _call = call;
            let reply = plugin.call(operation.into(), document.into()).await;
            reply.into_result()
        });
        Box::pin(async move { Ok(settle(operation, work.await)?.into_string()) })
    }

    fn open(&self, operation: &'static str, document: String) -> Answer<RawStream> {
        let (plugin, lane, earlier) = (self.plugin(), self.lane.clone(), self.earlier.clone());
        let (host, call) = (tokio::runtime::Handle::current(), self.begin(operation));
        let work = self.lane.run(async move {
            let _call = call;
            let opened = plugin.open(operation.into(), document.into()).await;
            opened.into_result().map(|opened| stream::adopt(opened, &lane, &earlier, &host))
        });
        Box::pin(async move {
            settle(operation, work.await)?.map_err(|why| CallError::Malformed { operation, why })
        })
    }

    fn shut_down(&self, deadline_ms: u64) -> Answer<()> {
        let (plugin, call) = (self.plugin(), self.begin("shut down"));
        let work = self.lane.run(async move {
            let _call = call;
            plugin.shut_down(deadline_ms).await;
        });
        Box::pin(async move { work.await.map_err(|error| died("shut down", &error)) })
    }
}

impl Drop for InProcess {
    /// The plugin's object, too, must be dropped on its own thread, so this value must not hold the last reference.
    fn drop(&mut self) {
        let plugin = self.plugin.take();
        self.lane.run_detached(async move { drop(plugin) });
    }
}

fn settle<T>(
    operation: &'static str,
    outcome: Result<Result<T, RString>, JoinError>,
) -> Result<T, CallError> {
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(text)) => Err(answered(operation, &text)),
        Err(error) => Err(died(operation, &error)),
    }
}

fn died(operation: &'static str, error: &JoinError) -> CallError {
    tracing::warn!(operation, %error, "a plugin's call did not end as it should");
    CallError::Died { operation }
}

fn answered(operation: &'static str, text: &str) -> CallError {
    match serde_json::from_str(text) {
        Ok(error) => CallError::Answered(error),
        Err(error) => CallError::Malformed { operation, why: format!("its error cannot be read: {error}") },
    }
}

/// The host's side of the connection: the calls that the plugin makes.
struct Services {
    runtime: String,
    listener: Option<EventListener>,
}

impl Host for Services {
    fn notify(&self, kind: RString, document: RString) {
        let runtime = self.runtime.as_str();
        if kind == LOG
            && let Ok(LogRecord { level, target, message }) = serde_json::from_str(&document)
        {
            match level.as_str() {
                "error" => tracing::error!(target: "plugin", runtime, from = target, "{message}"),
                "warn" => tracing::warn!(target: "plugin", runtime, from = target, "{message}"),
                "info" => tracing::info!(target: "plugin", runtime, from = target, "{message}"),
                "debug" => tracing::debug!(target: "plugin", runtime, from = target, "{message}"),
                _ => tracing::trace!(target: "plugin", runtime, from = target, "{message}"),
            }
        } else if kind == EVENT
            && let Ok(event) = serde_json::from_str::<Event>(&document)
        {
            let Event { uid, message, progress } = &event;
            match progress {
                None => tracing::info!(target: "plugin", runtime, uid, "{message}"),
                Some((done, total)) => {
                    tracing::debug!(target: "plugin", runtime, uid, done, total, "{message}");
                }
            }
            if let Some(listener) = &self.listener {
                listener(event);
            }
        }
    }
}

#[cfg(test)]
mod lane_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use abi_stable::std_types::RResult;
    use std::sync::mpsc;
    use wharf_abi::{FfiFuture, Plugin, Plugin_TO, Reply, StreamBox};

    /// Reports on which thread it was dropped.
    struct Foreign(mpsc::Sender<Option<String>>);

    impl Plugin for Foreign {
        fn call(&self, _: RString, _: RString) -> FfiFuture<Reply> {
            FfiFuture::new(async { RResult::ROk("".into()) })
        }
        fn open(&self, _: RString, _: RString) -> FfiFuture<RResult<StreamBox, RString>> {
            FfiFuture::new(async { RResult::RErr("".into()) })
        }
        fn shut_down(&self, _: u64) -> FfiFuture<()> {
            FfiFuture::new(async {})
        }
    }

    impl Drop for Foreign {
        fn drop(&mut self) {
            let _ = self.0.send(std::thread::current().name().map(str::to_owned));
        }
    }

    #[test]
    fn a_plugins_object_is_dropped_on_its_own_thread() {
        let (dropped, on) = mpsc::channel();
        let lane = PluginThread::start().unwrap();
        // A reference that stays on this thread would drop the object only if it happens to be the last one. So the test is
        // repeated.
        for _ in 0..200 {
            let plugin = Plugin_TO::from_value(Foreign(dropped.clone()), TD_Opaque);
            let (plugin, lane, about) = (Some(Arc::new(plugin)), lane.clone(), Default::default());
            drop(InProcess { plugin, lane, earlier: Arc::default(), about });
            assert_eq!(on.recv().unwrap().as_deref(), Some("wharf-lane"));
        }
    }
}
