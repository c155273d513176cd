//! Where names of files led when a workload was created.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where names of files and folders led when a workload was created, links followed: made by [`crate::Pin::pin`], kept
/// with the workload, and given back in [`super::WorkloadSpec::pinned`] at each deployment.
///
/// Whatever can write the folder of a name can make it lead elsewhere while the workload does not run. What leads
/// elsewhere than recorded here is not opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Pins {
    /// Absolute paths as they were named, each with the one without a link in it that it meant; and the name of a
    /// program that was searched, with the path at which it was found.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paths: BTreeMap<String, String>,
    /// The same of names that only the system's owner could make lead elsewhere: as long as that is so, a difference is
    /// an upgrade.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fixed: BTreeMap<String, String>,
}
