//! Removes the objects of a workload, and no others.
//!
//! The StatefulSet is removed with a precondition on the uid that the cluster gave it, and the cluster removes all objects
//! that belong to it before (foreground). No other object is named in a request, so an object of somebody else cannot be
//! removed.
use crate::{
    runtime::KubernetesRuntime,
    statefulset::{SetIdentity, delete, wait_until_gone},
};
use wharf_sdk::{Handle, Result};

impl KubernetesRuntime {
    /// Removes everything that the cluster has of a workload, killing it if it runs.
    pub(crate) async fn clear(&self, handle: &Handle) -> Result<()> {
        let cluster = self.cluster().await?;
        self.attachments.forget(&handle.uid);
        let Some(set) = self.find(&cluster, handle).await? else { return Ok(()) };
        if set.metadata.deletion_timestamp.is_none() {
            self.end(&cluster, &set, 0).await?;
        }
        let identity = SetIdentity::of(&set);
        delete(&cluster, &identity).await?;
        wait_until_gone(&cluster, &identity).await
    }
}
