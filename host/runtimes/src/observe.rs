//! Asks owners about their workloads: each runtime and endpoint once, all at the same time, with deadlines. `list`,
//! `status`, `reconcile` and `adopt` begin with it.
use crate::client::RuntimeClient;
use crate::deadlines::Purpose;
use crate::error::CallError;
use crate::overdue::Patience;
use crate::question::{InstanceProof, Places, Question, Scope, places_of};
use crate::registry::Plugins;
use futures_util::future::join_all;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::Future,
    sync::Arc,
    time::Duration,
};
use wharf_model::Evidence;
use wharf_model::Resource;
use wharf_model::chain;
use wharf_model::{Owner, RunConfig};
use wharf_sdk::stamp::RuntimeStamp;
use wharf_sdk::{Capability, ForeignListing, LabelSelector, ListQuery, Listing, Observation};

/// How much longer than its answer one owner may take, for loading its library. If it takes longer, its own rows become stale
/// and no others. Where the answer is only shown it has [`Deadlines::shown`](crate::Deadlines::shown) for both.
const LOADING: Duration = Duration::from_secs(1);

/// The answers of the owners.
#[derive(Debug, Default)]
pub struct Observed {
    /// The reason why nobody could be asked.
    blind: Option<String>,
    answers: BTreeMap<(String, String), Result<Answer, String>>,
}

/// One owner's complete answer.
#[derive(Debug)]
struct Answer {
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

/// Asks the owners of these workloads. The caller has read the records before, so that the snapshot begins after them
/// (R04).
pub async fn observe(
    plugins: &Plugins,
    host_id: &str,
    configs: impl Iterator<Item = &RunConfig>,
    scope: Scope,
    proof: InstanceProof,
) -> Observed {
    let places = places_of(configs, |uids, recorded| {
        let query = match scope {
            Scope::Everything => ListQuery::ALL,
            Scope::TheseAlone => ListQuery::these(uids),
        };
        query.presuming(recorded.filter(|_| proof == InstanceProof::Labels))
    });
    ask_owners(plugins, host_id, proof.purpose(), places).await
}

/// Asks every runtime that a plugin provides about the workloads of the query, through its usual endpoint and those that
/// these workloads name. Every engine is asked for its instance, since an owner may be recorded because of the answers.
/// Where they are only shown, a runtime that takes long is not waited for.
pub async fn observe_all(
    plugins: &Plugins,
    host_id: &str,
    configs: impl Iterator<Item = &RunConfig>,
    query: &ListQuery,
    purpose: Purpose,
) -> Observed {
    let mut places = places_of(configs, |_, _| query.clone());
    for question in places.values_mut() {
        question.recorded.retain(|uid| query.asks_for(uid));
    }
    let provided = plugins.catalog().runtimes().into_iter().filter(|provided| !provided.shadowed);
    for provided in provided {
        let place = (provided.runtime.name.clone(), String::new());
        places.entry(place).or_default().query = query.clone();
    }
    ask_owners(plugins, host_id, purpose, places).await
}

/// Asks every runtime that may have resources of another product for those with these labels, through its usual endpoint
/// and those that these workloads name. A runtime that runs images and lacks the ability counts as silent.
pub async fn observe_foreign(
    plugins: &Plugins,
    host_id: &str,
    configs: impl Iterator<Item = &RunConfig>,
    selector: &LabelSelector,
) -> Observed {
    let provided = plugins.catalog().runtimes().into_iter().filter(|provided| !provided.shadowed);
    let asked: BTreeSet<&str> = provided
        .filter(|provided| may_have_foreign(provided.runtime))
        .map(|provided| provided.runtime.name.as_str())
        .collect();
    let mut places = places_of(configs, |_, _| ListQuery::ALL);
    places.retain(|(name, _), _| asked.contains(name.as_str()));
    for name in asked {
        places.entry((name.to_owned(), String::new())).or_default();
    }
    ask_all(plugins, patience(plugins, Purpose::Change), places, |(name, endpoint), _| {
        let (plugins, host_id, selector) = (plugins.clone(), host_id.to_owned(), selector.clone());
        async move { ask_for_foreign(&plugins, &host_id, &name, &endpoint, &selector).await }
    })
    .await
}

/// True of a runtime that may have a resource that another product made from an image.
pub fn may_have_foreign(runtime: &RuntimeStamp) -> bool {
    runtime.has(&Capability::DISCOVER) || runtime.accepts.iter().any(|accepted| accepted == "image")
}

/// Asks the owners at these places.
async fn ask_owners(plugins: &Plugins, host_id: &str, purpose: Purpose, places: Places) -> Observed {
    ask_all(plugins, patience(plugins, purpose), places, |(name, endpoint), question| {
        let (plugins, host_id) = (plugins.clone(), host_id.to_owned());
        async move { ask(&plugins, &host_id, (&name, &endpoint), question, purpose).await }
    })
    .await
}

fn patience(plugins: &Plugins, purpose: Purpose) -> Patience {
    let deadlines = plugins.deadlines();
    match purpose {
        Purpose::Show => Patience { deadline: deadlines.shown, is_shown: true },
        Purpose::Change => Patience { deadline: deadlines.ask + LOADING, is_shown: false },
    }
}

async fn ask_all<Q, A>(plugins: &Plugins, patience: Patience, places: Places, ask: Q) -> Observed
where
    Q: Fn((String, String), Question) -> A,
    A: Future<Output = Result<Answer, String>> + Send + 'static,
{
    let questions = places.into_iter().map(|(place, question)| {
        let asked = ask(place.clone(), question);
        async move {
            let answer = plugins.answer(&place, patience, asked).await;
            if let Err(reason) = &answer {
                tracing::debug!(runtime = place.0, endpoint = place.1, reason, "no evidence from a runtime");
            }
            (place, answer)
        }
    });
    Observed { blind: None, answers: join_all(questions).await.into_iter().collect() }
}

async fn ask(
    plugins: &Plugins,
    host_id: &str,
    (name, endpoint): (&str, &str),
    Question { query, recorded }: Question,
    purpose: Purpose,
) -> Result<Answer, String> {
    let client = connect(plugins, host_id, name, endpoint).await?;
    let read = |query, listing| Answer::read(name, endpoint, host_id, query, told(&client, listing)?);
    let listing = client.list(&query, purpose).await;
    let is_presumed = query.presumed_instance.is_some();
    let answer = read(query.clone(), listing)?;
    // A label with the presumed instance proves which storage a row is in, which is enough for a row that is there. But a
    // storage that was copied to another engine has the same labels, and a workload that is missing in the copy may be
    // running here. So before an absence is believed, the engine is asked for its instance.
    if is_presumed && recorded.iter().any(|uid| !answer.by_uid.contains_key(uid)) {
        let query = query.presuming(None);
        let listing = client.list(&query, purpose).await;
        return read(query, listing);
    }
    Ok(answer)
}

async fn ask_for_foreign(
    plugins: &Plugins,
    host_id: &str,
    name: &str,
    endpoint: &str,
    selector: &LabelSelector,
) -> Result<Answer, String> {
    let client = connect(plugins, host_id, name, endpoint).await?;
    let ForeignListing { complete, instance, resources } = told(&client, client.discover(selector).await)?;
    if !complete {
        return Err(incomplete(name));
    }
    Ok(Answer { foreign: resources, ..Answer::new(instance, endpoint) })
}

async fn connect(
    plugins: &Plugins,
    host_id: &str,
    name: &str,
    endpoint: &str,
) -> Result<Arc<RuntimeClient>, String> {
    let asked_for = (!endpoint.is_empty()).then_some(endpoint);
    plugins.connect(name, asked_for, host_id).await.map_err(|error| chain(&error))
}

fn told<T>(client: &RuntimeClient, answer: Result<T, CallError>) -> Result<T, String> {
    answer.map_err(|error| format!("the runtime '{}': {}", client.name(), chain(&error)))
}

fn incomplete(name: &str) -> String {
    format!("the runtime '{name}' could not list everything")
}

impl Answer {
    fn new(instance: String, endpoint: &str) -> Self {
        let endpoint = endpoint.to_owned();
        Self { instance, endpoint, query: ListQuery::ALL, by_uid: HashMap::new(), foreign: Vec::new() }
    }

    /// The answer in a listing; an error if the listing is no evidence.
    fn read(
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

    /// The evidence that the workload is absent; none if it was not asked for.
    fn absence(&self, config: &RunConfig) -> Evidence {
        if self.query.asks_for(config.uid.as_str()) {
            return Evidence::HasNot;
        }
        Evidence::Missing(format!("the runtime '{}' was not asked about it", config.runtime_name))
    }
}

impl Observed {
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
        Self { blind: None, answers: BTreeMap::from([((runtime_name, runtime_endpoint), answer)]) }
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
