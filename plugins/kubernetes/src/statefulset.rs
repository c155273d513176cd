//! Finds the StatefulSet of a workload, and makes requests about one that was seen before: each carries the uid that the cluster
//! gave it, so that it fails if another StatefulSet has the name by now. Called for whatever concerns one workload.
use crate::{
    cluster::Cluster,
    error::{ask, ask_for, is_conflict, operation},
    handle::HandleData,
    labels,
    observe::is_to_run,
    pods::{PAUSE, pages},
};
use futures_util::StreamExt;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{
    api::{DeleteParams, Patch, PatchParams, Preconditions},
    runtime::watcher::{Error as WatchError, watch_object},
};
use serde_json::Value;
use wharf_sdk::{Error, ErrorCode, Handle, Result};

/// The owner of the fields that wharf applies, as the cluster records it.
pub(crate) const FIELD_MANAGER: &str = "wharf";

/// So many objects are named in an error.
const MOST_NAMED: usize = 5;

/// The identity of a StatefulSet: another one of the same name has another uid.
#[derive(Clone, Debug)]
pub(crate) struct SetIdentity {
    pub(crate) name: String,
    /// The uid that the cluster gave it.
    pub(crate) object_uid: String,
}

impl SetIdentity {
    pub(crate) fn of(set: &StatefulSet) -> Self {
        let (name, object_uid) = (set.metadata.name.clone(), set.metadata.uid.clone());
        Self { name: name.unwrap_or_default(), object_uid: object_uid.unwrap_or_default() }
    }
}

/// The StatefulSet of a workload, found by its labels. None if there is none; several are an error that names them.
pub(crate) async fn the_one(cluster: &Cluster, host_id: &str, uid: &str) -> Result<Option<StatefulSet>> {
    let (sets, selector) = (cluster.statefulsets(), labels::of_workload(host_id, uid));
    let found = pages(|params| {
        let (sets, params) = (sets.clone(), params.labels(&selector));
        async move { ask("the objects of the workload cannot be looked for", sets.list(&params)).await }
    });
    let mut found = found.await?;
    found.retain(|set| labels::owner(&set.metadata) == Some((host_id, uid)));
    match found.len() {
        0 | 1 => Ok(found.pop()),
        count => {
            let names = found.iter().filter_map(|set| set.metadata.name.as_deref()).take(MOST_NAMED);
            let names: Vec<&str> = names.collect();
            Err(Error::precondition(format!(
                "{count} StatefulSets carry the uid of this workload, and nobody chooses one: {}; remove those that are not \
                 wanted",
                names.join(", ")
            )))
        }
    }
}

/// The name of an object that is to be applied.
pub(crate) fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// The StatefulSet of a handle. None: it is gone, or another one has its name.
///
/// Situation: somebody takes a label or an annotation of it away, and its pod runs on. Conclusion: the uid that the cluster gave it
/// tells that it is the one that is meant; whom it belongs to stands in the handle.
///
/// # Errors
/// Its labels and annotations name another workload, and nobody chooses whose it is.
pub(crate) async fn of_handle(
    cluster: &Cluster,
    host_id: &str,
    handle: &Handle,
) -> Result<Option<StatefulSet>> {
    let data = HandleData::read(handle)?;
    let doing = "the workload cannot be looked at";
    let found = ask_for(doing, cluster.statefulsets().get(&data.statefulset)).await?;
    let found = found.filter(|set| set.metadata.uid.as_deref() == Some(&data.object_uid));
    let is_anothers = |set: &StatefulSet| {
        labels::owner(&set.metadata).is_some_and(|owner| owner != (host_id, handle.uid.as_str()))
    };
    if found.as_ref().is_some_and(is_anothers) {
        return Err(changed_labels(&data.statefulset));
    }
    Ok(found)
}

/// The error for a StatefulSet that was made for a workload, and whose labels say something else by now.
pub(crate) fn changed_labels(name: &str) -> Error {
    Error::precondition(format!(
        "the labels of statefulset/{name} were changed, so that nobody can tell whose it is; give it wharf.host-id and wharf.uid \
         of its pods back, as labels and as annotations, or remove it"
    ))
}

/// Begins the removal, after which all that belongs to it is gone. If the StatefulSet is missing, or another one has its name,
/// it succeeds.
pub(crate) async fn delete(cluster: &Cluster, identity: &SetIdentity) -> Result<()> {
    delete_by(cluster, identity, DeleteParams::foreground(), None).await
}

/// The same, but the cluster removes what belongs to it later.
pub(crate) async fn delete_in_background(cluster: &Cluster, identity: &SetIdentity) -> Result<()> {
    delete_by(cluster, identity, DeleteParams::background(), None).await
}

/// The same of the state that was looked at: another one is a conflict.
pub(crate) async fn delete_seen(cluster: &Cluster, set: &StatefulSet, in_background: bool) -> Result<()> {
    let params = if in_background { DeleteParams::background() } else { DeleteParams::foreground() };
    delete_by(cluster, &SetIdentity::of(set), params, set.metadata.resource_version.clone()).await
}

async fn delete_by(
    cluster: &Cluster,
    identity: &SetIdentity,
    params: DeleteParams,
    resource_version: Option<String>,
) -> Result<()> {
    const DOING: &str = "the StatefulSet cannot be removed";
    let uid = Some(identity.object_uid.clone());
    let params = params.preconditions(Preconditions { uid, resource_version });
    let deleted = ask_for(DOING, cluster.statefulsets().delete(&identity.name, &params)).await;
    match deleted {
        Err(error) if is_conflict(&error) && !is_there(cluster, identity).await? => Ok(()),
        other => other.map(drop),
    }
}

/// Whether this very StatefulSet exists.
pub(crate) async fn is_there(cluster: &Cluster, identity: &SetIdentity) -> Result<bool> {
    let doing = "the StatefulSet cannot be looked at";
    let found = ask_for(doing, cluster.statefulsets().get_metadata(&identity.name)).await?;
    Ok(found.is_some_and(|found| found.metadata.uid.as_deref() == Some(&identity.object_uid)))
}

/// Waits until the StatefulSet and all objects that belong to it are gone.
pub(crate) async fn wait_until_gone(cluster: &Cluster, identity: &SetIdentity) -> Result<()> {
    let mut sets = Box::pin(watch_object(cluster.statefulsets(), &identity.name));
    while let Some(seen) = sets.next().await {
        match seen {
            Ok(Some(set)) if set.metadata.uid.as_deref() == Some(&identity.object_uid) => {}
            Ok(_) => return Ok(()),
            // The library begins a watch anew that breaks off; but if this user may not watch, that will fail again.
            Err(WatchError::InitialListFailed(error)) => {
                let error = operation("the removal cannot be watched", &error);
                if error.code == ErrorCode::PermissionDenied {
                    return Err(error);
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                tracing::debug!(%error, "the removal cannot be watched now");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    Err(Error::unavailable("the watch of the removal ended"))
}

/// Waits until no pod of the StatefulSet is wanted any more, or it is gone. An API server that does not answer is asked again.
pub(crate) async fn wait_until_unwanted(cluster: &Cluster, identity: &SetIdentity) {
    let is_wanted =
        |set: &StatefulSet| set.metadata.uid.as_deref() == Some(&identity.object_uid) && is_to_run(set);
    let mut sets = Box::pin(watch_object(cluster.statefulsets(), &identity.name));
    while let Some(seen) = sets.next().await {
        match seen {
            Ok(Some(set)) if is_wanted(&set) => {}
            Ok(_) => return,
            Err(_) => tokio::time::sleep(PAUSE * 5).await,
        }
    }
    std::future::pending::<()>().await;
}

/// Patches the StatefulSet, with a precondition on its uid.
pub(crate) async fn change(
    cluster: &Cluster,
    doing: &str,
    identity: &SetIdentity,
    mut change: serde_json::Value,
) -> Result<StatefulSet> {
    change["metadata"]["uid"] = identity.object_uid.clone().into();
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(&change);
    ask(doing, cluster.statefulsets().patch(&identity.name, &params, &patch)).await
}
