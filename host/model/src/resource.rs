//! [`Resource`]: a container or another object of a runtime that carries the id of this host. Runtimes' answers are turned
//! into it; [`crate::claim()`] compares them.
use crate::run_config::Owner;
use wharf_sdk::Observation;

/// A resource of this host, and the runtime that has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// The runtime, with instance and endpoint.
    pub owner: Owner,
    /// The runtime's observation of it.
    pub seen: Observation,
}
