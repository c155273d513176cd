//! [`Resource`]: something that a runtime has and that carries the id of this host.
use crate::run_config::Owner;
use wharf_sdk::Observation;

/// A resource of this host, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Its runtime, there.
    pub owner: Owner,
    /// The resource.
    pub seen: Observation,
}
