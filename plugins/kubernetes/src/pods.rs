//! The pods of a workload, now and as they change.
use crate::{
    cluster::Cluster,
    error::{self, ask},
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

/// The container of a pod that the workload is.
pub(crate) const CONTAINER: &str = "server";
/// How many objects are in one page of a listing.
pub(crate) const PAGE: u32 = 500;

/// How long an API server that does not answer is asked again while a change is under way.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two attempts.
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

/// All pages of a listing. What changes between two pages belongs to a state that was; a page that comes too late
/// (`410 Gone`) is an error, and the listing none.
pub(crate) async fn pages<K, F>(page: impl Fn(ListParams) -> F) -> Result<Vec<K>>
where
    K: Clone,
    F: Future<Output = Result<kube::core::ObjectList<K>>>,
{
    let mut all = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let listed = page(params.clone()).await?;
        all.extend(listed.items);
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

/// The pods of a workload as they change. Bookmarks, the end of a watch and `410 Gone` are dealt with below this.
pub(crate) struct PodWatch {
    /// The labels of the pods.
    pub(crate) selector: String,
    events: BoxStream<'static, std::result::Result<Event<Pod>, watcher::Error>>,
    /// By the uid that the cluster gave them.
    pods: BTreeMap<String, Pod>,
    /// Those that are gone, and were not told yet.
    gone: Vec<Pod>,
    /// The pods of a listing that is under way.
    listing: Option<BTreeMap<String, Pod>>,
}

impl PodWatch {
    /// Of the pods with these labels.
    pub(crate) fn of(cluster: &Cluster, selector: &str) -> Self {
        let events = watcher(cluster.pods(), watcher::Config::default().labels(selector)).boxed();
        Self { selector: selector.to_owned(), events, pods: BTreeMap::new(), gone: Vec::new(), listing: None }
    }

    /// The pods that there were at the last change, by uid.
    pub(crate) fn pods(&self) -> &BTreeMap<String, Pod> {
        &self.pods
    }

    /// The same for a change that is under way: an API server that does not answer for a moment is asked again.
    pub(crate) async fn next_patiently(&mut self) -> Result<Change<'_>> {
        let began = Instant::now();
        while let Err(error) = self.advance().await {
            if error.code != ErrorCode::Unavailable || began.elapsed() > PATIENCE {
                return Err(error);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(self.change())
    }

    /// What there is once something has changed; first of all, what there is. A pod that is gone is told once more with
    /// what it was at its end.
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

    /// Resolves with the next change.
    async fn advance(&mut self) -> Result<()> {
        loop {
            let event = match self.events.next().await {
                Some(Ok(event)) => event,
                Some(Err(error)) if is_over(&error) => continue,
                Some(Err(error)) => return Err(failed(&error)),
                None => return Err(Error::unavailable("the watch of the pods ended")),
            };
            match event {
                Event::Init => self.listing = Some(BTreeMap::new()),
                Event::InitApply(pod) => {
                    self.listing.get_or_insert_default().insert(uid(&pod), pod);
                }
                Event::InitDone => {
                    let listed = self.listing.take().unwrap_or_default();
                    let before = std::mem::replace(&mut self.pods, listed);
                    // Those that went while nobody watched.
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

/// What a watch shows.
pub(crate) struct Change<'a> {
    /// The pods that there are, by uid.
    pub(crate) pods: &'a BTreeMap<String, Pod>,
    /// Those that are gone since the last change.
    pub(crate) gone: Vec<Pod>,
}

/// True if the server has forgotten where the watch was (`410 Gone`): it begins anew.
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
        other => Error::unavailable(format!("{DOING}: {}", error::chain(other))),
    }
}

fn uid(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
}

/// What the kubelet says of the workload's container.
pub(crate) fn container(pod: &Pod) -> Option<&ContainerStatus> {
    let all = pod.status.as_ref()?.container_statuses.as_ref()?;
    all.iter().find(|status| status.name == CONTAINER)
}

/// True if the container runs, as far as the kubelet has said.
pub(crate) fn runs(pod: &Pod) -> bool {
    container(pod).and_then(|status| status.state.as_ref()).is_some_and(|state| state.running.is_some())
}

/// How the container ended the last time, if it has.
pub(crate) fn last_end(pod: &Pod) -> Option<&ContainerStateTerminated> {
    let status = container(pod)?;
    let now = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    now.or_else(|| status.last_state.as_ref().and_then(|state| state.terminated.as_ref()))
}

/// The same of a container that does not run: of one that was started again, its last end is an earlier one's.
pub(crate) fn end(pod: &Pod) -> Option<&ContainerStateTerminated> {
    if runs(pod) { None } else { last_end(pod) }
}

/// True if nobody hears from the node of a pod any more: the cluster then marks the pod as not ready and leaves what the
/// kubelet last said of its containers.
pub(crate) fn is_lost(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let says = |kind: &str, value: &str| {
        let conditions = status.conditions.as_deref().unwrap_or_default();
        conditions.iter().any(|condition| condition.type_ == kind && condition.status == value)
    };
    status.reason.as_deref() == Some("NodeLost")
        || (runs(pod) && says("Ready", "False") && says("ContainersReady", "True"))
}

/// An end as the interface has it.
pub(crate) fn exit(end: &ContainerStateTerminated) -> Exit {
    let reason = match end.reason.as_deref().unwrap_or_default() {
        "OOMKilled" => "out of memory (OOMKilled)".to_owned(),
        "" | "Completed" | "Error" => end.message.clone().unwrap_or_default(),
        reason => match end.message.as_deref().unwrap_or_default() {
            "" => reason.to_owned(),
            message => format!("{reason}: {message}"),
        },
    };
    let at_ms = end.finished_at.as_ref().and_then(|time| u64::try_from(time.0.as_millisecond()).ok());
    Exit { code: Some(end.exit_code), signal: None, at_ms, reason }
}
