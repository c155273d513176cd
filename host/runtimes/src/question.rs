//! The questions to owners about their workloads: where, about which, and what must prove whose answer it is. Made for a
//! snapshot ([`crate::observe()`]). Must not know what becomes of the answers.
use std::collections::{BTreeMap, BTreeSet};
use wharf_model::RunConfig;
use wharf_sdk::ListQuery;

/// Which of this host's workloads the owners are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All, for those who also look for what no record names.
    Everything,
    /// Only those whose RunConfigs are given: an owner with a thousand is not made to list them for one.
    TheseAlone,
}

/// How an answer shows whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceProof {
    /// A row's label with the recorded instance is enough: for those who only look. Of an absence the engine is asked.
    Labels,
    /// The engine is asked: for those who record or change something because of the answer.
    Engine,
}

/// What is asked at one place: a runtime, and an endpoint of it.
#[derive(Debug, Default)]
pub(crate) struct Question {
    pub(crate) query: ListQuery,
    /// The workloads that are recorded to be there.
    pub(crate) recorded: BTreeSet<String>,
}

/// The places that are asked, by the runtime's name and the endpoint.
pub(crate) type Places = BTreeMap<(String, String), Question>;

/// The places that these workloads name, each with the query for the uids of those that name it, and for the instance that
/// they name, if it is one.
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
        // Of several only one can be there, and nobody knows which.
        let the_one = recorded.pop_first().filter(|_| recorded.is_empty());
        question.query = query(question.recorded.clone(), the_one);
    }
    places
}
