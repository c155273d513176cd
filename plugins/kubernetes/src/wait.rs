//! Waits for the end of a workload's container, by watching its pods; where there is none, its StatefulSet, too.
use crate::{
    cluster::Cluster,
    error::gone,
    labels,
    observe::{belongs, is_to_run, kept_by, kept_from_running, recorded_exit, wanted},
    pods::{PodWatch, container, end, exit, is_lost, last_end, runs},
    statefulset::{SetIdentity, of_handle, the_one, wait_until_unwanted},
};
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use wharf_sdk::{Error, Exit, Handle, Result};

/// The end of the running container, or of the last one if none runs; and whether the cluster starts another one, which it
/// may have done by the time this returns.
pub(crate) async fn ended(cluster: &Cluster, host_id: &str, handle: &Handle) -> Result<Exit> {
    let set = of_handle(cluster, host_id, handle).await?.ok_or_else(gone)?;
    let mut watch = PodWatch::of(cluster, &labels::of_workload(host_id, &handle.uid));
    let mut watched: Option<Watched> = None;
    let identity = SetIdentity::of(&set);
    let (mut is_first, mut is_empty) = (true, false);
    loop {
        // Situation: there is no pod, such as where a quota forbids the next one, and somebody scales to none or removes
        // the StatefulSet. Conclusion: no event of a pod tells of that, so the StatefulSet is watched, too.
        let change = tokio::select! {
            biased;
            change = watch.next() => change?,
            () = wait_until_unwanted(cluster, &identity), if is_empty => {
                return gone_without_a_word(cluster, host_id, handle).await;
            }
        };
        let ours = |pod: &&Pod| belongs(pod, &set);
        if let Some(watched) = &watched {
            let all: Vec<&Pod> = change.pods.values().chain(&change.gone).filter(ours).collect();
            match watched.end(&all) {
                // Situation: the cluster had forgotten the position of the watch, and the pod went before the watch began
                // anew. Conclusion: its last state is an old one, and no other will come.
                End::RunsOn if !change.pods.contains_key(&watched.pod) => {
                    return gone_without_a_word(cluster, host_id, handle).await;
                }
                End::RunsOn => continue,
                End::Ended(exit) => return told(cluster, host_id, handle, exit).await,
                End::Gone => return gone_without_a_word(cluster, host_id, handle).await,
            }
        }
        let pods: Vec<&Pod> = change.pods.values().filter(ours).collect();
        if let Some(pod) = pods.iter().find(|pod| runs(pod) && !is_lost(pod)) {
            watched = Some(Watched::of(pod));
        } else if let Some(end) = pods.iter().find_map(|pod| end(pod)) {
            let exit = exit(end);
            return told(cluster, host_id, handle, exit).await;
        } else if is_first && pods.is_empty() && wanted(&set) == 0 {
            return recorded(&set);
        } else if !change.gone.is_empty() && pods.is_empty() {
            return gone_without_a_word(cluster, host_id, handle).await;
        }
        (is_first, is_empty) = (false, watched.is_none() && pods.is_empty());
    }
}

/// The end of a workload whose pod went before its container's end was known: a command that stopped it may have
/// recorded the end.
async fn gone_without_a_word(cluster: &Cluster, host_id: &str, handle: &Handle) -> Result<Exit> {
    let known = of_handle(cluster, host_id, handle).await?;
    let set = match known {
        Some(set) => set,
        None => match the_one(cluster, host_id, &handle.uid).await? {
            Some(set) => set,
            None => return Ok(judged(None, Exit::default())),
        },
    };
    let reason = "its pod was removed".to_owned();
    let removed = Exit { reason, restarts: is_to_run(&set), ..Exit::default() };
    if removed.restarts { Ok(removed) } else { Ok(recorded(&set).unwrap_or(removed)) }
}

/// An end, with the cluster's intention: it is asked anew, since somebody may have told it to stop the workload.
async fn told(cluster: &Cluster, host_id: &str, handle: &Handle, exit: Exit) -> Result<Exit> {
    Ok(judged(of_handle(cluster, host_id, handle).await?.as_ref(), exit))
}

/// An end, with what the cluster does after it, or what keeps it from that.
fn judged(set: Option<&StatefulSet>, exit: Exit) -> Exit {
    match kept_by(set) {
        Some(why) => kept_from_running(exit, why),
        None => Exit { restarts: set.is_some_and(is_to_run), ..exit },
    }
}

/// The end of a workload that has no pod any more.
fn recorded(set: &StatefulSet) -> Result<Exit> {
    if labels::annotation(&set.metadata, labels::STARTED).is_none() {
        return Err(Error::precondition("the workload has not been started"));
    }
    Ok(recorded_exit(set).unwrap_or_else(|| judged(Some(set), Exit::default())))
}

/// The container to wait for.
struct Watched {
    pod: String,
    /// The id from the node.
    container: String,
}

/// The state of the watched container.
enum End {
    RunsOn,
    Ended(Exit),
    /// Its pod is gone, and its end is unknown.
    Gone,
}

impl Watched {
    fn of(pod: &Pod) -> Self {
        let id = container(pod).and_then(|status| status.container_id.clone());
        Self { pod: pod.metadata.uid.clone().unwrap_or_default(), container: id.unwrap_or_default() }
    }

    fn end(&self, pods: &[&Pod]) -> End {
        let Some(pod) = pods.iter().find(|pod| pod.metadata.uid.as_ref() == Some(&self.pod)) else {
            return End::Gone;
        };
        let Some(status) = container(pod) else { return End::RunsOn };
        if status.container_id.as_ref() == Some(&self.container) && runs(pod) {
            return match pod.metadata.deletion_timestamp {
                // If the last event shows a pod as running, it was removed without its node.
                Some(_) if is_last_word(pod) => End::Gone,
                _ => End::RunsOn,
            };
        }
        last_end(pod).map_or(End::Gone, |end| End::Ended(exit(end)))
    }
}

/// True if the pod's grace period is over: a deletion without one forgets a pod that may still run.
fn is_last_word(pod: &Pod) -> bool {
    pod.metadata.deletion_grace_period_seconds == Some(0)
}
