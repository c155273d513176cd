//! What runtimes are connected with, and where they are found.
//!
//! Made by a command's context, a supervisor or the conformance runner. It must not know any particular runtime.
use crate::catalog::PluginDir;
use crate::client::Deadlines;
use crate::probe::Prober;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};
use wharf_sdk::document::Event;

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
