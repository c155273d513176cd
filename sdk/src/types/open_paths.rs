//! Which files are open to a workload.
use serde::{Deserialize, Serialize};

/// The files and folders that are open to a workload, each with what lies below it: what they mean, not what they were
/// called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OpenPaths {
    /// To be written too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<String>,
    /// To be read and executed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
    /// The same, of the system's own, that every workload of this runtime has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub system: Vec<String>,
}
