//! [`OpenPaths`]: the files that are open to a workload.
use serde::{Deserialize, Serialize};

/// The files and folders that are open to a workload, each with everything below it. The paths are those that the names led
/// to, not the names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OpenPaths {
    /// Open for writing, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<String>,
    /// Open for reading and executing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
    /// Open for reading and executing, and part of the system: every workload of this runtime has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub system: Vec<String>,
}
