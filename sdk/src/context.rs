//! [`Context`]: the host's part of a connection, given to [`crate::Runtime::connect`]. The host writes it, authors of
//! runtimes read it.
use crate::notification::EVENT;
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, sync::Arc};
use wharf_abi::HostBox;

/// The surroundings that the host gives a runtime when it connects to it.
#[derive(Clone, Debug)]
pub struct Context {
    /// The name under which the host asked for the runtime; a library may provide several.
    pub runtime_name: String,
    /// The endpoint that is recorded for existing workloads. None: the runtime is to find its engine itself.
    pub endpoint: Option<String>,
    /// The host's id. The runtime labels everything that it makes with it.
    pub host_id: String,
    /// A folder of this runtime's own, private to the user, for state that must outlive a process. The host has made it.
    pub data_dir: PathBuf,
    /// The folder in which a runtime that has no store of logs writes them: `NAME.log`. The host has made it.
    pub log_dir: PathBuf,
    /// The host's own folders, with records and secrets: the runtime must give no workload access to them.
    pub private_dirs: Vec<PathBuf>,
    /// The command that starts a plain process with what must be set between fork and exec; see the module `launch`
    /// (feature `launcher`).
    pub launcher: Vec<String>,
    /// The part of the user's configuration that is about this runtime.
    pub configuration: serde_json::Value,
    /// Calls back into the host.
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
    /// The lowest level of the plugin's own log records that are sent to the host: `error`, `warn`, `info`, `debug`,
    /// `trace`.
    pub log_level: String,
}

/// Calls from a runtime into its host.
#[derive(Clone)]
pub struct HostServices(pub(crate) Arc<HostBox>);

impl HostServices {
    /// Reports an event, such as the progress of a pull, to the host. Never blocks.
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

/// An event that the host shows to people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    /// The uid of the workload that it concerns, if it concerns one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// A few words: `pulling image`.
    pub message: String,
    /// The part that is done, and the whole, where both are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<(u64, u64)>,
    /// It is no step of the work, but something that its user should know: it is shown in any case.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_warning: bool,
}
