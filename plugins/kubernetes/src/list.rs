//! All workloads of a host in a namespace.
//!
//! Two requests, whatever there is: the StatefulSets with the host's label, and their pods, which alone say what runs. Which
//! cluster answered is proven by one of its objects ([`identity`]); where none proves it, the cluster is asked in the place
//! of, or beside, the pods.
use crate::{
    error::ask,
    identity, labels, observe,
    pods::{self, pages},
    runtime::KubernetesRuntime,
};
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use wharf_sdk::{Listing, Observation, Result};

impl KubernetesRuntime {
    /// Of the objects with the host's label; what does not say whose it is makes the listing incomplete.
    pub(crate) async fn listing(&self) -> Result<Listing> {
        let cluster = self.cluster().await?;
        let (sets, selector) = (cluster.statefulsets(), labels::of_host(&self.host_id));
        let sets: Vec<StatefulSet> = pages(|params| {
            let (sets, params) = (sets.clone(), params.labels(&selector));
            async move { ask("the workloads cannot be listed", sets.list(&params)).await }
        })
        .await?;
        // The label may be a digest, which another host's id could share.
        let sets: Vec<StatefulSet> = sets.into_iter().filter(|set| self.may_be_ours(set)).collect();
        let proven = sets.iter().find_map(|set| identity::proven(&set.metadata));
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

fn observed(set: &StatefulSet, pods: &[Pod]) -> Option<Observation> {
    observe::of(set, pods.iter().filter(|pod| observe::belongs(pod, set)))
}
