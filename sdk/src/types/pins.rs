//! [`Pins`]: where names of files led when a workload was created.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where names of files and folders led when a workload was created, links followed. [`crate::Pin::pin`] makes it, the host
/// keeps it with the workload and gives it back in [`super::WorkloadSpec::pinned`] at each deployment.
///
/// A program that can write the folder of a name can make that name lead elsewhere while the workload does not run. A name
/// that leads elsewhere than recorded here is not opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Pins {
    /// Absolute paths as the user named them, each with the path without links that it led to; and the name of a program
    /// that was searched, with the path at which it was found.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paths: BTreeMap<String, String>,
    /// The same for names that only the system's owner could make lead elsewhere: as long as only that user can, a
    /// difference is taken for an upgrade.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fixed: BTreeMap<String, String>,
    /// The folders in which programs were searched, in the form of PATH. They are searched at each later start, too, which may
    /// come from a boot or a timer that has another PATH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_path: Option<String>,
    /// Paths that exist, that arguments name, and that are closed to the workload, although it could be given them. The host
    /// tells them to its user, and does not keep them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closed: Vec<String>,
}
