//! Tries out whether the cluster enforces NetworkPolicies, which none of its interfaces tells.
//!
//! Two pods of one StatefulSet each, as workloads have them: one serves a word on a port, the other one asks for it again and
//! again and says whether it got it. First there is no policy, and it must be reached. Then comes the very policy that a closed
//! workload gets, and the connection must fail; then one that allows it, and it must be reached once more. So a server that
//! merely went away is not taken for a closed network.
//!
//! Everything carries the host's id and a uid of its own, as a workload has it. What a trial leaves whose process was ended is an
//! orphan that `list --all` shows, and the next trial removes it; a trial that is given up removes everything itself.
use crate::{
    cluster::Cluster,
    deploy::apply,
    error::ask,
    labels,
    logs::next_line,
    manifest::{Manifest, owner},
    names,
    pods::{CONTAINER, PodWatch, pages, runs},
    reasons,
    runtime::KubernetesRuntime,
    settings::Settings,
    statefulset::{self, SetIdentity},
    text::shown,
};
use futures_util::AsyncBufRead;
use k8s_openapi::{
    api::{apps::v1::StatefulSet, core::v1::Pod, networking::v1::NetworkPolicy},
    jiff::Timestamp,
};
use kube::{Api, api::LogParams};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    pin::Pin,
    time::Duration,
};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout},
};
use wharf_sdk::{
    Error, ErrorCode, NetworkVerdict, PermissionProfile, Probe, Result, Source, Transport, WorkloadSpec,
};

/// The image of both pods, unless the settings name another one: a shell, `nc` and `sleep`.
const IMAGE: &str = "docker.io/library/busybox:stable";
/// The beginning of the names of its pods.
const NAME: &str = "wharf-trial";
/// The port of the pod that serves.
const PORT: u16 = 8080;
/// The user and the group `nobody`: a namespace may refuse root.
const NOBODY: &str = "65534:65534";
/// For so long, the pods may take to run: their image may have to be fetched.
const RUN_WITHIN: Duration = Duration::from_secs(240);
/// For so long, a change of the policy may take until it shows.
const SHOWS_WITHIN: Duration = Duration::from_secs(15);
/// So many answers in a row count. Between two connections nobody listens for a moment.
const IN_A_ROW: usize = 3;

impl Probe for KubernetesRuntime {
    async fn probe_network(&self) -> Result<NetworkVerdict> {
        let cluster = self.cluster().await?;
        let turn = self.turns.lock("the trial of networks").await;
        let (answer, answered) = oneshot::channel();
        let (host_id, settings) = (self.host_id.clone(), self.settings.clone());
        // In a task: if the caller gives up, everything is removed all the same, and only then the next trial begins.
        tokio::spawn(async move {
            Trial::of(cluster, host_id).judge(&settings, answer).await;
            drop(turn);
        });
        let lost = || Err(Error::new(ErrorCode::Timeout, "the trial ended without an answer"));
        answered.await.unwrap_or_else(|_| lost())
    }
}

/// A trial, and the StatefulSets that it has made.
pub(crate) struct Trial {
    cluster: Cluster,
    host_id: String,
    /// A StatefulSet that is being made: a request that is dropped in the middle could still make it.
    making: Option<JoinHandle<Result<StatefulSet>>>,
    made: Vec<SetIdentity>,
}

impl Trial {
    pub(crate) fn of(cluster: Cluster, host_id: String) -> Self {
        Self { cluster, host_id, making: None, made: Vec::new() }
    }

    /// Tries it out, unless nobody waits for the answer any more, and removes everything before it answers.
    pub(crate) async fn judge(
        mut self,
        settings: &Settings,
        mut answer: oneshot::Sender<Result<NetworkVerdict>>,
    ) {
        let tried = tokio::select! {
            biased;
            () = answer.closed() => Err(Error::new(ErrorCode::Cancelled, "nobody waits for the trial")),
            tried = self.verdict(settings) => tried,
        };
        let cleared = self.clear().await;
        if let Err(error) = &cleared {
            tracing::warn!(%error, "pods of a trial stay");
        }
        drop(answer.send(tried.and_then(|verdict| cleared.map(|()| verdict))));
    }

    async fn verdict(&mut self, settings: &Settings) -> Result<NetworkVerdict> {
        let instance = self.cluster.instance().await?;
        clear_earlier(&self.cluster, &self.host_id).await?;
        let (enforced, how) = self.run(settings).await?;
        let at_ms = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
        Ok(NetworkVerdict { instance, enforced, at_ms, how: how.to_owned() })
    }

    /// The verdict, and the reason for it.
    async fn run(&mut self, settings: &Settings) -> Result<(bool, &'static str)> {
        let server = self.part("server", settings, "while :; do echo wharf | nc -l -p 8080; done")?;
        let pod = self.started(&server, settings).await?;
        let address = pod.status.and_then(|status| status.pod_ip).unwrap_or_default();
        // It becomes a part of a script.
        let is_address =
            !address.is_empty() && address.chars().all(|c| c.is_ascii_hexdigit() || ".:".contains(c));
        if !is_address {
            return Err(Error::unavailable(format!(
                "the cluster gave a pod the address '{}'",
                shown(&address)
            )));
        }
        let script = format!(
            "while :; do case $(nc -w 2 {address} {PORT} </dev/null) in wharf) echo reached;; *) echo missed;; esac; \
             sleep 1; done"
        );
        let client = self.part("client", settings, &script)?;
        let pod = self.started(&client, settings).await?;
        let mut answers = self.answers(&pod).await?;
        let without = answers.until("reached", RUN_WITHIN.min(2 * SHOWS_WITHIN)).await?;
        if !without {
            return Err(Error::precondition(
                "whether NetworkPolicies are enforced cannot be tried out: one pod does not reach another one, though no \
                 policy forbids it",
            ));
        }
        self.set_policy(&client, None).await?;
        if !answers.until("missed", SHOWS_WITHIN).await? {
            return Ok((false, "one pod reaches another one under a NetworkPolicy that forbids it"));
        }
        self.set_policy(&client, Some(&json!([{}]))).await?;
        if !answers.until("reached", 2 * SHOWS_WITHIN).await? {
            return Err(Error::precondition(
                "whether NetworkPolicies are enforced cannot be told: one pod did not reach another one under a policy that \
                 forbids it, nor under one that allows it",
            ));
        }
        Ok((true, "one pod reaches another one only where the NetworkPolicy allows it"))
    }

    /// A pod of the trial, in this role.
    fn part(&self, role: &str, settings: &Settings, script: &str) -> Result<Part> {
        let profile = (role == "client").then(PermissionProfile::default);
        let spec = WorkloadSpec {
            uid: random_uid(),
            name: format!("{NAME}-{role}"),
            host_id: self.host_id.clone(),
            parent: None,
            source: Source::Image {
                reference: settings.probe_image.clone().unwrap_or_else(|| IMAGE.to_owned()),
            },
            args: Vec::new(),
            env: BTreeMap::new(),
            transport: Transport::Http { target_port: PORT },
            labels: BTreeMap::new(),
            group: None,
            user: Some(NOBODY.to_owned()),
            pull: None,
            working_dir: None,
            mounts: Vec::new(),
            cpus: None,
            memory_bytes: None,
            pids_limit: None,
            permission_profile: profile,
            // The policy is made as if it were enforced, which is the question.
            allow_weaker: true,
            pinned: None,
            network_verdict: None,
            supposed: std::collections::BTreeSet::new(),
            container: wharf_sdk::ContainerOptions::default(),
        };
        let name = names::of(&spec);
        Ok(Part {
            manifest: Manifest::of(&spec, settings)?,
            name,
            role: role.to_owned(),
            script: script.to_owned(),
        })
    }

    /// Makes a StatefulSet of one pod, and returns the pod once it runs.
    async fn started(&mut self, part: &Part, settings: &Settings) -> Result<Pod> {
        let mut set = part.manifest.statefulset(&part.name, settings, true);
        // No user can set it: a workload is never taken for a trial.
        set["metadata"]["labels"][labels::TRIAL] = json!(part.role);
        set["spec"]["replicas"] = json!(1);
        let pod = &mut set["spec"]["template"]["spec"];
        pod["terminationGracePeriodSeconds"] = json!(1);
        pod["containers"][0]["command"] = json!(["sh", "-c", part.script]);
        self.make(set).await?;
        let spec = &part.manifest.spec;
        let selector = labels::of_workload(&spec.host_id, &spec.uid);
        let mut watch = PodWatch::of(&self.cluster, &selector);
        let mut why = "the cluster makes no pod".to_owned();
        let running = async {
            loop {
                let change = watch.next_patiently().await?;
                let mut pods = change.pods.values();
                let has_address =
                    |pod: &Pod| pod.status.as_ref().is_some_and(|status| status.pod_ip.is_some());
                if let Some(pod) = pods.clone().find(|pod| runs(pod) && has_address(pod)) {
                    return Ok(pod.clone());
                }
                let trouble = pods.find_map(reasons::of);
                why = trouble
                    .as_ref()
                    .map_or_else(|| "its pod is being made".to_owned(), |it| it.message.clone());
                if trouble.is_some_and(|trouble| trouble.kind == reasons::Kind::Final) {
                    return Err(Error::precondition(format!("a pod of the trial does not run: {why}")));
                }
            }
        };
        let waited = timeout(RUN_WITHIN, running).await;
        waited.unwrap_or_else(|_| Err(Error::precondition(format!("a pod of the trial does not run: {why}"))))
    }

    async fn make(&mut self, set: Value) -> Result<()> {
        let sets = self.cluster.statefulsets();
        let making = async move { apply("a pod of the trial cannot be made", &sets, &set).await };
        let made = self.making.insert(tokio::spawn(making)).await;
        self.making = None;
        let made = made.map_err(|error| Error::internal(format!("a pod of the trial: {error}")))??;
        self.made.push(SetIdentity::of(&made));
        Ok(())
    }

    /// Sets the policy of the pod that asks: the one that a closed workload gets, or one with these rules.
    async fn set_policy(&self, part: &Part, egress: Option<&Value>) -> Result<()> {
        let identity = self.made.last().map(|made| made.object_uid.as_str()).unwrap_or_default();
        let policy = part.manifest.network_policy(&part.name, &owner(&part.name, identity));
        let mut policy = policy.ok_or_else(|| Error::internal("a closed network without a policy"))?;
        if let Some(egress) = egress {
            policy["spec"]["egress"] = egress.clone();
        }
        let policies: Api<NetworkPolicy> = self.cluster.namespaced();
        apply("the NetworkPolicy cannot be made", &policies, &policy).await.map(drop)
    }

    /// The lines that the pod says from now on.
    async fn answers(&self, pod: &Pod) -> Result<Answers> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let params =
            LogParams { container: Some(CONTAINER.to_owned()), follow: true, ..LogParams::default() };
        let doing = "the output of the trial cannot be read";
        let logs = ask(doing, self.cluster.pods().log_stream(name, &params)).await?;
        Ok(Answers { output: Box::pin(logs) })
    }

    /// Removes everything, and waits until it is gone.
    async fn clear(&mut self) -> Result<()> {
        if let Some(making) = self.making.take()
            && let Ok(Ok(made)) = making.await
        {
            self.made.push(SetIdentity::of(&made));
        }
        for made in &self.made {
            statefulset::delete(&self.cluster, made).await?;
        }
        for made in &self.made {
            statefulset::wait_until_gone(&self.cluster, made).await?;
        }
        Ok(())
    }
}

/// A pod of the trial, as it is to be made.
struct Part {
    manifest: Manifest,
    name: String,
    role: String,
    script: String,
}

/// The output of the pod that asks.
struct Answers {
    output: Pin<Box<dyn AsyncBufRead + Send>>,
}

impl Answers {
    /// True if it says this several times in a row before the time is over.
    async fn until(&mut self, wanted: &str, within: Duration) -> Result<bool> {
        let deadline = Instant::now() + within;
        let mut in_a_row = 0;
        while in_a_row < IN_A_ROW {
            let line = match tokio::time::timeout_at(deadline, next_line(&mut self.output)).await {
                Err(_) => return Ok(false),
                Ok(Ok(Some(line))) => line,
                Ok(_) => return Err(Error::unavailable("the output of the trial broke off")),
            };
            in_a_row = if line.trim_ascii() == wanted.as_bytes() { in_a_row + 1 } else { 0 };
        }
        Ok(true)
    }
}

/// Removes what an interrupted trial of this host has left.
async fn clear_earlier(cluster: &Cluster, host_id: &str) -> Result<()> {
    let (sets, selector) =
        (cluster.statefulsets(), format!("{},{}", labels::of_host(host_id), labels::TRIAL));
    let left: Vec<StatefulSet> = pages(|params| {
        let (sets, params) = (sets.clone(), params.labels(&selector));
        async move { ask("earlier trials cannot be looked for", sets.list(&params)).await }
    })
    .await?;
    for set in left.iter().filter(|set| labels::owner(&set.metadata).is_some_and(|(host, _)| host == host_id))
    {
        statefulset::delete(cluster, &SetIdentity::of(set)).await?;
    }
    Ok(())
}

/// A uid that nothing else has.
fn random_uid() -> String {
    let part = || RandomState::new().hash_one(Timestamp::now().as_nanosecond());
    format!("{:016x}{:016x}", part(), part())
}
