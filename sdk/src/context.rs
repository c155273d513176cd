//! What a runtime is given when it is connected.
use crate::notification::EVENT;
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, sync::Arc};
use wharf_abi::HostBox;

/// What a runtime is given when it is connected.
#[derive(Clone, Debug)]
pub struct Context {
    /// The name under which the host asked for it; a library may provide several.
    pub runtime_name: String,
    /// The recorded endpoint, for workloads that exist; none when the runtime is to find its engine.
    pub endpoint: Option<String>,
    /// The host's id: the label of whatever the runtime makes.
    pub host_id: String,
    /// A folder of this runtime's own, private to the user, for what must outlive a process. It exists.
    pub data_dir: PathBuf,
    /// Where a runtime that has no store of logs writes them: `NAME.log`. It exists.
    pub log_dir: PathBuf,
    /// The host's own folders, with records and secrets: no workload may have any of them.
    pub private_dirs: Vec<PathBuf>,
    /// The command that starts a plain process with what must be set between fork and exec; see the module `launch` (feature
    /// `launcher`).
    pub launcher: Vec<String>,
    /// This runtime's part of the user's configuration.
    pub configuration: serde_json::Value,
    /// What the host does for the runtime.
    pub host: HostServices,
}

/// The document of [`Context`], as it crosses the boundary.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConnectDocument {
    /// The runtime's name.
    pub runtime_name: String,
    /// The recorded endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The host's id.
    pub host_id: String,
    /// A folder of this runtime's own.
    pub data_dir: PathBuf,
    /// Where logs are written.
    pub log_dir: PathBuf,
    /// The host's own folders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private_dirs: Vec<PathBuf>,
    /// The launcher's command.
    pub launcher: Vec<String>,
    /// The runtime's part of the configuration.
    #[serde(default)]
    pub configuration: serde_json::Value,
    /// What the plugin's own log records must at least be to cross: `error`, `warn`, `info`, `debug`, `trace`.
    pub log_level: String,
}

/// What the host does for a runtime.
#[derive(Clone)]
pub struct HostServices(pub(crate) Arc<HostBox>);

impl HostServices {
    /// Tells the host that something happened, such as the progress of a pull. Never blocks.
    ///
    /// Log records need no call: `tracing` and `log` are forwarded.
    pub fn event(&self, event: &Event) {
        if let Ok(text) = serde_json::to_string(event) {
            self.0.notify(EVENT.into(), text.into());
        }
    }
}

impl std::fmt::Debug for HostServices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HostServices")
    }
}

/// Something that happened, for people to see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    /// The workload's uid, where it concerns one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// What happens, in words: `pulling image`.
    pub message: String,
    /// How far it is, and of how much, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<(u64, u64)>,
}
