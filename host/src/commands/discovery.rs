//! One snapshot for several workloads. If one of them has no owner, every runtime is asked, and a runtime that might have
//! it and gave no answer is named (R07). `list`, `adopt`, `reconcile`, `forget` and `import` use it.
use crate::commands::context::Context;
use crate::commands::lookup::run_configs;
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;
use wharf_model::{Claim, Resource, claim, claim_among};
use wharf_model::{Evidence, Phase, RunConfig, StatusRecord};
use wharf_model::{Result, chain};
use wharf_runtimes::{
    ForeignResource, InstanceProof, Observed, Purpose, Scope, ask_owner, may_have_foreign, observe,
    observe_all, observe_foreign,
};
use wharf_sdk::{HealthState, LabelSelector, ListQuery, WorkloadState};

/// How long a runtime that gave no list may take to say that it is not on this machine.
const ENGINE_DENIAL_DEADLINE: Duration = Duration::from_secs(2);

/// The answers of the runtimes.
#[derive(Default)]
pub(crate) struct Discovery {
    /// Their answers.
    pub(crate) observed: Observed,
    resources: Vec<Resource>,
    silent: Vec<String>,
}

impl Discovery {
    /// The claim on a workload without an owner.
    pub(crate) fn claim(&self, run: &RunConfig) -> Claim {
        claim(run.uid.as_str(), &self.resources, &self.silent)
    }
}

/// The runtimes' resources of another product.
#[derive(Default)]
pub(crate) struct ForeignDiscovery {
    resources: Vec<ForeignResource>,
    silent: Vec<String>,
}

impl ForeignDiscovery {
    /// All these resources.
    pub(crate) fn resources(&self) -> &[ForeignResource] {
        &self.resources
    }

    /// The claim on the resources that `is_meant` selects.
    pub(crate) fn claim(&self, is_meant: impl Fn(&ForeignResource) -> bool) -> Claim {
        let meant = self.resources.iter().filter(|foreign| is_meant(foreign));
        claim_among(meant.map(|foreign| &foreign.resource), &self.silent)
    }
}

/// True of a workload without a recorded owner that is no remote server (R03, R07).
pub(crate) fn is_ownerless(run: &RunConfig) -> bool {
    !run.is_remote() && run.owner().is_none()
}

/// Asks the owners of these workloads, or every runtime if one of them has no owner. The caller has read their records
/// before. [`InstanceProof::Labels`] is for callers that only show the answer. With [`Scope::Everything`] the owners list
/// all resources of this host, which callers that look for orphans need.
pub(crate) async fn discover<'a>(
    context: &Context,
    runs: impl Iterator<Item = &'a RunConfig> + Clone,
    scope: Scope,
    proof: InstanceProof,
) -> Result<Discovery> {
    // If all are remote, no plugin is even searched: that takes time, and plugins are given the host id, which may be made
    // while a list is being watched.
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
    // The owners of the other workloads may have the resource, too.
    let configs = run_configs(context)?;
    let all: Vec<&RunConfig> = configs.iter().filter_map(|(_, config)| config.as_ref().ok()).collect();
    let query = match scope {
        Scope::Everything => ListQuery::ALL,
        Scope::TheseAlone => ListQuery::these(runs.map(|run| run.uid.to_string())),
    };
    let observed =
        observe_all(context.plugins(), &host_id, all.iter().copied(), &query, proof.purpose()).await;
    let silent = silent(context, &host_id, &observed, &all).await?;
    Ok(Discovery { resources: observed.resources(), observed, silent })
}

/// Asks once more, for each alone, about workloads that do not run by their records and that a listing shows as running. An
/// engine may look closer at one than at all: what it says of the one counts.
pub(crate) async fn look_closely<'a>(
    context: &Context,
    discovery: &mut Discovery,
    runs: impl Iterator<Item = (&'a RunConfig, &'a StatusRecord)>,
) {
    let Ok(host_id) = context.known_host_id() else { return };
    for (run, record) in runs {
        let rests = matches!(record.phase, Phase::Stopped | Phase::Error) && record.uid == run.uid;
        let evidence = discovery.observed.evidence(run);
        if !rests || !matches!(evidence, Evidence::Has(seen) if seen.state == WorkloadState::Running) {
            continue;
        }
        if let Ok((_, Some(seen))) = ask_owner(context.plugins(), &host_id, run).await {
            discovery.observed.correct(run, seen);
        }
    }
}

/// Asks every runtime for all resources of this host. Without a host id there are none, and nobody is asked.
pub(crate) async fn discover_everything(context: &Context) -> Discovery {
    let observed = match context.known_host_id() {
        Ok(host_id) if host_id.is_empty() => Observed::default(),
        Ok(host_id) => {
            let nobody = std::iter::empty();
            observe_all(context.plugins(), &host_id, nobody, &ListQuery::ALL, Purpose::Show).await
        }
        Err(error) => Observed::blind(error.message),
    };
    Discovery { observed, ..Discovery::default() }
}

/// Asks all runtimes that may have resources of another product for those with these labels.
pub(crate) async fn discover_foreign(
    context: &Context,
    selector: &LabelSelector,
) -> Result<ForeignDiscovery> {
    let configs = run_configs(context)?;
    let plugins = context.plugins();
    let host_id = context.known_host_id()?;
    let provided = plugins.catalog().runtimes();
    // A runtime that runs no images is not asked, and its silence does not count.
    let concerns = |run: &&RunConfig| {
        let mut named = provided.iter().filter(|provided| provided.runtime.name == run.runtime_name);
        named.all(|provided| may_have_foreign(provided.runtime))
    };
    let all: Vec<&RunConfig> =
        configs.iter().filter_map(|(_, config)| config.as_ref().ok()).filter(concerns).collect();
    let observed = observe_foreign(plugins, &host_id, all.iter().copied(), selector).await;
    let silent = silent(context, &host_id, &observed, &all).await?;
    Ok(ForeignDiscovery { resources: observed.foreign(), silent })
}

/// The runtimes that leave a trace on this machine and gave no complete answer.
async fn silent(
    context: &Context,
    host_id: &str,
    observed: &Observed,
    configs: &[&RunConfig],
) -> Result<Vec<String>> {
    let named = named_runtimes(context, configs);
    let asked: Vec<(&str, &str)> = observed.silent().collect();
    let traces = join_all(asked.iter().map(|(runtime, _)| async {
        // A runtime that is named somewhere was here before. Any other one may still say itself that it never was.
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

/// The runtimes that workloads, the settings and the data directory name.
fn named_runtimes(context: &Context, configs: &[&RunConfig]) -> BTreeSet<String> {
    let config = context.config();
    let owners = configs.iter().filter_map(|run| run.owner()).map(|owner| owner.runtime_name);
    let settings = config.settings.default_runtime.iter().chain(config.settings.runtimes.keys()).cloned();
    // A runtime's folder is made when it is first asked, so an empty one is no trace.
    let folders = fs::read_dir(config.data_dir.join("runtimes")).into_iter().flatten().flatten();
    let used = folders.filter(|folder| fs::read_dir(folder.path()).is_ok_and(|mut it| it.next().is_some()));
    let used = used.filter_map(|folder| folder.file_name().into_string().ok());
    owners.chain(settings).chain(used).collect()
}

/// Whether a runtime that gave no answer may have resources here. Only the runtime itself can deny that.
async fn leaves_a_trace(context: &Context, host_id: &str, runtime: &str) -> bool {
    let denial = async {
        let client = context.plugins().connect(runtime, None, host_id).await.ok()?;
        Some(client.health().await.ok()?.state == HealthState::Undetected)
    };
    tokio::time::timeout(ENGINE_DENIAL_DEADLINE, denial).await.ok().flatten() != Some(true)
}
