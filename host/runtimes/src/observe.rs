//! Asks owners about their workloads: each runtime and endpoint once, all at the same time, with deadlines.
use crate::client::RuntimeClient;
use crate::error::CallError;
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
use wharf_sdk::{Capability, ListQuery, Listing, Observation, Sought, Stranger, Strangers};

/// How long one owner may take, its library's load included: it costs its own rows their freshness and no others.
const DEADLINE: Duration = Duration::from_secs(11);

/// What the owners said.
#[derive(Debug, Default)]
pub struct Observed {
    /// Why nobody could be asked.
    blind: Option<String>,
    answers: BTreeMap<(String, String), Result<Answer, String>>,
}

/// One owner's complete answer.
#[derive(Debug)]
struct Answer {
    instance: String,
    /// How it was reached: the endpoint that was asked for, or the runtime's own choice.
    endpoint: String,
    /// The question: the absence of anything that it does not ask for says nothing.
    query: ListQuery,
    by_uid: HashMap<String, Vec<Observation>>,
    strangers: Vec<Stranger>,
}

/// Something that another product made, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignResource {
    /// As a resource: of no workload.
    pub resource: Resource,
    /// All of its labels.
    pub labels: BTreeMap<String, String>,
    /// Its image.
    pub image: String,
}

/// Asks the owners of these workloads. The records must have been read before: the snapshot begins after them (R04).
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
    ask_all(places, |name, endpoint, question| async move {
        ask(plugins, host_id, &name, &endpoint, question).await
    })
    .await
}

/// Asks every runtime that a plugin provides, through its usual endpoint and those that these workloads name, for what
/// it has of the workloads in the query, whoever owns them. Each engine says itself who it is: an owner is recorded because
/// of the answers.
pub async fn observe_all(
    plugins: &Plugins,
    host_id: &str,
    configs: impl Iterator<Item = &RunConfig>,
    query: &ListQuery,
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
    ask_all(places, |name, endpoint, question| async move {
        ask(plugins, host_id, &name, &endpoint, question).await
    })
    .await
}

/// Asks every runtime that may run what another product made for what has these labels, through its usual endpoint and
/// those that these workloads name. One that runs images and cannot be asked for that is silent.
pub async fn observe_strangers(
    plugins: &Plugins,
    host_id: &str,
    configs: impl Iterator<Item = &RunConfig>,
    labels: &BTreeMap<String, String>,
) -> Observed {
    let provided = plugins.catalog().runtimes().into_iter().filter(|provided| !provided.shadowed);
    let asked: BTreeSet<&str> = provided
        .filter(|provided| may_have_strangers(provided.runtime))
        .map(|provided| provided.runtime.name.as_str())
        .collect();
    let mut places = places_of(configs, |_, _| ListQuery::ALL);
    places.retain(|(name, _), _| asked.contains(name.as_str()));
    for name in asked {
        places.entry((name.to_owned(), String::new())).or_default();
    }
    ask_all(places, |name, endpoint, _| async move {
        ask_for_strangers(plugins, host_id, &name, &endpoint, labels).await
    })
    .await
}

/// True of a runtime that can have what another product made of an image.
pub fn may_have_strangers(runtime: &RuntimeStamp) -> bool {
    runtime.has(&Capability::TAKEOVER) || runtime.accepts.iter().any(|accepted| accepted == "image")
}

async fn ask_all<Q, A>(places: Places, ask: Q) -> Observed
where
    Q: Fn(String, String, Question) -> A,
    A: Future<Output = Result<Answer, String>>,
{
    let ask = &ask;
    let questions = places.into_iter().map(|((name, endpoint), question)| async move {
        let asked = tokio::time::timeout(DEADLINE, ask(name.clone(), endpoint.clone(), question)).await;
        let answer = asked.unwrap_or_else(|_| Err(format!("the runtime '{name}' gave no answer in time")));
        if let Err(reason) = &answer {
            tracing::debug!(runtime = name, endpoint, reason, "no evidence from a runtime");
        }
        ((name, endpoint), answer)
    });
    Observed { blind: None, answers: join_all(questions).await.into_iter().collect() }
}

async fn ask(
    plugins: &Plugins,
    host_id: &str,
    name: &str,
    endpoint: &str,
    Question { query, recorded }: Question,
) -> Result<Answer, String> {
    let client = connect(plugins, host_id, name, endpoint).await?;
    let read = |query, listing| Answer::read(name, endpoint, host_id, query, told(&client, listing)?);
    let listing = client.list(&query).await;
    let is_presumed = query.presumed_instance.is_some();
    let answer = read(query.clone(), listing)?;
    // Labels say whose storage it is: enough for what is there. A storage that was brought to another engine has them too,
    // and what is missing there may be running here. So of an absence the engine itself must say who it is.
    if is_presumed && recorded.iter().any(|uid| !answer.by_uid.contains_key(uid)) {
        let query = query.presuming(None);
        let listing = client.list(&query).await;
        return read(query, listing);
    }
    Ok(answer)
}

async fn ask_for_strangers(
    plugins: &Plugins,
    host_id: &str,
    name: &str,
    endpoint: &str,
    labels: &BTreeMap<String, String>,
) -> Result<Answer, String> {
    let client = connect(plugins, host_id, name, endpoint).await?;
    let sought = Sought { labels: labels.clone() };
    let Strangers { complete, instance, found } = told(&client, client.strangers(&sought).await)?;
    if !complete {
        return Err(incomplete(name));
    }
    // A plugin that says more than was asked says nothing about these.
    let sought =
        |stranger: &Stranger| labels.iter().all(|(key, value)| stranger.labels.get(key) == Some(value));
    let strangers = found.into_iter().filter(sought).collect();
    Ok(Answer { strangers, ..Answer::new(instance, endpoint) })
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
        Self { instance, endpoint, query: ListQuery::ALL, by_uid: HashMap::new(), strangers: Vec::new() }
    }

    /// What a listing says about this host's workloads; an error where it is no evidence.
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
        // What carries another host's id is foreign, whatever its uid says (R09).
        for seen in listing.workloads.into_iter().filter(|seen| seen.host_id == host_id) {
            answer.by_uid.entry(seen.uid.clone()).or_default().push(seen);
        }
        Ok(answer)
    }

    /// That it has none of a workload, or why that is not known.
    fn absence(&self, config: &RunConfig) -> Evidence {
        if self.query.asks_for(config.uid.as_str()) {
            return Evidence::HasNot;
        }
        Evidence::None(format!("the runtime '{}' was not asked about it", config.runtime_name))
    }
}

impl Observed {
    /// Nobody was asked, because nobody could be understood: what they show could not be told from what others made.
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

    /// What the owner says about a workload.
    pub fn evidence(&self, config: &RunConfig) -> Evidence {
        if config.is_remote() {
            return Evidence::Remote;
        }
        if let Some(reason) = &self.blind {
            return Evidence::None(reason.clone());
        }
        let Some(Owner { runtime_name, runtime_instance, runtime_endpoint }) = config.owner() else {
            return Evidence::None("it has no owner".to_owned());
        };
        let answer = match self.answers.get(&(runtime_name.clone(), runtime_endpoint)) {
            None => return Evidence::None(format!("the runtime '{runtime_name}' was not asked")),
            Some(Err(reason)) => return Evidence::None(reason.clone()),
            Some(Ok(answer)) => answer,
        };
        if answer.instance != runtime_instance {
            return Evidence::None(format!(
                "another instance of '{runtime_name}' answers: {}, and it belongs to {runtime_instance}",
                answer.instance
            ));
        }
        match answer.by_uid.get(config.uid.as_str()).map(Vec::as_slice) {
            None | Some([]) => answer.absence(config),
            Some([seen]) => Evidence::of(seen.clone()),
            Some(several) => {
                let objects: Vec<&str> = several.iter().map(|seen| seen.object.as_str()).collect();
                Evidence::None(format!(
                    "the runtime '{runtime_name}' has two resources with its uid: {}",
                    objects.join(", ")
                ))
            }
        }
    }

    /// Every resource that was seen and carries this host's id, each instance of a runtime once, by runtime and uid.
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

    /// What another product made, each instance of a runtime once.
    pub fn sightings(&self) -> Vec<ForeignResource> {
        let sighting = |owner: &Owner, stranger: &Stranger| ForeignResource {
            resource: Resource { owner: owner.clone(), seen: as_observation(stranger) },
            labels: stranger.labels.clone(),
            image: stranger.image.clone(),
        };
        let instances = self.instances();
        instances
            .iter()
            .flat_map(|(owner, answer)| {
                answer.strangers.iter().map(move |stranger| sighting(owner, stranger))
            })
            .collect()
    }

    /// Each instance of a runtime that answered, once, with its answer.
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

    /// Instances that these workloads name and that did not answer, because another one of the runtime does. Each with
    /// its runtime.
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

    /// Runtimes that gave no complete answer, each with the reason.
    pub fn silent(&self) -> impl Iterator<Item = (&str, &str)> {
        self.answers.iter().filter_map(|((name, _), answer)| {
            answer.as_ref().err().map(|reason| (name.as_str(), reason.as_str()))
        })
    }
}

/// Of no workload yet.
fn as_observation(stranger: &Stranger) -> Observation {
    Observation {
        uid: String::new(),
        host_id: String::new(),
        handle: Some(stranger.handle.clone()),
        object: stranger.object.clone(),
        state: stranger.state,
        exit: None,
        started_at_ms: None,
        address: stranger.address.clone(),
        confinement: None,
    }
}
