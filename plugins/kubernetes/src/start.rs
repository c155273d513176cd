//! Starts a workload: scales its StatefulSet to one pod, and watches the cluster until the pod runs, or the cluster says
//! why it does not.
use crate::{
    begun::Begun,
    cluster::Cluster,
    events::{self, Earlier, Events, Said},
    handle::HandleData,
    hindrances::{Hindrances, Kind as Hindrance},
    identity,
    labels::{self, EXIT, PROOF, STARTED},
    observe::{belongs, wanted},
    pods::{PodWatch, container, last_end, runs},
    reasons::{self, Kind},
    runtime::KubernetesRuntime,
    statefulset::{SetIdentity, change},
};
use futures_util::StreamExt;
use k8s_openapi::{
    api::{apps::v1::StatefulSet, core::v1::Pod},
    jiff::Timestamp,
};
use std::time::Duration;
use wharf_sdk::{Error, Handle, Result, document::Event};

/// For so long, a start waits for a pod that fits on no node, unless the settings say otherwise.
const SCHEDULING: Duration = Duration::from_secs(5);
/// For so long, a start waits for the volumes of a pod's claims, unless the settings wait longer for a node: a cloud makes a
/// disk in seconds to a minute, and a cluster that was too busy to bind a claim tries again within 15 seconds.
const BINDING: Duration = Duration::from_secs(60);
/// For so long, a start waits for a pod after the cluster has warned of a hindrance, such as a volume that cannot be
/// mounted, or a container that cannot be made. A kubelet tries again after 10 to 15 seconds (its `workerBackOffPeriod`).
const STUCK: Duration = Duration::from_secs(20);
/// For so long, a start waits for a pod that the cluster could not make. Its controller tries again after pauses that double: after 2.6,
/// 5.1, 10.2, 20.5 and 41 seconds.
const UNMADE: Duration = Duration::from_secs(45);
/// After this time, a start begins to read the events of a pod that does not run yet.
const CALM: Duration = Duration::from_secs(1);

impl KubernetesRuntime {
    /// Scales to one, and waits until the container runs.
    pub(crate) async fn let_run(&self, handle: &Handle) -> Result<()> {
        let cluster = self.cluster().await?;
        let object_uid = HandleData::read(handle)?.object_uid;
        let (set, instance, earlier) =
            tokio::try_join!(self.find(&cluster, handle), cluster.instance(), async {
                Ok(events::refusals_until_now(&cluster, &object_uid).await)
            },)?;
        let set = set.ok_or_else(crate::error::gone)?;
        if set.metadata.deletion_timestamp.is_some() {
            return Err(Error::precondition("the workload is being removed"));
        }
        let was_wanted = wanted(&set) == 1;
        if !was_wanted {
            scale_up(&cluster, &self.begun, (&set, &handle.uid), (&instance, Timestamp::now())).await?;
        }
        self.begun.note(&handle.uid);
        // Situation: the container has ended at once. If the workload was to run before, the cluster starts it again after
        // a pause, and this start waits for that. If it is newly started, its end is reported.
        let is_enough = if was_wanted { runs } else { has_run };
        let pod = self.ready(&cluster, handle, &set, earlier, is_enough).await?;
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let connected = match runs(&pod) {
            true => self.attachments.connect(&cluster, &handle.uid, name).await,
            false => Ok(()),
        };
        // A container that has ended by now cannot be attached to; that is no failure of the start, and its end is reported
        // otherwise.
        self.attachments.forget(&handle.uid);
        if let Err(error) = connected
            && self.pods(&cluster, &set, &handle.uid).await?.iter().any(runs)
        {
            return Err(error);
        }
        Ok(())
    }

    /// Waits until `is_enough` holds for the pod.
    async fn ready(
        &self,
        cluster: &Cluster,
        handle: &Handle,
        set: &StatefulSet,
        earlier: Earlier,
        is_enough: fn(&Pod) -> bool,
    ) -> Result<Pod> {
        let scheduling = self.settings.scheduling_seconds.map_or(SCHEDULING, Duration::from_secs);
        let mut progress = Progress { runtime: self, uid: &handle.uid, told: String::new() };
        let mut watch = PodWatch::of(cluster, &labels::of_workload(&self.host_id, &handle.uid));
        let set_uid = set.metadata.uid.as_deref().unwrap_or_default();
        let mut refusals = events::refusals(cluster, set_uid, earlier);
        let mut about_pod: Option<(String, Events)> = None;
        let (mut hindrances, mut is_made) = (Hindrances::default(), false);
        loop {
            let change = tokio::select! {
                biased;
                change = watch.next_patiently() => change?,
                Some(refusal) = refusals.next() => {
                    if refusal.is_final {
                        return Err(refused(&refusal.message));
                    }
                    // It may be told of late, when there is a pod by now.
                    if !is_made {
                        hindrances.set(Hindrance::Unmade, UNMADE, Some(&refusal.message));
                        progress.tell(format!("the cluster says: {}", refusal.message));
                    }
                    continue;
                }
                Some(said) = next_of(&mut about_pod) => {
                    let why = said.is_hindrance.then_some(said.message.as_str());
                    hindrances.set(Hindrance::Warned, STUCK, why);
                    progress.tell(format!("the cluster says: {}", said.message));
                    continue;
                }
                why = hindrances.outlasted() => return Err(refused(&why)),
            };
            let pod = change.pods.values().find(|pod| belongs(pod, set) && is_new(pod));
            is_made = pod.is_some();
            let Some(pod) = pod else { continue };
            hindrances.set(Hindrance::Unmade, UNMADE, None);
            let trouble = reasons::of(pod);
            match &trouble {
                Some(trouble) if trouble.kind == Kind::Final => return Err(refused(&trouble.message)),
                _ if is_enough(pod) => {
                    progress.tell("the pod runs".to_owned());
                    return Ok(pod.clone());
                }
                _ => {}
            }
            let why =
                |kind| trouble.as_ref().filter(|it| it.kind == kind).map(|trouble| trouble.message.as_str());
            hindrances.set(Hindrance::Unscheduled, scheduling, why(Kind::Unschedulable));
            hindrances.set(Hindrance::Unbound, scheduling.max(BINDING), why(Kind::Unbound));
            hindrances.set(Hindrance::Retried, STUCK, why(Kind::Retried));
            match trouble {
                Some(trouble) => progress.tell(trouble.message),
                None if container(pod).is_none() => progress.tell("the pod is being scheduled".to_owned()),
                None => progress.tell("the pod is being made".to_owned()),
            }
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            if about_pod.as_ref().is_none_or(|(known, _)| *known != uid) {
                about_pod = Some((uid.clone(), events::of_pod(cluster, &uid, CALM)));
            }
        }
    }
}

/// Scales to one, unless this process has let it run before and somebody else wants none.
pub(crate) async fn scale_up(
    cluster: &Cluster,
    begun: &Begun,
    (set, uid): (&StatefulSet, &str),
    (instance, since): (&str, Timestamp),
) -> Result<()> {
    if begun.has(uid) {
        return Err(Error::precondition("somebody has scaled it to none since it was started"));
    }
    let identity = SetIdentity::of(set);
    let proof = identity::proof(instance, &identity.object_uid);
    let annotations = serde_json::json!({ STARTED: since.to_string(), EXIT: null, PROOF: proof });
    let scaled = serde_json::json!({ "metadata": { "annotations": annotations }, "spec": { "replicas": 1 } });
    change(cluster, "the workload cannot be scaled to one", &identity, scaled).await.map(drop)
}

async fn next_of(about_pod: &mut Option<(String, Events)>) -> Option<Said> {
    match about_pod {
        Some((_, events)) => events.next().await,
        None => std::future::pending().await,
    }
}

/// Whether nobody has asked for the end of this pod.
fn is_new(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
}

/// Whether the workload's code runs, or has run: a short run may have ended by now.
fn has_run(pod: &Pod) -> bool {
    runs(pod) || (last_end(pod).is_some() && !reasons::could_not_start(pod))
}

fn refused(why: &str) -> Error {
    Error::precondition(format!("the pod does not run: {}", reasons::with_way_out(why)))
}

/// Reports the progress of a pod to the host, each message once.
struct Progress<'a> {
    runtime: &'a KubernetesRuntime,
    uid: &'a str,
    told: String,
}

impl Progress<'_> {
    fn tell(&mut self, message: String) {
        if message != self.told {
            let uid = self.uid.to_owned();
            self.runtime.host.event(&Event {
                uid,
                message: message.clone(),
                progress: None,
                is_warning: false,
            });
            self.told = message;
        }
    }
}
