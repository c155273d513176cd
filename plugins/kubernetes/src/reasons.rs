//! The reason why a pod does not run, from the pod's status.
use crate::{
    manifest::secret_name,
    pods::{container, last_end},
    text::shown,
};
use k8s_openapi::api::core::v1::Pod;

/// The reason why a pod does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// The reason in words, with the cluster's own message.
    pub(crate) message: String,
    /// Whether waiting can help.
    pub(crate) kind: Kind,
}

/// Whether waiting can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The cluster is still at work: an image is being fetched, a volume attached.
    Passing,
    /// No node can take it now; one may appear.
    Unschedulable,
    /// A claim of its has no volume yet; the cluster may be making one.
    Unbound,
    /// The node could not make or start the container, and tries again after some seconds.
    Retried,
    /// It will not run unless somebody changes something.
    Final,
}

/// Reasons of a waiting container that do not pass by themselves: the kubelet tries again and again, with one of these
/// reasons.
const FINAL: [&str; 5] =
    ["ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "StartError", "ContainerCannotRun"];
/// Reasons of a waiting container that may pass: a busy kubelet has not received a Secret within its second of patience
/// ("failed to sync secret cache"), or a container runtime did not answer in time.
const RETRIED: [&str; 4] = [UNCONFIGURED, "CreateContainerError", "RunContainerError", "ImageInspectError"];
/// The reason of a container whose configuration makes no sense to its node, or is not there yet.
const UNCONFIGURED: &str = "CreateContainerConfigError";
/// The words of a node (`verifyRunAsNonRoot` of the kubelet) and of an API server (its Pod Security) about a container that may not
/// run as root; no field says it.
const ROOT: [&str; 2] = ["runAsNonRoot", "breaks non-root policy"];
/// The scheduler's words of a pod whose claims have no volumes (`ErrReasonUnboundImmediatePVCs` of its plugin
/// `volumebinding`); no field says it.
const UNBOUND: &str = "unbound immediate PersistentVolumeClaims";
/// Reasons that do not help anybody.
const USUAL: [&str; 3] = ["ContainerCreating", "PodInitializing", ""];

/// The reason why this pod does not run. None if it runs, or if nothing is known yet.
pub(crate) fn of(pod: &Pod) -> Option<Trouble> {
    waiting(pod).or_else(|| failed(pod)).or_else(|| unscheduled(pod))
}

fn waiting(pod: &Pod) -> Option<Trouble> {
    let waiting = container(pod)?.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().unwrap_or_default();
    if USUAL.contains(&reason) {
        return None;
    }
    let told = waiting.message.as_deref().unwrap_or_default();
    let kind = match reason {
        _ if FINAL.contains(&reason) || could_not_start(pod) => Kind::Final,
        // What a node says of the user of an image does not pass, unlike what it says of a Secret that it has not received yet.
        UNCONFIGURED if is_about_root(told) => Kind::Final,
        _ if RETRIED.contains(&reason) => Kind::Retried,
        _ => Kind::Passing,
    };
    if reason == UNCONFIGURED
        && let Some(secret) = missing_secret(pod, told)
    {
        let secret = shown(&secret);
        let message =
            format!("its Secret {secret} is gone, and a restart of the workload makes it anew ({reason})");
        return Some(Trouble { message, kind });
    }
    // For a container that could not be started, its last end has the cause.
    let ended = last_end(pod).filter(|end| end.reason.as_deref() == Some("StartError"));
    let told = ended.and_then(|end| end.message.as_deref()).unwrap_or(told);
    Some(Trouble { message: sentence(reason, told), kind })
}

/// The workload's own Secret, if its node says that there is none.
fn missing_secret(pod: &Pod, told: &str) -> Option<String> {
    let (set, _) = pod.metadata.name.as_deref()?.rsplit_once('-')?;
    let secret = secret_name(set);
    told.contains(&format!("secret \"{secret}\" not found")).then_some(secret)
}

/// Whether this is about a container that is refused because it would run as root, or because its user has no number.
fn is_about_root(told: &str) -> bool {
    ROOT.iter().any(|words| told.contains(words))
}

/// A reason in the cluster's words, with what helps where an option of wharf does.
pub(crate) fn with_way_out(why: &str) -> String {
    match is_about_root(why) {
        true => format!("{why}; let it run as another user, by a number: --user UID"),
        false => why.to_owned(),
    }
}

/// True if the container's program could not be executed.
pub(crate) fn could_not_start(pod: &Pod) -> bool {
    let reason = last_end(pod).and_then(|end| end.reason.as_deref());
    matches!(reason, Some("StartError" | "ContainerCannotRun"))
}

fn failed(pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    // The cluster removes such a pod, and another one takes its place.
    let reason = status.reason.as_deref()?;
    let message = sentence(reason, status.message.as_deref().unwrap_or_default());
    Some(Trouble { message, kind: Kind::Passing })
}

fn unscheduled(pod: &Pod) -> Option<Trouble> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    let condition = conditions.iter().find(|it| it.type_ == "PodScheduled" && it.status == "False")?;
    let reason = condition.reason.as_deref().unwrap_or("Unschedulable");
    let told = condition.message.as_deref().unwrap_or_default();
    let kind = if told.contains(UNBOUND) { Kind::Unbound } else { Kind::Unschedulable };
    Some(Trouble { message: sentence(reason, told), kind })
}

/// A reason with its message.
fn sentence(reason: &str, told: &str) -> String {
    match shown(told).as_str() {
        "" => shown(reason),
        told => format!("{}: {told}", shown(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": "time-0af3-0" }, "status": status })).unwrap()
    }

    #[test]
    fn a_secret_of_the_workload_that_somebody_has_removed_is_told_with_what_brings_it_back() {
        let told = |secret: &str| {
            let why = format!("secret \"{secret}\" not found");
            of(&waiting("CreateContainerConfigError", &why, &json!({}))).unwrap()
        };
        let ours = told("time-0af3-env");
        assert!(ours.message.starts_with("its Secret time-0af3-env is gone"), "{ours:?}");
        assert_eq!(ours.kind, Kind::Retried, "its node may receive it late");
        assert!(told("other").message.contains("secret \"other\" not found"), "one of somebody else");
    }

    fn waiting(reason: &str, message: &str, last: &Value) -> Pod {
        let status = json!({ "name": "server", "image": "i", "imageID": "i", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": reason, "message": message } }, "lastState": last });
        pod(&json!({ "phase": "Pending", "containerStatuses": [status] }))
    }

    #[test]
    fn reasons_are_the_clusters_own_and_say_what_to_make_of_them() {
        let told = |pod: &Pod| of(pod).map(|trouble| (trouble.message, trouble.kind));
        assert_eq!(
            told(&waiting("ImagePullBackOff", "Back-off pulling\nimage \"x\"", &json!({}))),
            Some(("ImagePullBackOff: Back-off pulling image \"x\"".to_owned(), Kind::Final))
        );
        assert_eq!(told(&waiting("ErrImagePull", "not found", &json!({}))).unwrap().1, Kind::Passing);
        let late = "failed to sync secret cache: timed out waiting for the condition";
        let told_late = told(&waiting("CreateContainerConfigError", late, &json!({}))).unwrap();
        assert!(told_late.0.ends_with(late) && told_late.1 == Kind::Retried);
        assert_eq!(told(&waiting("ContainerCreating", "", &json!({}))), None);
        for root in [
            "container has runAsNonRoot and image will run as root (pod: \"x\", container: server)",
            "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root",
            "container's runAsUser breaks non-root policy (pod: \"x\", container: server)",
        ] {
            let (message, kind) = told(&waiting("CreateContainerConfigError", root, &json!({}))).unwrap();
            assert_eq!(kind, Kind::Final, "{root}");
            assert!(with_way_out(&message).ends_with("--user UID"), "{message}");
        }
        let refused = "is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true";
        assert!(with_way_out(refused).contains("--user"));
        assert_eq!(with_way_out("exceeded quota: none"), "exceeded quota: none");
        let end =
            json!({ "terminated": { "exitCode": 128, "reason": "StartError", "message": "exec: \"x\"" } });
        assert_eq!(
            told(&waiting("CrashLoopBackOff", "back-off 10s", &end)),
            Some(("CrashLoopBackOff: exec: \"x\"".to_owned(), Kind::Final))
        );
        let condition = json!([{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient memory." }]);
        let (message, kind) = told(&pod(&json!({ "conditions": condition }))).unwrap();
        assert!(message.contains("Insufficient memory") && kind == Kind::Unschedulable);
        let unbound = json!([{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims." }]);
        assert_eq!(told(&pod(&json!({ "conditions": unbound }))).unwrap().1, Kind::Unbound);
        let evicted =
            json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on memory." });
        assert_eq!(told(&pod(&evicted)).unwrap().0, "Evicted: The node was low on memory.");
    }
}
