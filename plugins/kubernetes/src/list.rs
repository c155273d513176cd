//! Lists the workloads of a host in a namespace.
//!
//! There are two requests: for the StatefulSets with the host's label, and for their pods, whose state decides what
//! runs; and a third one where a workload that was asked for is not among them. One of the objects proves which cluster answered ([`identity`]); without such an object, the cluster is asked for
//! its instance, in the place of the pods or beside them.
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
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use std::collections::BTreeSet;
use wharf_sdk::{ListQuery, Listing, Observation, Result};

/// The listing. An object with the host's label and without a readable owner makes it incomplete.
pub(crate) async fn listing(cluster: &Cluster, host_id: &str, query: &ListQuery) -> Result<Listing> {
    // A selector for one of several uids would not work with digests; so several are picked from a list of all.
    let one = query.uids.as_ref().filter(|uids| uids.len() == 1).and_then(BTreeSet::first);
    let selector = match one {
        Some(uid) => labels::of_workload(host_id, uid),
        None => labels::of_host(host_id),
    };
    let sets = cluster.statefulsets();
    let sets: Vec<StatefulSet> = pages(|params| {
        let (sets, params) = (sets.clone(), params.labels(&selector));
        async move { ask("the workloads cannot be listed", sets.list(&params)).await }
    })
    .await?;
    // The label may be a digest, which another host's id could share.
    let may_be_meant = |set: &StatefulSet| may_be_ours(host_id, set) && may_be_asked_for(query, set);
    let mut sets: Vec<StatefulSet> = sets.into_iter().filter(may_be_meant).collect();
    let by_selector = without_their_labels(cluster, host_id, query, &sets).await?;
    let of_nobody = |(_, set): &(String, StatefulSet)| labels::owner(&set.metadata).is_none();
    let (changed, disputed): (Vec<_>, Vec<_>) = by_selector.into_iter().partition(of_nobody);
    sets.retain(|set| !changed.iter().any(|(_, changed)| changed.metadata.uid == set.metadata.uid));
    // For a caller that only reads, the proof in an object is enough.
    let proven = sets.iter().find_map(|set| identity::proven(&set.metadata));
    let proven = proven.filter(|proven| query.presumed_instance.as_ref() == Some(proven));
    let pods = async {
        match sets.is_empty() && changed.is_empty() {
            true => Ok(Vec::new()),
            false => pods::list(cluster, &selector).await,
        }
    };
    let instance = async {
        match proven {
            Some(instance) => Ok(instance),
            None => cluster.instance().await,
        }
    };
    let (pods, instance) = tokio::try_join!(pods, instance)?;
    let owned = |set: &StatefulSet| labels::owner(&set.metadata).map(|owner| observed(set, owner, &pods));
    let mut seen: Vec<Observation> = sets.iter().filter_map(owned).collect();
    // What is one workload's by its selector and another one's by its labels is neither there nor gone.
    let complete = seen.len() == sets.len() && disputed.is_empty();
    let of_selector = |(uid, set): &(String, StatefulSet)| observed(set, (host_id, uid), &pods);
    seen.extend(changed.iter().map(of_selector));
    Ok(Listing { complete, instance, workloads: seen })
}

/// The workloads that were asked for and are not among these, whose StatefulSet is there all the same: by uid.
///
/// Situation: somebody has taken a label of a StatefulSet away, so that no listing by labels has it, and its pod runs on.
/// Conclusion: before a workload counts as gone, all StatefulSets of the namespace are looked through for its selector,
/// which nobody can change.
async fn without_their_labels(
    cluster: &Cluster,
    host_id: &str,
    query: &ListQuery,
    found: &[StatefulSet],
) -> Result<Vec<(String, StatefulSet)>> {
    let is_found = |uid: &str| {
        found.iter().any(|set| labels::owner(&set.metadata).is_some_and(|(_, owner)| owner == uid))
    };
    let missed: Vec<&String> = query.uids.iter().flatten().filter(|uid| !is_found(uid)).collect();
    if missed.is_empty() {
        return Ok(Vec::new());
    }
    let sets = cluster.statefulsets();
    let all: Vec<StatefulSet> = pages(|params| {
        let sets = sets.clone();
        async move { ask("the workloads cannot be listed", sets.list(&params)).await }
    })
    .await?;
    let of_which = |set: StatefulSet| {
        let uid = missed.iter().find(|uid| labels::selects(&set, host_id, uid))?;
        Some(((*uid).clone(), set))
    };
    Ok(all.into_iter().filter_map(of_which).collect())
}

fn may_be_ours(host_id: &str, set: &StatefulSet) -> bool {
    labels::owner(&set.metadata).is_none_or(|(owner, _)| owner == host_id)
}

/// True unless its annotations say that it belongs to a workload that was not asked for.
fn may_be_asked_for(query: &ListQuery, set: &StatefulSet) -> bool {
    labels::owner(&set.metadata).is_none_or(|(_, uid)| query.asks_for(uid))
}

fn observed(set: &StatefulSet, owner: (&str, &str), pods: &[Pod]) -> Observation {
    observe::of(set, owner, pods.iter().filter(|pod| observe::belongs(pod, set)))
}
