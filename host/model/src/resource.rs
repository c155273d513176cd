//! [`Resource`]: a container or another object of a runtime that carries the id of this host. Runtimes' answers are turned
//! into it; [`crate::claim()`] compares them.
use crate::owner::Owner;
use wharf_sdk::Observation;

/// A resource of this host, and the runtime that has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// The runtime, with instance and endpoint.
    pub owner: Owner,
    /// The runtime's observation of it.
    pub seen: Observation,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use wharf_sdk::{Condition, WorkloadState};

    /// What a runtime shows of a resource of which only the state matters.
    pub(crate) fn observation(state: WorkloadState) -> Observation {
        Observation {
            uid: String::new(),
            host_id: String::new(),
            handle: None,
            parent: None,
            object: String::new(),
            state,
            exit: None,
            started_at_ms: None,
            address: None,
            confinement: None,
            condition: Condition::default(),
        }
    }
}
