//! The questions to owners: the place to ask, the workloads asked about, and the proof of the instance that is wanted. Made
//! for a snapshot ([`crate::observe()`]). Must not know how the answers are used.
use crate::deadlines::Purpose;
use std::collections::{BTreeMap, BTreeSet};
use wharf_model::RunConfig;
use wharf_sdk::ListQuery;

/// The workloads of this host that the owners are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All, for callers that also look for resources without a record.
    Everything,
    /// Only those whose RunConfigs are given, so that an owner with a thousand workloads need not list them all.
    TheseAlone,
}

/// The proof that an answer is of the recorded instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceProof {
    /// A label with the recorded instance on a row is enough; the engine is asked only before an absence is believed. For
    /// callers that only read.
    Labels,
    /// The engine is asked. For callers that record or change something because of the answer.
    Engine,
}

impl InstanceProof {
    /// What such a caller does with the answer.
    pub const fn purpose(self) -> Purpose {
        match self {
            Self::Labels => Purpose::Show,
            Self::Engine => Purpose::Change,
        }
    }
}

/// The question to one runtime at one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Question {
    pub(crate) query: ListQuery,
    /// The workloads whose records name this place.
    pub(crate) recorded: BTreeSet<String>,
}

/// The questions, by the runtime's name and the endpoint.
pub(crate) type Places = BTreeMap<(String, String), Question>;

/// The places that these workloads name. `query` gets the uids of the workloads that name a place, and their instance, if
/// they all name the same one.
pub(crate) fn places_of<'a>(
    configs: impl Iterator<Item = &'a RunConfig>,
    query: impl Fn(BTreeSet<String>, Option<String>) -> ListQuery,
) -> Places {
    let mut places = Places::new();
    let mut instances: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for config in configs {
        let Some(owner) = config.owner() else { continue };
        let place = (owner.runtime_name, owner.runtime_endpoint);
        instances.entry(place.clone()).or_default().insert(owner.runtime_instance);
        let question = places.entry(place).or_default();
        question.recorded.insert(config.uid.to_string());
    }
    for (place, question) in &mut places {
        let mut recorded = instances.remove(place).unwrap_or_default();
        // If they name several instances, only one can be there, and nobody knows which.
        let the_one = recorded.pop_first().filter(|_| recorded.is_empty());
        question.query = query(question.recorded.clone(), the_one);
    }
    places
}
