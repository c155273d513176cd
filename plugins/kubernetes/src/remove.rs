//! Takes away what was made for a workload, and nothing else.
//!
//! The StatefulSet goes with a precondition on the uid that the cluster gave it, and everything that belongs to it goes
//! before it (foreground): no other object is named in a request, so none of another's can be met.
use crate::{
    runtime::KubernetesRuntime,
    statefulset::{SetIdentity, delete, wait_until_gone},
};
use wharf_sdk::{Handle, Result};

impl KubernetesRuntime {
    /// Removes whatever is left of a workload, killing it if it runs.
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
