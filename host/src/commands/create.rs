//! `run`: the one function that creates workloads (R01).
use crate::commands::context::Context;
use crate::commands::ends::Ends;
use crate::commands::locking::lock_operation;
use crate::commands::lookup::is_gone;
use crate::commands::nesting::refuse_nesting;
use crate::commands::request::{RunRequest, Started};
use crate::commands::start::{Wait, await_ready, spawn_supervisor, started};
use std::{net::IpAddr, sync::Arc};
use wharf_failpoint::{Point, reach};
use wharf_model::{Advice, Error, ErrorKind, Result, Setting};
use wharf_model::{
    Event, Instances, Owner, RestartPolicy, RunConfig, StatusRecord, Transport, Uid, WorkloadName,
};
use wharf_records::{Kept, OperationLock, StoreError};
use wharf_runtimes::{CallError, RuntimeClient};
use wharf_sdk::stamp::RuntimeStamp;
use wharf_sdk::{Capability, ErrorCode, HealthState, Instance, Source};
use wharf_supervisor::specification;
use wharf_supervisor::{Progress, StartMode};
use wharf_supervisor::{Surroundings, source as server};

/// The prefix of a capability that stands for an option of workloads; the option's name follows.
const OPTION: &str = "option.";
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
    let (run, operation) = create_until(context, &mut ends, request).await?;
    go_on_unless(context, &mut ends, &run).await?;
    let until = if wait { Wait::Ready } else { Wait::No };
    // Not interrupted by a signal: if the supervisor never got its task, the records would be left behind.
    let (supervisor, inherited) =
        spawn_supervisor(context, &run, operation, StartMode::Create, until).await?;
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

/// Creates a workload, unless a signal asks this process to end.
pub(crate) async fn create_until(
    context: &Context,
    ends: &mut Ends,
    request: &RunRequest,
) -> Result<(RunConfig, OperationLock)> {
    tokio::select! {
        // `create` writes all records without waiting in between, so if it is dropped here, nothing is recorded.
        created = create(context, request) => return created,
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
async fn create(context: &Context, request: &RunRequest) -> Result<(RunConfig, OperationLock)> {
    refuse_nesting(context)?;
    check_request(request)?;
    let host_id = context.host_id()?;
    context.store().state().make_logs().map_err(StoreError::from)?;
    let surroundings = surroundings(context);
    let (source, server) = server::parse(&request.server, surroundings)
        .map_err(|error| Error::new(ErrorKind::Usage, error.to_string()))?;
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
        run.working_dir = working_dir.clone();
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
    let mut spec = specification(context.config(), &run, client.stamp(), &host_id, run.target_port.max(1))?;
    run.pinned = client.pin(&spec).await.map_err(refused)?;
    spec.pinned = run.pinned.clone();
    client.validate(&spec).await.map_err(refused)?;
    let operation = reserve(context, &mut run, &names, request.name.is_some()).await?;
    let mut record = StatusRecord::new(run.uid.clone());
    record.apply(Event::StartBegun).map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))?;
    record_first(context, &run, record)?;
    reach(Point::StartRecorded);
    Ok((run, operation))
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
    let secret = match run.auth().has_secret() {
        true => context.store().make_proxy_secret(&run.name, &run.uid, run.auth()).map(drop),
        false => Ok(()),
    };
    reach(Point::ProxySecretMade);
    let written = secret
        .and_then(|()| context.store().update_status::<StoreError>(&run.name, &run.uid, |_| Ok(record)));
    let Err(error) = written else { return Ok(()) };
    Err(take_records_back(context, run, error.into()))
}

/// Removes the records of a workload of which no runtime has anything yet; `cause` is the error to return.
pub(crate) fn take_records_back(context: &Context, run: &RunConfig, cause: Error) -> Error {
    let points = [Point::StatusRemoved, Point::RunConfigRemoved];
    match context.store().remove_records(&run.name, &run.uid, points) {
        Ok(()) => cause,
        Err(stays) => cause
            .hint(format!("what was left could not be cleared up ({stays})"))
            .advise(Advice::Remove { name: run.name.to_string() }),
    }
}

fn surroundings(context: &Context) -> Surroundings<'_> {
    Surroundings { current_dir: &context.config().current_dir, search_path: &context.config().search_path }
}

fn check_request(request: &RunRequest) -> Result<()> {
    let usage = |message: String| Err(Error::new(ErrorKind::Usage, message));
    if let Some(name) = &request.name {
        WorkloadName::new(name.as_str())?;
    }
    if request.transport == Transport::Sse {
        return usage("the transport 'sse' is not supported; use stdio or streamable-http".to_owned());
    }
    if request.transport == Transport::Stdio && request.target_port != 0 {
        return usage("a target port goes with the transport streamable-http".to_owned());
    }
    if request.transport != Transport::Stdio && !request.instances.is_shared() {
        return usage(
            "a server that speaks HTTP tells its sessions apart itself: one serves them all".to_owned(),
        );
    }
    if request.host.parse::<IpAddr>().is_err() {
        return usage(format!("'{}' is no IP address", request.host));
    }
    wharf_supervisor::check_exposure(&request.host, request.auth)?;
    if let Some(origin) = request.allowed_origins.iter().find(|origin| !is_origin(origin)) {
        return usage(format!(
            "'{origin}' is no origin of a page; write scheme://host or scheme://host:port"
        ));
    }
    match request.env.keys().find(|key| key.is_empty() || key.contains(['=', '\0'])) {
        Some(key) => usage(format!("'{key}' is no name for a variable")),
        None => Ok(()),
    }
}

/// The runtime for a request: the one that is named, the user's default, or the available one with the highest priority
/// among those that accept this kind of SERVER.
async fn choose_runtime(
    context: &Context,
    host_id: &str,
    request: &RunRequest,
    source: Source,
) -> Result<(Arc<RuntimeClient>, Instance, Source)> {
    let named = request.runtime.as_ref().or(context.config().default_runtime.as_ref());
    if let Some(name) = named.or(context.config().settings.default_runtime.as_ref()) {
        let provided = context.plugins().catalog().find(name).map_err(Error::from)?;
        check_options(request, provided.runtime)?;
        let client = context.plugins().connect_with(name, &request.runtime_options, host_id).await?;
        let source = as_accepted(context, source, &client);
        let instance = available(&client).await.map_err(|unusable| unusable.error)?;
        return Ok((client, instance, source));
    }
    let catalog = context.plugins().catalog();
    let nobody = |kind: &str| {
        !catalog.runtimes().iter().any(|provided| provided.runtime.accepts.iter().any(|it| it == kind))
    };
    // If no plugin runs images, a name that is no command in PATH is not taken for an image, so that the error is about a
    // missing command.
    let source = match source {
        Source::Image { reference } if nobody("image") && !nobody("command") => command(context, reference),
        other => other,
    };
    let mut accepting: Vec<_> = catalog
        .runtimes()
        .into_iter()
        .filter(|provided| !provided.shadowed)
        .filter(|provided| provided.runtime.accepts.iter().any(|kind| kind == source.kind()))
        .filter(|provided| check_options(request, provided.runtime).is_ok())
        .collect();
    accepting.sort_by_key(|provided| std::cmp::Reverse(provided.runtime.priority));
    let mut unusable: Vec<Unusable> = Vec::new();
    for provided in accepting {
        let (name, options) = (&provided.runtime.name, &request.runtime_options);
        let client = match context.plugins().connect_with(name, options, host_id).await {
            Ok(client) => client,
            Err(error) => {
                unusable.push(Unusable { error: error.into(), is_there: true });
                continue;
            }
        };
        match available(&client).await {
            Ok(instance) => {
                // The workload will run elsewhere than the user may expect.
                for Unusable { error, .. } in unusable.iter().filter(|it| it.is_there) {
                    tracing::warn!("{}; it is run by '{}'", error.message, client.name());
                }
                return Ok((client, instance, source));
            }
            Err(it) => unusable.push(it),
        }
    }
    let reasons: Vec<String> = unusable.into_iter().map(|it| it.error.message).collect();
    if catalog.runtimes().is_empty() {
        let error =
            Error::new(ErrorKind::Owner, "no plugin that can be used was found, so nothing can be run");
        return Err(error.advise(Advice::Diagnose));
    }
    Err(nothing_runs(&source, &reasons))
}

/// A name that is no command in PATH is taken for an image, unless the named runtime only runs commands.
fn as_accepted(context: &Context, source: Source, client: &RuntimeClient) -> Source {
    let accepts = |kind: &str| client.stamp().accepts.iter().any(|accepted| accepted == kind);
    match source {
        Source::Image { reference } if accepts("command") && !accepts("image") => command(context, reference),
        other => other,
    }
}

fn command(context: &Context, program: String) -> Source {
    if program.contains('/') {
        return Source::Command { program: context.config().current_dir.join(program).display().to_string() };
    }
    Source::Command { program }
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

/// A specification that the runtime calls invalid is wrong usage: nothing was tried yet.
fn refused(error: CallError) -> Error {
    let is_usage = error.code() == Some(ErrorCode::InvalidArgument);
    let mut error = Error::from(error);
    if is_usage {
        error.kind = ErrorKind::Usage;
    }
    error
}

/// Refuses a policy that forbids a restart, for a runtime that restarts workloads by itself: it does not know policies.
fn check_restart_policy(run: &RunConfig, runtime: &RuntimeStamp) -> Result<()> {
    let always = matches!(run.restart, RestartPolicy::Always | RestartPolicy::UnlessStopped);
    if always || !runtime.has(&Capability::RESTARTS_ITSELF) {
        return Ok(());
    }
    let message = format!(
        "the runtime '{}' restarts workloads by itself, and cannot be told when not to",
        runtime.name
    );
    Err(Error::new(ErrorKind::Usage, message)
        .advise(Advice::Choose { setting: Setting::Restart, value: Some("unless-stopped".to_owned()) }))
}

/// The servers of sessions are told apart from the workload's own by their labels.
fn check_instances(run: &RunConfig, runtime: &RuntimeStamp) -> Result<()> {
    if run.instances.is_shared() || runtime.has(&Capability::PARENT) {
        return Ok(());
    }
    let message = format!("the runtime '{}' cannot run a server for each session", runtime.name);
    let shared = Some(Instances::Shared.as_str().to_owned());
    Err(Error::new(ErrorKind::Usage, message)
        .advise(Advice::Choose { setting: Setting::Instances, value: shared }))
}

/// Refuses an option that the runtime does not declare, by name: the runtime would ignore it.
fn check_options(request: &RunRequest, runtime: &RuntimeStamp) -> Result<()> {
    let takes = |option: &str| {
        let declared = runtime.capabilities.iter().filter_map(|it| it.as_str().strip_prefix(OPTION));
        declared.into_iter().any(|declared| declared == option)
    };
    match request.runtime_options.keys().find(|option| !takes(option)) {
        Some(option) => {
            let message = format!("the runtime '{}' has no option '{option}'", runtime.name);
            Err(Error::new(ErrorKind::Usage, message)
                .advise(Advice::ShowRuntime { name: runtime.name.clone() }))
        }
        None => Ok(()),
    }
}

/// A runtime that cannot be used for a new workload.
struct Unusable {
    error: Error,
    /// It is installed on this machine, or has left traces here.
    is_there: bool,
}

/// The instance of a runtime, if it can be used. Both questions are asked at once, since an engine may need some time for
/// each.
async fn available(client: &RuntimeClient) -> std::result::Result<Instance, Unusable> {
    let silent = |error: CallError| Unusable { error: error.into(), is_there: true };
    let (health, instance) = tokio::join!(client.health(), client.instance());
    let health = health.map_err(silent)?;
    let is_there = match health.state {
        HealthState::Healthy => return instance.map_err(silent),
        HealthState::Unhealthy => true,
        HealthState::Undetected => false,
    };
    let message = format!("the runtime '{}' cannot be used: {}", client.name(), health.message);
    let error = Error::new(ErrorKind::Owner, message);
    let error = if health.remedy.is_empty() { error } else { error.hint(health.remedy) };
    let error = error.advise(Advice::CheckRuntimes);
    Err(Unusable { error, is_there })
}

fn nothing_runs(source: &Source, reasons: &[String]) -> Error {
    let what = match source {
        Source::Image { reference } => {
            format!("'{reference}' is no command in PATH, and no available runtime runs images")
        }
        other => format!("no available runtime runs a {}", other.kind()),
    };
    let error = if reasons.is_empty() { what } else { format!("{what} ({})", reasons.join("; ")) };
    let error = Error::new(ErrorKind::Owner, error);
    match source {
        Source::Image { .. } => {
            error.hint("give a path or a package (npx://…, uvx://…)").advise(Advice::ListRuntimes)
        }
        _ => error.advise(Advice::ListRuntimes).advise(Advice::Diagnose),
    }
}

/// Whether a browser could send this as `Origin`: a scheme and a host, perhaps with a port. Wildcards are refused.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let host = host.strip_suffix('/').unwrap_or(host);
    let is_host = !host.is_empty()
        && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '[' | ']'));
    is_scheme && is_host
}

fn candidate_names(request: &RunRequest) -> Result<Vec<WorkloadName>> {
    if let Some(name) = &request.name {
        return Ok(vec![WorkloadName::new(name.as_str())?]);
    }
    let base = server::base_name(&request.server);
    let mut names = vec![WorkloadName::new(base.as_str())?];
    for number in 2..=NAME_ATTEMPTS {
        names.push(WorkloadName::new(format!("{base}-{number}"))?);
    }
    Ok(names)
}

fn run_config(request: &RunRequest, name: WorkloadName, server: &str, source: &Source) -> Result<RunConfig> {
    let uid = Uid::random()
        .map_err(|error| Error::caused(ErrorKind::Failed, "no random uid can be made", &error))?;
    let mut run = RunConfig::new(uid, name, server);
    match source {
        Source::Image { reference } => (run.image, run.server) = (reference.clone(), String::new()),
        Source::Command { program } => run.server = program.clone(),
        Source::Package { .. } => {}
    }
    run.transport = request.transport;
    run.host = request.host.clone();
    run.port = request.proxy_port;
    run.proxy_auth = Some(request.auth);
    run.unix_socket = request.unix_socket;
    run.allowed_origins = request.allowed_origins.clone();
    run.target_port = request.target_port;
    run.cmd_args = request.args.clone();
    run.env_vars = request.env.clone();
    run.secrets = request.secrets.clone();
    run.volumes = request.volumes.clone();
    run.labels = request.labels.clone();
    run.group = request.group.clone();
    run.user = request.user.clone().unwrap_or_default();
    run.pull = request.pull;
    run.permission_profile = request.permission_profile.clone();
    run.cpus = request.cpus;
    run.memory_bytes = request.memory_bytes;
    run.pids_limit = request.pids_limit;
    run.allow_weaker = request.allow_weaker;
    run.restart = request.restart;
    run.instances = request.instances;
    Ok(run)
}
