//! [`StateDir`]: where things are below the one directory that the caller names.
//!
//! ```text
//! ROOT/runconfigs/NAME.json   what a workload is
//!      statuses/NAME.json     what was last recorded of it
//!      proxy-secrets/NAME.json  what clients must know (see `proxy_secret`)
//!      locks                  one file, never unlinked: all locks of all workloads (see `byte_lock`)
//!      host-id                random, made once
//!      logs/  control/        filled by others
//! ```
//! Knowing a path makes nothing; only writers make folders.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::atomic::{self, EffectError, Folder};
use super::fault::{Corruption, ReadError, StoreError};
use super::id::HostId;
use super::locks::RecordLock;
use super::name::WorkloadName;

const HOST_ID: &str = "host-id";
const HOST_ID_BYTES_MAX: usize = 256;
const HOST_ID_WAIT: Duration = Duration::from_secs(10);

/// The directory that holds all state of one host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StateDir {
    root: PathBuf,
}

impl StateDir {
    /// The state below `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the RunConfigs.
    #[must_use]
    pub fn run_configs(&self) -> PathBuf {
        self.root.join("runconfigs")
    }

    /// The folder of the status records.
    #[must_use]
    pub fn statuses(&self) -> PathBuf {
        self.root.join("statuses")
    }

    /// The folder of what clients must know to be served.
    #[must_use]
    pub fn proxy_secrets(&self) -> PathBuf {
        self.root.join("proxy-secrets")
    }

    /// The folder of the logs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The folder of the supervisors' control sockets.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.root.join("control")
    }

    /// The file that all locks are byte ranges of.
    #[must_use]
    pub fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    /// The file with the host's id.
    #[must_use]
    pub fn host_id_file(&self) -> PathBuf {
        self.root.join(HOST_ID)
    }

    /// Makes the folder of the logs, for the user alone, if it is not there.
    pub fn make_logs(&self) -> Result<PathBuf, EffectError> {
        let path = self.logs();
        atomic::make_folder(&path).map(|()| path)
    }

    /// Makes the folder of the control sockets, for the user alone, if it is not there.
    pub fn make_control(&self) -> Result<PathBuf, EffectError> {
        let path = self.control();
        atomic::make_folder(&path).map(|()| path)
    }

    /// The id of this host; nothing if nothing was ever created here.
    pub fn host_id(&self) -> Result<Option<HostId>, ReadError> {
        let Some(folder) = Folder::open(&self.root)? else { return Ok(None) };
        let bytes = match folder.read(OsStr::new(HOST_ID), HOST_ID_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(ReadError::NotFound { .. }) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        match String::from_utf8_lossy(&bytes).trim().parse() {
            Ok(id) => Ok(Some(id)),
            Err(source) => {
                let path = folder.path_of(OsStr::new(HOST_ID));
                Err(ReadError::Corrupt { path, why: Corruption::NotAnId { source } })
            }
        }
    }

    /// The id of this host, made now if there is none. Of several that make one at once, one wins and all get it.
    /// An unreadable one is an error and stays: everything that was ever labelled carries it.
    pub fn make_host_id(&self) -> Result<HostId, StoreError> {
        let read = || self.host_id().map_err(|source| StoreError::HostId { source });
        if let Some(id) = read()? {
            return Ok(id);
        }
        let randomness = |source| StoreError::NoRandomness { path: self.root.clone(), source };
        let id = HostId::random().map_err(randomness)?;
        let temporary = atomic::temporary_name(HOST_ID).map_err(randomness)?;
        let folder = Folder::open_or_make(&self.root)?;
        // The file's name fits the grammar of workloads: a workload of that name only shares the wait.
        if let Ok(name) = WorkloadName::new(HOST_ID) {
            let locked = RecordLock::acquire_blocking(self, &name, HOST_ID_WAIT);
            let _held = locked.map_err(|source| StoreError::Locking { name, source })?;
            // Whoever waited finds it made: the turns of many are short.
            if let Some(id) = read()? {
                return Ok(id);
            }
            folder.sweep(HOST_ID)?;
            match folder.create(&temporary, OsStr::new(HOST_ID), format!("{id}\n").as_bytes()) {
                Err(error) if !error.is_already_there() => return Err(error.into()),
                Ok(()) | Err(_) => {}
            }
        }
        let missing = || StoreError::HostId { source: ReadError::NotFound { path: self.host_id_file() } };
        read()?.ok_or_else(missing)
    }
}
