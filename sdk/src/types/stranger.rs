//! What somebody else made, as a runtime that can take it over sees it.
use super::{Address, Handle, WorkloadState};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which resources are looked for: those with all of these labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sought {
    /// Their labels.
    pub labels: BTreeMap<String, String>,
}

/// The workloads that were taken over and are asked about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TakenOver {
    /// Their handles.
    pub handles: Vec<Handle>,
}

/// All resources with the labels that were sought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Strangers {
    /// Whether this is everything: only then is absence evidence.
    pub complete: bool,
    /// The instance that answered.
    pub instance: String,
    /// The resources, running or not.
    pub found: Vec<Stranger>,
}

/// A resource that no host of wharf made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Stranger {
    /// How it can be taken over. Whoever does that puts the uid of the workload that it becomes into it; until then
    /// that is empty.
    pub handle: Handle,
    /// The runtime's own name or id for it, for people; never that of another one.
    pub object: String,
    /// All of its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The image that it was made from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// What it is doing.
    pub state: WorkloadState,
    /// How its port can be reached from the host; none where it has none, or several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
}
