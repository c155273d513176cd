//! [`Libraries`]: the libraries that are loaded in this process, each once.
//!
//! Nothing is unloaded, so a loaded library stays, by its path and its bytes: if the file is replaced and later put back,
//! or found by another search, it is not loaded again. Only bytes that were never seen add to the process, for as long as
//! it lives. It must not know runtimes by name.
use crate::call_counts::CallCounts;
use crate::call_documents::millis;
use crate::error::PluginError;
use crate::in_process::calls;
use crate::in_process::handed_over::Earlier;
use crate::in_process::load;
use crate::in_process::load::{LOAD_DEADLINE, Loaded, Pin};
use crate::in_process::plugin_thread::PluginThread;
use crate::in_process::turn;
use crate::options::ConnectOptions;
use crate::overdue::Overdue;
use crate::set_aside::{AllSetAside, SetAside};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

/// So many copies of a library are loaded besides the first one, in the life of a process.
const FURTHER_COPIES_MAX: usize = 3;
/// So many connections may be in the making, with those that never come about.
pub(crate) const CONNECTING_MAX: usize = 128;

/// Values that are each made once, at their first use. While one is made, only callers that want that one wait.
pub(crate) type Cells<K, V> = Mutex<HashMap<K, Arc<OnceCell<Arc<V>>>>>;

pub(crate) fn cell<K: Eq + std::hash::Hash, V>(cells: &Cells<K, V>, key: K) -> Arc<OnceCell<Arc<V>>> {
    cells.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
}

/// A library that is loaded.
pub(crate) struct Library {
    /// The file from which it was loaded.
    pub(crate) path: PathBuf,
    /// The thread that loaded it, for the first connection to it; each further connection has a thread of its own.
    thread: Mutex<Option<PluginThread>>,
    pub(crate) loaded: Loaded,
    /// The descriptors that the process had before; the library cannot give them away.
    pub(crate) earlier: Arc<Earlier>,
}

impl Library {
    pub(crate) fn new(path: PathBuf, thread: PluginThread, loaded: Loaded, earlier: Arc<Earlier>) -> Self {
        Self { path, thread: Mutex::new(Some(thread)), loaded, earlier }
    }

    /// A thread for one more connection, whose calls then hold up no other connection.
    pub(crate) fn thread(&self) -> std::io::Result<PluginThread> {
        let first = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.map_or_else(PluginThread::start, Ok)
    }
}

/// The libraries that are loaded in this process.
#[derive(Default)]
pub struct Libraries {
    /// By the file, and by the SHA-256 of the bytes that were loaded from it.
    loaded: Cells<(PathBuf, String), Library>,
    /// The calls of all of them.
    pub(crate) calls: Arc<CallCounts>,
    /// The places that have not answered yet.
    pub(crate) overdue: Arc<Overdue>,
    /// The runtimes that have ended this process before.
    pub(crate) aside: AllSetAside,
    /// How many further copies of a file were loaded, since those before answered nothing any more.
    copies: Mutex<HashMap<PathBuf, usize>>,
    /// How many connections are being made.
    connecting: Connecting,
}

/// The places for connections that are being made. One that never comes about keeps its own, and its thread.
struct Connecting(Arc<Semaphore>);

impl Default for Connecting {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(CONNECTING_MAX)))
    }
}

impl Libraries {
    /// How many calls were made, of all runtimes.
    #[must_use]
    pub fn calls(&self) -> &CallCounts {
        &self.calls
    }

    /// This process lives long: from now on, who only shows answers does not wait twice for a runtime that gives none.
    pub fn live_long(&self) {
        self.overdue.keep();
    }

    /// Leaves a runtime out where nobody has named it.
    pub fn set_aside(&self, aside: SetAside) {
        self.aside.add(aside);
    }

    /// Somebody has named a runtime: it is asked as before.
    pub fn take_back(&self, runtime: &str) {
        self.aside.lift(runtime);
    }

    /// A place for a connection to make; none if too many never come about.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.connecting.0.clone().try_acquire_owned().ok()
    }

    /// Has the next one who wants this file load another copy of it; false if there are too many. Nothing is unloaded.
    pub(crate) fn renew(&self, path: &Path) -> bool {
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        let copies = copies.entry(path.to_owned()).or_default();
        if *copies >= FURTHER_COPIES_MAX {
            return false;
        }
        *copies += 1;
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).retain(|(other, _), _| other != path);
        true
    }

    /// Whether another copy of this file was asked for: one of the process' own, since the linker takes the same file for
    /// the same library.
    fn is_renewed(&self, path: &Path) -> bool {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).contains_key(path)
    }

    /// The library in this file as it is now; it is loaded unless the same bytes have been before. `pin` is the SHA-256
    /// that they must have.
    ///
    /// # Errors
    /// Every fault that a library can have.
    pub(crate) async fn load(
        &self,
        path: &Path,
        pin: Option<String>,
        options: &ConnectOptions,
    ) -> Result<Arc<Library>, PluginError> {
        let thread =
            PluginThread::start().map_err(|source| PluginError::Host { path: path.to_owned(), source })?;
        let cache = options.cache_dir.clone().filter(|_| !self.is_renewed(path));
        let checked = check(path, pin, (options, cache), &thread).await?;
        let loaded = cell(&self.loaded, (path.to_owned(), checked.sha256.clone()));
        let loaded = loaded.get_or_try_init(|| async {
            let checked = probe(path, options, checked, &thread).await?;
            map(path, checked, thread.clone()).await.map(Arc::new)
        });
        loaded.await.cloned()
    }
}

/// Checks and copies the library. None of its code runs.
async fn check(
    path: &Path,
    pin: Option<String>,
    (options, cache): (&ConnectOptions, Option<PathBuf>),
    thread: &PluginThread,
) -> Result<load::Checked, PluginError> {
    let checking = thread.run({
        let (path, lock) = (path.to_owned(), options.pins_file.clone());
        async move {
            let pin = pin.map(|sha256| (lock, sha256));
            let pin = pin.as_ref().map(|(lock, sha256)| Pin { lock, sha256 });
            load::check(&path, pin.as_ref(), cache.as_deref())
        }
    });
    // The deadline, since the file may lie on a slow file system.
    let checked = tokio::time::timeout(LOAD_DEADLINE, checking).await.map_err(|_| hangs(path))?;
    checked.map_err(|error| host(path, error))?
}

/// Lets a child process load the library first, if it was never seen before.
async fn probe(
    path: &Path,
    options: &ConnectOptions,
    checked: load::Checked,
    thread: &PluginThread,
) -> Result<load::Checked, PluginError> {
    let Some(prober) = options.prober.clone() else { return Ok(checked) };
    let probing = thread.run({
        let path = path.to_owned();
        async move { prober.ensure_it_comes_back(&path, &checked).map(|()| checked) }
    });
    // The prober has a deadline for its child; this one is twice as long, and only guards against the prober's thread.
    let probed = tokio::time::timeout(2 * LOAD_DEADLINE, probing).await.map_err(|_| hangs(path))?;
    probed.map_err(|error| host(path, error))?
}

/// Maps the library on its thread.
async fn map(path: &Path, checked: load::Checked, thread: PluginThread) -> Result<Library, PluginError> {
    let earlier = Arc::new(Earlier::now());
    let library = path.display().to_string();
    calls::remember(&library);
    let loading = thread.run(async move {
        let _call = calls::begin(&library, "", "load");
        checked.map()
    });
    let loaded = tokio::time::timeout(LOAD_DEADLINE, loading).await.map_err(|_| match turn::whose() {
        Some(other) if other != path => {
            let deadline_ms = millis(LOAD_DEADLINE);
            PluginError::Behind { path: path.to_owned(), other, deadline_ms }
        }
        _ => hangs(path),
    })?;
    let loaded = loaded.map_err(|error| host(path, error))??;
    tracing::debug!(library = %path.display(), "plugin loaded");
    Ok(Library::new(path.to_owned(), thread, loaded, earlier))
}

fn hangs(path: &Path) -> PluginError {
    PluginError::Hangs { path: path.to_owned(), deadline_ms: millis(LOAD_DEADLINE) }
}

/// The error if the thread's task did not come to its end.
fn host(path: &Path, error: tokio::task::JoinError) -> PluginError {
    PluginError::Host { path: path.to_owned(), source: std::io::Error::other(error) }
}
