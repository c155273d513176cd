//! Asks owners about their workloads: each runtime and endpoint once, all at the same time, with deadlines.
use super::effective::Evidence;
use crate::error::chain;
use crate::plugin::{Plugins, RuntimeClient};
use crate::status::{Owner, RunConfig};
use futures_util::future::join_all;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};
use wharf_sdk::{Listing, Observation};

/// How long one owner may take, its library's load included: it costs its own rows their freshness and no others.
const DEADLINE: Duration = Duration::from_secs(6);

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
    by_uid: HashMap<String, Vec<Observation>>,
}

/// A resource of this host, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Its runtime, there.
    pub owner: Owner,
    /// The resource.
    pub seen: Observation,
}

/// Asks the owners of these workloads. The records must have been read before: the snapshot begins after them (R04).
pub async fn observe(
    plugins: &Plugins,
    host_id: &str,
    configs: impl Iterator<Item = &RunConfig>,
) -> Observed {
    ask_all(plugins, host_id, places_of(configs)).await
}

/// Asks every runtime that a plugin provides, through its usual endpoint and those that these workloads name.
pub async fn observe_all(
    plugins: &Plugins,
    host_id: &str,
    configs: impl Iterator<Item = &RunConfig>,
) -> Observed {
    let mut places = places_of(configs);
    let provided = plugins.catalog().runtimes().into_iter().filter(|provided| !provided.shadowed);
    places.extend(provided.map(|provided| (provided.runtime.name.clone(), String::new())));
    ask_all(plugins, host_id, places).await
}

fn places_of<'a>(configs: impl Iterator<Item = &'a RunConfig>) -> BTreeSet<(String, String)> {
    configs.filter_map(RunConfig::owner).map(|owner| (owner.runtime_name, owner.runtime_endpoint)).collect()
}

async fn ask_all(plugins: &Plugins, host_id: &str, places: BTreeSet<(String, String)>) -> Observed {
    let questions = places.into_iter().map(|(name, endpoint)| async move {
        let asked = tokio::time::timeout(DEADLINE, ask(plugins, host_id, &name, &endpoint)).await;
        let answer = asked.unwrap_or_else(|_| Err(format!("the runtime '{name}' gave no answer in time")));
        if let Err(reason) = &answer {
            tracing::debug!(runtime = name, endpoint, reason, "no evidence from a runtime");
        }
        ((name, endpoint), answer)
    });
    Observed { blind: None, answers: join_all(questions).await.into_iter().collect() }
}

async fn ask(plugins: &Plugins, host_id: &str, name: &str, endpoint: &str) -> Result<Answer, String> {
    let asked_for = (!endpoint.is_empty()).then_some(endpoint);
    let client = plugins.connect(name, asked_for).await.map_err(|error| chain(&error))?;
    Answer::read(name, endpoint, host_id, list(&client).await?)
}

async fn list(client: &RuntimeClient) -> Result<Listing, String> {
    client.list().await.map_err(|error| format!("the runtime '{}': {}", client.name(), chain(&error)))
}

impl Answer {
    /// What a listing says about this host's workloads; an error where it is no evidence.
    fn read(name: &str, endpoint: &str, host_id: &str, listing: Listing) -> Result<Self, String> {
        if !listing.complete {
            return Err(format!("the runtime '{name}' could not list everything"));
        }
        let endpoint = endpoint.to_owned();
        let mut answer = Self { instance: listing.instance, endpoint, by_uid: HashMap::new() };
        // What carries another host's id is foreign, whatever its uid says (R09).
        for seen in listing.workloads.into_iter().filter(|seen| seen.host_id == host_id) {
            answer.by_uid.entry(seen.uid.clone()).or_default().push(seen);
        }
        Ok(answer)
    }
}

impl Observed {
    /// Nobody was asked, because nobody could be understood: what they show could not be told from what others made.
    pub fn blind(reason: String) -> Self {
        Self { blind: Some(reason), answers: BTreeMap::new() }
    }

    /// One runtime's answer, as if it had been asked.
    #[cfg(test)]
    pub(super) fn told(owner: &Owner, host_id: &str, told: Result<Listing, String>) -> Self {
        let Owner { runtime_name, runtime_endpoint, .. } = owner.clone();
        let answer = told.and_then(|told| Answer::read(&runtime_name, &runtime_endpoint, host_id, told));
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
            None | Some([]) => Evidence::HasNot,
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
        let mut instances = BTreeSet::new();
        let mut found = Vec::new();
        for ((runtime_name, _), answer) in &self.answers {
            let Ok(answer) = answer else { continue };
            if !instances.insert((runtime_name, &answer.instance)) {
                continue;
            }
            let owner = Owner {
                runtime_name: runtime_name.clone(),
                runtime_instance: answer.instance.clone(),
                runtime_endpoint: answer.endpoint.clone(),
            };
            let seen = answer.by_uid.values().flatten();
            found.extend(seen.map(|seen| Resource { owner: owner.clone(), seen: seen.clone() }));
        }
        found.sort_by(|a, b| {
            let key = |it: &Resource| (it.owner.runtime_name.clone(), it.seen.uid.clone());
            key(a).cmp(&key(b))
        });
        found
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
