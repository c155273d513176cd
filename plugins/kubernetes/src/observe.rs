//! Makes the host's observation from a StatefulSet and its pods.
use crate::{
    handle::HandleData,
    labels::{self, EXIT, STARTED, TARGET_PORT, WEAKER},
    pods::{container, end, exit, is_lost, runs},
    reasons,
};
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use wharf_sdk::{Address, Confinement, Exit, Handle, Measure, Observation, WorkloadState};

/// The observation of a StatefulSet with its pods. None: it has no labels of an owner.
pub(crate) fn of<'a>(set: &StatefulSet, pods: impl IntoIterator<Item = &'a Pod>) -> Option<Observation> {
    let (host_id, uid) = labels::owner(&set.metadata)?;
    let pods: Vec<&Pod> = pods.into_iter().collect();
    let (state, exit) = state(set, &pods);
    let since = pods.iter().filter(|pod| runs(pod)).find_map(|pod| since(pod));
    Some(Observation {
        uid: uid.to_owned(),
        host_id: host_id.to_owned(),
        handle: handle(set, uid),
        parent: None,
        object: format!("statefulset/{}", set.metadata.name.as_deref().unwrap_or_default()),
        state,
        exit,
        started_at_ms: since.filter(|_| state == WorkloadState::Running),
        address: labels::annotation(&set.metadata, TARGET_PORT).map(|_| Address::Dial),
        confinement: confinement(set),
        condition: wharf_sdk::Condition::default(),
    })
}

/// The handle by which a StatefulSet is found again.
pub(crate) fn handle(set: &StatefulSet, uid: &str) -> Option<Handle> {
    let statefulset = set.metadata.name.clone()?;
    let object_uid = set.metadata.uid.clone()?;
    let target_port = labels::annotation(&set.metadata, TARGET_PORT).and_then(|port| port.parse().ok());
    Some(HandleData { statefulset, object_uid, target_port }.to_handle(uid))
}

/// How many pods a StatefulSet is to have.
pub(crate) fn wanted(set: &StatefulSet) -> i32 {
    // The cluster's default.
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// True if the cluster starts the workload again after an end.
pub(crate) fn is_to_run(set: &StatefulSet) -> bool {
    wanted(set) > 0 && set.metadata.deletion_timestamp.is_none()
}

/// True if a workload's pod belongs to a StatefulSet, by the uid that the cluster gave it.
pub(crate) fn belongs(pod: &Pod, set: &StatefulSet) -> bool {
    set.metadata.uid.as_deref().is_some_and(|uid| belongs_to(pod, uid))
}

/// True if a pod belongs to the object with this uid.
pub(crate) fn belongs_to(pod: &Pod, object_uid: &str) -> bool {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    owners.iter().any(|owner| owner.uid == object_uid)
}

fn state(set: &StatefulSet, pods: &[&Pod]) -> (WorkloadState, Option<Exit>) {
    if set.metadata.deletion_timestamp.is_some() {
        return (WorkloadState::Removing, None);
    }
    if pods.iter().any(|pod| is_lost(pod)) {
        // The pod still shows the kubelet's last report, which is no evidence of the present.
        return (WorkloadState::Unknown, None);
    }
    if pods.iter().any(|pod| runs(pod)) {
        return (WorkloadState::Running, None);
    }
    if labels::annotation(&set.metadata, STARTED).is_none() && pods.is_empty() {
        return (WorkloadState::Created, None);
    }
    let told = pods.iter().find_map(|pod| end(pod)).map(exit);
    let recorded = || serde_json::from_str(labels::annotation(&set.metadata, EXIT)?).ok();
    let mut exit: Exit = told.or_else(recorded).unwrap_or_default();
    exit.restarts = is_to_run(set);
    // The workload is to run and does not; the reason is the one that the cluster gives.
    if exit.restarts
        && exit.reason.is_empty()
        && let Some(trouble) = pods.iter().find_map(|pod| reasons::of(pod))
    {
        exit.reason = trouble.message;
    }
    (WorkloadState::Stopped, Some(exit))
}

fn since(pod: &Pod) -> Option<u64> {
    let started = container(pod)?.state.as_ref()?.running.as_ref()?.started_at.as_ref()?;
    u64::try_from(started.0.as_millisecond()).ok()
}

/// The confinement of the workload, read from its own specification in the cluster.
fn confinement(set: &StatefulSet) -> Option<Confinement> {
    let weaker: Vec<Measure> = labels::annotation(&set.metadata, WEAKER)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let pod = set.spec.as_ref()?.template.spec.as_ref()?;
    let server = pod.containers.iter().find(|container| container.name == crate::pods::CONTAINER)?;
    let context = server.security_context.clone().unwrap_or_default();
    if context.privileged == Some(true) {
        return Some(Confinement { weaker, ..Confinement::default() });
    }
    let limits = server.resources.as_ref().and_then(|resources| resources.limits.clone()).unwrap_or_default();
    let dropped = context.capabilities.as_ref().and_then(|all| all.drop.clone()).unwrap_or_default();
    let profile = context.seccomp_profile.as_ref().is_some_and(|profile| profile.type_ == "RuntimeDefault");
    let read_only = context.read_only_root_filesystem == Some(true);
    let parts = [
        (true, "files", if read_only { "image, read-only, and volumes" } else { "image and volumes" }),
        (dropped.iter().any(|name| name == "ALL"), "capabilities", "all dropped"),
        (
            context.allow_privilege_escalation == Some(false),
            "privileges",
            "none are gained (no-new-privileges)",
        ),
        (profile, "system calls", "the container runtime's default filter (seccomp)"),
        (limits.contains_key("memory"), "memory_bytes", "cgroup"),
        (limits.contains_key("cpu"), "cpus", "cgroup"),
        (pod.automount_service_account_token == Some(false), "cluster", "no token of a service account"),
    ];
    let enforced = parts.into_iter().filter(|(is_so, ..)| *is_so);
    let enforced = enforced.map(|(_, what, how)| Measure { what: what.to_owned(), how: how.to_owned() });
    Some(Confinement { enforced: enforced.collect(), weaker, paths: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn set(replicas: i32, annotations: &Value) -> StatefulSet {
        let (mut metadata, spec) = (
            json!({ "name": "time-0af3", "uid": "s-1" }),
            json!({
                "replicas": replicas, "selector": {}, "serviceName": "time-0af3", "template": {},
            }),
        );
        metadata["annotations"] = json!({ "wharf.host-id": "h", "wharf.uid": "u" });
        metadata["labels"] = metadata["annotations"].clone();
        for (key, value) in annotations.as_object().unwrap() {
            metadata["annotations"][key] = value.clone();
        }
        serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
    }

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "uid": "p" }, "status": status })).unwrap()
    }

    fn with_container(state: &Value, last: &Value) -> Value {
        let (name, image) = ("server", "i");
        let status = json!({ "name": name, "image": image, "imageID": image, "ready": false, "restartCount": 0,
            "state": state, "lastState": last });
        json!({ "phase": "Running", "containerStatuses": [status] })
    }

    fn seen(set: &StatefulSet, pods: &[Pod]) -> (WorkloadState, Option<i32>) {
        let seen = of(set, pods).unwrap();
        (seen.state, seen.exit.and_then(|exit| exit.code))
    }

    #[test]
    fn states_are_what_the_cluster_shows() {
        use WorkloadState::{Created, Removing, Running, Stopped, Unknown};
        let started = json!({ STARTED: "t" });
        let ended = json!({ STARTED: "t", EXIT: r#"{"code":7}"# });
        let running = pod(&with_container(&json!({ "running": {} }), &json!({})));
        let crashed = with_container(
            &json!({ "waiting": { "reason": "CrashLoopBackOff" } }),
            &json!({ "terminated": { "exitCode": 3 } }),
        );
        let pending = pod(&json!({ "phase": "Pending" }));
        assert_eq!(seen(&set(0, &json!({})), &[]), (Created, None));
        assert_eq!(seen(&set(1, &started), std::slice::from_ref(&running)), (Running, None));
        assert_eq!(seen(&set(0, &ended), &[running]), (Running, None), "it still runs");
        assert_eq!(seen(&set(0, &ended), &[]), (Stopped, Some(7)));
        assert_eq!(seen(&set(1, &started), &[pod(&crashed)]), (Stopped, Some(3)));
        assert_eq!(seen(&set(1, &started), &[pending]), (Stopped, None));
        let mut lost = with_container(&json!({ "running": {} }), &json!({}));
        lost["conditions"] = json!([
            { "type": "Ready", "status": "False" }, { "type": "ContainersReady", "status": "True" },
        ]);
        assert_eq!(seen(&set(1, &started), &[pod(&lost)]).0, Unknown, "nobody hears from its node");
        let mut going = set(0, &started);
        going.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert_eq!(seen(&going, &[]).0, Removing);
    }

    #[test]
    fn an_object_without_our_labels_is_no_workload() {
        let mut set = set(0, &json!({}));
        set.metadata.annotations = None;
        assert_eq!(of(&set, &[]), None);
    }
}
