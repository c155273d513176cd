//! The servers of a workload's sessions, as its owner has them: resources with uids of their own, whose parent it is.
use crate::client::RuntimeClient;
use crate::deadlines::Purpose;
use crate::owner::same_owner;
use std::collections::BTreeSet;
use wharf_model::{Error, ErrorKind, Result, RunConfig};
use wharf_sdk::{ErrorCode, ListQuery, Observation};

/// Removes what the owner has of a workload's session servers, running or not: those whose parent it is, and those with
/// these uids. Proven by a listing that shows none of them any more.
///
/// # Errors
/// The owner cannot be asked, is another one, or still has some.
pub async fn remove_children(
    client: &RuntimeClient,
    host_id: &str,
    run: &RunConfig,
    recorded: &BTreeSet<String>,
) -> Result<()> {
    for child in children(client, host_id, run, recorded).await? {
        let Some(handle) = &child.handle else { return Err(unreachable(run, &child)) };
        match client.remove(handle).await {
            Err(error) if error.code() != Some(ErrorCode::NotFound) => return Err(error.into()),
            _ => {}
        }
    }
    match children(client, host_id, run, recorded).await?.first() {
        None => Ok(()),
        Some(left) => {
            let message = format!("the runtime '{}' still has {}", run.runtime_name, left.object);
            Err(Error::new(ErrorKind::Runtime, message).hint("look, and try again"))
        }
    }
}

/// The session servers that the recorded instance shows, in one complete listing.
async fn children(
    client: &RuntimeClient,
    host_id: &str,
    run: &RunConfig,
    recorded: &BTreeSet<String>,
) -> Result<Vec<Observation>> {
    let listing = client.list(&ListQuery::ALL, Purpose::Change).await?;
    same_owner(run, &listing.instance)?;
    if !listing.complete {
        let message = format!("the runtime '{}' could not list everything", run.runtime_name);
        return Err(Error::new(ErrorKind::Owner, message));
    }
    let is_child = |seen: &Observation| seen.is_child_of(run.uid.as_str()) || recorded.contains(&seen.uid);
    Ok(listing.workloads.into_iter().filter(|seen| seen.host_id == host_id && is_child(seen)).collect())
}

fn unreachable(run: &RunConfig, child: &Observation) -> Error {
    let message = format!("the runtime '{}' does not say how to reach {}", run.runtime_name, child.object);
    Error::new(ErrorKind::Owner, message)
}
