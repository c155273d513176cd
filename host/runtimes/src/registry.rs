//! [`Plugins`]: runtimes by name. It finds a name's library, loads it at its first use, and connects to the runtime.
use crate::call_documents::millis;
use crate::catalog::Catalog;
use crate::client::RuntimeClient;
use crate::deadlines::Deadlines;
use crate::error::{CallError, PluginError};
use crate::in_process::calls;
use crate::in_process::host_services::HostServices;
use crate::in_process::plugin_connection::{PluginConnection, answered, died};
use crate::libraries::{CONNECTING_MAX, Cells, Libraries, Library, cell};
use crate::options::{ConnectOptions, EventListener};
use crate::overdue::Patience;
use std::{
    collections::BTreeMap,
    future::Future,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::sync::OnceCell;
use wharf_sdk::document::{self, ConnectDocument};

/// How long a runtime may take to connect.
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);

/// The plugins that one search found, with the options of that moment. A process that lives long makes another value when
/// they have changed; both share the loaded libraries.
/// A clone is the same value.
#[derive(Clone)]
pub struct Plugins {
    options: Arc<ConnectOptions>,
    listener: Option<EventListener>,
    catalog: Arc<Catalog>,
    loaded: Arc<Libraries>,
    libraries: Arc<Cells<PathBuf, Library>>,
    clients: Arc<Cells<ConnectionKey, RuntimeClient>>,
}

/// The key of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct ConnectionKey {
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
            options: Arc::new(options),
            listener: None,
            catalog: Arc::new(catalog),
            loaded: Arc::default(),
            libraries: Arc::default(),
            clients: Arc::default(),
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

    /// How long the operations of its runtimes may take.
    pub(crate) fn deadlines(&self) -> &Deadlines {
        &self.options.deadlines
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
        self.connect_at(ConnectionKey { name, endpoint, host_id, options }).await
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
        self.connect_at(ConnectionKey { name, endpoint: None, host_id, options }).await
    }

    async fn connect_at(&self, key: ConnectionKey) -> Result<Arc<RuntimeClient>, PluginError> {
        self.renew(&key);
        let client = self.client(key.clone());
        let client = client.get_or_try_init(|| async {
            let path = &self.catalog.find(&key.name)?.library.path;
            let library = cell(&self.libraries, path.clone());
            let pin = self.pin(path);
            let library = library.get_or_try_init(|| self.loaded.load(path, pin, &self.options)).await?;
            Ok(Arc::new(self.connect_in(library, &key).await?))
        });
        client.await.cloned()
    }

    /// The cell for a client. Clients that were connected without a host id, or with another one, are dropped; so are those
    /// with options of one workload, as soon as nobody uses them: a process that lives for months meets any number of
    /// options.
    fn client(&self, key: ConnectionKey) -> Arc<OnceCell<Arc<RuntimeClient>>> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|other, cell| {
            other.host_id == key.host_id && (other.options.is_empty() || *other == key || is_used(cell))
        });
        clients.entry(key).or_default().clone()
    }

    /// Forgets a connection that answers nothing at all, and its library: the next one is made to another copy of that, whose
    /// threads are its own. The copies that one process loads have a bound; beyond it, the connection is used again when the
    /// call that blocks it returns.
    fn renew(&self, key: &ConnectionKey) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let is_hung = |cell: &Arc<OnceCell<Arc<RuntimeClient>>>| cell.get().is_some_and(|it| it.is_hung());
        if clients.get(key).is_some_and(is_hung) && self.renew_library(&key.name) {
            clients.remove(key);
        }
    }

    /// Has another copy of the library of this runtime loaded by who wants it next; false if there are too many.
    fn renew_library(&self, name: &str) -> bool {
        let Ok(found) = self.catalog.find(name) else { return false };
        let path = &found.library.path;
        if !self.loaded.renew(path) {
            return false;
        }
        tracing::warn!(runtime = name, library = %path.display(), "it answers nothing; another copy is loaded");
        self.libraries.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
        true
    }

    /// The reason why this runtime is used only by who names it, if that is so.
    pub fn set_aside(&self, name: &str) -> Option<String> {
        self.loaded.aside.reason(name)
    }

    /// The answer to a question to a runtime at an endpoint, which several may ask at the same time.
    pub(crate) async fn answer<T: Send + 'static>(
        &self,
        place: &(String, String),
        patience: Patience,
        question: impl Future<Output = Result<T, String>> + Send + 'static,
    ) -> Result<T, String> {
        if let Some(reason) = self.set_aside(&place.0) {
            return Err(reason);
        }
        self.loaded.overdue.ask(place, patience, question).await
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

    async fn connect_in(&self, library: &Library, key: &ConnectionKey) -> Result<RuntimeClient, PluginError> {
        let name = key.name.as_str();
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
        let document = self.connect_document(key, data_dir).map_err(failed)?;
        let module = library.loaded.module;
        let host = HostServices::boxed(name, self.listener.clone());
        let about = (library.path.display().to_string(), name.to_owned());
        let thread =
            library.thread().map_err(|source| PluginError::Host { path: library.path.clone(), source })?;
        let place = self.loaded.place().ok_or_else(|| {
            let why = format!("{CONNECTING_MAX} connections are being made, and none comes about");
            failed(CallError::Malformed { operation: "connect", why })
        })?;
        let connecting = thread.run({
            let about = about.clone();
            async move {
                let _place = place;
                let _call = calls::begin(&about.0, &about.1, "connect");
                module.connect()(host, document.into()).await
            }
        });
        let deadline_ms = millis(CONNECT_DEADLINE);
        let connected = tokio::time::timeout(CONNECT_DEADLINE, connecting)
            .await
            .map_err(|_| {
                self.renew_library(name);
                failed(CallError::Deadline { operation: "connect", deadline_ms })
            })?
            .map_err(|error| failed(died("connect", &error)))?;
        let plugin = connected.into_result().map_err(|text| failed(answered("connect", &text)))?;
        let connection = PluginConnection::new(plugin, thread, library.earlier.clone(), about);
        let client = RuntimeClient::new(stamp, Arc::new(connection), self.options.deadlines);
        Ok(client.counted_by(self.loaded.calls.clone()))
    }

    fn connect_document(&self, key: &ConnectionKey, data_dir: PathBuf) -> Result<String, CallError> {
        let (options, name) = (&self.options, key.name.as_str());
        let mut configuration = options.configurations.get(name).cloned().unwrap_or_default();
        if configuration.is_null() && !key.options.is_empty() {
            configuration = serde_json::json!({});
        }
        // If the configuration is no object, the runtime refuses it.
        if let serde_json::Value::Object(configuration) = &mut configuration {
            let said = key.options.iter().map(|(key, value)| (key.clone(), value.clone().into()));
            configuration.extend(said);
        }
        let internal = |why: String| CallError::Malformed { operation: "connect", why };
        let document = ConnectDocument {
            runtime_name: name.to_owned(),
            endpoint: key.endpoint.clone(),
            host_id: key.host_id.clone(),
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

#[cfg(test)]
mod plugin_thread_tests;
