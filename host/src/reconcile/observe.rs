//! Asks owners about their workloads: each runtime and endpoint once, all at the same time, with deadlines.
use super::effective::Evidence;
use crate::error::chain;
use crate::plugin::{Plugins, RuntimeClient};
use crate::status::{Owner, RunConfig};
use futures_util::future::join_all;
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use wharf_sdk::{Listing, Observation};

/// How long one owner may take, its library's load included: it costs its own rows their freshness and no others.
const DEADLINE: Duration = Duration::from_secs(6);

/// What the owners said.
#[derive(Debug, Default)]
pub struct Observed {
    answers: HashMap<(String, String), Result<Answer, String>>,
}

/// One owner's complete answer.
#[derive(Debug)]
struct Answer {
    instance: String,
    by_uid: HashMap<String, Observation>,
    twice: Vec<String>,
}

/// Asks the owners of these workloads. The records must have been read before: the snapshot begins after them (R04).
pub async fn observe(
    plugins: &Plugins,
    host_id: &str,
    configs: impl Iterator<Item = &RunConfig>,
) -> Observed {
    let mut owners: BTreeMap<(String, String), ()> = BTreeMap::new();
    for owner in configs.filter_map(RunConfig::owner) {
        owners.insert((owner.runtime_name, owner.runtime_endpoint), ());
    }
    let questions = owners.into_keys().map(|(name, endpoint)| async move {
        let asked = tokio::time::timeout(DEADLINE, ask(plugins, host_id, &name, &endpoint)).await;
        let answer = asked.unwrap_or_else(|_| Err(format!("the runtime '{name}' gave no answer in time")));
        if let Err(reason) = &answer {
            tracing::debug!(runtime = name, endpoint, reason, "no evidence from a runtime");
        }
        ((name, endpoint), answer)
    });
    Observed { answers: join_all(questions).await.into_iter().collect() }
}

async fn ask(plugins: &Plugins, host_id: &str, name: &str, endpoint: &str) -> Result<Answer, String> {
    let endpoint = (!endpoint.is_empty()).then_some(endpoint);
    let client = plugins.connect(name, endpoint).await.map_err(|error| chain(&error))?;
    let listing = list(&client).await?;
    if !listing.complete {
        return Err(format!("the runtime '{name}' could not list everything"));
    }
    let mut answer = Answer { instance: listing.instance, by_uid: HashMap::new(), twice: Vec::new() };
    // What carries another host's id is foreign, whatever its uid says (R09).
    for seen in listing.workloads.into_iter().filter(|seen| seen.host_id == host_id) {
        if let Some(before) = answer.by_uid.insert(seen.uid.clone(), seen) {
            answer.twice.push(before.uid);
        }
    }
    Ok(answer)
}

async fn list(client: &RuntimeClient) -> Result<Listing, String> {
    client.list().await.map_err(|error| format!("the runtime '{}': {}", client.name(), chain(&error)))
}

impl Observed {
    /// What the owner says about a workload.
    pub fn evidence(&self, config: &RunConfig) -> Evidence {
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
        let uid = config.uid.as_str();
        if answer.twice.iter().any(|twice| twice == uid) {
            return Evidence::None(format!("the runtime '{runtime_name}' has two resources with its uid"));
        }
        match answer.by_uid.get(uid) {
            Some(seen) => Evidence::Has(Box::new(seen.clone())),
            None => Evidence::HasNot,
        }
    }
}
