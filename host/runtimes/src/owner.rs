//! The owner of a workload: reached through the recorded endpoint, and proven to be the recorded instance (R02, R08).
use crate::client::RuntimeClient;
use crate::error::CallError;
use crate::registry::Plugins;
use std::sync::Arc;
use wharf_model::{Advice, Error, ErrorKind, Result};
use wharf_model::{Owner, RunConfig};
use wharf_sdk::{Observation, WorkloadState};

/// The runtime that a workload belongs to. Commands ask for it before they change anything, supervisors before they
/// begin.
///
/// # Errors
/// Of kind [`ErrorKind::Owner`], naming the workload, its owner, what is wrong and what to do.
pub async fn connect_owner(plugins: &Plugins, host_id: &str, run: &RunConfig) -> Result<Arc<RuntimeClient>> {
    let client = connect(plugins, host_id, run).await?;
    prove_owner(&client, run).await.map_err(|error| error.hint("nothing was changed"))?;
    Ok(client)
}

/// The recorded runtime through the recorded endpoint, whichever instance answers there.
async fn connect(plugins: &Plugins, host_id: &str, run: &RunConfig) -> Result<Arc<RuntimeClient>> {
    let owner = recorded(run)?;
    let endpoint = (!owner.runtime_endpoint.is_empty()).then_some(owner.runtime_endpoint.as_str());
    let client = plugins.connect(&owner.runtime_name, endpoint, host_id).await;
    client.map_err(|error| cannot_be_asked(run, &owner, error.into()))
}

/// The owner, with what it has of the workload now: the same proof in one question, for those who want to know both.
///
/// # Errors
/// As [`connect_owner`]; and where the owner has two of it.
pub async fn ask_owner(
    plugins: &Plugins,
    host_id: &str,
    run: &RunConfig,
) -> Result<(Arc<RuntimeClient>, Option<Observation>)> {
    let client = connect(plugins, host_id, run).await?;
    let seen = look(&client, host_id, run).await.map_err(|error| error.hint("nothing was changed"))?;
    Ok((client, seen))
}

/// That the recorded instance answers, now. Another engine may have taken the endpoint since it was asked last: whoever
/// keeps a client asks again before it makes anything anew.
///
/// # Errors
/// As [`connect_owner`].
pub async fn prove_owner(client: &RuntimeClient, run: &RunConfig) -> Result<()> {
    let owner = recorded(run)?;
    let answered = client.instance().await.map_err(|error| cannot_be_asked(run, &owner, error.into()))?;
    same_instance(run, &owner, &answered.instance)
}

/// What the recorded instance has of a workload, in its own words: one answer that names the instance and shows the
/// workload, or not. Asked after each effect, before anybody believes that it happened and writes that down: the call
/// may have been answered by another engine, also by one that is gone again.
///
/// # Errors
/// As [`connect_owner`].
pub async fn look(client: &RuntimeClient, host_id: &str, run: &RunConfig) -> Result<Option<Observation>> {
    let owner = recorded(run)?;
    let unknown = |error: CallError| cannot_be_asked(run, &owner, error.into());
    let (instance, seen) = client.look(host_id, run.uid.as_str()).await.map_err(unknown)?;
    same_instance(run, &owner, &instance)?;
    Ok(seen)
}

/// That the recorded instance has nothing of a workload any more.
///
/// # Errors
/// As [`connect_owner`]; and where it still has it.
pub async fn prove_gone(client: &RuntimeClient, host_id: &str, run: &RunConfig) -> Result<()> {
    match look(client, host_id, run).await? {
        None => Ok(()),
        Some(seen) => Err(still_there(run, &seen, "still has it")),
    }
}

/// That nothing of a workload runs in the recorded instance; returns what it shows of it.
///
/// # Errors
/// As [`connect_owner`]; and where it still runs.
pub async fn prove_ended(
    client: &RuntimeClient,
    host_id: &str,
    run: &RunConfig,
) -> Result<Option<Observation>> {
    match look(client, host_id, run).await? {
        Some(seen) if matches!(seen.state, WorkloadState::Running | WorkloadState::Unknown) => {
            Err(still_there(run, &seen, "does not show it as ended"))
        }
        seen => Ok(seen),
    }
}

fn still_there(run: &RunConfig, seen: &Observation, what: &str) -> Error {
    let message = format!("the runtime '{}' {what}: {}", run.runtime_name, seen.object);
    Error::new(ErrorKind::Runtime, message).hint("look, and try again; nothing was taken off the record")
}

fn same_instance(run: &RunConfig, owner: &Owner, answered: &str) -> Result<()> {
    if answered == owner.runtime_instance {
        return Ok(());
    }
    let message = format!(
        "{} at {}, and another instance answers there: {answered}",
        belongs(run, owner),
        owner.runtime_instance,
    );
    Err(Error::new(ErrorKind::Owner, message).hint("bring the recorded instance back"))
}

fn recorded(run: &RunConfig) -> Result<Owner> {
    run.owner().ok_or_else(|| {
        Error::new(ErrorKind::Owner, format!("'{}' has no owner: no runtime is recorded for it", run.name))
            .advise(Advice::Adopt { name: run.name.to_string() })
    })
}

fn cannot_be_asked(run: &RunConfig, owner: &Owner, error: Error) -> Error {
    let doing = format!("{}, which cannot be asked", belongs(run, owner));
    Error { kind: ErrorKind::Owner, ..error.while_doing(doing) }
}

fn belongs(run: &RunConfig, owner: &Owner) -> String {
    format!("'{}' belongs to the runtime '{}'", run.name, owner.runtime_name)
}
