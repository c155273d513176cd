//! The libraries that are loaded in this process, each once.
//!
//! Nothing is unloaded, so what was loaded from a file stays, by its path and its bytes: a library that is exchanged and
//! exchanged back, or searched for again, costs nothing anew. Only bytes that were never seen add to the process, for as
//! long as it lives. It must not know runtimes by name.
use crate::client::millis;
use crate::error::PluginError;
use crate::in_process::calls;
use crate::in_process::handed_over::Earlier;
use crate::in_process::load;
use crate::in_process::load::{LOAD_DEADLINE, Loaded, Pin};
use crate::in_process::plugin_thread::PluginThread;
use crate::in_process::turn;
use crate::options::ConnectOptions;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OnceCell;

/// Things made once each, at their first use; making one holds up nobody who wants another.
pub(crate) type Cells<K, V> = Mutex<HashMap<K, Arc<OnceCell<Arc<V>>>>>;

pub(crate) fn cell<K: Eq + std::hash::Hash, V>(cells: &Cells<K, V>, key: K) -> Arc<OnceCell<Arc<V>>> {
    cells.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
}

/// A library that is loaded.
pub(crate) struct Library {
    /// The file that it was loaded from.
    pub(crate) path: PathBuf,
    /// The thread that loaded it, for the first connection to it; each other one has one of its own.
    thread: Mutex<Option<PluginThread>>,
    pub(crate) loaded: Loaded,
    /// The descriptors that are not the library's to give away.
    pub(crate) earlier: Arc<Earlier>,
}

impl Library {
    pub(crate) fn new(path: PathBuf, thread: PluginThread, loaded: Loaded, earlier: Arc<Earlier>) -> Self {
        Self { path, thread: Mutex::new(Some(thread)), loaded, earlier }
    }

    /// A thread for one more connection, whose calls then hold up no other one's.
    pub(crate) fn thread(&self) -> std::io::Result<PluginThread> {
        let first = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.map_or_else(PluginThread::start, Ok)
    }
}

/// The libraries that are loaded in this process.
#[derive(Default)]
pub struct Libraries {
    /// By file, and by the SHA-256 of what was loaded from it.
    loaded: Cells<(PathBuf, String), Library>,
}

impl Libraries {
    /// The library of this file as it is now, loaded unless its bytes have been before. `pin` is what their SHA-256
    /// must be.
    ///
    /// # Errors
    /// Everything that can be wrong with a library.
    pub(crate) async fn load(
        &self,
        path: &Path,
        pin: Option<String>,
        options: &ConnectOptions,
    ) -> Result<Arc<Library>, PluginError> {
        let thread =
            PluginThread::start().map_err(|source| PluginError::Host { path: path.to_owned(), source })?;
        let checked = check(path, pin, options, &thread).await?;
        let loaded = cell(&self.loaded, (path.to_owned(), checked.sha256.clone()));
        let loaded = loaded.get_or_try_init(|| async {
            let checked = probe(path, options, checked, &thread).await?;
            map(path, checked, thread.clone()).await.map(Arc::new)
        });
        loaded.await.cloned()
    }
}

/// Judges and copies it. Nothing of it runs.
async fn check(
    path: &Path,
    pin: Option<String>,
    options: &ConnectOptions,
    thread: &PluginThread,
) -> Result<load::Checked, PluginError> {
    let checking = thread.run({
        let (path, lock, cache) = (path.to_owned(), options.pins_file.clone(), options.cache_dir.clone());
        async move {
            let pin = pin.map(|sha256| (lock, sha256));
            let pin = pin.as_ref().map(|(lock, sha256)| Pin { lock, sha256 });
            load::check(&path, pin.as_ref(), cache.as_deref())
        }
    });
    // Reading a file that is slow to come must have an end.
    let checked = tokio::time::timeout(LOAD_DEADLINE, checking).await.map_err(|_| hangs(path))?;
    checked.map_err(|error| host(path, error))?
}

/// Has a library that was never seen loaded by another process first.
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
    // The prober keeps the deadline for what it waits for.
    let probed = tokio::time::timeout(2 * LOAD_DEADLINE, probing).await.map_err(|_| hangs(path))?;
    probed.map_err(|error| host(path, error))?
}

/// Maps it on its thread.
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

/// The thread's task did not come to its end.
fn host(path: &Path, error: tokio::task::JoinError) -> PluginError {
    PluginError::Host { path: path.to_owned(), source: std::io::Error::other(error) }
}
