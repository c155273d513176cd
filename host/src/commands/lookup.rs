//! Finds one workload: its records, its owner, and the owner's observation of it.
//!
//! Called by the commands. It changes nothing, except that it sets a corrupt status record aside.
use crate::commands::context::Context;
use crate::commands::nesting::refuse_blindness;
use std::sync::Arc;
use wharf_model::{Advice, EARLIER_IMPORT, Error, ErrorKind, Result, nearest};
use wharf_model::{RunConfig, StatusRecord, WorkloadName};
use wharf_records::{Listing, OperationLock, ReadError, RecordKind};
use wharf_runtimes::{RuntimeClient, ask_owner, connect_owner, handle_of};
use wharf_sdk::{Handle, Observation};

/// The owner of a workload, and its last observation.
pub(crate) struct AtOwner {
    pub(crate) client: Arc<RuntimeClient>,
    pub(crate) seen: Option<Observation>,
}

impl AtOwner {
    /// The handle in the observation, if there is one.
    ///
    /// # Errors
    /// The owner shows the workload without a handle.
    pub(crate) fn shown_handle(&self, run: &RunConfig) -> Result<Option<Handle>> {
        let Some(seen) = &self.seen else { return Ok(None) };
        let unreachable = || {
            let message =
                format!("the runtime '{}' has it, and does not say how to reach it", run.runtime_name);
            Error::new(ErrorKind::Owner, message).while_doing(format!("'{}'", run.name))
        };
        seen.handle.clone().map(Some).ok_or_else(unreachable)
    }
}

/// Reads all RunConfigs.
///
/// # Errors
/// They cannot be read; or none is found inside a workload that hides them.
pub(crate) fn run_configs(context: &Context) -> Result<Listing<RunConfig>> {
    let found = context.store().list_run_configs();
    if found.as_ref().map_or(true, Vec::is_empty) {
        refuse_blindness(context)?;
    }
    Ok(found?)
}

/// The RunConfig of a workload that must exist.
pub(crate) fn read_run_config(context: &Context, name: &WorkloadName) -> Result<RunConfig> {
    context.store().read_run_config(name).map_err(|error| not_found(context, name, error))
}

/// True if there is no RunConfig of this name.
pub(crate) fn is_gone(context: &Context, name: &WorkloadName) -> bool {
    context.store().read_run_config(name).is_err_and(|error| error.is_not_found())
}

/// The status record, if there is one.
pub(crate) fn read_record(context: &Context, name: &WorkloadName) -> Result<Option<StatusRecord>> {
    match context.store().read_status(name) {
        Ok(record) => Ok(Some(record)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The status record, for a command that holds the operation lock. A corrupt one is set aside, with all its bytes; the
/// owner is asked for the facts.
pub(crate) fn record_or_set_aside(
    context: &Context,
    operation: &OperationLock,
) -> Result<Option<StatusRecord>> {
    let name = operation.name();
    match context.store().read_status(name) {
        Err(error) if error.is_corrupt() => {
            let aside = context.store().quarantine(RecordKind::Status, operation)?;
            tracing::warn!(%name, aside = %aside.display(), "a corrupt status record was set aside");
            Ok(None)
        }
        _ => read_record(context, name),
    }
}

/// The handle with which the owner finds the workload: the recorded one, or the one in a listing if none is recorded,
/// because a supervisor died between a deployment and the record.
pub(crate) async fn find_handle(
    context: &Context,
    run: &RunConfig,
    record: Option<&StatusRecord>,
    client: &RuntimeClient,
) -> Result<Option<Handle>> {
    if let Some(handle) = recorded_handle(run, record)? {
        return Ok(Some(handle));
    }
    find_by_labels(context, run, client).await
}

/// The recorded handle. The handle of an earlier version's import belongs to another product, whose container we must not
/// end or remove; it is left out.
pub(crate) fn recorded_handle(run: &RunConfig, record: Option<&StatusRecord>) -> Result<Option<Handle>> {
    if run.is_of_earlier_import() { Ok(None) } else { handle_of(record) }
}

/// The error for a workload that an earlier version imported, with the next steps.
pub(crate) fn refuse_earlier_import(run: &RunConfig) -> Result<()> {
    if !run.is_of_earlier_import() {
        return Ok(());
    }
    let message = format!("'{}' cannot be run: {EARLIER_IMPORT}", run.name);
    let error = Error::new(ErrorKind::Conflict, message);
    Err(way_on(run).into_iter().fold(error, Error::advise))
}

/// The next steps for an import of an earlier version.
pub(crate) fn way_on(run: &RunConfig) -> Vec<Advice> {
    vec![Advice::Remove { name: run.name.to_string() }, Advice::ImportToolhive]
}

/// The handle of a workload, found by its labels alone.
pub(crate) async fn find_by_labels(
    context: &Context,
    run: &RunConfig,
    client: &RuntimeClient,
) -> Result<Option<Handle>> {
    let found = client.find(&context.host_id()?, run.uid.as_str()).await;
    found.map_err(|error| Error {
        kind: ErrorKind::Owner,
        ..Error::from(error).while_doing(format!("what there is of '{}' is not known", run.name))
    })
}

/// See [`ask_owner`].
pub(crate) async fn ask_at_owner(context: &Context, run: &RunConfig) -> Result<AtOwner> {
    let (client, seen) = ask_owner(context.plugins(), &context.host_id()?, run).await?;
    Ok(AtOwner { client, seen })
}

/// See [`connect_owner`].
pub(crate) async fn connect_to_owner(context: &Context, run: &RunConfig) -> Result<Arc<RuntimeClient>> {
    connect_owner(context.plugins(), &context.known_host_id()?, run).await
}

fn not_found(context: &Context, name: &WorkloadName, error: ReadError) -> Error {
    if let Err(blind) = refuse_blindness(context) {
        return blind;
    }
    if !error.is_not_found() {
        let is_corrupt = error.is_corrupt();
        let error = Error::from(error);
        return if is_corrupt { error.advise(Advice::Forget { name: name.to_string() }) } else { error };
    }
    let known = context.store().list_run_configs().unwrap_or_default();
    let nearest = nearest(name.as_str(), known.iter().map(|(other, _)| other.as_str()));
    let error = Error::new(ErrorKind::NotFound, format!("there is no workload named '{name}'"));
    match nearest {
        Some(nearest) => error.advise(Advice::AskFor { name: nearest.to_owned() }),
        None => error.advise(Advice::ListWorkloads),
    }
}
