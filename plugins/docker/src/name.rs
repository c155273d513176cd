//! Names of containers, which are for people, and all the same in the way of each other.
use crate::{engine::Engine, error::is_missing, observe, removal};
use bollard::errors::Error;
use wharf_sdk::WorkloadSpec;

/// Who has a name that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Nobody, by now.
    Nobody,
    /// The workload itself, and it runs.
    OwnRunning,
    /// Somebody else.
    Stranger,
}

/// Docker's answer 409, and Podman's words for the same.
pub(crate) fn is_taken(error: &Error) -> bool {
    match error {
        Error::DockerResponseServerError { status_code: 409, .. } => true,
        Error::DockerResponseServerError { message, .. } => message.contains("name is already in use"),
        _ => false,
    }
}

/// Makes a name free, if who has it is an earlier container of this workload that does not run.
pub(crate) async fn make_free(engine: &Engine, name: &str, spec: &WorkloadSpec) -> Result<Holder, Error> {
    let seen = match engine.inspect(name).await {
        Err(error) if is_missing(&error) => return Ok(Holder::Nobody),
        seen => seen?,
    };
    if seen.owner() != (Some(&spec.host_id), Some(&spec.uid)) {
        return Ok(Holder::Stranger);
    }
    if observe::runs(&seen) {
        return Ok(Holder::OwnRunning);
    }
    if let Some(id) = seen.id() {
        removal::remove(engine, id).await?;
    }
    Ok(Holder::Nobody)
}
