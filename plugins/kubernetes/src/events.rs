//! The events that the cluster has about one object: why no pod is made, what is in the way of one. Where events cannot be
//! read, nothing is told of them.
use crate::cluster::Cluster;
use futures_util::{Stream, StreamExt};
use k8s_openapi::{api::core::v1::Event as ClusterEvent, jiff::Timestamp};
use kube::runtime::{
    WatchStreamExt,
    watcher::{self, Error as WatchError, Event as WatchEvent, watcher},
};
use std::{future::ready, pin::Pin, time::Duration};

/// The reason of an event that says that no pod could be made.
const REFUSED: &str = "FailedCreate";
/// What is told by the pod itself, and better.
const TOLD_BY_POD: [&str; 3] = ["FailedScheduling", "BackOff", "Failed"];

/// Something that the cluster says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// In its own words.
    pub(crate) message: String,
    /// It says that something does not work.
    pub(crate) is_warning: bool,
}

/// What is said of an object.
pub(crate) type Events = Pin<Box<dyn Stream<Item = Said> + Send>>;

/// The refusals of an object's pods since a moment: quotas, admission webhooks, the namespace's pod security.
pub(crate) fn refusals(cluster: &Cluster, uid: &str, since: Timestamp) -> Events {
    let config = watcher::Config::default().fields(&format!("involvedObject.uid={uid},reason={REFUSED}"));
    Box::pin(seen(cluster, config).filter(move |event| ready(is_since(event, since))).map(said))
}

/// All that is said of a pod once it has been in the making for so long: most run before anybody has to ask.
pub(crate) fn of_pod(cluster: &Cluster, uid: &str, after: Duration) -> Events {
    let config = watcher::Config::default().fields(&format!("involvedObject.uid={uid}"));
    let cluster = cluster.clone();
    let later = futures_util::stream::once(tokio::time::sleep(after));
    let events = later.flat_map(move |()| seen(&cluster, config.clone()));
    let is_news =
        |event: &ClusterEvent| event.reason.as_deref().is_none_or(|reason| !TOLD_BY_POD.contains(&reason));
    Box::pin(events.filter(move |event| ready(is_news(event))).map(said))
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

/// True if this user may not read events.
fn is_refused(error: &WatchError) -> bool {
    let (WatchError::InitialListFailed(cause) | WatchError::WatchStartFailed(cause)) = error else {
        return false;
    };
    matches!(cause, kube::Error::Api(status) if status.code == 403)
}

fn said(event: ClusterEvent) -> Said {
    let is_warning = event.type_.as_deref() == Some("Warning");
    Said { message: event.message.unwrap_or_default(), is_warning }
}

/// An event's time has whole seconds; an older one of the same kind is counted up, with its last time.
fn is_since(event: &ClusterEvent, since: Timestamp) -> bool {
    let last = event.last_timestamp.as_ref().or(event.first_timestamp.as_ref());
    last.is_none_or(|last| last.0.as_second() >= since.as_second())
}
