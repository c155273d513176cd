//! Asks owners about their workloads: each runtime and endpoint once, all at the same time, with deadlines. `list`,
//! `status`, `reconcile` and `adopt` begin with it. What the answers are worth as evidence is for [`crate::observed`].
use crate::client::RuntimeClient;
use crate::deadlines::Purpose;
use crate::error::CallError;
use crate::observed::{Answer, Observed};
use crate::overdue::Patience;
use crate::question::{InstanceProof, Places, Question, Scope, places_of};
use crate::registry::Plugins;
use futures_util::future::join_all;
use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};
use wharf_model::{RunConfig, chain};
use wharf_sdk::stamp::RuntimeStamp;
use wharf_sdk::{Capability, LabelSelector, ListQuery};

/// How much longer than its answer one owner may take, for loading its library. If it takes longer, its own rows become stale
/// and no others. Where the answer is only shown it has [`Deadlines::shown`](crate::Deadlines::shown) for both.
const LOADING: Duration = Duration::from_secs(1);

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
    Observed::of(join_all(questions).await.into_iter().collect())
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
    if is_presumed && recorded.iter().any(|uid| !answer.shows(uid)) {
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
    Answer::read_foreign(name, endpoint, told(&client, client.discover(selector).await)?)
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
