//! The part that `run` and `edit` share: a request is checked, and becomes a RunConfig, before anything is changed.
use crate::commands::context::Context;
use crate::commands::request::{RunRequest, set_alike};
use crate::commands::volume;
use std::net::IpAddr;
use wharf_model::{Advice, Error, ErrorKind, Result, Setting};
use wharf_model::{Instances, RestartPolicy, RunConfig, Transport, Uid, WorkloadName};
use wharf_runtimes::CallError;
use wharf_sdk::stamp::RuntimeStamp;
use wharf_sdk::{Capability, ErrorCode, Source, WorkloadSpec};
use wharf_supervisor::{Surroundings, source as server};

/// The source that SERVER names, and the text to record.
pub(crate) fn source_of(context: &Context, request: &RunRequest) -> Result<(Source, String)> {
    if request.is_image && !request.server.trim().is_empty() {
        return Ok((Source::Image { reference: request.server.clone() }, request.server.clone()));
    }
    server::parse(&request.server, surroundings(context))
        .map_err(|error| Error::new(ErrorKind::Usage, error.to_string()))
}

/// From where relative paths and commands of a SERVER are looked up.
pub(crate) fn surroundings(context: &Context) -> Surroundings<'_> {
    Surroundings { current_dir: &context.config().current_dir, search_path: &context.config().search_path }
}

/// Checks a request by itself.
pub(crate) fn check_request(request: &RunRequest) -> Result<()> {
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
    if request.transport == Transport::Stdio && !request.target_path.is_empty() {
        return usage("a target path goes with the transport streamable-http".to_owned());
    }
    if !request.target_path.is_empty() && !wharf_proxy::is_path(&request.target_path) {
        return usage(format!("'{}' is no path of a URL, such as /api/mcp", request.target_path));
    }
    if let Some(host) = request.allowed_hosts.iter().find(|host| !wharf_proxy::is_host(host)) {
        return usage(format!("'{host}' is no name of a host; write name or name:port"));
    }
    if request.transport != Transport::Stdio && !request.instances.is_shared() {
        return usage(
            "a server that speaks HTTP tells its sessions apart itself: one serves them all".to_owned(),
        );
    }
    if address(&request.host).parse::<IpAddr>().is_err() {
        return usage(format!("'{}' is no IP address", request.host));
    }
    wharf_supervisor::check_exposure(address(&request.host), request.auth)?;
    if let Some(origin) = request.allowed_origins.iter().find(|origin| !wharf_proxy::is_origin(origin)) {
        return usage(format!(
            "'{origin}' is no origin of a page; write scheme://host or scheme://host:port"
        ));
    }
    if request.labels.contains_key("") {
        return usage("a label has a key: write KEY=VALUE".to_owned());
    }
    match request.env.keys().find(|key| key.is_empty() || key.contains(['=', '\0'])) {
        Some(key) => usage(format!("'{key}' is no name for a variable")),
        None => Ok(()),
    }
}

/// A specification that the runtime calls invalid, or that it cannot honour, is wrong usage: nothing was tried yet, and asking
/// again later would not help. Where the runtime lacks a capability, those that have it are named.
pub(crate) fn refused(
    context: &Context,
    (spec, runtime): (&WorkloadSpec, &RuntimeStamp),
    error: CallError,
) -> Error {
    let is_usage = matches!(error.code(), Some(ErrorCode::InvalidArgument | ErrorCode::Unsupported));
    let able = match &error {
        CallError::Answered(answered) if answered.code == ErrorCode::Unsupported => {
            let field = answered.details.as_ref().and_then(|details| details["field"].as_str());
            let mut able = able(context, spec, field.unwrap_or_default());
            // It may have the capability, and not for this value.
            able.retain(|name| name.as_str() != runtime.name.as_str());
            able
        }
        _ => Vec::new(),
    };
    let mut error = Error::from(error);
    if is_usage {
        error.kind = ErrorKind::Usage;
    }
    if able.is_empty() { error } else { error.hint(format!("runtimes that can: {}", able.join(", "))) }
}

/// The runtimes that have the capability for a field of a specification, and run its kind of source.
fn able(context: &Context, spec: &WorkloadSpec, field: &str) -> Vec<String> {
    let needed = spec.requirements().into_iter().find(|(_, needs)| *needs == field);
    let Some((capability, _)) = needed else { return Vec::new() };
    let runtimes = context.plugins().catalog().runtimes().into_iter().filter(|provided| !provided.shadowed);
    let able = runtimes.map(|provided| provided.runtime).filter(|runtime| {
        let accepts =
            runtime.accepts.is_empty() || runtime.accepts.iter().any(|kind| kind == spec.source.kind());
        accepts && runtime.has(&capability)
    });
    able.map(|runtime| runtime.name.clone()).collect()
}

/// Refuses a policy that forbids a restart, for a runtime that restarts workloads by itself: it does not know policies.
pub(crate) fn check_restart_policy(run: &RunConfig, runtime: &RuntimeStamp) -> Result<()> {
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
pub(crate) fn check_instances(run: &RunConfig, runtime: &RuntimeStamp) -> Result<()> {
    if run.instances.is_shared() || runtime.has(&Capability::PARENT) {
        return Ok(());
    }
    let message = format!("the runtime '{}' cannot run a server for each session", runtime.name);
    let shared = Some(Instances::Shared.as_str().to_owned());
    Err(Error::new(ErrorKind::Usage, message)
        .advise(Advice::Choose { setting: Setting::Instances, value: shared }))
}

/// The address to listen on. The name of this machine's own loopback is none that anything else could have.
fn address(host: &str) -> &str {
    if host.eq_ignore_ascii_case("localhost") { "127.0.0.1" } else { host }
}

/// The port that the server listens on: the one that was asked for, or that a variable tells it which wharf would set.
fn target_port(request: &RunRequest) -> u16 {
    let told = wharf_supervisor::PORT_VARIABLES.iter().find_map(|name| request.env.get(*name)?.parse().ok());
    match request.transport {
        Transport::StreamableHttp if request.target_port == 0 => told.unwrap_or_default(),
        _ => request.target_port,
    }
}

/// The RunConfig of a request: with a uid of its own, and without an owner.
pub(crate) fn run_config(
    request: &RunRequest,
    name: WorkloadName,
    server: &str,
    source: &Source,
) -> Result<RunConfig> {
    let uid = Uid::random()
        .map_err(|error| Error::caused(ErrorKind::Failed, "no random uid can be made", &error))?;
    let mut run = RunConfig::new(uid, name, server);
    match source {
        Source::Image { reference } => (run.image, run.server) = (reference.clone(), String::new()),
        Source::Command { program } => run.server = program.clone(),
        Source::Package { .. } => {}
    }
    run.transport = request.transport;
    run.host = address(&request.host).to_owned();
    run.port = request.proxy_port;
    run.proxy_auth = Some(request.auth);
    run.target_port = target_port(request);
    run.cmd_args = request.args.clone();
    run.env_vars = request.env.clone();
    run.secrets = request.secrets.clone();
    run.group = request.group.clone();
    run.user = request.user.clone().unwrap_or_default();
    run.volumes = request.volumes.iter().map(|given| volume::recorded(given)).collect();
    set_alike!(run, request);
    run.restart = request.restart;
    run.instances = request.instances;
    Ok(run)
}
