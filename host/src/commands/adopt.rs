//! `adopt`: records the owner of a workload that has none, on proof or by hand (R07), or moves an owner to a new instance.
use crate::commands::context::Context;
use crate::commands::discovery::discover;
use crate::commands::locking::lock_operation;
use crate::commands::lookup::read_run_config;
use crate::commands::rebind::rebind;
use crate::commands::record_owner::{Adopted, record_owner};
use wharf_model::{Advice, Claim, Resource};
use wharf_model::{Error, ErrorKind, Result};
use wharf_model::{Owner, RunConfig, WorkloadName};
use wharf_records::OperationLock;
use wharf_runtimes::{InstanceProof, Purpose, Scope};
use wharf_supervisor::Progress;

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

/// Records an owner. Nothing else in the RunConfig changes. Where an owner is moved and the workload has a supervisor, that
/// one is replaced, which `progress` follows; else no runtime changes anything.
///
/// # Errors
/// The proof fails, or the workload has an owner: then nothing is changed. Or the supervisor could not be replaced: then the
/// message says that the owner is recorded.
pub async fn adopt(
    context: &Context,
    name: &WorkloadName,
    adoption: &Adoption,
    progress: &mut dyn Progress,
) -> Result<Adopted> {
    let before = read_run_config(context, name)?;
    refuse_remote(&before)?;
    let proven = match adoption {
        Adoption::Runtime { name: runtime, rebind: moves } => {
            let owner = chosen_owner(context, &before, runtime, *moves).await?;
            let operation = lock_operation(context, name).await?;
            return if *moves {
                rebind(context, &before, owner, operation, progress).await
            } else {
                record_owner(context, &before, owner, &operation)
            };
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
