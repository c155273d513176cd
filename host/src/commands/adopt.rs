//! `adopt`: records the owner of a workload that has none, on proof or by hand (R07), or moves an owner to a new instance.
use crate::commands::context::Context;
use crate::commands::discovery::discover;
use crate::commands::locking::lock_operation;
use crate::commands::lookup::read_run_config;
use serde::Serialize;
use wharf_failpoint::{Point, reach};
use wharf_model::{Advice, Claim, Resource};
use wharf_model::{Error, ErrorKind, Result};
use wharf_model::{Owner, RunConfig, WorkloadName};
use wharf_records::OperationLock;
use wharf_runtimes::{InstanceProof, Purpose, Scope};

/// How the owner is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// By proof: all runtimes are asked.
    Proof,
    /// By hand: the owner is the instance of this runtime that answers now. `rebind` allows moving a recorded owner to
    /// another instance of the same runtime.
    Runtime {
        /// The runtime's name.
        name: String,
        /// Allows moving a recorded owner.
        rebind: bool,
    },
}

/// A workload whose owner was recorded or moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Adopted {
    /// Its name.
    pub name: String,
    /// The new owner.
    pub runtime_name: String,
    /// Its instance.
    pub runtime_instance: String,
    /// The endpoint.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime_endpoint: String,
    /// The former instance, if the owner was moved.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub previous_instance: String,
    /// The former endpoint, if the owner was moved.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub previous_endpoint: String,
}

/// Records an owner. Nothing else in the RunConfig changes, and no runtime changes anything.
///
/// # Errors
/// The proof fails, or the workload has an owner: then nothing is changed.
pub async fn adopt(context: &Context, name: &WorkloadName, adoption: &Adoption) -> Result<Adopted> {
    let before = read_run_config(context, name)?;
    refuse_remote(&before)?;
    let proven = match adoption {
        Adoption::Runtime { name: runtime, rebind } => {
            let owner = chosen_owner(context, &before, runtime, *rebind).await?;
            let operation = lock_operation(context, name).await?;
            return record_owner(context, &before, owner, &operation);
        }
        Adoption::Proof => proof(context, &before).await?,
    };
    let operation = lock_operation(context, name).await?;
    record_proven_owner(context, &before, &proven, &operation).await
}

async fn proof(context: &Context, run: &RunConfig) -> Result<Resource> {
    if let Some(owner) = run.owner() {
        let message = format!(
            "'{}' has an owner: the runtime '{}' at {}",
            run.name, owner.runtime_name, owner.runtime_instance
        );
        return Err(Error::new(ErrorKind::Conflict, message)
            .advise(Advice::Rebind { name: run.name.to_string(), runtime: owner.runtime_name }));
    }
    let scope = Scope::TheseAlone;
    match discover(context, std::iter::once(run), scope, InstanceProof::Engine).await?.claim(run) {
        Claim::Proven(resource) => Ok(*resource),
        other => Err(unproven(run, &other)),
    }
}

/// Under the lock: records the claimant, if its instance still answers and still has the resource.
pub(crate) async fn record_proven_owner(
    context: &Context,
    before: &RunConfig,
    proven: &Resource,
    operation: &OperationLock,
) -> Result<Adopted> {
    let Owner { runtime_name, runtime_instance, runtime_endpoint } = &proven.owner;
    let endpoint = (!runtime_endpoint.is_empty()).then_some(runtime_endpoint.as_str());
    let host_id = context.host_id()?;
    let client = context.plugins().connect(runtime_name, endpoint, &host_id).await?;
    let now = client.instance().await?;
    let (instance, found) = client.look(&host_id, before.uid.as_str(), Purpose::Change).await?;
    if [&now.instance, &instance].iter().any(|it| *it != runtime_instance) || found.is_none() {
        let message = format!("the runtime '{runtime_name}' does not show '{}' any more", before.name);
        return Err(Error::new(ErrorKind::Owner, message).hint("nothing was changed"));
    }
    let told = if runtime_endpoint.is_empty() { now.endpoint } else { runtime_endpoint.clone() };
    record_owner(context, before, Owner { runtime_endpoint: told, ..proven.owner.clone() }, operation)
}

/// Under the lock: records the owner, if the RunConfig has not changed since the decision.
fn record_owner(
    context: &Context,
    before: &RunConfig,
    owner: Owner,
    operation: &OperationLock,
) -> Result<Adopted> {
    let name = operation.name();
    let now = read_run_config(context, name)?;
    if now.uid != before.uid || now.owner() != before.owner() {
        let message = format!("'{name}' has changed since its owner was looked for; nothing was changed");
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    reach(Point::RecordOwnerBefore);
    context.store().update_run_config(name, &now.uid, |run| run.set_owner(owner.clone()))?;
    reach(Point::RecordOwnerAfter);
    let previous = before.owner();
    Ok(Adopted {
        name: name.to_string(),
        runtime_name: owner.runtime_name,
        runtime_instance: owner.runtime_instance,
        runtime_endpoint: owner.runtime_endpoint,
        previous_instance: previous.as_ref().map(|it| it.runtime_instance.clone()).unwrap_or_default(),
        previous_endpoint: previous.map(|it| it.runtime_endpoint).unwrap_or_default(),
    })
}

async fn chosen_owner(context: &Context, run: &RunConfig, runtime: &str, rebind: bool) -> Result<Owner> {
    let old = run.owner();
    if let Some(old) = old.as_ref().filter(|old| old.runtime_name != runtime) {
        let message = format!("'{}' belongs to the runtime '{}'", run.name, old.runtime_name);
        return Err(Error::new(ErrorKind::Conflict, message)
            .hint("an owner can be moved to another instance of the same runtime alone"));
    }
    let found = instance_of(context, runtime).await?;
    match (old, rebind) {
        (None, false) | (Some(_), true) => Ok(found),
        (None, true) => {
            let message = format!("'{}' has no owner that could be moved", run.name);
            Err(Error::new(ErrorKind::Conflict, message).advise(Advice::AdoptByHand {
                name: run.name.to_string(),
                runtime: Some(runtime.to_owned()),
            }))
        }
        (Some(old), false) => {
            let message = format!(
                "'{}' belongs to the runtime '{runtime}' at {} (endpoint {}); what answers now is {} (endpoint {})",
                run.name,
                old.runtime_instance,
                shown(&old.runtime_endpoint),
                found.runtime_instance,
                shown(&found.runtime_endpoint)
            );
            Err(Error::new(ErrorKind::Conflict, message)
                .advise(Advice::Rebind { name: run.name.to_string(), runtime: runtime.to_owned() }))
        }
    }
}

async fn instance_of(context: &Context, runtime: &str) -> Result<Owner> {
    let client = context.plugins().connect(runtime, None, &context.known_host_id()?).await?;
    let instance = client.instance().await.map_err(|error| Error {
        kind: ErrorKind::Owner,
        ..Error::from(error).while_doing(format!("the runtime '{runtime}' cannot be asked"))
    })?;
    Ok(Owner {
        runtime_name: runtime.to_owned(),
        runtime_instance: instance.instance,
        runtime_endpoint: instance.endpoint,
    })
}

fn refuse_remote(run: &RunConfig) -> Result<()> {
    if run.is_remote() {
        let message = format!("'{}' is a remote server, which has no owner", run.name);
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    Ok(())
}

fn shown(endpoint: &str) -> &str {
    if endpoint.is_empty() { "none" } else { endpoint }
}

fn unproven(run: &RunConfig, claim: &Claim) -> Error {
    let kind = match claim {
        Claim::Proven(_) | Claim::Unknown => ErrorKind::NotFound,
        Claim::Ambiguous(_) => ErrorKind::Conflict,
        Claim::Undecided(_) => ErrorKind::Owner,
    };
    Error::new(kind, format!("the owner of '{}' is unknown: {claim}", run.name))
        .advise(Advice::AdoptByHand { name: run.name.to_string(), runtime: None })
}
