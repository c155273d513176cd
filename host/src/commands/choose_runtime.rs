//! Which runtime runs what a request asks for, before anything is written.
use crate::commands::context::Context;
use crate::commands::request::RunRequest;
use std::sync::Arc;
use wharf_model::{Advice, Error, ErrorKind, Result};
use wharf_runtimes::{CallError, RuntimeClient};
use wharf_sdk::stamp::RuntimeStamp;
use wharf_sdk::{HealthState, Instance, Source};

/// The beginning of a capability that is an option of workloads: its name follows.
const OPTION: &str = "option.";

/// The runtime for a request: the one that is named, the user's default, or among those that accept this kind of
/// SERVER the available one with the highest priority.
pub(crate) async fn choose_runtime(
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
    // Where no plugin runs images, what is no command in PATH is one that was not found.
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
                // It is run elsewhere than its user may look for it.
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

/// What is no command in PATH is taken for an image, unless the runtime that was named runs commands alone: then
/// it is a command that was not found, or a path.
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

/// An option that a runtime does not declare is refused by name: it would be ignored.
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

/// A runtime that nothing can be made with.
struct Unusable {
    error: Error,
    /// This machine has it, or traces of it.
    is_there: bool,
}

/// The instance of a runtime that can be used. Both are asked at once, since an engine may take its time over each.
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
