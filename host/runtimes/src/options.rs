//! [`ConnectOptions`]: where plugins are searched, and the surroundings that runtimes are given.
//!
//! Made by a command's context, a supervisor or the conformance runner. It must not know any particular runtime.
use crate::catalog::PluginDir;
use crate::deadlines::Deadlines;
use crate::probe::Prober;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};
use wharf_sdk::document::Event;

/// Where plugins are searched, and the surroundings that runtimes are given when they are connected.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The folders to search, in order.
    pub dirs: Vec<PluginDir>,
    /// SHA-256 digests of libraries, by file name.
    pub pins: BTreeMap<String, String>,
    /// The file that the pins come from, for messages.
    pub pins_file: PathBuf,
    /// Tries libraries that were never seen in a child process. None: they are loaded here at once.
    pub prober: Option<Prober>,
    /// The folder in which each runtime has a folder of its own.
    pub data_dir: PathBuf,
    /// The folder of copies of libraries, for all processes of the user. None: each process makes its own copies.
    pub cache_dir: Option<PathBuf>,
    /// The folder of logs.
    pub log_dir: PathBuf,
    /// The host's own folders: runtimes must give no workload access to them.
    pub private_dirs: Vec<PathBuf>,
    /// The launcher's command.
    pub launcher: Vec<String>,
    /// Each runtime's part of the user's configuration.
    pub configurations: BTreeMap<String, serde_json::Value>,
    /// The lowest level of the plugins' log records.
    pub log_level: String,
    /// The deadlines of operations.
    pub deadlines: Deadlines,
}

/// Receives the events that runtimes report about workloads. It is called on threads of the plugins and must not block.
pub type EventListener = Arc<dyn Fn(Event) + Send + Sync>;
