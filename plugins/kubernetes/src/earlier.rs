//! What becomes of the StatefulSet of an earlier deployment that another specification takes the place of. Called by a deployment;
//! nothing is removed before the cluster has said that it would take what comes after it.
use crate::{
    cluster::Cluster,
    error::{ask, ask_for, is_conflict, with_a_way_out},
    labels,
    observe::{belongs, wanted},
    pods,
    statefulset::{self, FIELD_MANAGER, SetIdentity, name_of},
    stop::{is_unmade, place},
};
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::{
    api::{Patch, PatchParams, PostParams},
    core::{Request, Status},
};
use serde::de::IgnoredAny;
use serde_json::Value;
use std::time::Duration;
use wharf_sdk::{Error, ErrorCode, Result, WorkloadSpec};

/// So often the removal is tried where the cluster's controller writes the StatefulSet's state meanwhile.
const ATTEMPTS: usize = 5;
/// The words of a cluster where a webhook takes no part in trials.
const TAKES_NO_TRIALS: &str = "does not support dry run";
/// After this time, what is waited for is told.
const QUIET: Duration = Duration::from_secs(5);

/// Shows the progress of a deployment to people.
pub(crate) type Tell<'a> = &'a (dyn Fn(String) + Send + Sync);

/// Refuses one that is to run.
pub(crate) fn refuse_if_wanted(set: &StatefulSet) -> Result<()> {
    if wanted(set) == 0 {
        return Ok(());
    }
    let name = set.metadata.name.as_deref().unwrap_or_default();
    let message = format!("the workload is deployed already, and is to run as statefulset/{name}");
    Err(Error::new(ErrorCode::AlreadyExists, message))
}

/// Whether the cluster would take this StatefulSet in the place of the earlier one, which stays as it is.
///
/// Situation: a webhook, a policy, a missing right or another owner of a field refuses the new one. Conclusion: the cluster is asked
/// before the earlier one is removed, and then the workload is still what it was.
///
/// # Errors
/// It would be refused.
pub(crate) async fn would_be_accepted(cluster: &Cluster, set: &Value, earlier: &StatefulSet) -> Result<()> {
    would_be_made(cluster, set).await?;
    let mut onto = set.clone();
    onto["metadata"]["uid"] = earlier.metadata.uid.clone().into();
    let (sets, params) = (cluster.statefulsets(), PatchParams::apply(FIELD_MANAGER).dry_run());
    let patch = Patch::Apply(&onto);
    let tried = async {
        match sets.patch(name_of(&onto), &params, &patch).await {
            Err(kube::Error::Api(status)) if says_nothing_of_a_new_one(&status) => Ok(()),
            other => other.map(drop),
        }
    };
    ask("the StatefulSet cannot be made", tried).await.map_err(with_a_way_out)
}

/// Whether the cluster would let this StatefulSet be made: what comes after the removal is a creation, with other rights and other
/// webhooks than a change. That the name is taken is told last, so then nothing else stands in the way.
async fn would_be_made(cluster: &Cluster, set: &Value) -> Result<()> {
    let params = PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.to_owned()) };
    let sets = cluster.statefulsets();
    let tried = async {
        let bytes = serde_json::to_vec(set).map_err(kube::Error::SerdeError)?;
        let request = Request::new(sets.resource_url()).create(&params, bytes);
        let request = request.map_err(kube::Error::BuildRequest)?;
        sets.into_client().request::<IgnoredAny>(request).await
    };
    let made = ask("the StatefulSet cannot be made", tried).await;
    // The quota counts the earlier one still.
    let says_nothing = |error: &Error| {
        error.code == ErrorCode::AlreadyExists
            || error.message.contains("exceeded quota")
            || error.message.contains(TAKES_NO_TRIALS)
    };
    match made {
        Err(error) if !says_nothing(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Whether a refusal is only about a change of what there is: some fields cannot be changed, and the earlier one is removed. Or
/// a webhook does not take part in trials, so that nothing can be known beforehand.
fn says_nothing_of_a_new_one(status: &Status) -> bool {
    const UNPROCESSABLE: u16 = 422;
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    // Not `field is immutable`: that is told of the uid, where another object has the name by now.
    let is_about_change =
        |message: &str| message.contains("updates to statefulset spec for fields other than");
    let is_change = status.code == UNPROCESSABLE
        && !causes.is_empty()
        && causes.iter().all(|cause| is_about_change(&cause.message));
    is_change || status.message.contains(TAKES_NO_TRIALS)
}

/// Removes the StatefulSet of an earlier deployment with all that belongs to it, and waits until it is gone.
///
/// Situation: somebody lets it run after it was looked at. Conclusion: only the state that was looked at is removed; where the
/// cluster has merely written down what it sees of it, it is looked at anew.
pub(crate) async fn remove_earlier(
    cluster: &Cluster,
    mut set: StatefulSet,
    spec: &WorkloadSpec,
    tell: Tell<'_>,
) -> Result<()> {
    let left = left_of(cluster, &set, spec).await?;
    // The next one has the same name, and the cluster makes no pod for it before the last one is gone.
    let is_kept_by_node = !left.is_empty() && left.iter().all(is_unmade);
    for _ in 0..ATTEMPTS {
        match statefulset::delete_seen(cluster, &set, is_kept_by_node).await {
            Err(error) if is_conflict(&error) => {}
            Err(error) => return Err(error),
            Ok(()) => return wait_until_gone(cluster, &set, spec, tell).await,
        }
        let identity = SetIdentity::of(&set);
        let doing = "the StatefulSet cannot be looked at";
        let now = ask_for(doing, cluster.statefulsets().get(&identity.name)).await?;
        let Some(now) = now.filter(|now| now.metadata.uid == set.metadata.uid) else { return Ok(()) };
        refuse_if_wanted(&now)?;
        set = now;
    }
    let name = set.metadata.name.unwrap_or_default();
    Err(Error::precondition(format!(
        "statefulset/{name} is changed again and again while it is to be removed"
    )))
}

/// Waits until it is gone, and tells what keeps it if that takes its time.
pub(crate) async fn wait_until_gone(
    cluster: &Cluster,
    set: &StatefulSet,
    spec: &WorkloadSpec,
    tell: Tell<'_>,
) -> Result<()> {
    let identity = SetIdentity::of(set);
    let mut gone = std::pin::pin!(statefulset::wait_until_gone(cluster, &identity));
    tokio::select! {
        gone = &mut gone => return gone,
        () = tokio::time::sleep(QUIET) => {}
    }
    let told = async {
        let left = left_of(cluster, set, spec).await.unwrap_or_default();
        let what = left.first().map_or_else(
            || format!("statefulset/{}", identity.name),
            |pod| {
                let (pod, node) = place(pod);
                format!("pod/{pod}, which the node '{node}' has not let go yet")
            },
        );
        tell(format!("waiting for the end of {what}"));
        std::future::pending::<()>().await;
    };
    tokio::select! {
        gone = &mut gone => gone,
        () = told => Ok(()),
    }
}

/// Its pods.
async fn left_of(cluster: &Cluster, set: &StatefulSet, spec: &WorkloadSpec) -> Result<Vec<Pod>> {
    let mut pods = pods::list(cluster, &labels::of_workload(&spec.host_id, &spec.uid)).await?;
    pods.retain(|pod| belongs(pod, set));
    Ok(pods)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_of_a_change_is_no_refusal_of_a_new_statefulset() {
        let is_so = |code: u16, message: &str, causes: &[&str]| {
            let causes: Vec<_> = causes.iter().map(|message| json!({ "message": message })).collect();
            let mut status = Status::failure(message, "Invalid").with_code(code);
            status.details = serde_json::from_value(json!({ "causes": causes })).unwrap();
            says_nothing_of_a_new_one(&status)
        };
        let change = "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template' are forbidden";
        let wrong = "Invalid value: \"\": a valid label must be";
        assert!(is_so(422, "StatefulSet.apps \"x\" is invalid", &[change]));
        assert!(!is_so(422, "StatefulSet.apps \"x\" is invalid", &[change, wrong]));
        assert!(!is_so(422, "StatefulSet.apps \"x\" is invalid", &[]));
        assert!(!is_so(403, "denied", &[change]));
        assert!(is_so(400, "admission webhook \"x.example\" does not support dry run", &[]));
    }
}
