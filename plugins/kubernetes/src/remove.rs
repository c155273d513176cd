//! Takes away what was made for a workload, and nothing else.
//!
//! The StatefulSet goes with a precondition on the uid that the cluster gave it, and everything that belongs to it goes
//! before it (foreground): no other object is named in a request, so none of another's can be met.
use crate::{
    cluster::Cluster,
    error::{ask, ask_for, is_conflict, operation},
    runtime::KubernetesRuntime,
};
use futures_util::StreamExt;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{
    api::{DeleteParams, Preconditions},
    runtime::watcher::watch_object,
};
use wharf_sdk::{Error, ErrorCode, Handle, Result};

/// Which StatefulSet is taken away.
#[derive(Clone, Debug)]
pub(crate) struct Grave {
    pub(crate) name: String,
    /// The uid that the cluster gave it.
    pub(crate) object_uid: String,
}

impl Grave {
    pub(crate) fn of(set: &StatefulSet) -> Self {
        let (name, object_uid) = (set.metadata.name.clone(), set.metadata.uid.clone());
        Self { name: name.unwrap_or_default(), object_uid: object_uid.unwrap_or_default() }
    }
}

impl KubernetesRuntime {
    /// Removes whatever is left of a workload, killing it if it runs.
    pub(crate) async fn clear(&self, handle: &Handle) -> Result<()> {
        let cluster = self.cluster().await?;
        self.attachments.forget(&handle.uid);
        let Some(set) = self.find(&cluster, handle).await? else { return Ok(()) };
        if set.metadata.deletion_timestamp.is_none() {
            self.end(&cluster, &set, 0).await?;
        }
        let grave = Grave::of(&set);
        delete(&cluster, &grave).await?;
        wait_until_gone(&cluster, &grave).await
    }
}

/// Begins the removal. Missing, or another one of that name: success.
pub(crate) async fn delete(cluster: &Cluster, grave: &Grave) -> Result<()> {
    const DOING: &str = "the StatefulSet cannot be removed";
    let uid = Some(grave.object_uid.clone());
    let params = DeleteParams::foreground().preconditions(Preconditions { uid, resource_version: None });
    let deleted = ask_for(DOING, cluster.statefulsets().delete(&grave.name, &params)).await;
    match deleted {
        Err(error) if is_conflict(&error) && !is_there(cluster, grave).await? => Ok(()),
        other => other.map(drop),
    }
}

async fn is_there(cluster: &Cluster, grave: &Grave) -> Result<bool> {
    let doing = "the StatefulSet cannot be looked at";
    let found = ask_for(doing, cluster.statefulsets().get_metadata(&grave.name)).await?;
    Ok(found.is_some_and(|found| found.metadata.uid.as_deref() == Some(&grave.object_uid)))
}

/// Waits until it is gone, and all that belongs to it.
pub(crate) async fn wait_until_gone(cluster: &Cluster, grave: &Grave) -> Result<()> {
    let mut sets = Box::pin(watch_object(cluster.statefulsets(), &grave.name));
    while let Some(seen) = sets.next().await {
        match seen {
            Ok(Some(set)) if set.metadata.uid.as_deref() == Some(&grave.object_uid) => {}
            Ok(_) => return Ok(()),
            // A watch that breaks off is begun anew by itself; what is forbidden stays forbidden.
            Err(kube::runtime::watcher::Error::InitialListFailed(error)) => {
                let error = operation("the removal cannot be watched", &error);
                if error.code == ErrorCode::PermissionDenied {
                    return Err(error);
                }
            }
            Err(error) => tracing::debug!(%error, "the removal cannot be watched now"),
        }
    }
    Err(Error::unavailable("the watch of the removal ended"))
}

/// A change of the StatefulSet itself, with a precondition on its uid.
pub(crate) async fn change(
    cluster: &Cluster,
    doing: &str,
    grave: &Grave,
    mut change: serde_json::Value,
) -> Result<StatefulSet> {
    change["metadata"]["uid"] = grave.object_uid.clone().into();
    let params = kube::api::PatchParams {
        field_manager: Some(crate::deploy::FIELD_MANAGER.to_owned()),
        ..kube::api::PatchParams::default()
    };
    let patch = kube::api::Patch::Merge(&change);
    ask(doing, cluster.statefulsets().patch(&grave.name, &params, &patch)).await
}
