//! Lists the workloads of a host in a namespace.
//!
//! There are always two requests, made at the same time: for the StatefulSets with the host's label, and for their pods, whose
//! state decides what runs. One of the objects proves which cluster answered ([`identity`]) to a caller that only reads; for
//! any other caller the cluster is asked for its instance as well, and for a reader where no object proves it.
use crate::{
    cluster::Cluster,
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
        // An API server answers a listing only when its cache has caught up with its database, which can take a tenth of a
        // second, so one listing does not wait for the other.
        let sets = sets(&cluster, &selector);
        let pods = pods::list(&cluster, &selector);
        let (sets, pods, asked) = match query.presumed_instance {
            Some(_) => {
                let (sets, pods) = tokio::try_join!(sets, pods)?;
                (sets, pods, None)
            }
            None => {
                let (sets, pods, instance) = tokio::try_join!(sets, pods, cluster.instance())?;
                (sets, pods, Some(instance))
            }
        };
        // The label may be a digest, which another host's id could share.
        let may_be_meant = |set: &StatefulSet| self.may_be_ours(set) && may_be_asked_for(query, set);
        let sets: Vec<StatefulSet> = sets.into_iter().filter(may_be_meant).collect();
        let proven = sets.iter().find_map(|set| identity::proven(&set.metadata));
        let proven = proven.filter(|proven| query.presumed_instance.as_ref() == Some(proven));
        let instance = match asked.or(proven) {
            Some(instance) => instance,
            None => cluster.instance().await?,
        };
        let seen: Vec<Observation> = sets.iter().filter_map(|set| observed(set, &pods)).collect();
        Ok(Listing { complete: seen.len() == sets.len(), instance, workloads: seen })
    }

    fn may_be_ours(&self, set: &StatefulSet) -> bool {
        labels::owner(&set.metadata).is_none_or(|(host_id, _)| host_id == self.host_id)
    }
}

async fn sets(cluster: &Cluster, selector: &str) -> Result<Vec<StatefulSet>> {
    let sets = cluster.statefulsets();
    pages(|params| {
        let (sets, params) = (sets.clone(), params.labels(selector));
        async move { ask("the workloads cannot be listed", sets.list(&params)).await }
    })
    .await
}

/// True unless its annotations say that it belongs to a workload that was not asked for.
fn may_be_asked_for(query: &ListQuery, set: &StatefulSet) -> bool {
    labels::owner(&set.metadata).is_none_or(|(_, uid)| query.asks_for(uid))
}

fn observed(set: &StatefulSet, pods: &[Pod]) -> Option<Observation> {
    observe::of(set, pods.iter().filter(|pod| observe::belongs(pod, set)))
}
