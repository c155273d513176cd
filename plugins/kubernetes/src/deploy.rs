//! Turns a specification into objects of the cluster that run nothing yet. If that fails, nothing stays behind.
use crate::{
    cluster::Cluster,
    digest,
    earlier::{Tell, refuse_if_wanted, remove_earlier, wait_until_gone, would_be_accepted},
    error::{ask, ask_for, with_a_way_out},
    labels::{self, SPEC},
    manifest::{Manifest, owner},
    names, observe,
    runtime::KubernetesRuntime,
    settings::Settings,
    statefulset::{self, FIELD_MANAGER, SetIdentity, changed_labels, name_of, the_one},
};
use k8s_openapi::api::{apps::v1::StatefulSet, networking::v1::NetworkPolicy};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;
use tokio::sync::oneshot;
use wharf_sdk::{Error, ErrorCode, Handle, Result, WorkloadSpec, document::Event, keyed_lock::KeyedGuard};

/// The number of names that are tried.
const NAMES: usize = 5;
/// The label of a namespace with the level of pod security that it enforces.
const POD_SECURITY: &str = "pod-security.kubernetes.io/enforce";

impl KubernetesRuntime {
    /// Makes the objects of a workload, with zero pods; or applies the specification to existing ones.
    pub(crate) async fn make(&self, spec: &WorkloadSpec) -> Result<Handle> {
        let manifest = Manifest::of(spec, &self.settings)?;
        let cluster = self.cluster().await?;
        let turn = self.turns.lock(&spec.uid).await;
        let tell = |message| {
            self.host.event(&Event { uid: spec.uid.clone(), message, progress: None, is_warning: false });
        };
        make(cluster, manifest, &self.settings, turn, &tell).await
    }
}

/// The same for a manifest, while nobody else has the turn.
pub(crate) async fn make(
    cluster: Cluster,
    manifest: Manifest,
    settings: &Settings,
    turn: KeyedGuard,
    tell: Tell<'_>,
) -> Result<Handle> {
    let spec = &manifest.spec;
    let usual = names::of(spec);
    let (found, of_usual, demands_user) = tokio::join!(
        the_one(&cluster, &spec.host_id, &spec.uid),
        of_name(&cluster, &usual),
        demands_user(&cluster),
    );
    let (mut earlier, mut is_usual_free) = match found? {
        Some(set) => (Some(set), false),
        None => {
            let found = of_usual?;
            let is_free = found.is_none();
            (found.map(|set| without_its_labels(set, spec)).transpose()?.flatten(), is_free)
        }
    };
    if let Some(set) = earlier.take_if(|set| set.metadata.deletion_timestamp.is_some()) {
        // The StatefulSet is being removed: an earlier removal was interrupted, or somebody else removes it.
        wait_until_gone(&cluster, &set, spec, tell).await?;
        is_usual_free = of_name(&cluster, &usual).await?.is_none();
    }
    let name = match &earlier {
        Some(set) => set.metadata.name.clone().unwrap_or_default(),
        None if is_usual_free => usual,
        None => another_name(&cluster, spec).await?,
    };
    let digest = digest::of(&manifest, &name, settings);
    if let Some(set) = &earlier {
        refuse_if_wanted(set)?;
    }
    let mut set = manifest.statefulset(&name, settings, demands_user);
    set["metadata"]["annotations"][SPEC] = digest.clone().into();
    let is_another = |set: &mut StatefulSet| labels::annotation(&set.metadata, SPEC) != Some(digest.as_str());
    if let Some(another) = earlier.take_if(is_another) {
        // Rarely needed, and large: every deployment would have room for both.
        Box::pin(would_be_accepted(&cluster, &set, &another)).await?;
        Box::pin(remove_earlier(&cluster, another, spec, tell)).await?;
    }
    let is_new = earlier.is_none();
    if let Some(earlier) = &earlier {
        // Situation: somebody removes it meanwhile. Conclusion: with its uid, the cluster does not take this for a new one.
        set["metadata"]["uid"] = earlier.metadata.uid.clone().into();
    }
    Making { cluster, manifest, name, set, is_new }.begin(turn).await
}

/// The StatefulSet with this name. If somebody takes a free name meanwhile, the cluster refuses ours, since the selector of a
/// StatefulSet cannot be changed.
async fn of_name(cluster: &Cluster, name: &str) -> Result<Option<StatefulSet>> {
    ask_for("it cannot be found out whether a name is free", cluster.statefulsets().get(name)).await
}

/// The StatefulSet of this name if it is this workload's by its selector, which nobody can change: somebody has taken its labels
/// away, and it is to get them back. None: it is somebody else's.
///
/// # Errors
/// Its labels name another workload.
fn without_its_labels(set: StatefulSet, spec: &WorkloadSpec) -> Result<Option<StatefulSet>> {
    let ours = (spec.host_id.as_str(), spec.uid.as_str());
    if !labels::selects(&set, ours.0, ours.1) {
        return Ok(None);
    }
    match labels::owner(&set.metadata) {
        Some(owner) if owner != ours => Err(changed_labels(set.metadata.name.as_deref().unwrap_or_default())),
        _ => Ok(Some(set)),
    }
}

/// A name that no StatefulSet has, where the usual one is taken.
async fn another_name(cluster: &Cluster, spec: &WorkloadSpec) -> Result<String> {
    for name in (2..=NAMES).map(|attempt| names::another(spec, attempt)) {
        match of_name(cluster, &name).await? {
            None => return Ok(name),
            Some(set) if labels::selects(&set, &spec.host_id, &spec.uid) => {
                return Err(changed_labels(&name));
            }
            Some(_) => {}
        }
    }
    Err(Error::new(ErrorCode::AlreadyExists, format!("all names like '{}' are taken", names::of(spec))))
}

/// True if the namespace refuses pods that run as root. If the namespace cannot be looked at, it will refuse the pod later.
async fn demands_user(cluster: &Cluster) -> bool {
    let looked =
        ask("the namespace cannot be looked at", cluster.namespaces().get_metadata(cluster.namespace()))
            .await;
    let labels = looked.ok().and_then(|namespace| namespace.metadata.labels).unwrap_or_default();
    labels.get(POD_SECURITY).is_some_and(|level| level == "restricted")
}

/// The objects to make.
struct Making {
    cluster: Cluster,
    manifest: Manifest,
    name: String,
    set: Value,
    is_new: bool,
}

impl Making {
    /// Makes the objects in a task. If that fails, or the caller gives up, the task removes new objects again; only then is an
    /// error told, and the lock released for the next deployment.
    async fn begin(self, turn: KeyedGuard) -> Result<Handle> {
        let (answer, answered) = oneshot::channel::<Result<Handle>>();
        tokio::spawn(async move {
            match self.run().await {
                Ok((handle, identity)) => {
                    if answer.send(Ok(handle)).is_err() {
                        self.take_back(Some(identity)).await;
                    }
                }
                Err((error, identity)) => {
                    let error = match self.take_back(identity).await {
                        None => error,
                        Some(left) => with_remains(&error, &self.name, &left),
                    };
                    let _ = answer.send(Err(error));
                }
            }
            drop(turn);
        });
        let lost = || Err(Error::new(ErrorCode::Timeout, "the deployment ended without an answer"));
        answered.await.unwrap_or_else(|_| lost())
    }

    /// Removes the objects of a deployment that came to nothing, unless they are those of an earlier one. The error, if they
    /// stay.
    async fn take_back(&self, identity: Option<SetIdentity>) -> Option<Error> {
        let identity = identity.filter(|_| self.is_new)?;
        let error = statefulset::delete(&self.cluster, &identity).await.err()?;
        tracing::warn!(%error, name = self.name, "the objects of an abandoned deployment stay");
        Some(error)
    }

    /// Makes the objects. An error comes with the StatefulSet to remove, if one was made.
    async fn run(&self) -> std::result::Result<(Handle, SetIdentity), (Error, Option<SetIdentity>)> {
        let sets = self.cluster.statefulsets();
        let set: StatefulSet =
            apply("the StatefulSet cannot be made", &sets, &self.set).await.map_err(|error| (error, None))?;
        let identity = SetIdentity::of(&set);
        let Some(handle) = observe::handle(&set, &self.manifest.spec.uid) else {
            return Err((
                Error::internal("the cluster has made a StatefulSet without a uid"),
                Some(identity),
            ));
        };
        match self.beside(&identity).await {
            Ok(()) => Ok((handle, identity)),
            Err(error) => Err((error, Some(identity))),
        }
    }

    /// Makes the objects that belong to the StatefulSet, all at once. All requests are over when this returns: one that is
    /// dropped in the middle could still make its object.
    async fn beside(&self, set: &SetIdentity) -> Result<()> {
        let (cluster, manifest) = (&self.cluster, &self.manifest);
        let owner = owner(&self.name, &set.object_uid);
        let secret = async {
            match manifest.secret(&self.name, &owner) {
                Some(secret) => {
                    apply_silently("the Secret cannot be made", &cluster.secrets(), &secret).await
                }
                None => Ok(()),
            }
        };
        let service = async {
            match manifest.service(&self.name, &owner) {
                Some(service) => {
                    apply_silently("the Service cannot be made", &cluster.services(), &service).await
                }
                None => Ok(()),
            }
        };
        let policy = async {
            let policies: Api<NetworkPolicy> = cluster.namespaced();
            match manifest.network_policy(&self.name, &owner) {
                Some(policy) => apply_silently("the NetworkPolicy cannot be made", &policies, &policy).await,
                None => Ok(()),
            }
        };
        let (secret, service, policy) = tokio::join!(secret, service, policy);
        secret.and(service).and(policy)
    }
}

/// Applies an object on the server's side. Fields of another manager are not taken over: the cluster's refusal names them.
pub(crate) async fn apply<K>(doing: &str, api: &Api<K>, object: &Value) -> Result<K>
where
    K: Clone + DeserializeOwned + Debug,
{
    let params = PatchParams::apply(FIELD_MANAGER);
    let applied = ask(doing, api.patch(name_of(object), &params, &Patch::Apply(object))).await;
    applied.map_err(with_a_way_out)
}

/// The same where only the success counts. The cluster answers with the object's metadata alone, so the values of a Secret do
/// not come back.
pub(crate) async fn apply_silently<K>(doing: &str, api: &Api<K>, object: &Value) -> Result<()>
where
    K: Clone + DeserializeOwned + Debug,
{
    let params = PatchParams::apply(FIELD_MANAGER);
    let applied = ask(doing, api.patch_metadata(name_of(object), &params, &Patch::Apply(object))).await;
    applied.map(drop).map_err(with_a_way_out)
}

/// A failure that leaves something behind. Its code says that nobody knows what there is: after a refusal, the host would take it
/// that nothing was made.
fn with_remains(error: &Error, name: &str, left: &Error) -> Error {
    Error::unavailable(format!("{}; statefulset/{name} stays: {}", error.message, left.message))
}
