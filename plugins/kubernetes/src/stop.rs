//! Stops a workload: scales its StatefulSet to none, and ends the pods. It has ended when the last pod is gone.
//!
//! Situation: a node that fetches the image of a pod keeps that pod until the fetch has ended, whatever it is told, and a
//! registry may hang for minutes. Conclusion: a pod whose container has never been made is not waited for. The cluster removes
//! it once its node lets it go, and makes no other one of its name before.
use crate::{
    cluster::Cluster,
    error::{ask_for, is_conflict},
    labels::{self, EXIT, STARTED},
    observe::{belongs, wanted},
    pods::{self, PAUSE, PodWatch, container, end, exit, is_lost, last_end, runs},
    statefulset::{SetIdentity, change, is_there},
    text::shown,
};
use futures_util::StreamExt;
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::{
    api::{DeleteParams, Preconditions},
    runtime::watcher::watch_object,
};
use std::time::Duration;
use tokio::time::Instant;
use wharf_sdk::{Error, ErrorCode, Exit, Result};

/// The shortest grace period: with none, the cluster forgets a pod before its node has ended it.
const LEAST_SECONDS: u64 = 1;
/// For so long, a stop waits for the cluster's controller to see that no pod is wanted. A controller that has not seen it
/// would replace the pod that is ended.
const CONTROLLER: Duration = Duration::from_secs(2);
/// For so long, the end of pods whose container has never been made is waited for: most of them go at once.
const UNMADE: Duration = Duration::from_secs(3);

/// For so long after its grace period, the end of a pod is waited for whose node the cluster has lost contact with. The node may be
/// gone for good, and nobody but a person knows.
const LOST: Duration = Duration::from_secs(5);

/// For so long after their grace period, pods that have been told to end, that do not run, and that do not change are waited for: a
/// finalizer, or a node that nobody hears of, may keep them for ever.
const STUCK: Duration = Duration::from_secs(20);

/// The remains of a workload that was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// No pod is left.
    Nothing,
    /// A pod whose container has never been made, and that goes when its node has fetched the image, or given up.
    Unmade,
}

/// Scales to none, ends the pods with this grace period, waits until they are gone, and records the last one's end in
/// the StatefulSet. Host and uid are those of the workload: its pods are found by them. If somebody else removes the StatefulSet meanwhile, that is a success: it is missing.
pub(crate) async fn end_pods(
    cluster: &Cluster,
    set: &StatefulSet,
    owner: (&str, &str),
    timeout_ms: u64,
) -> Result<Left> {
    match end_present(cluster, set, owner, timeout_ms).await {
        Err(error)
            // A change with a uid is invalid where another StatefulSet has the name by now.
            if (matches!(error.code, ErrorCode::NotFound | ErrorCode::InvalidArgument) || is_conflict(&error))
                && !is_there(cluster, &SetIdentity::of(set)).await? =>
        {
            Ok(Left::Nothing)
        }
        ended => ended,
    }
}

async fn end_present(
    cluster: &Cluster,
    set: &StatefulSet,
    (host_id, uid): (&str, &str),
    timeout_ms: u64,
) -> Result<Left> {
    let identity = SetIdentity::of(set);
    let seconds = timeout_ms.div_ceil(1000).max(LEAST_SECONDS);
    let mut watch = PodWatch::of(cluster, &labels::of_workload(host_id, uid));
    // Situation: a node keeps the first grace period that it is given, and after a scaling the cluster's controller
    // would give it the pod's own. Conclusion: the pods are ended before the scaling. The scaling usually arrives
    // before they are gone; if the controller has replaced one by then, the new pod is ended below.
    for pod in watch.next_patiently().await?.pods.values().filter(|pod| belongs(pod, set)) {
        delete(cluster, pod, seconds).await?;
    }
    if wanted(set) != 0 {
        // Even where nobody sees how it ends: that there is something tells that wharf has stopped it, and not somebody else.
        let annotations = serde_json::json!({ EXIT: "{}" });
        let none =
            serde_json::json!({ "metadata": { "annotations": annotations }, "spec": { "replicas": 0 } });
        let scaled = change(cluster, "the workload cannot be scaled to none", &identity, none).await?;
        let seen = wait_until_seen(cluster, &identity, scaled.metadata.generation);
        drop(tokio::time::timeout(CONTROLLER, seen).await);
    }
    let (ended, left) = gone(cluster, set, &mut watch, seconds).await?;
    if let Some(exit) = ended
        && labels::annotation(&set.metadata, STARTED).is_some()
    {
        let text = serde_json::to_string(&exit).unwrap_or_default();
        let told = serde_json::json!({ "metadata": { "annotations": { EXIT: text } } });
        change(cluster, "how the workload ended cannot be written down", &identity, told).await?;
    }
    Ok(left)
}

/// Waits until the cluster's controller has seen a change.
async fn wait_until_seen(cluster: &Cluster, identity: &SetIdentity, generation: Option<i64>) {
    let mut sets = Box::pin(watch_object(cluster.statefulsets(), &identity.name));
    while let Some(seen) = sets.next().await {
        let Ok(Some(set)) = seen else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if set.status.and_then(|status| status.observed_generation) >= generation {
            return;
        }
    }
}

/// Ends the pods and waits until there is none, or none that has ever run; returns the end of the last one, if that was seen.
async fn gone(
    cluster: &Cluster,
    set: &StatefulSet,
    watch: &mut PodWatch,
    seconds: u64,
) -> Result<(Option<Exit>, Left)> {
    let until = Instant::now() + UNMADE;
    let grace_ends = Instant::now() + Duration::from_secs(seconds);
    let until_lost = grace_ends + LOST;
    let mut ended = None;
    let mut told = Vec::new();
    let ours = |pod: &&Pod| belongs(pod, set);
    let selector = watch.selector.clone();
    loop {
        let mut left: Vec<Pod> = watch.pods().values().filter(ours).cloned().collect();
        ended = left.iter().find_map(|pod| end(pod)).map(exit).or(ended);
        if left.is_empty() {
            // A watch may lag behind, a listing does not.
            left = pods::list(cluster, &selector).await?;
            left.retain(|pod| belongs(pod, set));
            if left.is_empty() {
                return Ok((ended, Left::Nothing));
            }
        }
        for pod in &left {
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            if !told.contains(&uid) {
                delete(cluster, pod, seconds).await?;
                told.push(uid);
            }
        }
        let lost = left.iter().find(|pod| is_lost(pod));
        let is_kept = |pod: &Pod| pod.metadata.deletion_timestamp.is_some() && !runs(pod);
        let kept = left.first().filter(|_| lost.is_none() && left.iter().all(is_kept));
        let until_stuck = grace_ends.max(Instant::now()) + STUCK;
        let change = tokio::select! {
            biased;
            change = watch.next_patiently() => change?,
            () = tokio::time::sleep_until(until_lost), if lost.is_some() => {
                return Err(lost.map_or_else(crate::error::gone, unanswered));
            }
            () = tokio::time::sleep_until(until_stuck), if kept.is_some() => {
                return Err(kept.map_or_else(crate::error::gone, not_let_go));
            }
            () = tokio::time::sleep_until(until), if left.iter().all(is_unmade) => {
                return Ok((ended, Left::Unmade));
            }
        };
        ended = change.gone.iter().filter(ours).find_map(end).map(exit).or(ended);
    }
}

/// The names of a pod and of its node, for people.
pub(crate) fn place(pod: &Pod) -> (String, String) {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
    (shown(pod.metadata.name.as_deref().unwrap_or_default()), shown(node))
}

/// The error for a pod that does not run, and that something keeps.
fn not_let_go(pod: &Pod) -> Error {
    let finalizers = pod.metadata.finalizers.as_deref().unwrap_or_default().join(", ");
    let why = match finalizers.as_str() {
        "" => "its node has not let it go".to_owned(),
        finalizers => format!("it waits for its finalizers ({})", shown(finalizers)),
    };
    let (pod, node) = place(pod);
    Error::unavailable(format!(
        "it has been told to end, and pod/{pod} on the node '{node}' stays: {why}; see kubectl describe pod {pod}"
    ))
}

/// The error for a pod whose node does not answer: it ends when its node is there again, or when the cluster forgets that node.
fn unanswered(pod: &Pod) -> Error {
    let (pod, node) = place(pod);
    Error::unavailable(format!(
        "it has been told to end, and the node '{node}' of pod/{pod} does not answer; where that node is gone for good, remove it \
         from the cluster (kubectl delete node {node})"
    ))
}

/// True of a pod whose container has never been made, and whose node may be fetching the image, by its kubelet's last report.
pub(crate) fn is_unmade(pod: &Pod) -> bool {
    let Some(status) = container(pod) else { return true };
    let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
    status.container_id.is_none()
        && last_end(pod).is_none()
        && matches!(reason, Some("ContainerCreating" | "ErrImagePull"))
}

/// Ends a pod with a grace period that can only become shorter. If the pod is gone, it succeeds.
async fn delete(cluster: &Cluster, pod: &Pod, seconds: u64) -> Result<()> {
    let (name, uid) = (pod.metadata.name.clone().unwrap_or_default(), pod.metadata.uid.clone());
    let left = pod.metadata.deletion_grace_period_seconds.and_then(|left| u64::try_from(left).ok());
    if pod.metadata.deletion_timestamp.is_some() && left.is_some_and(|left| left <= seconds) {
        return Ok(());
    }
    let grace = u32::try_from(seconds).unwrap_or(u32::MAX);
    let params = DeleteParams::default().grace_period(grace);
    let params = params.preconditions(Preconditions { uid, resource_version: None });
    match ask_for("the pod cannot be ended", cluster.pods().delete(&name, &params)).await {
        // Another pod has the name, so the one that was meant is gone.
        Err(error) if is_conflict(&error) => Ok(()),
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn only_a_pod_whose_container_was_never_made_is_not_waited_for() {
        let is_unmade = |state: &Value, more: &Value| {
            let mut status = json!({ "name": "server", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                "state": state });
            status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            is_unmade(
                &serde_json::from_value(json!({ "status": { "containerStatuses": [status] } })).unwrap(),
            )
        };
        let waiting = |reason: &str| json!({ "waiting": { "reason": reason } });
        let nothing = json!({});
        assert!(is_unmade(&waiting("ContainerCreating"), &nothing));
        assert!(!is_unmade(&waiting("ImagePullBackOff"), &nothing), "its node fetches nothing");
        assert!(!is_unmade(&json!({ "running": {} }), &json!({ "containerID": "c" })));
        let before = json!({ "lastState": { "terminated": { "exitCode": 1 } }, "containerID": "c" });
        assert!(!is_unmade(&waiting("ContainerCreating"), &before), "it has run before");
    }
}
