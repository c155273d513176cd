//! Removes the objects of a workload, and no others.
//!
//! The StatefulSet is removed with a precondition on the uid that the cluster gave it, and the cluster removes all objects
//! that belong to it before (foreground). Only where a pod is left that its node does not let go yet, it removes them after it
//! (background). No other object is named in a request, so an object of somebody else cannot be removed.
use crate::{
    runtime::KubernetesRuntime,
    statefulset::{SetIdentity, delete, delete_in_background, wait_until_gone},
    stop::{Left, end_pods},
};
use wharf_sdk::{Handle, Result};

impl KubernetesRuntime {
    /// Removes everything that the cluster has of a workload, killing it if it runs.
    pub(crate) async fn clear(&self, handle: &Handle) -> Result<()> {
        let cluster = self.cluster().await?;
        self.attachments.forget(&handle.uid);
        let Some(set) = self.find(&cluster, handle).await? else { return Ok(()) };
        let left = match set.metadata.deletion_timestamp {
            None => end_pods(&cluster, &set, (&self.host_id, &handle.uid), 0).await?,
            Some(_) => Left::Nothing,
        };
        let identity = SetIdentity::of(&set);
        match left {
            Left::Nothing => delete(&cluster, &identity).await?,
            Left::Unmade => delete_in_background(&cluster, &identity).await?,
        }
        wait_until_gone(&cluster, &identity).await
    }
}
