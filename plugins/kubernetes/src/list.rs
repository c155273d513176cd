//! Lists the workloads of a host in a namespace.
//!
//! There are two requests: for the StatefulSets of the namespace, and for the pods of those that are the host's, whose state
//! decides what runs. One workload is asked for by its labels, and by that request alone only where it is not found so. One of the
//! objects proves which cluster answered ([`identity`]); without such an object, the cluster is asked for its instance, in the
//! place of the pods or beside them.
//!
//! Situation: somebody has taken a label or an annotation of a StatefulSet away, so that no listing by labels has it, and its pod
//! runs on. Conclusion: before a workload counts as gone, all StatefulSets of the namespace are looked through for its selector,
//! which nobody can change.
//!
//! Situation: another cluster takes over the address, and a connection to the former one is still open. Of two requests that
//! are made at the same time, one goes over that connection, and the other one over a new connection. Conclusion: the
//! StatefulSets are asked for first and alone, so that the open connection serves them, and not the question who answers.
use crate::{
    cluster::Cluster,
    error::ask,
    identity, labels, observe,
    pods::{self, pages},
};
use k8s_openapi::api::apps::v1::StatefulSet;
use std::collections::BTreeSet;
use wharf_sdk::{ListQuery, Listing, Observation, Result};

/// The listing. An object of the host of which nobody can say whose it is makes it incomplete.
pub(crate) async fn listing(cluster: &Cluster, host_id: &str, query: &ListQuery) -> Result<Listing> {
    let sets = statefulsets(cluster, host_id, query).await?;
    let of_host = |set: &StatefulSet| !matches!(whose(set, host_id, query), Whose::AnotherOnes);
    let sets: Vec<StatefulSet> = sets.into_iter().filter(of_host).collect();
    // For a caller that only reads, the proof in an object is enough.
    let proven = sets.iter().find_map(|set| identity::proven(&set.metadata));
    let proven = proven.filter(|proven| query.presumed_instance.as_ref() == Some(proven));
    let pods = async {
        match sets.is_empty() {
            true => Ok(Vec::new()),
            false => pods::list(cluster, &selector(host_id, query)).await,
        }
    };
    let instance = async {
        match proven {
            Some(instance) => Ok(instance),
            None => cluster.instance().await,
        }
    };
    let (pods, instance) = tokio::try_join!(pods, instance)?;
    let observed = |set: &StatefulSet| match whose(set, host_id, query) {
        Whose::Ours(uid) => {
            Some(observe::of(set, (host_id, uid), pods.iter().filter(|pod| observe::belongs(pod, set))))
        }
        Whose::Disputed | Whose::AnotherOnes => None,
    };
    let workloads: Vec<Observation> = sets.iter().filter_map(observed).collect();
    Ok(Listing { complete: workloads.len() == sets.len(), instance, workloads })
}

/// The labels of what is asked for. A selector for one of several uids would not work with digests; so several are picked from a
/// list of all.
fn selector(host_id: &str, query: &ListQuery) -> String {
    match only_one(query) {
        Some(uid) => labels::of_workload(host_id, uid),
        None => labels::of_host(host_id),
    }
}

fn only_one(query: &ListQuery) -> Option<&String> {
    query.uids.as_ref().filter(|uids| uids.len() == 1).and_then(BTreeSet::first)
}

/// The StatefulSets among which is what was asked for, if it is there.
async fn statefulsets(cluster: &Cluster, host_id: &str, query: &ListQuery) -> Result<Vec<StatefulSet>> {
    let of = async |selector: &str| {
        let sets = cluster.statefulsets();
        pages(|params| {
            let (sets, params) = (sets.clone(), params.labels(selector));
            async move { ask("the workloads cannot be listed", sets.list(&params)).await }
        })
        .await
    };
    if let Some(uid) = only_one(query) {
        let labelled: Vec<StatefulSet> = of(&labels::of_workload(host_id, uid)).await?;
        let is_it = |set: &StatefulSet| labels::owner(&set.metadata) == Some((host_id, uid));
        if labelled.iter().any(is_it) {
            return Ok(labelled);
        }
    }
    of("").await
}

/// Whose a StatefulSet is, as far as one query is concerned.
enum Whose<'a> {
    /// The host's, with this uid, which was asked for.
    Ours(&'a str),
    /// It has something of what was asked for, and says two things or too little: it is neither there nor gone.
    Disputed,
    /// Another host's, somebody else's, or not asked for.
    AnotherOnes,
}

fn whose<'a>(set: &'a StatefulSet, host_id: &str, query: &ListQuery) -> Whose<'a> {
    // The labels may be digests, which another host's id could share.
    let (is_asked_for, whose) = match (labels::owner(&set.metadata), labels::selected(set, host_id)) {
        (Some((host, uid)), _) if host == host_id && labels::selects_or_nobody(set, host_id, uid) => {
            (query.asks_for(uid), Whose::Ours(uid))
        }
        (Some((_, uid)), Some(selected)) => {
            (query.asks_for(uid) || query.asks_for(selected), Whose::Disputed)
        }
        (Some(_), None) => return Whose::AnotherOnes,
        (None, Some(uid)) => (query.asks_for(uid), Whose::Ours(uid)),
        (None, None) => (labels::may_be_one_of(&set.metadata, host_id, query), Whose::Disputed),
    };
    if is_asked_for { whose } else { Whose::AnotherOnes }
}
