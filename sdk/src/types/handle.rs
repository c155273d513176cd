//! [`Handle`]: stored by the host, so that a plugin finds a workload again.
use serde::{Deserialize, Serialize};

/// Lets a plugin find its workload again. `deploy` makes it, the host stores it before `start` and passes it to every
/// operation, also from another process and to a newer version of the plugin. Plugins keep no state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Handle {
    /// The uid of the workload. The host checks it.
    pub uid: String,
    /// The version of `data`'s form; a plugin refuses a version that it does not know, and names it.
    pub version: u32,
    /// The plugin's data; the host never reads it. No secrets: it is written to disk.
    pub data: serde_json::Value,
}
