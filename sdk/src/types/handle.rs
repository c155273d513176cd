//! What the host stores so that a workload is found again.
use serde::{Deserialize, Serialize};

/// How a plugin finds a workload of its own again: made by `deploy`, stored by the host before `start`, given back
/// with every operation, also by another process and a newer version of the plugin. Plugins keep no state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Handle {
    /// Whose handle it is: the workload's uid. The host checks it.
    pub uid: String,
    /// The version of `data`'s form; a plugin refuses in words what it does not know.
    pub version: u32,
    /// The plugin's own; the host never reads it. No secrets: it is written to disk.
    pub data: serde_json::Value,
}
