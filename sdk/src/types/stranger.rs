//! Resources that another product made, as a runtime with the ability `takeover` sees them. `import` searches for
//! them.
use super::{Address, Handle, WorkloadState};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The labels of the resources to look for: a resource must have all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sought {
    /// The labels.
    pub labels: BTreeMap<String, String>,
}

/// The taken-over workloads that a caller asks about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TakenOver {
    /// Their handles.
    pub handles: Vec<Handle>,
}

/// All resources with the labels that were asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Strangers {
    /// True if this is everything: only then is absence evidence.
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
    /// The handle with which the resource can be taken over. The host puts the uid of the new workload into it; until then
    /// the uid is empty.
    pub handle: Handle,
    /// The runtime's own name or id for the resource, for people; never that of another runtime.
    pub object: String,
    /// All of its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The image that it was made from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Its state.
    pub state: WorkloadState,
    /// The address of its port; none where it has none, or several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
}
