//! The events that the cluster records about one object: why it makes no pod, what hinders a pod. If this user may not read
//! events, there are none. Called by a start; it must not know what the start does about them.
use crate::{cluster::Cluster, text::shown};
use futures_util::{Stream, StreamExt};
use k8s_openapi::{api::core::v1::Event as ClusterEvent, jiff::Timestamp};
use kube::runtime::{
    WatchStreamExt,
    watcher::{self, Error as WatchError, Event as WatchEvent, watcher},
};
use std::{future::ready, pin::Pin, time::Duration};

/// The reason of an event for a pod that could not be made.
const REFUSED: &str = "FailedCreate";
/// The reasons of events that report a node's progress with a pod.
const PROGRESS: [&str; 2] = ["Pulling", "Pulled"];
/// The beginning of the reasons of events that report a hindrance, such as `FailedMount`.
const HINDRANCE: &str = "Failed";
/// Reasons of hindrances that are left out here: the pod's own status reports them more precisely.
const TOLD_BY_POD: [&str; 2] = ["Failed", "FailedScheduling"];

/// An event about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// The message, in the cluster's own words, as one line.
    pub(crate) message: String,
    /// Whether it reports a hindrance.
    pub(crate) is_hindrance: bool,
}

/// Events about an object, as they come.
pub(crate) type Events = Pin<Box<dyn Stream<Item = Said> + Send>>;

/// Events since a moment about pods of an object that the cluster refused to make: for quotas, admission webhooks, the
/// namespace's pod security.
pub(crate) fn refusals(cluster: &Cluster, uid: &str, since: Timestamp) -> Events {
    let config = watcher::Config::default().fields(&format!("involvedObject.uid={uid},reason={REFUSED}"));
    Box::pin(seen(cluster, config).filter(move |event| ready(is_since(event, since))).map(said))
}

/// Progress and hindrances of a pod, read only `after` some time: most pods run before, and cost no request.
pub(crate) fn of_pod(cluster: &Cluster, uid: &str, after: Duration) -> Events {
    let config = watcher::Config::default().fields(&format!("involvedObject.uid={uid}"));
    let cluster = cluster.clone();
    let later = futures_util::stream::once(tokio::time::sleep(after));
    let events = later.flat_map(move |()| seen(&cluster, config.clone()));
    let said = events.map(|event| {
        let is_progress = PROGRESS.contains(&event.reason.as_deref().unwrap_or_default());
        let said = said(event);
        (is_progress || said.is_hindrance).then_some(said)
    });
    Box::pin(said.filter_map(ready))
}

fn seen(cluster: &Cluster, config: watcher::Config) -> Pin<Box<dyn Stream<Item = ClusterEvent> + Send>> {
    let watched = watcher(cluster.events(), config).default_backoff();
    let readable = watched.take_while(|seen| ready(!seen.as_ref().is_err_and(is_refused)));
    let events = readable.filter_map(|seen| {
        ready(match seen {
            Ok(WatchEvent::InitApply(event) | WatchEvent::Apply(event)) => Some(event),
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
    Said { message: shown(&event.message.unwrap_or_default()), is_hindrance }
}

/// Whether an event is not older than a moment. Its time has whole seconds. The cluster repeats an event by counting it up
/// and setting its last time.
fn is_since(event: &ClusterEvent, since: Timestamp) -> bool {
    let last = event.last_timestamp.as_ref().or(event.first_timestamp.as_ref());
    last.is_none_or(|last| last.0.as_second() >= since.as_second())
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
    fn events_of_an_earlier_attempt_are_not_told_again() {
        let since: Timestamp = "2026-01-01T00:00:05.5Z".parse().unwrap();
        let at = |last: &str| {
            let event = json!({ "metadata": {}, "involvedObject": {}, "lastTimestamp": last });
            is_since(&serde_json::from_value(event).unwrap(), since)
        };
        assert!(!at("2026-01-01T00:00:04Z") && at("2026-01-01T00:00:05Z") && at("2026-01-01T00:00:09Z"));
    }
}
