//! One snapshot for several workloads. Where one of them has no owner, every runtime is asked, and whoever might have it
//! and gave no answer is named (R07).
use crate::commands::context::Context;
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;
use wharf_model::RunConfig;
use wharf_model::{Claim, Resource, claim, claim_among};
use wharf_model::{Result, chain};
use wharf_runtimes::{
    ForeignResource, InstanceProof, Observed, Scope, may_have_strangers, observe, observe_all,
    observe_strangers,
};
use wharf_sdk::{HealthState, ListQuery};

/// How long a runtime that gave no list may take to say that there is nothing of it on this machine.
const ENGINE_DENIAL_DEADLINE: Duration = Duration::from_secs(2);

/// What the runtimes showed.
#[derive(Default)]
pub(crate) struct Discovery {
    /// Their answers.
    pub(crate) observed: Observed,
    resources: Vec<Resource>,
    silent: Vec<String>,
}

impl Discovery {
    /// Whose a workload without an owner is.
    pub(crate) fn claim(&self, run: &RunConfig) -> Claim {
        claim(run.uid.as_str(), &self.resources, &self.silent)
    }
}

/// What the runtimes showed of another product's.
#[derive(Default)]
pub(crate) struct ForeignDiscovery {
    sightings: Vec<ForeignResource>,
    silent: Vec<String>,
}

impl ForeignDiscovery {
    /// Everything that was seen.
    pub(crate) fn sightings(&self) -> &[ForeignResource] {
        &self.sightings
    }

    /// Whose is what this names.
    pub(crate) fn claim(&self, is_meant: impl Fn(&ForeignResource) -> bool) -> Claim {
        let meant = self.sightings.iter().filter(|sighting| is_meant(sighting));
        claim_among(meant.map(|sighting| &sighting.resource), &self.silent)
    }
}

/// True if it is nobody's, although it could be somebody's (R03, R07).
pub(crate) fn is_ownerless(run: &RunConfig) -> bool {
    !run.is_remote() && run.owner().is_none()
}

/// Asks the owners of these workloads; if one has none, every runtime. Their records must have been read before.
/// [`InstanceProof::Labels`] is for those who only show the answer. With [`Scope::Everything`] they are asked for all that
/// they have of this host, as those need who look for orphans.
pub(crate) async fn discover<'a>(
    context: &Context,
    runs: impl Iterator<Item = &'a RunConfig> + Clone,
    scope: Scope,
    proof: InstanceProof,
) -> Result<Discovery> {
    // Where there is nobody to ask no plugin is even looked for: it costs time, and plugins are told the host's
    // id, which may be made while the list is being watched.
    if runs.clone().all(RunConfig::is_remote) {
        return Ok(Discovery::default());
    }
    let host_id = match context.known_host_id() {
        Ok(host_id) => host_id,
        Err(error) => {
            let silent = vec![error.message.clone()];
            return Ok(Discovery { observed: Observed::blind(error.message), resources: Vec::new(), silent });
        }
    };
    if !runs.clone().any(is_ownerless) {
        let observed = observe(context.plugins(), &host_id, runs, scope, proof).await;
        return Ok(Discovery { observed, ..Discovery::default() });
    }
    // The other workloads' owners may have it too.
    let configs = context.store().list_run_configs()?;
    let all: Vec<&RunConfig> = configs.iter().filter_map(|(_, config)| config.as_ref().ok()).collect();
    let query = match scope {
        Scope::Everything => ListQuery::ALL,
        Scope::TheseAlone => ListQuery::these(runs.map(|run| run.uid.to_string())),
    };
    let observed = observe_all(context.plugins(), &host_id, all.iter().copied(), &query).await;
    let silent = silent(context, &host_id, &observed, &all).await?;
    Ok(Discovery { resources: observed.resources(), observed, silent })
}

/// Asks every runtime that may have it for what carries these labels and is no host's of wharf.
pub(crate) async fn discover_foreign(
    context: &Context,
    labels: &BTreeMap<String, String>,
) -> Result<ForeignDiscovery> {
    let configs = context.store().list_run_configs()?;
    let plugins = context.plugins();
    let host_id = context.known_host_id()?;
    let provided = plugins.catalog().runtimes();
    // What runs no images is neither asked nor missed.
    let concerns = |run: &&RunConfig| {
        let mut named = provided.iter().filter(|provided| provided.runtime.name == run.runtime_name);
        named.all(|provided| may_have_strangers(provided.runtime))
    };
    let all: Vec<&RunConfig> =
        configs.iter().filter_map(|(_, config)| config.as_ref().ok()).filter(concerns).collect();
    let observed = observe_strangers(plugins, &host_id, all.iter().copied(), labels).await;
    let silent = silent(context, &host_id, &observed, &all).await?;
    Ok(ForeignDiscovery { sightings: observed.sightings(), silent })
}

/// Who leaves a trace on this machine and gave no complete answer.
async fn silent(
    context: &Context,
    host_id: &str,
    observed: &Observed,
    configs: &[&RunConfig],
) -> Result<Vec<String>> {
    let named = named_runtimes(context, configs);
    let asked: Vec<(&str, &str)> = observed.silent().collect();
    let traces = join_all(asked.iter().map(|(runtime, _)| async {
        // One that is named was here before; any other may show that it never was.
        named.contains(*runtime) || leaves_a_trace(context, host_id, runtime).await
    }));
    let traces = traces.await;
    let mut silent: Vec<String> = asked
        .iter()
        .zip(traces)
        .filter(|(_, leaves_a_trace)| *leaves_a_trace)
        .map(|((runtime, reason), _)| format!("'{runtime}' ({reason})"))
        .collect();
    let displaced = observed.displaced(configs.iter().copied());
    let displaced = displaced.iter().filter(|(runtime, _)| asked.iter().all(|(name, _)| name != runtime));
    silent.extend(displaced.map(|(runtime, instance)| {
        format!("'{runtime}' at {instance} (another instance answers in its place)")
    }));
    let catalog = context.plugins().catalog();
    let provided: BTreeSet<&str> =
        catalog.runtimes().iter().map(|provided| provided.runtime.name.as_str()).collect();
    let missing = named
        .iter()
        .filter(|name| !provided.contains(name.as_str()) && asked.iter().all(|(asked, _)| asked != name));
    silent.extend(missing.map(|name| format!("'{name}' (no plugin provides it)")));
    silent.extend(catalog.libraries().iter().filter_map(|library| {
        let error = library.stamp.as_ref().err()?;
        Some(format!("{} ({})", library.path.display(), chain(error)))
    }));
    let present = |file: &String| {
        let files = catalog.libraries().iter().filter_map(|library| library.path.file_name());
        files.into_iter().any(|name| name == file.as_str())
    };
    let pinned = context.config().pins.keys().filter(|file| !present(file));
    silent.extend(pinned.map(|file| format!("{file} (a plugin that was pinned, and is not there)")));
    Ok(silent)
}

/// The runtimes that workloads, the settings and what lies in the data directory speak of.
fn named_runtimes(context: &Context, configs: &[&RunConfig]) -> BTreeSet<String> {
    let config = context.config();
    let owners = configs.iter().filter_map(|run| run.owner()).map(|owner| owner.runtime_name);
    let settings = config.settings.default_runtime.iter().chain(config.settings.runtimes.keys()).cloned();
    // The folder of a runtime is made when it is asked for the first time: an empty one is no trace.
    let folders = fs::read_dir(config.data_dir.join("runtimes")).into_iter().flatten().flatten();
    let used = folders.filter(|folder| fs::read_dir(folder.path()).is_ok_and(|mut it| it.next().is_some()));
    let used = used.filter_map(|folder| folder.file_name().into_string().ok());
    owners.chain(settings).chain(used).collect()
}

/// Whether a runtime that gives no answer may have something here: only it itself can deny that.
async fn leaves_a_trace(context: &Context, host_id: &str, runtime: &str) -> bool {
    let denial = async {
        let client = context.plugins().connect(runtime, None, host_id).await.ok()?;
        Some(client.health().await.ok()?.state == HealthState::Undetected)
    };
    tokio::time::timeout(ENGINE_DENIAL_DEADLINE, denial).await.ok().flatten() != Some(true)
}
