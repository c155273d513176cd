//! `run`: the one function that creates workloads (R01).
use crate::commands::choose_runtime::choose_runtime;
use crate::commands::context::Context;
use crate::commands::described::{
    check_instances, check_request, check_restart_policy, refused, run_config, source_of,
};
use crate::commands::ends::Ends;
use crate::commands::group::check_group;
use crate::commands::hand_over::{Wait, spawn_supervisor};
use crate::commands::locking::lock_operation;
use crate::commands::lookup::is_gone;
use crate::commands::nesting::refuse_nesting;
use crate::commands::request::{RunRequest, Started};
use crate::commands::start::{await_ready, started};
use wharf_failpoint::{Point, reach};
use wharf_model::{Advice, Error, ErrorKind, Result, Setting};
use wharf_model::{Event, Owner, RunConfig, StatusRecord, WorkloadName};
use wharf_records::{Kept, OperationLock, StoreError};
use wharf_sdk::{Capability, Source};
use wharf_supervisor::source as server;
use wharf_supervisor::specification;
use wharf_supervisor::{Progress, StartMode, choose_port};

/// The number of suffixes that are tried if a name that was derived from SERVER is taken.
const NAME_ATTEMPTS: u32 = 99;

/// Creates a workload and starts it. Returns when it is ready; without `wait`, when its supervisor has been started. If it
/// cannot be started, nothing is left but logs; without `wait`, it stays on record with the reason.
///
/// The order is the contract's: everything is validated before anything is written; the RunConfig with uid and owner is the
/// first file, written durably and exclusively, before anything is deployed. If a signal asks this process to end before
/// the supervisor is started, or while it is waited for, that is an error, and the workload is not started.
pub async fn run(
    context: &Context,
    request: &RunRequest,
    wait: bool,
    progress: &mut dyn Progress,
) -> Result<Started> {
    run_until(context, request, wait, progress, Ends::take()?).await
}

/// The same, until `ends` asks for its end.
pub(crate) async fn run_until(
    context: &Context,
    request: &RunRequest,
    wait: bool,
    progress: &mut dyn Progress,
    mut ends: Ends,
) -> Result<Started> {
    let Created { run, operation, closed } = create_until(context, &mut ends, request, wait).await?;
    closed.iter().for_each(|path| progress.closed(path));
    go_on_unless(context, &mut ends, &run).await?;
    let until = Wait::of(wait, Some(&ends));
    // Not interrupted by a signal: if the supervisor never got its task, the records would be left behind.
    let chosen_port = wait && request.proxy_port == 0;
    let (supervisor, inherited) =
        spawn_supervisor(context, &run, operation, StartMode::Create, until, chosen_port).await?;
    if !wait {
        return Ok(started(context, &run));
    }
    let ends = Some(&mut ends);
    let outcome = await_ready(context, &run, supervisor, inherited, StartMode::Create, progress, ends).await;
    if let Err(error) = &outcome {
        tracing::debug!(name = %run.name, %error, "the workload could not be started");
    }
    outcome
}

/// The paths of this machine that arguments of the request name, and that its workload will not see, although they could be
/// opened to it. Nothing is created.
///
/// # Errors
/// As of [`run`], as far as it has not written anything.
pub async fn closed_paths(context: &Context, request: &RunRequest) -> Result<Vec<String>> {
    drafted(context, request).await.map(|(_, closed)| closed)
}

/// A workload that was created, and does not run yet.
pub(crate) struct Created {
    /// Its RunConfig.
    pub(crate) run: RunConfig,
    /// The lock under which it is to be started.
    pub(crate) operation: OperationLock,
    /// The paths of this machine that its arguments name, and that it will not see.
    pub(crate) closed: Vec<String>,
}

/// Creates a workload, unless a signal asks this process to end. If its start will be waited for, its port is recorded
/// already; without a wait no port may be shown before the proxy listens on it.
pub(crate) async fn create_until(
    context: &Context,
    ends: &mut Ends,
    request: &RunRequest,
    is_waited_for: bool,
) -> Result<Created> {
    tokio::select! {
        // `create` writes all records without waiting in between, so if it is dropped here, nothing is recorded.
        created = create(context, request, is_waited_for) => return created,
        () = ends.next() => {}
    }
    Err(ends.interrupted("the creation"))
}

/// Fails if a signal has asked this process to end since it began; then the records of the new workload are removed.
pub(crate) async fn go_on_unless(context: &Context, ends: &mut Ends, run: &RunConfig) -> Result<()> {
    if !ends.has_come().await {
        return Ok(());
    }
    let cause = ends.interrupted(&format!("the creation of '{}'", run.name));
    Err(take_records_back(context, run, cause))
}

/// Creates a workload, which the caller then starts under the returned operation lock.
async fn create(context: &Context, request: &RunRequest, is_waited_for: bool) -> Result<Created> {
    let (mut run, closed) = drafted(context, request).await?;
    if is_waited_for && run.port == 0 {
        // If no port can be had at this address, the supervisor says why.
        run.port = choose_port(&run.host).await.unwrap_or_default();
    }
    let names = candidate_names(request)?;
    let operation = reserve(context, &mut run, &names, request.name.is_some()).await?;
    let mut record = StatusRecord::new(run.uid.clone());
    record.apply(Event::StartBegun).map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))?;
    record_first(context, &run, record)?;
    reach(Point::StartRecorded);
    Ok(Created { run, operation, closed })
}

/// The RunConfig of a workload that its runtime would run, under the first of its names, and the paths that are closed to it.
/// Nothing is written but the folder of the logs.
async fn drafted(context: &Context, request: &RunRequest) -> Result<(RunConfig, Vec<String>)> {
    refuse_nesting(context)?;
    check_request(request)?;
    // An exported workload may name none.
    if !request.group.is_empty() {
        check_group(&request.group)?;
    }
    let host_id = context.host_id()?;
    context.store().state().make_logs().map_err(StoreError::from)?;
    let (source, server) = source_of(context, request)?;
    let (client, instance, source) = choose_runtime(context, &host_id, request, source).await?;
    let owner = Owner {
        runtime_name: client.name().to_owned(),
        runtime_instance: instance.instance,
        runtime_endpoint: instance.endpoint,
    };
    let names = candidate_names(request)?;
    // The last name is the longest.
    if let (true, Some(name)) = (request.unix_socket, names.last()) {
        wharf_supervisor::check_client_socket(context.store().state(), name)?;
    }
    let mut run = run_config(request, names[0].clone(), &server, &source)?;
    if let Some(working_dir) = &request.working_dir {
        run.working_dir = match &source {
            Source::Image { .. } => working_dir.clone(),
            Source::Command { .. } | Source::Package { .. } => {
                context.config().current_dir.join(working_dir).display().to_string()
            }
        };
    } else if request.runs_here
        && matches!(source, Source::Command { .. })
        && client.stamp().has(&Capability::WORKING_DIR)
    {
        run.working_dir = context.config().current_dir.display().to_string();
    }
    run.runtime_options.clone_from(&request.runtime_options);
    run.set_owner(owner);
    check_restart_policy(&run, client.stamp())?;
    check_instances(&run, client.stamp())?;
    let spec = specification(context.config(), &run, client.stamp(), &host_id, run.target_port.max(1))?;
    let refused = |error| refused(context, (&spec, client.stamp()), error);
    let Some(pins) = client.pin(&spec).await.map_err(refused)? else {
        client.validate(&spec).await.map_err(refused)?;
        return Ok((run, Vec::new()));
    };
    // A runtime that pins has refused in that call what it would not deploy.
    run.set_pins(Some(&pins))?;
    Ok((run, pins.closed))
}

/// Writes the RunConfig, the first file of every workload, exclusively (R01), with unknown members of another product's
/// file. The caller holds the operation lock of its name.
pub(crate) fn enter(context: &Context, run: &RunConfig, kept: &Kept) -> std::result::Result<(), StoreError> {
    context.store().create_run_config_keeping(run, kept)?;
    // The logs of an earlier workload of this name are removed now.
    wharf_supervisor::clear_logs(context.store().state(), &run.name);
    reach(Point::RunConfigCreated);
    Ok(())
}

/// Writes the proxy secret and the first status record. If that fails, the RunConfig is removed.
pub(crate) fn record_first(context: &Context, run: &RunConfig, record: StatusRecord) -> Result<()> {
    let Err(error) = context.store().record_first(run, record) else { return Ok(()) };
    Err(take_records_back(context, run, error.into()))
}

/// Removes the records of a workload of which no runtime has anything yet; `cause` is the error to return.
pub(crate) fn take_records_back(context: &Context, run: &RunConfig, cause: Error) -> Error {
    let points = [Point::StatusRemoved, Point::RunConfigRemoved];
    match context.store().remove_records(&run.name, &run.uid, points) {
        Ok(()) => cause,
        Err(stays) => cause
            .hint(format!("left-over resources could not be removed ({stays})"))
            .advise(Advice::Remove { name: run.name.to_string() }),
    }
}

/// Takes a name: the operation lock first, then the RunConfig, exclusively.
async fn reserve(
    context: &Context,
    run: &mut RunConfig,
    names: &[WorkloadName],
    was_chosen: bool,
) -> Result<OperationLock> {
    for name in names {
        let operation = if was_chosen {
            lock_operation(context, name).await?
        } else if !is_gone(context, name) {
            continue;
        } else {
            match OperationLock::try_acquire(context.store().state(), name) {
                Err(error) if error.is_busy() => continue,
                other => other?,
            }
        };
        run.name = name.clone();
        match enter(context, run, &Kept::new()) {
            Ok(()) => return Ok(operation),
            Err(StoreError::AlreadyExists { .. }) if !was_chosen => {}
            Err(error @ StoreError::AlreadyExists { .. }) => {
                return Err(Error::from(error)
                    .advise(Advice::Choose { setting: Setting::Name, value: None })
                    .advise(Advice::Remove { name: name.to_string() }));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::new(ErrorKind::Conflict, format!("all names like '{}' are taken", names[0]))
        .advise(Advice::Choose { setting: Setting::Name, value: None }))
}

fn candidate_names(request: &RunRequest) -> Result<Vec<WorkloadName>> {
    if let Some(name) = &request.name {
        return Ok(vec![WorkloadName::new(name.as_str())?]);
    }
    let base = server::base_name(request.named_after.as_deref().unwrap_or(&request.server));
    let mut names = vec![WorkloadName::new(base.as_str())?];
    for number in 2..=NAME_ATTEMPTS {
        names.push(WorkloadName::new(format!("{base}-{number}"))?);
    }
    Ok(names)
}
