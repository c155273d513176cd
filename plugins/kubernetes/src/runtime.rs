//! The runtime's operations.
use crate::{
    attach::{self, Attachments},
    begun::Begun,
    cluster::Cluster,
    connection::Connection,
    dial,
    endpoint::Endpoint,
    error::{ask_for, gone},
    find::{Found, Surroundings},
    handle::HandleData,
    health, labels,
    list::listing,
    logs::Source,
    manifest::Manifest,
    observe::{self, belongs, belongs_to},
    pods::{self, is_lost, runs},
    proxy::Proxies,
    settings::Settings,
    statefulset::of_handle,
    stop, wait,
};
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use wharf_sdk::{
    Attach, ByteStream, Context, Dial, DialOptions, Error, Exit, Handle, Health, HostServices, Instance,
    ListQuery, Listing, LogOptions, Logs, Observation, Result, Runtime, StopOptions, WorkloadSpec,
    keyed_lock::KeyedLock,
};

/// Pods of one namespace of a cluster.
pub(crate) struct KubernetesRuntime {
    pub(crate) host_id: String,
    pub(crate) host: HostServices,
    pub(crate) settings: Settings,
    pub(crate) turns: KeyedLock,
    pub(crate) attachments: Attachments,
    pub(crate) begun: Begun,
    found: Found<Connection>,
}

impl KubernetesRuntime {
    /// The connection to the cluster, which may not answer.
    pub(crate) async fn cluster(&self) -> Result<Cluster> {
        self.connection()?.cluster().await
    }

    fn connection(&self) -> Result<&Connection> {
        match &self.found {
            Found::Cluster(connection) => Ok(connection),
            Found::Nothing(tried) => {
                let Health { message, remedy, .. } = nothing(tried);
                Err(Error::unavailable(format!("{message}; {remedy}")))
            }
            Found::Unusable(why) => Err(Error::unavailable(why.clone())),
        }
    }

    /// The StatefulSet of a handle. None: it is gone, or another one has its name.
    pub(crate) async fn find(&self, cluster: &Cluster, handle: &Handle) -> Result<Option<StatefulSet>> {
        of_handle(cluster, &self.host_id, handle).await
    }

    /// The pods of a workload's StatefulSet.
    pub(crate) async fn pods(&self, cluster: &Cluster, set: &StatefulSet, uid: &str) -> Result<Vec<Pod>> {
        pods_of(cluster, set, (&self.host_id, uid)).await
    }
}

/// The observation of a workload of this host.
pub(crate) async fn observe(cluster: &Cluster, host_id: &str, handle: &Handle) -> Result<Observation> {
    let data = HandleData::read(handle)?;
    let (set, pod) = tokio::try_join!(of_handle(cluster, host_id, handle), only_pod(cluster, &data))?;
    let set = set.ok_or_else(gone)?;
    let owner = (host_id, handle.uid.as_str());
    let pods = match pod.filter(|pod| runs(pod) && !is_lost(pod)) {
        Some(pod) => vec![pod],
        None => pods_of(cluster, &set, owner).await?,
    };
    Ok(observe::of(&set, owner, &pods))
}

/// The pods of a workload's StatefulSet.
async fn pods_of(cluster: &Cluster, set: &StatefulSet, (host_id, uid): (&str, &str)) -> Result<Vec<Pod>> {
    let mut pods = pods::list(cluster, &labels::of_workload(host_id, uid)).await?;
    pods.retain(|pod| belongs(pod, set));
    Ok(pods)
}

/// The only pod that wharf lets a StatefulSet have. It is asked for by its name, which takes less time than a listing.
async fn only_pod(cluster: &Cluster, data: &HandleData) -> Result<Option<Pod>> {
    let name = pods::only_of(&data.statefulset);
    let found = ask_for("the pod cannot be looked at", cluster.pods().get(&name)).await?;
    Ok(found.filter(|pod| belongs_to(pod, &data.statefulset, &data.object_uid)))
}

/// The connection to a recorded endpoint.
///
/// Situation: a workload was made without a proxy, and a later shell has `HTTPS_PROXY`. Conclusion: that changes nothing about the way
/// to what exists; the variable counts where a cluster is found for what is yet to be made.
fn recorded(text: &str) -> Result<Connection> {
    let endpoint = Endpoint::parse(text)
        .map_err(|why| Error::invalid(format!("the recorded endpoint '{text}': {why}")))?;
    Ok(Connection::to(endpoint, Proxies::default()))
}

fn nothing(tried: &[String]) -> Health {
    Health::undetected(format!("no cluster was found (tried {})", tried.join(", "))).with_remedy(
        "name a kubeconfig: export KUBECONFIG=FILE, or runtimes.kubernetes.kubeconfig in config.json",
    )
}

impl Runtime for KubernetesRuntime {
    async fn connect(context: Context) -> Result<Self> {
        let settings = Settings::read(context.configuration)?;
        let found = match &context.endpoint {
            Some(text) => Found::Cluster(recorded(text)?),
            None => Surroundings::of_this_process()
                .find(&settings)
                .map(|endpoint| Connection::to(endpoint, Proxies::of_this_process())),
        };
        Ok(Self {
            host_id: context.host_id,
            host: context.host,
            settings,
            turns: KeyedLock::default(),
            attachments: Attachments::default(),
            begun: Begun::default(),
            found,
        })
    }

    async fn instance(&self) -> Result<Instance> {
        let cluster = self.cluster().await?;
        let instance = cluster.instance().await.map_err(|error| cluster.named(error))?;
        Ok(Instance { instance, endpoint: cluster.endpoint.to_string() })
    }

    async fn health(&self) -> Health {
        if let Found::Nothing(tried) = &self.found {
            return nothing(tried);
        }
        let cluster = match self.cluster().await {
            Ok(cluster) => cluster,
            Err(error) => return Health::unhealthy(error.message),
        };
        health::of(&cluster).await
    }

    async fn validate(&self, spec: &WorkloadSpec) -> Result<()> {
        if spec.host_id != self.host_id {
            return Err(Error::invalid(
                "the specification is of another host than this runtime was connected for",
            ));
        }
        Manifest::of(spec, &self.settings).map(drop)
    }

    async fn deploy(&self, spec: &WorkloadSpec) -> Result<Handle> {
        self.validate(spec).await?;
        self.begun.forget(&spec.uid);
        self.make(spec).await
    }

    async fn start(&self, handle: &Handle) -> Result<()> {
        self.let_run(handle).await
    }

    async fn stop(&self, handle: &Handle, options: StopOptions) -> Result<()> {
        self.begun.forget(&handle.uid);
        let cluster = self.cluster().await?;
        match self.find(&cluster, handle).await? {
            Some(set) => {
                let owner = (self.host_id.as_str(), handle.uid.as_str());
                stop::end_pods(&cluster, &set, owner, options.timeout_ms).await.map(drop)
            }
            None => Ok(()),
        }
    }

    async fn remove(&self, handle: &Handle) -> Result<()> {
        HandleData::read(handle)?;
        self.begun.forget(&handle.uid);
        let _turn = self.turns.lock(&handle.uid).await;
        self.clear(handle).await
    }

    async fn inspect(&self, handle: &Handle) -> Result<Observation> {
        observe(&self.cluster().await?, &self.host_id, handle).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Listing> {
        // Objects that are being made for nobody any more are removed first.
        for uid in query.uids.iter().flatten() {
            self.turns.until_free(uid).await;
        }
        let cluster = self.cluster().await?;
        listing(&cluster, &self.host_id, query).await.map_err(|error| cluster.named(error))
    }

    async fn wait(&self, handle: &Handle) -> Result<Exit> {
        wait::ended(&self.cluster().await?, &self.host_id, handle).await
    }

    async fn recover(&self, handle: &Handle) -> Result<Observation> {
        // All that this runtime knows of a workload stands in the cluster (labels, annotations, uid), so an observation
        // recovers it.
        observe(&self.cluster().await?, &self.host_id, handle).await
    }
}

impl Logs for KubernetesRuntime {
    async fn logs(&self, handle: &Handle, options: LogOptions) -> Result<ByteStream> {
        let cluster = self.cluster().await?;
        let set = self.find(&cluster, handle).await?.ok_or_else(gone)?;
        let pods = self.pods(&cluster, &set, &handle.uid).await?;
        let is_protocol = HandleData::read(handle)?.target_port.is_none();
        let (connection, selector) =
            (self.connection()?.clone(), labels::of_workload(&self.host_id, &handle.uid));
        Source { connection, cluster, set, selector, is_protocol, options }.open(&pods).await
    }
}

impl Attach for KubernetesRuntime {
    async fn attach(&self, handle: &Handle) -> Result<ByteStream> {
        let data = HandleData::read(handle)?;
        if data.target_port.is_some() {
            return Err(Error::precondition("the workload speaks over a port, not over stdin and stdout"));
        }
        let cluster = self.cluster().await?;
        let (set, pod) = tokio::try_join!(self.find(&cluster, handle), only_pod(&cluster, &data))?;
        set.ok_or_else(gone)?;
        match pod.filter(|pod| runs(pod) && pod.metadata.deletion_timestamp.is_none()) {
            Some(_) => attach::now(&cluster, &pods::only_of(&data.statefulset)).await,
            None => Ok(self.attachments.promise(&handle.uid)),
        }
    }
}

impl Dial for KubernetesRuntime {
    async fn dial(&self, handle: &Handle, options: DialOptions) -> Result<ByteStream> {
        let cluster = self.cluster().await?;
        let data = HandleData::read(handle)?;
        // A single request for each connection is enough: the pod names its owner itself.
        let pod = only_pod(&cluster, &data).await?;
        if pod.as_ref().is_some_and(runs) {
            return dial::open(&cluster, &pods::only_of(&data.statefulset), options.port).await;
        }
        let is_there = pod.is_some() || self.find(&cluster, handle).await?.is_some();
        Err(if is_there { Error::precondition("the workload does not run") } else { gone() })
    }
}
