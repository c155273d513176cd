//! Chooses the runtime for a request, before anything is written.
use crate::commands::context::Context;
use crate::commands::request::RunRequest;
use std::{collections::BTreeMap, sync::Arc};
use wharf_model::{Advice, Error, ErrorKind, Result, Setting};
use wharf_runtimes::{CallError, Catalog, RuntimeClient};
use wharf_sdk::stamp::RuntimeStamp;
use wharf_sdk::{HealthState, Instance, Source};

/// The prefix of a capability that stands for an option of workloads; the option's name follows.
const OPTION: &str = "option.";

/// The runtime for a request: the one that is named, the user's default, or the available one with the highest priority
/// among those that accept this kind of SERVER.
pub(crate) async fn choose_runtime(
    context: &Context,
    host_id: &str,
    request: &RunRequest,
    source: Source,
) -> Result<(Arc<RuntimeClient>, Instance, Source)> {
    let named = request.runtime.as_ref().or(context.config().default_runtime.as_ref());
    if let Some(name) = named.or(context.config().settings.default_runtime.as_ref()) {
        let catalog = context.plugins().catalog();
        let (provided, options) = (catalog.find(name).map_err(Error::from)?, &request.runtime_options);
        check_options(options, provided.runtime)
            .map_err(|error| with_takers(error, options, known(catalog).into_iter()))?;
        let client = context.plugins().connect_with(name, &request.runtime_options, host_id).await?;
        let source = as_accepted(context, request, source, &client);
        let instance =
            available(&client, &request.runtime_options).await.map_err(|unusable| unusable.error)?;
        return Ok((client, instance, source));
    }
    let catalog = context.plugins().catalog();
    let nobody = |kind: &str| {
        !catalog.runtimes().iter().any(|provided| provided.runtime.accepts.iter().any(|it| it == kind))
    };
    // If no plugin runs images, a name that is no command in PATH is not taken for an image, so that the error is about a
    // missing command.
    let source = match source {
        Source::Image { reference } if !request.is_image && nobody("image") && !nobody("command") => {
            command(context, reference)
        }
        other => other,
    };
    let mut accepting: Vec<_> = catalog
        .runtimes()
        .into_iter()
        .filter(|provided| !provided.shadowed)
        .filter(|provided| provided.runtime.accepts.iter().any(|kind| kind == source.kind()))
        .collect();
    let stamps = accepting.iter().map(|provided| provided.runtime);
    if let Some(refused) = refused_by_all(&source, &request.runtime_options, stamps) {
        return Err(with_takers(refused, &request.runtime_options, known(catalog).into_iter()));
    }
    accepting.retain(|provided| check_options(&request.runtime_options, provided.runtime).is_ok());
    accepting.sort_by_key(|provided| std::cmp::Reverse(provided.runtime.priority));
    let mut unusable: Vec<Unusable> = Vec::new();
    for provided in accepting {
        let (name, options) = (&provided.runtime.name, &request.runtime_options);
        if let Some(reason) = context.plugins().set_aside(name) {
            unusable.push(Unusable { error: Error::new(ErrorKind::Owner, reason), is_there: true });
            continue;
        }
        let client = match context.plugins().connect_with(name, options, host_id).await {
            Ok(client) => client,
            Err(error) => {
                unusable.push(Unusable { error: error.into(), is_there: true });
                continue;
            }
        };
        match available(&client, options).await {
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
    if catalog.runtimes().is_empty() {
        let error =
            Error::new(ErrorKind::Owner, "no plugin that can be used was found, so nothing can be run");
        return Err(error.advise(Advice::Diagnose));
    }
    let nothing = nothing_runs(&source, unusable);
    Err(with_takers(nothing, &request.runtime_options, known(catalog).into_iter()))
}

/// The runtimes that names lead to.
fn known(catalog: &Catalog) -> Vec<&RuntimeStamp> {
    let provided = catalog.runtimes().into_iter().filter(|provided| !provided.shadowed);
    provided.map(|provided| provided.runtime).collect()
}

/// The error with the runtimes that have these options: one may run only what names it, as a cluster does.
fn with_takers<'a>(
    error: Error,
    options: &BTreeMap<String, String>,
    runtimes: impl Iterator<Item = &'a RuntimeStamp>,
) -> Error {
    let takes = |runtime: &&RuntimeStamp| !options.is_empty() && check_options(options, runtime).is_ok();
    runtimes.filter(takes).fold(error, |error, runtime| {
        error.advise(Advice::Choose { setting: Setting::Runtime, value: Some(runtime.name.clone()) })
    })
}

/// A name that is no command in PATH is taken for an image, unless the named runtime only runs commands, and nobody has said
/// that it is one.
pub(crate) fn as_accepted(
    context: &Context,
    request: &RunRequest,
    source: Source,
    client: &RuntimeClient,
) -> Source {
    let accepts = |kind: &str| client.stamp().accepts.iter().any(|accepted| accepted == kind);
    match source {
        Source::Image { reference } if !request.is_image && accepts("command") && !accepts("image") => {
            command(context, reference)
        }
        other => other,
    }
}

fn command(context: &Context, program: String) -> Source {
    if program.contains('/') {
        return Source::Command { program: context.config().current_dir.join(program).display().to_string() };
    }
    Source::Command { program }
}

/// Refuses an option that the runtime does not declare, by name: the runtime would ignore it.
pub(crate) fn check_options(options: &BTreeMap<String, String>, runtime: &RuntimeStamp) -> Result<()> {
    let takes = |option: &str| {
        let declared = runtime.capabilities.iter().filter_map(|it| it.as_str().strip_prefix(OPTION));
        declared.into_iter().any(|declared| declared == option)
    };
    match options.keys().find(|option| !takes(option)) {
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
async fn available(
    client: &RuntimeClient,
    options: &BTreeMap<String, String>,
) -> std::result::Result<Instance, Unusable> {
    let check = || Advice::check(client.name(), options.clone());
    let silent = |error: CallError| {
        let error = Error::from(error).while_doing(format!("the runtime '{}' cannot be used", client.name()));
        let error = Error { kind: ErrorKind::Owner, ..error }.advise(check());
        Unusable { error, is_there: true }
    };
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
    let error = error.advise(check());
    Err(Unusable { error, is_there })
}

/// The refusal of options that no runtime has which runs this kind of SERVER: asking again later would not help. None where
/// one has them, be it away, and where none runs this kind: then the request is not at fault.
fn refused_by_all<'a>(
    source: &Source,
    options: &BTreeMap<String, String>,
    runtimes: impl Iterator<Item = &'a RuntimeStamp>,
) -> Option<Error> {
    let mut refusals = Vec::new();
    for runtime in runtimes {
        refusals.push(check_options(options, runtime).err()?);
    }
    if refusals.is_empty() {
        return None;
    }
    let what = match source {
        Source::Image { reference } => {
            format!("'{reference}' is no command in PATH, and no runtime of images has these options")
        }
        other => format!("no runtime that runs a {} has these options", other.kind()),
    };
    let reasons: Vec<&str> = refusals.iter().map(|error| error.message.as_str()).collect();
    let error = Error::new(ErrorKind::Usage, format!("{what} ({})", reasons.join("; ")));
    let steps = refusals.into_iter().flat_map(|error| error.advice);
    Some(steps.fold(error, Error::advise))
}

/// With the way out of each runtime that is installed here: whoever has an engine that is down wants that engine.
fn nothing_runs(source: &Source, unusable: Vec<Unusable>) -> Error {
    let what = match source {
        Source::Image { reference } => {
            format!("'{reference}' is no command in PATH, and no available runtime runs images")
        }
        other => format!("no available runtime runs a {}", other.kind()),
    };
    let reasons: Vec<&str> = unusable.iter().map(|it| it.error.message.as_str()).collect();
    let message = if reasons.is_empty() { what } else { format!("{what} ({})", reasons.join("; ")) };
    let mut error = Error::new(ErrorKind::Owner, message);
    for step in unusable.into_iter().filter(|it| it.is_there).flat_map(|it| it.error.advice) {
        if !error.advice.contains(&step) {
            error = error.advise(step);
        }
    }
    match source {
        Source::Image { .. } => {
            error.hint("give a path or a package (npx://…, uvx://…)").advise(Advice::ListRuntimes)
        }
        _ => error.advise(Advice::ListRuntimes).advise(Advice::Diagnose),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_sdk::Capability;

    fn runtime(name: &str, option: &str) -> RuntimeStamp {
        let capability: Capability = serde_json::from_value(format!("{OPTION}{option}").into()).unwrap();
        RuntimeStamp { name: name.to_owned(), capabilities: vec![capability], accepts: vec![], priority: 0 }
    }

    #[test]
    fn options_that_no_runtime_has_are_wrong_usage_and_each_tells_why() {
        let source = Source::Command { program: "/bin/true".to_owned() };
        let refusal = |option: &str, runtimes: &[RuntimeStamp]| {
            let options = BTreeMap::from([(option.to_owned(), "x".to_owned())]);
            refused_by_all(&source, &options, runtimes.iter())
        };
        let both = [runtime("process", "nice"), runtime("other", "namespace")];
        let refused = refusal("surprise", &both).unwrap();
        assert_eq!(refused.kind, ErrorKind::Usage, "{refused}");
        for name in ["process", "other"] {
            let why = format!("the runtime '{name}' has no option 'surprise'");
            assert!(refused.message.contains(&why), "{refused}");
            assert!(refused.advice.contains(&Advice::ShowRuntime { name: name.to_owned() }), "{refused}");
        }
        assert!(refusal("namespace", &both).is_none(), "one has it, there or away");
        assert!(refusal("surprise", &[]).is_none(), "where nothing runs it, no option is at fault");
        assert!(refused_by_all(&source, &BTreeMap::new(), both.iter()).is_none());
    }

    #[test]
    fn an_error_about_options_names_the_runtimes_that_have_them() {
        let all = [runtime("process", "nice"), runtime("kubernetes", "namespace")];
        let told = |options: &[&str]| {
            let options = options.iter().map(|option| ((*option).to_owned(), "x".to_owned())).collect();
            let error = Error::new(ErrorKind::Usage, "refused");
            with_takers(error, &options, all.iter()).advice
        };
        let named = Advice::Choose { setting: Setting::Runtime, value: Some("kubernetes".to_owned()) };
        assert_eq!(told(&["namespace"]), [named]);
        assert!(told(&["namespace", "nice"]).is_empty(), "none has both");
        assert!(told(&[]).is_empty(), "no option is at fault");
    }
}
