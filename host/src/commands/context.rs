//! [`Context`]: the records, runtimes and settings that one operation works with. [`Host`]: the part that outlives an
//! operation.
//!
//! A front end makes one [`Host`], which may live for months, and asks it for a context at the beginning of each operation;
//! the functions of the neighbouring files take that. Settings, pins, plugins and the trust in them are checked there (a
//! few `stat` calls) and read again if they have changed. So an operation sees one state of them from its beginning to its
//! end. The host's id is no part of the context: it can appear in the middle of an operation. It must not know any command.
use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};
use wharf_model::{Result, WorkloadName};
use wharf_records::{ProxySecrets, RecentRecords, Store};
use wharf_runtimes::{CallCounts, Fingerprint, Libraries, Plugins, SetAside};
use wharf_supervisor::{Config, PINS_FILE, SETTINGS_FILE};

/// How long plugins may take to end their tasks in this process.
const SHUT_DOWN_DEADLINE: Duration = Duration::from_secs(2);

/// Reads the surroundings of a process: its environment, and the user's settings as they are now.
type Read = Box<dyn Fn() -> Result<Config> + Send + Sync>;

/// Told of a workload that another command works on, and of how long that one is waited for.
type OnWait = Box<dyn Fn(&WorkloadName, Duration) + Send + Sync>;

/// One state directory and its plugins, for as long as a process works with them.
pub struct Host {
    read: Read,
    /// Loaded libraries stay loaded over new searches.
    libraries: Arc<Libraries>,
    current: Mutex<Option<Arc<Generation>>>,
    on_wait: OnceLock<OnWait>,
    /// What a process that lives long has read, and need not read again; none of another one.
    recent: OnceLock<Arc<RecentRecords>>,
}

/// Settings and plugins between two changes.
struct Generation {
    config: Config,
    settings: Seen,
    libraries: Arc<Libraries>,
    /// Searched at the first use, since many commands need no plugins.
    plugins: OnceLock<(Seen, Plugins)>,
}

/// The fingerprint of files that were read.
struct Seen {
    fingerprint: Fingerprint,
    /// True if every later change will show in a later fingerprint.
    is_settled: bool,
}

impl Seen {
    /// Reads files and takes their fingerprint. A change during the read is either in the result, or makes it unsettled,
    /// since the change is later than the beginning.
    fn reading<T>(read: impl FnOnce() -> Result<T>, of: impl FnOnce(&T) -> Fingerprint) -> Result<(Self, T)> {
        let began = SystemTime::now();
        let value = read()?;
        let fingerprint = of(&value);
        let is_settled = fingerprint.is_settled(began);
        Ok((Self { fingerprint, is_settled }, value))
    }

    fn is_current(&self, now: impl FnOnce() -> Fingerprint) -> bool {
        self.is_settled && now() == self.fingerprint
    }
}

fn settings_now(config: &Config) -> Fingerprint {
    let files = [SETTINGS_FILE, PINS_FILE].map(|name| config.config_dir.join(name));
    Fingerprint::of(&[], &files)
}

fn plugins_now(config: &Config) -> Fingerprint {
    Fingerprint::of(&config.plugin_dirs, &[])
}

impl Generation {
    fn read(read: &Read, libraries: Arc<Libraries>) -> Result<Self> {
        let (settings, config) = Seen::reading(read, settings_now)?;
        Ok(Self { config, settings, libraries, plugins: OnceLock::new() })
    }

    fn is_current(&self) -> bool {
        let plugins = self.plugins.get();
        self.settings.is_current(|| settings_now(&self.config))
            && plugins.is_none_or(|(seen, _)| seen.is_current(|| plugins_now(&self.config)))
    }

    fn plugins(&self) -> &Plugins {
        let (_, plugins) = self.plugins.get_or_init(|| {
            let began = SystemTime::now();
            let fingerprint = plugins_now(&self.config);
            let plugins = Plugins::new(self.config.connect_options()).sharing(self.libraries.clone());
            let is_settled = fingerprint.is_settled(began);
            (Seen { fingerprint, is_settled }, plugins)
        });
        plugins
    }
}

impl Host {
    /// A host whose surroundings `read` returns; it is called again when the user's settings have changed. Nothing is read
    /// yet.
    pub fn new(read: impl Fn() -> Result<Config> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            read: Box::new(read),
            libraries: Arc::default(),
            current: Mutex::default(),
            on_wait: OnceLock::new(),
            recent: OnceLock::new(),
        })
    }

    /// Has a front end tell its user when an operation waits for another command. The first call counts.
    pub fn on_wait(&self, tell: impl Fn(&WorkloadName, Duration) + Send + Sync + 'static) {
        let _ = self.on_wait.set(Box::new(tell));
    }

    /// An operation waits for another command on this workload.
    pub(crate) fn tell_wait(&self, name: &WorkloadName, longest: Duration) {
        tracing::info!(%name, "waiting for another command on it");
        if let Some(tell) = self.on_wait.get() {
            tell(name, longest);
        }
    }

    /// The context of an operation that begins now.
    ///
    /// # Errors
    /// The settings have changed and are invalid. The old ones are not used then.
    pub fn context(self: &Arc<Self>) -> Result<Context> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = match current.take().filter(|generation| generation.is_current()) {
            Some(generation) => generation,
            None => Arc::new(Generation::read(&self.read, self.libraries.clone())?),
        };
        *current = Some(generation.clone());
        let store = Store::new(generation.config.state());
        let store = match self.recent.get() {
            Some(recent) => store.remembering(recent.clone()),
            None => store,
        };
        Ok(Context { host: self.clone(), generation, store })
    }

    /// This process serves many clients for long: none of them waits twice for a runtime that gives no answer, and a record
    /// that has not changed is not read again to be shown.
    pub fn live_long(&self) {
        self.libraries.live_long();
        self.recent.get_or_init(Arc::default);
    }

    /// Leaves out a runtime that has ended this process before, where nobody has named it.
    pub(crate) fn set_aside(&self, aside: SetAside) {
        self.libraries.set_aside(aside);
    }

    /// Somebody has named this runtime: it is asked as before.
    pub(crate) fn take_back(&self, runtime: &str) {
        self.libraries.take_back(runtime);
    }

    /// How many calls of plugins this process has made.
    pub(crate) fn plugin_calls(&self) -> &CallCounts {
        self.libraries.calls()
    }

    /// Ends the plugins' tasks in this process. To be called at its end, once no operation is under way.
    pub async fn shut_down(&self) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((_, plugins)) = current.as_ref().and_then(|generation| generation.plugins.get()) {
            plugins.shut_down(SHUT_DOWN_DEADLINE).await;
        }
    }
}

/// The records of one state directory with the secrets of their proxies, the runtimes, and the settings, for one operation;
/// also the facts about its caller that decide something ([`Config::current_dir`], [`Config::search_path`],
/// [`Config::is_marked`]).
pub struct Context {
    host: Arc<Host>,
    generation: Arc<Generation>,
    store: Store,
}

impl Context {
    /// The context of another operation of the same host, with the present settings and plugins.
    ///
    /// # Errors
    /// As [`Host::context`].
    pub fn renewed(&self) -> Result<Self> {
        self.host.context()
    }

    /// The host that it is of, which outlives it.
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// The surroundings and the settings.
    pub fn config(&self) -> &Config {
        &self.generation.config
    }

    /// The records.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The secrets of the proxies.
    pub(crate) fn secrets(&self) -> ProxySecrets {
        self.store.secrets()
    }

    /// The plugins: searched at the first use, loaded one by one as they are needed.
    pub fn plugins(&self) -> &Plugins {
        self.generation.plugins()
    }

    /// The id that labels this host's resources; it is made by the first command that changes something.
    pub(crate) fn host_id(&self) -> Result<String> {
        Ok(self.store.make_host_id()?.to_string())
    }

    /// The same for a caller that only reads, and so must not make an id. If there is no id yet, there are no workloads
    /// either, and the result is empty.
    ///
    /// # Errors
    /// The id is lost: the resources of existing workloads carry it.
    pub fn known_host_id(&self) -> Result<String> {
        Ok(self.store.host_id()?.map(|id| id.to_string()).unwrap_or_default())
    }

    /// Ends the tasks of this operation's plugins in this process.
    pub(crate) async fn shut_down(&self) {
        if let Some((_, plugins)) = self.generation.plugins.get() {
            plugins.shut_down(SHUT_DOWN_DEADLINE).await;
        }
    }
}
