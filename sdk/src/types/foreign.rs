//! Resources that another product made, as a runtime shows them.
use super::WorkloadState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The selection of foreign resources: those with all of these labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LabelSelector {
    /// Their labels.
    pub labels: BTreeMap<String, String>,
}

impl LabelSelector {
    /// Whether a resource with these labels is selected.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
    }
}

/// All foreign resources that a selector matches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ForeignListing {
    /// Whether this is everything: only then is absence evidence.
    pub complete: bool,
    /// The instance that answered.
    pub instance: String,
    /// The resources, running or not.
    pub resources: Vec<ForeignResource>,
}

/// A resource that no host of wharf made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ForeignResource {
    /// The runtime's own name or id for it, for people; never that of another one.
    pub object: String,
    /// All of its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its state.
    pub state: WorkloadState,
}
