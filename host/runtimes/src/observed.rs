//! [`Observed`]: what the owners answered, and the evidence in it about each workload.
//!
//! Made by [`crate::observe()`] and its neighbours, which ask; the commands that have asked look at it. It must not know how
//! an owner is reached, nor wait for anything.
//!
//! Invariants: only the instance on record is believed about a workload (R02); an answer that is not complete, or was not
//! asked for a workload, is no evidence about it (R04).
use std::collections::{BTreeMap, BTreeSet, HashMap};
use wharf_model::{Evidence, Owner, Resource, RunConfig};
use wharf_sdk::{ForeignListing, ListQuery, Listing, Observation};

/// The answers of the owners.
#[derive(Debug, Default)]
pub struct Observed {
    /// The reason why nobody could be asked.
    blind: Option<String>,
    answers: BTreeMap<(String, String), Result<Answer, String>>,
}

/// One owner's complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    instance: String,
    /// The endpoint through which the engine was reached: the one of the question, or the runtime's own choice.
    endpoint: String,
    /// The question. If a workload is absent that the question did not ask for, that is no evidence.
    query: ListQuery,
    by_uid: HashMap<String, Vec<Observation>>,
    foreign: Vec<wharf_sdk::ForeignResource>,
}

/// A resource of another product, and the runtime that has it.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignResource {
    /// The resource, with empty uid.
    pub resource: Resource,
    /// All of its labels.
    pub labels: BTreeMap<String, String>,
}

impl Answer {
    fn new(instance: String, endpoint: &str) -> Self {
        let endpoint = endpoint.to_owned();
        Self { instance, endpoint, query: ListQuery::ALL, by_uid: HashMap::new(), foreign: Vec::new() }
    }

    /// The answer in a listing; an error if the listing is no evidence.
    pub(crate) fn read(
        name: &str,
        endpoint: &str,
        host_id: &str,
        query: ListQuery,
        listing: Listing,
    ) -> Result<Self, String> {
        if !listing.complete {
            return Err(incomplete(name));
        }
        let mut answer = Self { query, ..Self::new(listing.instance, endpoint) };
        // A resource with another host's id is foreign, whatever its uid is (R09).
        for seen in listing.workloads.into_iter().filter(|seen| seen.host_id == host_id) {
            answer.by_uid.entry(seen.uid.clone()).or_default().push(seen);
        }
        Ok(answer)
    }

    /// The answer to a question for resources of other products; an error if it may not have all.
    pub(crate) fn read_foreign(name: &str, endpoint: &str, listing: ForeignListing) -> Result<Self, String> {
        let ForeignListing { complete, instance, resources } = listing;
        if !complete {
            return Err(incomplete(name));
        }
        Ok(Self { foreign: resources, ..Self::new(instance, endpoint) })
    }

    /// Whether it has a resource with this uid.
    pub(crate) fn shows(&self, uid: &str) -> bool {
        self.by_uid.contains_key(uid)
    }

    /// The evidence that the workload is absent; none if it was not asked for.
    fn absence(&self, config: &RunConfig) -> Evidence {
        if self.query.asks_for(config.uid.as_str()) {
            return Evidence::HasNot;
        }
        Evidence::Missing(format!("the runtime '{}' was not asked about it", config.runtime_name))
    }
}

impl Observed {
    /// These answers, by runtime and endpoint; of each that gave none, the reason.
    pub(crate) fn of(answers: BTreeMap<(String, String), Result<Answer, String>>) -> Self {
        Self { blind: None, answers }
    }

    /// For a host whose id is unknown: nobody was asked, since this host's resources could not be told from those of
    /// others.
    pub fn blind(reason: String) -> Self {
        Self { blind: Some(reason), answers: BTreeMap::new() }
    }

    /// One runtime's answer, as if it had been asked.
    #[cfg(test)]
    pub(crate) fn told(owner: &Owner, host_id: &str, told: Result<Listing, String>) -> Self {
        let Owner { runtime_name, runtime_endpoint, .. } = owner.clone();
        let answer = told
            .and_then(|told| Answer::read(&runtime_name, &runtime_endpoint, host_id, ListQuery::ALL, told));
        Self::of(BTreeMap::from([((runtime_name, runtime_endpoint), answer)]))
    }

    /// The owner's evidence about a workload.
    pub fn evidence(&self, config: &RunConfig) -> Evidence {
        if config.is_remote() {
            return Evidence::Remote;
        }
        if let Some(reason) = &self.blind {
            return Evidence::Missing(reason.clone());
        }
        let Some(owner) = config.owner() else {
            return Evidence::Missing("it has no owner".to_owned());
        };
        let Owner { runtime_name, runtime_instance, runtime_endpoint } = &owner;
        let answer = match self.answers.get(&(runtime_name.clone(), runtime_endpoint.clone())) {
            None => return Evidence::Missing(format!("the runtime '{runtime_name}' was not asked")),
            Some(Err(reason)) => return Evidence::Missing(owner.located(reason)),
            Some(Ok(answer)) => answer,
        };
        if answer.instance != *runtime_instance {
            return Evidence::Missing(owner.located(&format!(
                "another instance of '{runtime_name}' answers: {}, and it belongs to {runtime_instance}",
                answer.instance
            )));
        }
        match answer.by_uid.get(config.uid.as_str()).map(Vec::as_slice) {
            None | Some([]) => answer.absence(config),
            Some([seen]) => Evidence::of(seen.clone()),
            Some(several) => {
                let objects: Vec<&str> = several.iter().map(|seen| seen.object.as_str()).collect();
                Evidence::Missing(format!(
                    "the runtime '{runtime_name}' has two resources with its uid: {}",
                    objects.join(", ")
                ))
            }
        }
    }

    /// Puts a later observation of a workload, by its own instance, in the place of the one in a listing.
    pub fn correct(&mut self, config: &RunConfig, seen: Observation) {
        let Some(owner) = config.owner() else { return };
        let place = (owner.runtime_name, owner.runtime_endpoint);
        if let Some(Ok(answer)) = self.answers.get_mut(&place)
            && answer.instance == owner.runtime_instance
        {
            answer.by_uid.insert(config.uid.to_string(), vec![seen]);
        }
    }

    /// True if another instance has answered in the place of a workload's owner.
    pub fn is_displaced(&self, config: &RunConfig) -> bool {
        let Some(owner) = config.owner() else { return false };
        self.answer_at(&owner).is_some_and(|answer| answer.instance != owner.runtime_instance)
    }

    /// The answer at an owner's place, whichever instance has given it.
    fn answer_at(&self, owner: &Owner) -> Option<&Answer> {
        self.answers.get(&(owner.runtime_name.clone(), owner.runtime_endpoint.clone()))?.as_ref().ok()
    }

    /// The servers of a workload's sessions that the owner shows, if the recorded instance answered.
    pub fn children(&self, config: &RunConfig) -> Vec<&Observation> {
        let Some(owner) = config.owner() else { return Vec::new() };
        let answer = self.answer_at(&owner).filter(|answer| answer.instance == owner.runtime_instance);
        let Some(answer) = answer else { return Vec::new() };
        let seen = answer.by_uid.values().flatten();
        let mut found: Vec<_> = seen.filter(|seen| seen.is_child_of(config.uid.as_str())).collect();
        found.sort_by(|a, b| a.uid.cmp(&b.uid));
        found
    }

    /// All resources with this host's id, by runtime and uid. An instance that was reached in two ways counts once.
    pub fn resources(&self) -> Vec<Resource> {
        let mut found = Vec::new();
        for (owner, answer) in self.instances() {
            let seen = answer.by_uid.values().flatten();
            found.extend(seen.map(|seen| Resource { owner: owner.clone(), seen: seen.clone() }));
        }
        found.sort_by(|a, b| {
            let key = |it: &Resource| (it.owner.runtime_name.clone(), it.seen.uid.clone());
            key(a).cmp(&key(b))
        });
        found
    }

    /// All resources of other products. An instance that was reached in two ways counts once.
    pub fn foreign(&self) -> Vec<ForeignResource> {
        let placed = |owner: &Owner, seen: &wharf_sdk::ForeignResource| ForeignResource {
            resource: Resource { owner: owner.clone(), seen: as_observation(seen) },
            labels: seen.labels.clone(),
        };
        let instances = self.instances();
        let all =
            instances.iter().flat_map(|(owner, answer)| answer.foreign.iter().map(|it| placed(owner, it)));
        all.collect()
    }

    /// Each instance that answered, once, with its answer.
    fn instances(&self) -> Vec<(Owner, &Answer)> {
        let mut known = BTreeSet::new();
        let answers =
            self.answers.iter().filter_map(|((name, _), answer)| Some((name, answer.as_ref().ok()?)));
        answers
            .filter(|(name, answer)| known.insert((*name, &answer.instance)))
            .map(|(name, answer)| {
                let owner = Owner {
                    runtime_name: name.clone(),
                    runtime_instance: answer.instance.clone(),
                    runtime_endpoint: answer.endpoint.clone(),
                };
                (owner, answer)
            })
            .collect()
    }

    /// The instances that these workloads name and in whose place another instance of the runtime answered, each with the
    /// runtime's name.
    pub fn displaced<'a>(&self, configs: impl Iterator<Item = &'a RunConfig>) -> BTreeSet<(String, String)> {
        let named = configs.filter_map(RunConfig::owner);
        let answers = |owner: &Owner| {
            self.answers.iter().any(|((name, _), answer)| {
                *name == owner.runtime_name
                    && answer.as_ref().is_ok_and(|answer| answer.instance == owner.runtime_instance)
            })
        };
        named
            .filter(|owner| !answers(owner))
            .map(|owner| (owner.runtime_name, owner.runtime_instance))
            .collect()
    }

    /// The runtimes that gave no complete answer, each with the reason.
    pub fn silent(&self) -> impl Iterator<Item = (&str, &str)> {
        self.answers.iter().filter_map(|((name, _), answer)| {
            answer.as_ref().err().map(|reason| (name.as_str(), reason.as_str()))
        })
    }
}

fn incomplete(name: &str) -> String {
    format!("the runtime '{name}' could not list everything")
}

/// The observation of a foreign resource: uid and host id are empty.
fn as_observation(seen: &wharf_sdk::ForeignResource) -> Observation {
    Observation {
        uid: String::new(),
        host_id: String::new(),
        parent: None,
        handle: None,
        object: seen.object.clone(),
        state: seen.state,
        exit: None,
        started_at_ms: None,
        address: None,
        confinement: None,
        condition: wharf_sdk::Condition::default(),
    }
}
