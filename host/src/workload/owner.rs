//! The owner of a workload: reached through the recorded endpoint, and proven to be the recorded instance (R02, R08).
use crate::error::{Error, ErrorKind, Result};
use crate::plugin::{Plugins, RuntimeClient};
use crate::status::{Owner, RunConfig};
use std::sync::Arc;

/// The runtime that a workload belongs to. Commands ask for it before they change anything, supervisors before they
/// begin.
///
/// # Errors
/// Of kind [`ErrorKind::Owner`], naming the workload, its owner, what is wrong and what to do.
pub(crate) async fn connect_owner(plugins: &Plugins, run: &RunConfig) -> Result<Arc<RuntimeClient>> {
    let owner = recorded(run)?;
    let endpoint = (!owner.runtime_endpoint.is_empty()).then_some(owner.runtime_endpoint.as_str());
    let client = plugins.connect(&owner.runtime_name, endpoint).await;
    let client = client.map_err(|error| cannot_be_asked(run, &owner, error.into()))?;
    prove_owner(&client, run).await.map_err(|error| error.hint("nothing was changed"))?;
    Ok(client)
}

/// That the recorded instance answers, now. Another engine may have taken the endpoint since it was asked last: whoever
/// keeps a client asks again before it makes anything anew, and after each effect before it believes that it happened
/// and writes that down. Only what an instance says that answered before *and* after is its word (R02).
///
/// # Errors
/// As [`connect_owner`].
pub(crate) async fn prove_owner(client: &RuntimeClient, run: &RunConfig) -> Result<()> {
    let owner = recorded(run)?;
    let answered = client.instance().await.map_err(|error| cannot_be_asked(run, &owner, error.into()))?;
    if answered.instance == owner.runtime_instance {
        return Ok(());
    }
    let message = format!(
        "{} at {}, and another instance answers there: {}",
        belongs(run, &owner),
        owner.runtime_instance,
        answered.instance
    );
    Err(Error::new(ErrorKind::Owner, message).hint("bring the recorded instance back"))
}

fn recorded(run: &RunConfig) -> Result<Owner> {
    run.owner().ok_or_else(|| {
        Error::new(ErrorKind::Owner, format!("'{}' has no owner: no runtime is recorded for it", run.name))
            .hint(format!("find it: wharf adopt {}", run.name))
    })
}

fn cannot_be_asked(run: &RunConfig, owner: &Owner, error: Error) -> Error {
    let doing = format!("{}, which cannot be asked", belongs(run, owner));
    Error { kind: ErrorKind::Owner, ..error.while_doing(doing) }
}

fn belongs(run: &RunConfig, owner: &Owner) -> String {
    format!("'{}' belongs to the runtime '{}'", run.name, owner.runtime_name)
}
