//! Conflicts between names of containers. No code looks for a container by its name, but an engine accepts each name only
//! once.
use crate::{engine::Engine, error::is_missing, observe, removal};
use bollard::errors::Error;
use wharf_sdk::WorkloadSpec;

/// The container that has a name which a new one wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// None any more.
    Nobody,
    /// One of the workload itself, and it runs.
    OwnRunning,
    /// Another one.
    Foreign,
}

/// Whether the error says that the name is taken: 409 from Docker, words from Podman.
pub(crate) fn is_taken(error: &Error) -> bool {
    match error {
        Error::DockerResponseServerError { status_code: 409, .. } => true,
        Error::DockerResponseServerError { message, .. } => message.contains("name is already in use"),
        _ => false,
    }
}

/// Frees a name if a stopped container of this workload has it.
pub(crate) async fn make_free(engine: &Engine, name: &str, spec: &WorkloadSpec) -> Result<Holder, Error> {
    let seen = match engine.inspect(name).await {
        Err(error) if is_missing(&error) => return Ok(Holder::Nobody),
        seen => seen?,
    };
    if seen.owner() != (Some(&spec.host_id), Some(&spec.uid)) {
        return Ok(Holder::Foreign);
    }
    if observe::runs(&seen) {
        return Ok(Holder::OwnRunning);
    }
    if let Some(id) = seen.id() {
        removal::force_remove(engine, id).await?;
    }
    Ok(Holder::Nobody)
}
