//! The pods of a workload, now and as they change.
use crate::{
    cluster::Cluster,
    error::{self, ask},
    text::shown,
};
use futures_util::{StreamExt, stream::BoxStream};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::{
    api::ListParams,
    runtime::watcher::{self, Event, watcher},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;
use wharf_sdk::{Error, ErrorCode, Exit, Result};

/// The name of the container in which the workload runs.
pub(crate) const CONTAINER: &str = "server";
/// How many objects are in one page of a listing.
pub(crate) const PAGE: u32 = 500;
/// A listing with more pages than this is given up: somebody floods the namespace, or something else than an API server
/// answers.
const MAX_PAGES: usize = 40;
/// The same of a listing that a watch begins with, in pods.
const MOST_PODS: usize = 20_000;

/// For so long after its first error, an API server that does not answer is asked again while a change is under way.
const PATIENCE: Duration = Duration::from_secs(15);
/// The pause between two attempts.
pub(crate) const PAUSE: Duration = Duration::from_millis(200);

/// The name of the only pod of a StatefulSet.
pub(crate) fn only_of(statefulset: &str) -> String {
    format!("{statefulset}-0")
}

/// The pods with these labels.
pub(crate) async fn list(cluster: &Cluster, selector: &str) -> Result<Vec<Pod>> {
    let pods = cluster.pods();
    pages(|params| {
        let (pods, params) = (pods.clone(), params.labels(selector));
        async move { ask("the pods cannot be listed", pods.list(&params)).await }
    })
    .await
}

/// All pages of a listing. They all show the state at the first page. If the API server has forgotten that state before the
/// last page (`410 Gone`), the listing fails.
///
/// # Errors
/// A page cannot be had; or there are more than this host can have made.
pub(crate) async fn pages<K, F>(page: impl Fn(ListParams) -> F) -> Result<Vec<K>>
where
    K: Clone,
    F: Future<Output = Result<kube::core::ObjectList<K>>>,
{
    let mut all = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    for _ in 0..MAX_PAGES {
        let listed = page(params.clone()).await?;
        all.extend(listed.items);
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
    Err(Error::unavailable(format!("the listing does not end after {MAX_PAGES} pages")))
}

/// The pods of a workload as they change. Bookmarks, the end of a watch and `410 Gone` are handled here and by kube;
/// callers do not see them.
pub(crate) struct PodWatch {
    /// The labels of the pods.
    pub(crate) selector: String,
    cluster: Cluster,
    events: PodEvents,
    /// The pods by the uid that the cluster gave them.
    pods: BTreeMap<String, Pod>,
    /// The pods that are gone and were not returned as such yet.
    gone: Vec<Pod>,
    /// The pods of a listing that is under way.
    listing: Option<BTreeMap<String, Pod>>,
    /// How many pods it has until now; the same may come again and again.
    listed: usize,
}

type PodEvents = BoxStream<'static, std::result::Result<Event<Pod>, watcher::Error>>;

fn events(cluster: &Cluster, selector: &str) -> PodEvents {
    watcher(cluster.pods(), watcher::Config::default().labels(selector)).boxed()
}

impl PodWatch {
    /// Watches the pods with these labels.
    pub(crate) fn of(cluster: &Cluster, selector: &str) -> Self {
        Self {
            selector: selector.to_owned(),
            cluster: cluster.clone(),
            events: events(cluster, selector),
            pods: BTreeMap::new(),
            gone: Vec::new(),
            listing: None,
            listed: 0,
        }
    }

    /// The pods that existed at the last change, by uid.
    pub(crate) fn pods(&self) -> &BTreeMap<String, Pod> {
        &self.pods
    }

    /// As [`Self::next`], while a change is under way: an API server that does not answer for a moment is asked again.
    pub(crate) async fn next_patiently(&mut self) -> Result<Change<'_>> {
        let mut patience = Patience::default();
        while let Err(error) = self.advance().await {
            if error.code != ErrorCode::Unavailable || !patience.lasts() {
                return Err(error);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(self.change())
    }

    /// Waits for a change and returns the pods after it; the first call returns those that exist. A pod that is gone is
    /// returned once more, in its last state.
    ///
    /// # Errors
    /// The API server cannot be asked. The watch can go on, with the next call.
    pub(crate) async fn next(&mut self) -> Result<Change<'_>> {
        self.advance().await?;
        Ok(self.change())
    }

    fn change(&mut self) -> Change<'_> {
        Change { gone: std::mem::take(&mut self.gone), pods: &self.pods }
    }

    /// Waits for the next change.
    async fn advance(&mut self) -> Result<()> {
        loop {
            let event = match self.events.next().await {
                Some(Ok(event)) => event,
                Some(Err(error)) if is_over(&error) => continue,
                Some(Err(error)) => return Err(failed(&error)),
                None => return Err(Error::unavailable("the watch of the pods ended")),
            };
            match event {
                Event::Init => (self.listing, self.listed) = (Some(BTreeMap::new()), 0),
                Event::InitApply(_) if self.listed == MOST_PODS => {
                    self.events = events(&self.cluster, &self.selector);
                    let message = format!("the listing does not end after {MOST_PODS} pods");
                    return Err(Error::unavailable(message));
                }
                Event::InitApply(pod) => {
                    self.listed += 1;
                    self.listing.get_or_insert_default().insert(uid(&pod), pod);
                }
                Event::InitDone => {
                    let listed = self.listing.take().unwrap_or_default();
                    let before = std::mem::replace(&mut self.pods, listed);
                    // The pods that went between the end of the last watch and this listing.
                    let gone = before.into_iter().filter(|(uid, _)| !self.pods.contains_key(uid));
                    self.gone.extend(gone.map(|(_, pod)| pod));
                    return Ok(());
                }
                Event::Apply(pod) => {
                    self.pods.insert(uid(&pod), pod);
                    return Ok(());
                }
                Event::Delete(pod) => {
                    self.pods.remove(&uid(&pod));
                    self.gone.push(pod);
                    return Ok(());
                }
            }
        }
    }
}

/// The time for which an API server that does not answer is asked again. It runs from the first error on: by then nothing may
/// have changed for minutes, while an image was fetched.
#[derive(Debug, Default)]
struct Patience {
    since: Option<Instant>,
}

impl Patience {
    /// Whether it lasts over this error.
    fn lasts(&mut self) -> bool {
        self.since.get_or_insert_with(Instant::now).elapsed() <= PATIENCE
    }
}

/// A change of a workload's pods.
pub(crate) struct Change<'a> {
    /// The pods that exist, by uid.
    pub(crate) pods: &'a BTreeMap<String, Pod>,
    /// The pods that went since the last change, in their last state.
    pub(crate) gone: Vec<Pod>,
}

/// Whether the server has forgotten the position of the watch (`410 Gone`). The watch then begins anew.
fn is_over(error: &watcher::Error) -> bool {
    const GONE: u16 = 410;
    matches!(error, watcher::Error::WatchError(status) if status.code == GONE)
}

fn failed(error: &watcher::Error) -> Error {
    const DOING: &str = "the pods cannot be watched";
    match error {
        watcher::Error::InitialListFailed(cause)
        | watcher::Error::WatchStartFailed(cause)
        | watcher::Error::WatchFailed(cause) => error::operation(DOING, cause),
        other => Error::unavailable(format!("{DOING}: {}", wharf_sdk::error_chain(other))),
    }
}

fn uid(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
}

/// The kubelet's last report on the workload's container.
pub(crate) fn container(pod: &Pod) -> Option<&ContainerStatus> {
    let all = pod.status.as_ref()?.container_statuses.as_ref()?;
    all.iter().find(|status| status.name == CONTAINER)
}

/// Whether the container runs, by the kubelet's last report.
pub(crate) fn runs(pod: &Pod) -> bool {
    container(pod).and_then(|status| status.state.as_ref()).is_some_and(|state| state.running.is_some())
}

/// The last end of the container, if it has ended before.
pub(crate) fn last_end(pod: &Pod) -> Option<&ContainerStateTerminated> {
    let status = container(pod)?;
    let now = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    now.or_else(|| status.last_state.as_ref().and_then(|state| state.terminated.as_ref()))
}

/// The end of a container that does not run. If it runs, because it was started again, its last end is that of an earlier
/// run.
pub(crate) fn end(pod: &Pod) -> Option<&ContainerStateTerminated> {
    if runs(pod) { None } else { last_end(pod) }
}

/// Whether the cluster has lost contact with the node of a pod. It then marks the pod as not ready, and leaves the
/// kubelet's last report on its containers as it is.
pub(crate) fn is_lost(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let gates = pod.spec.as_ref().and_then(|spec| spec.readiness_gates.as_deref()).unwrap_or_default();
    let says = |kind: &str, value: &str| {
        let conditions = status.conditions.as_deref().unwrap_or_default();
        conditions.iter().any(|condition| condition.type_ == kind && condition.status == value)
    };
    status.reason.as_deref() == Some("NodeLost")
        || (runs(pod)
            && says("Ready", "False")
            && says("ContainersReady", "True")
            // An untrue gate, which a webhook may have put into the pod, makes the kubelet report the same.
            && gates.iter().all(|gate| says(&gate.condition_type, "True")))
}

/// Translates an end into that of the plugin interface. A message of it may be the server's own.
pub(crate) fn exit(end: &ContainerStateTerminated) -> Exit {
    let message = shown(end.message.as_deref().unwrap_or_default());
    let reason = match end.reason.as_deref().unwrap_or_default() {
        "OOMKilled" => "out of memory (OOMKilled)".to_owned(),
        "" | "Completed" | "Error" => message,
        reason if message.is_empty() => shown(reason),
        reason => format!("{}: {message}", shown(reason)),
    };
    let at_ms = end.finished_at.as_ref().and_then(|time| u64::try_from(time.0.as_millisecond()).ok());
    Exit { code: Some(end.exit_code), signal: None, at_ms, reason, restarts: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use tokio::time::sleep;

    #[test]
    fn the_reason_of_an_end_is_the_clusters_word_and_the_servers_own() {
        let reason = |end: Value| exit(&serde_json::from_value(end).unwrap()).reason;
        let killed = json!({ "exitCode": 137, "reason": "OOMKilled" });
        assert_eq!(reason(killed), "out of memory (OOMKilled)");
        let failed = json!({ "exitCode": 1, "reason": "Error", "message": "no\nconfiguration" });
        assert_eq!(reason(failed), "no configuration");
        let refused = json!({ "exitCode": 128, "reason": "StartError", "message": "exec: no such file" });
        assert_eq!(reason(refused), "StartError: exec: no such file");
        assert_eq!(reason(json!({ "exitCode": 0, "reason": "Completed" })), "");
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_fails_after_a_long_rest_is_asked_again() {
        let mut patience = Patience::default();
        sleep(10 * PATIENCE).await;
        assert!(patience.lasts(), "its first error");
        sleep(PATIENCE).await;
        assert!(patience.lasts());
        sleep(PAUSE).await;
        assert!(!patience.lasts());
    }
}
