//! The loaded plugins of this process: a name to a connected runtime, each library loaded at most once.
use crate::catalog::{Catalog, PluginDir};
use crate::client::{Deadlines, RuntimeClient, millis};
use crate::connection::{Answer, Connection};
use crate::error::{CallError, PluginError};
use crate::in_process::calls;
use crate::in_process::handed_over::Earlier;
use crate::in_process::load;
use crate::in_process::load::{LOAD_DEADLINE, Loaded, Pin};
use crate::in_process::plugin_thread::PluginThread;
use crate::in_process::{stream, turn};
use crate::probe::Prober;
use crate::raw_stream::RawStream;
use abi_stable::{sabi_trait::prelude::TD_Opaque, std_types::RString};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::OnceCell, task::JoinError};
use wharf_abi::{Host, Host_TO, HostBox, PluginBox};
use wharf_sdk::document::{self, ConnectDocument, EVENT, Event, LOG, LogRecord};

/// How long a runtime may take to connect.
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);

/// What runtimes are given when they are connected, and where they are found.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The folders to search, in order.
    pub dirs: Vec<PluginDir>,
    /// SHA-256 digests of libraries, by file name.
    pub pins: BTreeMap<String, String>,
    /// The file that the pins come from, for messages.
    pub pins_file: PathBuf,
    /// What tries libraries that were never seen; none: they are loaded here at once.
    pub prober: Option<Prober>,
    /// The host's id.
    pub host_id: String,
    /// Under it each runtime has a folder of its own.
    pub data_dir: PathBuf,
    /// Where copies of libraries are kept for all processes of the user; without it each has copies of its own.
    pub cache_dir: Option<PathBuf>,
    /// Where logs are written.
    pub log_dir: PathBuf,
    /// The host's own folders: no workload may have any of them.
    pub private_dirs: Vec<PathBuf>,
    /// The launcher's command.
    pub launcher: Vec<String>,
    /// Each runtime's part of the user's configuration.
    pub configurations: BTreeMap<String, serde_json::Value>,
    /// What the plugins' log records must at least be.
    pub log_level: String,
    /// How long operations may take.
    pub deadlines: Deadlines,
}

/// Hears what runtimes tell of workloads. It is called on threads of the plugins and must not block.
pub type EventListener = Arc<dyn Fn(Event) + Send + Sync>;

/// The plugins of this process.
pub struct Plugins {
    options: ConnectOptions,
    listener: Option<EventListener>,
    catalog: Catalog,
    libraries: Cells<PathBuf, Library>,
    clients: Cells<Place, RuntimeClient>,
}

/// How a runtime is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Place {
    name: String,
    /// The recorded endpoint, for workloads that exist.
    endpoint: Option<String>,
    /// What is said beside the user's configuration, for one that is yet to be made.
    options: BTreeMap<String, String>,
}

/// Things made once each, at their first use; making one holds up nobody who wants another.
type Cells<K, V> = Mutex<HashMap<K, Arc<OnceCell<Arc<V>>>>>;

fn cell<K: Eq + std::hash::Hash, V>(cells: &Cells<K, V>, key: K) -> Arc<OnceCell<Arc<V>>> {
    cells.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
}

struct Library {
    path: PathBuf,
    /// The thread that loaded it, for the first of its runtimes; each other one has one of its own.
    lane: Mutex<Option<PluginThread>>,
    loaded: Loaded,
    earlier: Arc<Earlier>,
}

impl Library {
    /// A thread for one more runtime, whose calls then hold up no other runtime's.
    fn lane(&self) -> std::io::Result<PluginThread> {
        let first = self.lane.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.map_or_else(PluginThread::start, Ok)
    }
}

impl Plugins {
    /// Searches for plugins; loads none.
    pub fn new(options: ConnectOptions) -> Self {
        let catalog = Catalog::of(&options.dirs);
        Self::with(catalog, options)
    }

    /// The plugins of a catalog; searches for no others.
    pub fn with(catalog: Catalog, options: ConnectOptions) -> Self {
        Self { options, listener: None, catalog, libraries: Mutex::default(), clients: Mutex::default() }
    }

    /// With somebody who hears what runtimes that are connected from now on tell of workloads.
    #[must_use]
    pub fn listened_to_by(mut self, listener: EventListener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// What was found.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The runtime of exactly this name, reached through this endpoint; loads its library if it is not yet.
    ///
    /// # Errors
    /// Everything that can be wrong with a plugin. A runtime whose engine does not answer is connected all the same.
    pub async fn connect(
        &self,
        name: &str,
        endpoint: Option<&str>,
    ) -> Result<Arc<RuntimeClient>, PluginError> {
        let (name, endpoint) = (name.to_owned(), endpoint.map(str::to_owned));
        self.connect_at(Place { name, endpoint, options: BTreeMap::new() }).await
    }

    /// The runtime of exactly this name, to make a workload with these options: each stands in the place of what the user's
    /// configuration says of the runtime under that name.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_with(
        &self,
        name: &str,
        options: &BTreeMap<String, String>,
    ) -> Result<Arc<RuntimeClient>, PluginError> {
        self.connect_at(Place { name: name.to_owned(), endpoint: None, options: options.clone() }).await
    }

    async fn connect_at(&self, place: Place) -> Result<Arc<RuntimeClient>, PluginError> {
        let client = cell(&self.clients, place.clone());
        let client = client.get_or_try_init(|| async {
            let path = &self.catalog.find(&place.name)?.library.path;
            let library = cell(&self.libraries, path.clone());
            let library = library.get_or_try_init(|| self.load(path)).await?;
            Ok(Arc::new(self.connect_in(library, &place).await?))
        });
        client.await.cloned()
    }

    /// Ends what the plugins run in this process.
    pub async fn shut_down(&self, deadline: Duration) {
        let cells: Vec<_> =
            self.clients.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        futures_util::future::join_all(
            cells.iter().filter_map(|cell| cell.get()).map(|client| client.shut_down(deadline)),
        )
        .await;
    }

    async fn load(&self, path: &Path) -> Result<Arc<Library>, PluginError> {
        let host = |source| PluginError::Host { path: path.to_owned(), source };
        let lane = PluginThread::start().map_err(host)?;
        let earlier = Arc::new(Earlier::now());
        let checking = lane.run({
            let (path, pin, lock) = (path.to_owned(), self.pin(path), self.options.pins_file.clone());
            let (prober, cache) = (self.options.prober.clone(), self.options.cache_dir.clone());
            async move {
                let pin = pin.map(|sha256| (lock, sha256));
                let pin = pin.as_ref().map(|(lock, sha256)| Pin { lock, sha256 });
                let checked = load::check(&path, pin.as_ref(), cache.as_deref())?;
                if let Some(prober) = prober {
                    prober.ensure_it_comes_back(&path, &checked)?;
                }
                Ok(checked)
            }
        });
        let hangs = || PluginError::Hangs { path: path.to_owned(), deadline_ms: millis(LOAD_DEADLINE) };
        // Whoever probes keeps the deadline for that; reading a file that is slow to come must have an end too.
        let checked = tokio::time::timeout(2 * LOAD_DEADLINE, checking).await.map_err(|_| hangs())?;
        let checked: load::Checked = checked.map_err(|error| host(std::io::Error::other(error)))??;
        let library = path.display().to_string();
        calls::remember(&library);
        let loading = lane.run(async move {
            let _call = calls::begin(&library, "", "load");
            checked.map()
        });
        let loaded = tokio::time::timeout(LOAD_DEADLINE, loading).await.map_err(|_| match turn::whose() {
            Some(other) if other != path => {
                let deadline_ms = millis(LOAD_DEADLINE);
                PluginError::Behind { path: path.to_owned(), other, deadline_ms }
            }
            _ => hangs(),
        })?;
        let loaded = loaded.map_err(|error| host(std::io::Error::other(error)))??;
        tracing::debug!(library = %path.display(), "plugin loaded");
        let (path, lane) = (path.to_owned(), Mutex::new(Some(lane)));
        Ok(Arc::new(Library { path, lane, loaded, earlier }))
    }

    fn pin(&self, path: &Path) -> Option<String> {
        self.options.pins.get(path.file_name()?.to_str()?).cloned()
    }

    async fn connect_in(&self, library: &Library, place: &Place) -> Result<RuntimeClient, PluginError> {
        let name = place.name.as_str();
        let failed = |source| PluginError::Connect { name: name.to_owned(), source };
        // The bytes that were loaded may be newer than those that the search saw.
        let stamp = library.loaded.stamp.runtimes.iter().find(|runtime| runtime.name == name).cloned();
        let stamp = stamp.ok_or_else(|| {
            failed(CallError::Malformed {
                operation: "connect",
                why: "the library no longer provides it".to_owned(),
            })
        })?;
        let data_dir = self.options.data_dir.join(name);
        make_private_dir(&data_dir);
        let document = self.connect_document(place, data_dir).map_err(failed)?;
        let module = library.loaded.module;
        let host: HostBox = {
            let listener = self.listener.clone();
            Host_TO::from_value(Services { runtime: name.to_owned(), listener }, TD_Opaque)
        };
        let about = (library.path.display().to_string(), name.to_owned());
        let lane =
            library.lane().map_err(|source| PluginError::Host { path: library.path.clone(), source })?;
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

    fn connect_document(&self, place: &Place, data_dir: PathBuf) -> Result<String, CallError> {
        let (options, name) = (&self.options, place.name.as_str());
        let mut configuration = options.configurations.get(name).cloned().unwrap_or_default();
        if configuration.is_null() && !place.options.is_empty() {
            configuration = serde_json::json!({});
        }
        // A configuration that is no object is the runtime's to refuse.
        if let serde_json::Value::Object(configuration) = &mut configuration {
            let said = place.options.iter().map(|(key, value)| (key.clone(), value.clone().into()));
            configuration.extend(said);
        }
        let internal = |why: String| CallError::Malformed { operation: "connect", why };
        let document = ConnectDocument {
            runtime_name: name.to_owned(),
            endpoint: place.endpoint.clone(),
            host_id: options.host_id.clone(),
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

/// Reading must work on a disk that cannot be written: a folder that is missing then stays missing.
/// Where it cannot be made, questions are answered all the same (R05); who writes there is told.
fn make_private_dir(dir: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    if let Err(error) = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir) {
        tracing::debug!(%error, path = %dir.display(), "the runtime's folder cannot be made");
    }
}

/// A runtime in this process.
struct InProcess {
    /// Empty only while it is being dropped.
    plugin: Option<Arc<PluginBox>>,
    lane: PluginThread,
    earlier: Arc<Earlier>,
    /// The library's file and the runtime's name.
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
    /// Also the plugin's object is dropped on its own thread, so nothing of it may stay behind in here.
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

/// What this host does for a runtime.
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

    /// Tells on which thread it was dropped.
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
        // Whoever is last drops it, so a clone left on this thread loses the race only sometimes.
        for _ in 0..200 {
            let plugin = Plugin_TO::from_value(Foreign(dropped.clone()), TD_Opaque);
            let (plugin, lane, about) = (Some(Arc::new(plugin)), lane.clone(), Default::default());
            drop(InProcess { plugin, lane, earlier: Arc::default(), about });
            assert_eq!(on.recv().unwrap().as_deref(), Some("wharf-lane"));
        }
    }
}
