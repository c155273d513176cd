//! The events that the cluster records about one object: why it makes no pod, what hinders a pod. If this user may not read
//! events, there are none. Called by a start; it must not know what the start does about them.
use crate::{cluster::Cluster, error::ask, pods::pages, text::shown};
use futures_util::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Event as ClusterEvent;
use kube::runtime::{
    WatchStreamExt,
    watcher::{self, Error as WatchError, Event as WatchEvent, watcher},
};
use std::{collections::BTreeSet, future::ready, pin::Pin, time::Duration};

/// The reason of an event for a pod that could not be made.
const REFUSED: &str = "FailedCreate";
/// The reasons of events that report a node's progress with a pod.
const PROGRESS: [&str; 2] = ["Pulling", "Pulled"];
/// The beginning of the reasons of events that report a hindrance, such as `FailedMount`.
const HINDRANCE: &str = "Failed";
/// Reasons of hindrances that are left out here: the pod's own status reports them more precisely.
const TOLD_BY_POD: [&str; 2] = ["Failed", "FailedScheduling"];

/// What an API server says when it refuses a pod: a quota, a policy, an admission webhook, a field that makes no sense.
const FINAL: [&str; 3] = [" is forbidden: ", " denied the request", " is invalid: "];
/// What it says when it cannot tell yet, though it refuses: of a namespace that was just made, or when it has just started.
const PASSING: [&str; 3] =
    ["status unknown for quota", "not yet ready to handle request", "error looking up service account"];

/// For so long, a start waits for the listing of earlier refusals.
const LISTED_WITHIN: Duration = Duration::from_secs(3);

/// An event about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// The message, in the cluster's own words, as one line.
    pub(crate) message: String,
    /// Whether it reports a hindrance.
    pub(crate) is_hindrance: bool,
    /// Whether it reports a refusal that stays until somebody changes something.
    pub(crate) is_final: bool,
}

/// Events about an object, as they come.
pub(crate) type Events = Pin<Box<dyn Stream<Item = Said> + Send>>;

/// The events about refused pods of an object that a start finds: those of earlier attempts.
#[derive(Debug)]
pub(crate) enum Earlier {
    Known(BTreeSet<Version>),
    /// They could not be listed.
    Unknown,
}

/// An event, and its state: the cluster repeats an event by counting it up.
pub(crate) type Version = (Option<String>, Option<String>);

fn version(event: &ClusterEvent) -> Version {
    (event.metadata.uid.clone(), event.metadata.resource_version.clone())
}

/// The events until now about pods of an object that the cluster could not make. They are told from later ones without a clock:
/// this machine's may be another one than the cluster's. A start does not fail for want of them.
pub(crate) async fn refusals_until_now(cluster: &Cluster, uid: &str) -> Earlier {
    let (events, fields) = (cluster.events(), refusals_of(uid));
    let listed = pages(|params| {
        let (events, params) = (events.clone(), params.fields(&fields));
        async move { ask("the events cannot be listed", events.list(&params)).await }
    });
    match tokio::time::timeout(LISTED_WITHIN, listed).await {
        Ok(Ok(listed)) => Earlier::Known(listed.iter().map(version).collect()),
        Ok(Err(error)) => {
            tracing::debug!(%error, "earlier refusals of the pod are not known");
            Earlier::Unknown
        }
        Err(_) => {
            tracing::debug!("earlier refusals of the pod are not known: the listing takes too long");
            Earlier::Unknown
        }
    }
}

/// Later events about pods of an object that the cluster could not make: for quotas, admission webhooks, the namespace's pod
/// security. Where the earlier ones are not known, those count that come while it is watched.
pub(crate) fn refusals(cluster: &Cluster, uid: &str, earlier: Earlier) -> Events {
    let config = watcher::Config::default().fields(&refusals_of(uid));
    let later = move |(event, is_listed): (ClusterEvent, bool)| {
        let is_later = match &earlier {
            Earlier::Known(known) => !known.contains(&version(&event)),
            Earlier::Unknown => !is_listed,
        };
        ready(is_later.then(|| said(event)))
    };
    Box::pin(seen(cluster, config).filter_map(later))
}

fn refusals_of(uid: &str) -> String {
    format!("involvedObject.uid={uid},reason={REFUSED}")
}

/// Progress and hindrances of a pod, read only `after` some time: most pods run before, and cost no request.
pub(crate) fn of_pod(cluster: &Cluster, uid: &str, after: Duration) -> Events {
    let config = watcher::Config::default().fields(&format!("involvedObject.uid={uid}"));
    let cluster = cluster.clone();
    let later = futures_util::stream::once(tokio::time::sleep(after));
    let events = later.flat_map(move |()| seen(&cluster, config.clone()));
    let said = events.map(|(event, _)| {
        let is_progress = PROGRESS.contains(&event.reason.as_deref().unwrap_or_default());
        let said = said(event);
        (is_progress || said.is_hindrance).then_some(said)
    });
    Box::pin(said.filter_map(ready))
}

/// Events, each with whether it is of a listing that the watch begins with.
fn seen(
    cluster: &Cluster,
    config: watcher::Config,
) -> Pin<Box<dyn Stream<Item = (ClusterEvent, bool)> + Send>> {
    let watched = watcher(cluster.events(), config).default_backoff();
    let readable = watched.take_while(|seen| ready(!seen.as_ref().is_err_and(is_refused)));
    let events = readable.filter_map(|seen| {
        ready(match seen {
            Ok(WatchEvent::InitApply(event)) => Some((event, true)),
            Ok(WatchEvent::Apply(event)) => Some((event, false)),
            _ => None,
        })
    });
    Box::pin(events)
}

/// Whether this user may not read events.
fn is_refused(error: &WatchError) -> bool {
    let (WatchError::InitialListFailed(cause) | WatchError::WatchStartFailed(cause)) = error else {
        return false;
    };
    matches!(cause, kube::Error::Api(status) if status.code == 403)
}

fn said(event: ClusterEvent) -> Said {
    let reason = event.reason.as_deref().unwrap_or_default();
    let is_hindrance = reason.starts_with(HINDRANCE) && !TOLD_BY_POD.contains(&reason);
    let message = shown(&event.message.unwrap_or_default());
    let is_final = reason == REFUSED && is_final(&message);
    Said { message, is_hindrance, is_final }
}

/// Situation: the cluster's controller could not make a pod, and tries again. Its API server may have refused the pod; or it had no
/// time, a webhook did not answer, the former pod of that name is still there. Conclusion: the words tell which.
fn is_final(message: &str) -> bool {
    let has = |all: [&str; 3]| all.iter().any(|words| message.contains(words));
    has(FINAL) && !has(PASSING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_that_hinder_a_pod_are_told_from_others() {
        let is_hindrance = |reason: &str| {
            let event = json!({ "metadata": {}, "involvedObject": {}, "reason": reason, "type": "Warning" });
            said(serde_json::from_value(event).unwrap()).is_hindrance
        };
        assert!(is_hindrance("FailedMount") && is_hindrance("FailedCreatePodSandBox"));
        for reason in ["MissingClusterDNS", "FailedScheduling", "Failed", "Pulling"] {
            assert!(!is_hindrance(reason), "{reason}");
        }
    }

    #[test]
    fn a_refusal_is_final_where_the_cluster_has_decided() {
        let is_final = |why: &str| {
            let message = format!("create Pod time-0af3-0 in StatefulSet time-0af3 failed error: {why}");
            let event =
                json!({ "metadata": {}, "involvedObject": {}, "reason": REFUSED, "message": message });
            said(serde_json::from_value(event).unwrap()).is_final
        };
        for why in [
            "pods \"time-0af3-0\" is forbidden: exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0",
            "pods \"time-0af3-0\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true",
            "pods \"time-0af3-0\" is forbidden: ValidatingAdmissionPolicy 'x' with binding 'x' denied request: no",
            "admission webhook \"x.example\" denied the request: no",
            "admission webhook \"x.example\" denied the request without explanation",
            "Pod \"time-0af3-0\" is invalid: spec.containers[0].image: Required value",
        ] {
            assert!(is_final(why), "{why}");
        }
        for why in [
            "pods \"time-0af3-0\" already exists",
            "Internal error occurred: failed calling webhook \"x.example\": context deadline exceeded",
            "etcdserver: request timed out",
            "pods \"time-0af3-0\" is forbidden: status unknown for quota: none, resources: pods",
            "pods \"time-0af3-0\" is forbidden: error looking up service account a/default: serviceaccount \"default\" not found",
        ] {
            assert!(!is_final(why), "{why}");
        }
    }
}
