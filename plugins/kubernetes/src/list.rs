//! Lists the workloads of a host in a namespace.
//!
//! There are always two requests: for the StatefulSets with the host's label, and for their pods, whose state decides what
//! runs. One of the objects proves which cluster answered ([`identity`]); without such an object, the cluster is asked for
//! its instance, in the place of the pods or beside them.
//!
//! Situation: another cluster takes over the address, and a connection to the former one is still open. Of two requests that
//! are made at the same time, one goes over that connection, and the other one over a new connection. Conclusion: the
//! StatefulSets are asked for first and alone, so that the open connection serves them, and not the question who answers.
use crate::{
    error::ask,
    identity, labels, observe,
    pods::{self, pages},
    runtime::KubernetesRuntime,
};
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use std::collections::BTreeSet;
use wharf_sdk::{ListQuery, Listing, Observation, Result};

impl KubernetesRuntime {
    /// The listing. An object with the host's label and without a readable owner makes it incomplete.
    pub(crate) async fn listing(&self, query: &ListQuery) -> Result<Listing> {
        let cluster = self.cluster().await?;
        // A selector for one of several uids would not work with digests; so several are picked from a list of all.
        let one = query.uids.as_ref().filter(|uids| uids.len() == 1).and_then(BTreeSet::first);
        let selector = match one {
            Some(uid) => labels::of_workload(&self.host_id, uid),
            None => labels::of_host(&self.host_id),
        };
        let sets = cluster.statefulsets();
        let sets: Vec<StatefulSet> = pages(|params| {
            let (sets, params) = (sets.clone(), params.labels(&selector));
            async move { ask("the workloads cannot be listed", sets.list(&params)).await }
        })
        .await?;
        // The label may be a digest, which another host's id could share.
        let may_be_meant = |set: &StatefulSet| self.may_be_ours(set) && may_be_asked_for(query, set);
        let sets: Vec<StatefulSet> = sets.into_iter().filter(may_be_meant).collect();
        // For a caller that only reads, the proof in an object is enough.
        let proven = sets.iter().find_map(|set| identity::proven(&set.metadata));
        let proven = proven.filter(|proven| query.presumed_instance.as_ref() == Some(proven));
        let pods =
            async { if sets.is_empty() { Ok(Vec::new()) } else { pods::list(&cluster, &selector).await } };
        let instance = async {
            match proven {
                Some(instance) => Ok(instance),
                None => cluster.instance().await,
            }
        };
        let (pods, instance) = tokio::try_join!(pods, instance)?;
        let seen: Vec<Observation> = sets.iter().filter_map(|set| observed(set, &pods)).collect();
        Ok(Listing { complete: seen.len() == sets.len(), instance, workloads: seen })
    }

    fn may_be_ours(&self, set: &StatefulSet) -> bool {
        labels::owner(&set.metadata).is_none_or(|(host_id, _)| host_id == self.host_id)
    }
}

/// True unless its annotations say that it belongs to a workload that was not asked for.
fn may_be_asked_for(query: &ListQuery, set: &StatefulSet) -> bool {
    labels::owner(&set.metadata).is_none_or(|(_, uid)| query.asks_for(uid))
}

fn observed(set: &StatefulSet, pods: &[Pod]) -> Option<Observation> {
    observe::of(set, pods.iter().filter(|pod| observe::belongs(pod, set)))
}
