//! [`StateDir`]: the paths below the one directory that the caller names. The store, supervisors and commands take their
//! paths from here.
//!
//! ```text
//! ROOT/runconfigs/NAME.json   what a workload is
//!      statuses/NAME.json     what was last recorded of it
//!      proxy-secrets/NAME.json  what clients must know (see `proxy_secret`)
//!      locks                  one file, never unlinked: all locks of all workloads (see `byte_lock`)
//!      host-id                random, made once
//!      logs/  control/  sockets/  api/  filled by others
//! ```
//! Computing a path makes no file and no folder; only writers do.

use std::path::{Path, PathBuf};

use crate::effect::EffectError;
use crate::file::atomic;
use wharf_model::WorkloadName;

/// The directory that holds all state of one host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StateDir {
    root: PathBuf,
}

impl StateDir {
    /// The name of the file with the host's id.
    pub(crate) const HOST_ID: &str = "host-id";

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

    /// The folder of the proxies' secrets.
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

    /// The folder of the sockets on which proxies serve their user's own clients.
    #[must_use]
    pub fn sockets(&self) -> PathBuf {
        self.root.join("sockets")
    }

    /// The folder of what serves the REST API: its socket, its token, its operations.
    #[must_use]
    pub fn api(&self) -> PathBuf {
        self.root.join("api")
    }

    /// The socket of one workload's proxy, if it has one.
    #[must_use]
    pub fn client_socket(&self, name: &WorkloadName) -> PathBuf {
        self.sockets().join(format!("{name}.sock"))
    }

    /// The file whose byte ranges are the locks.
    #[must_use]
    pub fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    /// The file with the host's id.
    #[must_use]
    pub fn host_id_file(&self) -> PathBuf {
        self.root.join(Self::HOST_ID)
    }

    /// Makes the folder of the logs, for the user alone, if it is missing.
    pub fn make_logs(&self) -> Result<PathBuf, EffectError> {
        let path = self.logs();
        atomic::make_folder(&path).map(|()| path)
    }

    /// Makes the folder of the clients' sockets, for the user alone, if it is missing.
    pub fn make_sockets(&self) -> Result<PathBuf, EffectError> {
        let path = self.sockets();
        atomic::make_folder(&path).map(|()| path)
    }

    /// Makes the folder of the REST API, for the user alone, if it is missing.
    pub fn make_api(&self) -> Result<PathBuf, EffectError> {
        let path = self.api();
        atomic::make_folder(&path).map(|()| path)
    }

    /// Makes the folder of the control sockets, for the user alone, if it is missing.
    pub fn make_control(&self) -> Result<PathBuf, EffectError> {
        let path = self.control();
        atomic::make_folder(&path).map(|()| path)
    }
}
