//! Lets a workload run: its StatefulSet is to have one pod, and the cluster is watched until that runs or says why not.
use crate::{
    cluster::Cluster,
    identity,
    labels::{self, EXIT, PROOF, STARTED},
    observe::{belongs, wanted},
    pods::{PodWatch, container, last_end, runs},
    reasons::{self, Kind, Trouble},
    runtime::KubernetesRuntime,
    statefulset::{SetIdentity, change},
};
use futures_util::{Stream, StreamExt};
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{Event as ClusterEvent, Pod},
    },
    jiff::Timestamp,
};
use kube::runtime::watcher::{self, Event as WatchEvent, watcher};
use std::{pin::Pin, time::Duration};
use tokio::time::Instant;
use wharf_sdk::{Error, Handle, Result, document::Event};

/// How long a pod that fits nowhere is waited for, where the settings do not say.
const SCHEDULING: Duration = Duration::from_secs(5);
/// The reason of an event that says that no pod could be made.
const REFUSED: &str = "FailedCreate";

/// Refusals of pods, as the cluster tells of them.
type Refusals = Pin<Box<dyn Stream<Item = String> + Send>>;

impl KubernetesRuntime {
    /// Scales to one, and waits until the container runs.
    pub(crate) async fn let_run(&self, handle: &Handle) -> Result<()> {
        let cluster = self.cluster().await?;
        let set = self.find(&cluster, handle).await?.ok_or_else(crate::runtime::gone)?;
        if set.metadata.deletion_timestamp.is_some() {
            return Err(Error::precondition("the workload is being removed"));
        }
        let identity = SetIdentity::of(&set);
        let since = Timestamp::now();
        let was_wanted = wanted(&set) == 1;
        if !was_wanted {
            let proof = identity::proof(&cluster.instance().await?, &identity.object_uid);
            let annotations = serde_json::json!({ STARTED: since.to_string(), EXIT: null, PROOF: proof });
            let scaled =
                serde_json::json!({ "metadata": { "annotations": annotations }, "spec": { "replicas": 1 } });
            change(&cluster, "the workload cannot be scaled to one", &identity, scaled).await?;
        }
        // What ran before and is to run again is waited for while the cluster pauses between its attempts; what is new and
        // has ended at once is told.
        let is_enough = if was_wanted { runs } else { has_run };
        let pod = self.ready(&cluster, handle, &set, since, is_enough).await?;
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let connected = match runs(&pod) {
            true => self.attachments.connect(&cluster, &handle.uid, name).await,
            false => Ok(()),
        };
        // A container that has ended by now cannot be attached to, and tells by its end.
        self.attachments.forget(&handle.uid);
        if let Err(error) = connected
            && self.pods(&cluster, &set, &handle.uid).await?.iter().any(runs)
        {
            return Err(error);
        }
        Ok(())
    }

    /// The pod, once its container is far enough.
    async fn ready(
        &self,
        cluster: &Cluster,
        handle: &Handle,
        set: &StatefulSet,
        since: Timestamp,
        is_enough: fn(&Pod) -> bool,
    ) -> Result<Pod> {
        let scheduling = self.settings.scheduling_seconds.map_or(SCHEDULING, Duration::from_secs);
        let mut progress = Progress { runtime: self, uid: &handle.uid, told: String::new() };
        let mut watch = PodWatch::of(cluster, &labels::of_workload(&self.host_id, &handle.uid));
        let mut refusals = refusals(cluster, set, since);
        let mut unscheduled: Option<(Instant, Trouble)> = None;
        loop {
            let limit = unscheduled.clone();
            let given_up = async {
                match limit {
                    Some((since, trouble)) => {
                        tokio::time::sleep_until(since + scheduling).await;
                        trouble
                    }
                    None => std::future::pending().await,
                }
            };
            let change = tokio::select! {
                biased;
                change = watch.next_patiently() => change?,
                Some(why) = refusals.next() => return Err(refused(&why)),
                trouble = given_up => return Err(refused(&trouble.message)),
            };
            let Some(pod) = change.pods.values().find(|pod| belongs(pod, set) && is_new(pod)) else {
                continue;
            };
            let trouble = reasons::of(pod);
            match &trouble {
                Some(trouble) if trouble.kind == Kind::Final => return Err(refused(&trouble.message)),
                _ if is_enough(pod) => return Ok(pod.clone()),
                Some(trouble) if trouble.kind == Kind::Unschedulable => {
                    let since = unscheduled.map_or_else(Instant::now, |(since, _)| since);
                    unscheduled = Some((since, trouble.clone()));
                }
                _ => unscheduled = None,
            }
            progress.tell(pod, trouble.as_ref());
        }
    }
}

/// True if this pod is not on its way out.
fn is_new(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
}

/// True if the workload's code runs, or has run: a short one may have ended by now.
fn has_run(pod: &Pod) -> bool {
    runs(pod) || (last_end(pod).is_some() && !reasons::could_not_start(pod))
}

fn refused(why: &str) -> Error {
    Error::precondition(format!("the pod does not run: {why}"))
}

/// The refusals of a StatefulSet's pods since a moment: quotas, admission webhooks, the namespace's pod security. Where
/// events cannot be read, nothing is told of them, and the deadline ends the wait.
fn refusals(cluster: &Cluster, set: &StatefulSet, since: Timestamp) -> Refusals {
    let uid = set.metadata.uid.clone().unwrap_or_default();
    let config = watcher::Config::default().fields(&format!("involvedObject.uid={uid},reason={REFUSED}"));
    let events = watcher(cluster.events(), config).filter_map(move |seen| async move {
        match seen {
            Ok(WatchEvent::InitApply(event) | WatchEvent::Apply(event)) if is_since(&event, since) => {
                Some(event.message.unwrap_or_default())
            }
            _ => None,
        }
    });
    Box::pin(events)
}

/// An event's time has whole seconds; an older one of the same kind is counted up, with its last time.
fn is_since(event: &ClusterEvent, since: Timestamp) -> bool {
    let last = event.last_timestamp.as_ref().or(event.first_timestamp.as_ref());
    last.is_none_or(|last| last.0.as_second() >= since.as_second())
}

/// Tells the host how far a pod is.
struct Progress<'a> {
    runtime: &'a KubernetesRuntime,
    uid: &'a str,
    told: String,
}

impl Progress<'_> {
    fn tell(&mut self, pod: &Pod, trouble: Option<&Trouble>) {
        let message = match trouble {
            Some(trouble) => trouble.message.clone(),
            None if container(pod).is_none() => "the pod is being scheduled".to_owned(),
            None => "the pod is being made, its image fetched where it is missing".to_owned(),
        };
        if message != self.told {
            self.runtime.host.event(&Event {
                uid: self.uid.to_owned(),
                message: message.clone(),
                progress: None,
            });
            self.told = message;
        }
    }
}
