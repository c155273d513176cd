//! Makes the host's observation from a StatefulSet and its pods.
use crate::{
    handle::HandleData,
    labels::{self, EXIT, STARTED, TARGET_PORT, WEAKER},
    pods::{container, end, exit, is_lost, runs},
    reasons::{self, Kind},
    text::shown,
};
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use wharf_sdk::{Address, Confinement, Exit, Handle, Measure, Observation, WorkloadState};

/// The observation of a StatefulSet with its pods, for the workload of this host and with this uid.
pub(crate) fn of<'a>(
    set: &StatefulSet,
    (host_id, uid): (&str, &str),
    pods: impl IntoIterator<Item = &'a Pod>,
) -> Observation {
    let pods: Vec<&Pod> = pods.into_iter().collect();
    let (state, exit) = state(set, &pods);
    let since = pods.iter().filter(|pod| runs(pod)).find_map(|pod| since(pod));
    Observation {
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
    }
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

/// True if a pod was made by the cluster for this StatefulSet.
pub(crate) fn belongs(pod: &Pod, set: &StatefulSet) -> bool {
    let (name, uid) = (set.metadata.name.as_deref(), set.metadata.uid.as_deref());
    name.zip(uid).is_some_and(|(name, uid)| belongs_to(pod, name, uid))
}

/// True if a pod was made by the cluster for the StatefulSet with this name and this uid.
///
/// Situation: somebody else in the namespace makes a pod that carries the labels of a workload, and names its StatefulSet as an
/// owner; everybody who may make pods can write both. Conclusion: only a pod that the StatefulSet controls counts, and that has
/// the name which the cluster gives to its pods: there is one of a name.
pub(crate) fn belongs_to(pod: &Pod, statefulset: &str, object_uid: &str) -> bool {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let is_controlled = owners.iter().any(|owner| owner.uid == object_uid && owner.controller == Some(true));
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let ordinal = name.strip_prefix(statefulset).and_then(|rest| rest.strip_prefix('-')).unwrap_or_default();
    is_controlled && !ordinal.is_empty() && ordinal.bytes().all(|byte| byte.is_ascii_digit())
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
    let mut exit: Exit = told.or_else(|| recorded_exit(set)).unwrap_or_default();
    exit.restarts = is_to_run(set);
    // The workload is to run and does not; the reason is the one that the cluster gives. What keeps it from running now tells more
    // than how it ended before.
    if exit.restarts
        && let Some(trouble) = pods.iter().find_map(|pod| reasons::of(pod))
        && (exit.reason.is_empty() || trouble.kind == Kind::Retried)
    {
        exit.reason = trouble.message;
    }
    let exit = match kept_by(Some(set)) {
        Some(why) => kept_from_running(exit, why),
        None => exit,
    };
    (WorkloadState::Stopped, Some(exit))
}

/// Who or what keeps the cluster from starting a workload again that was let run; none if it is to run, or if wharf has stopped it,
/// which writes an end into the StatefulSet.
pub(crate) fn kept_by(set: Option<&StatefulSet>) -> Option<&'static str> {
    let Some(set) = set else { return Some("its StatefulSet is gone") };
    if set.metadata.deletion_timestamp.is_some() {
        return Some("its StatefulSet is being removed");
    }
    let has = |key| labels::annotation(&set.metadata, key).is_some();
    (wanted(set) == 0 && has(STARTED) && !has(EXIT)).then_some("somebody has scaled its StatefulSet to none")
}

/// An end after which something from outside keeps the workload from running. Whatever its code, it has not completed by itself.
pub(crate) fn kept_from_running(mut exit: Exit, why: &str) -> Exit {
    if !exit.reason.is_empty() {
        exit.reason.push_str("; ");
    }
    exit.reason.push_str(why);
    exit.code = exit.code.filter(|code| *code != 0);
    exit.restarts = false;
    exit
}

/// The end that a stop has recorded in the StatefulSet. Whoever may change that can write anything there, so its words are
/// taken for somebody else's, and whether the cluster goes on is not read from it.
pub(crate) fn recorded_exit(set: &StatefulSet) -> Option<Exit> {
    let exit: Exit = serde_json::from_str(labels::annotation(&set.metadata, EXIT)?).ok()?;
    Some(Exit { reason: shown(&exit.reason), restarts: false, ..exit })
}

/// The measures that were left out when it was made, as it records them: somebody else's words, too.
fn recorded_weaker(set: &StatefulSet) -> Vec<Measure> {
    const MOST: usize = 16;
    let text = labels::annotation(&set.metadata, WEAKER).unwrap_or_default();
    let all: Vec<Measure> = serde_json::from_str(text).unwrap_or_default();
    let told = all.into_iter().take(MOST);
    told.map(|measure| Measure { what: shown(&measure.what), how: shown(&measure.how) }).collect()
}

fn since(pod: &Pod) -> Option<u64> {
    let started = container(pod)?.state.as_ref()?.running.as_ref()?.started_at.as_ref()?;
    u64::try_from(started.0.as_millisecond()).ok()
}

/// The confinement of the workload, read from its own specification in the cluster.
fn confinement(set: &StatefulSet) -> Option<Confinement> {
    let weaker = recorded_weaker(set);
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
        let seen = of(set, ("h", "u"), pods);
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
        let gated = |is_open: &str| -> Pod {
            let mut status = lost.clone();
            status["conditions"].as_array_mut().unwrap().push(json!({ "type": "x/gate", "status": is_open }));
            let spec = json!({ "containers": [], "readinessGates": [{ "conditionType": "x/gate" }] });
            serde_json::from_value(json!({ "metadata": { "uid": "p" }, "spec": spec, "status": status }))
                .unwrap()
        };
        assert_eq!(seen(&set(1, &started), &[gated("False")]).0, Running, "a gate keeps it from being ready");
        assert_eq!(seen(&set(1, &started), &[gated("True")]).0, Unknown, "and no gate does");
        let mut going = set(0, &started);
        going.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert_eq!(seen(&going, &[]).0, Removing);
    }

    #[test]
    fn what_keeps_a_workload_from_running_is_told_unless_wharf_has_stopped_it() {
        let started = json!({ STARTED: "t" });
        let reason =
            |set: &StatefulSet, pods: &[Pod]| of(set, ("h", "u"), pods).exit.unwrap_or_default().reason;
        let scaled = "somebody has scaled its StatefulSet to none";
        assert_eq!(reason(&set(0, &started), &[]), scaled);
        assert_eq!(reason(&set(0, &json!({ STARTED: "t", EXIT: "{}" })), &[]), "", "wharf has stopped it");
        assert_eq!(reason(&set(1, &started), &[]), "", "its pod is being made");
        let ended = json!({ "terminated": { "exitCode": 0, "reason": "Completed" } });
        let ended = pod(&with_container(&ended, &json!({})));
        let exit = of(&set(0, &started), ("h", "u"), [&ended]).exit.unwrap();
        assert_eq!((exit.code, exit.reason.as_str()), (None, scaled), "it has not completed by itself");
        assert_eq!(kept_by(None), Some("its StatefulSet is gone"));
    }

    #[test]
    fn what_keeps_a_container_from_being_made_tells_more_than_its_last_end() {
        let waiting =
            json!({ "waiting": { "reason": "CreateContainerConfigError", "message": "no configmap" } });
        let before = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
        let seen =
            of(&set(1, &json!({ STARTED: "t" })), ("h", "u"), &[pod(&with_container(&waiting, &before))]);
        let exit = seen.exit.unwrap();
        assert_eq!(
            (exit.code, exit.reason.as_str()),
            (Some(137), "CreateContainerConfigError: no configmap")
        );
    }

    #[test]
    fn an_annotation_that_somebody_else_has_written_says_nothing_to_a_terminal_and_starts_nothing() {
        let hostile = json!({ "code": 7, "reason": "\u{1b}[2Jall\nis well", "restarts": true }).to_string();
        let weaker = json!([{ "what": "network\u{7}", "how": "\u{202e}closed" }]).to_string();
        let set = set(0, &json!({ STARTED: "t", EXIT: hostile, WEAKER: weaker, TARGET_PORT: "65536" }));
        let exit = recorded_exit(&set).unwrap();
        assert_eq!(
            (exit.code, exit.restarts, exit.reason.as_str()),
            (Some(7), false, "\u{fffd}[2Jall is well")
        );
        let seen = of(&set, ("h", "u"), &[]);
        assert_eq!(seen.exit, Some(exit));
        let weaker = recorded_weaker(&set);
        assert_eq!((weaker[0].what.as_str(), weaker[0].how.as_str()), ("network\u{fffd}", "\u{fffd}closed"));
        assert_eq!(seen.handle.unwrap().data.get("target_port"), None);
    }

    #[test]
    fn a_pod_of_somebody_else_that_names_the_statefulset_as_its_owner_does_not_belong_to_it() {
        let pod = |name: &str, controller: bool, uid: &str| -> Pod {
            let owner = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "time-0af3", "uid": uid,
                "controller": controller });
            serde_json::from_value(json!({ "metadata": { "name": name, "ownerReferences": [owner] } }))
                .unwrap()
        };
        let set = set(1, &json!({}));
        assert!(belongs(&pod("time-0af3-0", true, "s-1"), &set));
        assert!(belongs(&pod("time-0af3-12", true, "s-1"), &set), "somebody has scaled it further");
        for (name, controller, uid) in [
            ("a", true, "s-1"),
            ("time-0af3-", true, "s-1"),
            ("time-0af3-x-0", true, "s-1"),
            ("time-0af3-0", false, "s-1"),
            ("time-0af3-0", true, "s-2"),
        ] {
            assert!(!belongs(&pod(name, controller, uid), &set), "{name} {controller} {uid}");
        }
    }
}
