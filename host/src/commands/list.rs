//! `list`: every workload with its effective state, in one pass.
use crate::commands::attempts::with_attempts;
use crate::commands::context::Context;
use crate::commands::discovery::{Discovery, discover, discover_everything, is_ownerless, look_closely};
use crate::commands::forget::state_word;
use crate::commands::lookup::{run_configs, way_on};
use crate::commands::orphan::orphans_in;
use crate::commands::url::{client_url, unix_socket};
use crate::commands::view::{SessionServerView, WorkloadView};
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use wharf_model::{Advice, BootId, EARLIER_IMPORT, LockKind, RunConfig, StatusRecord, WorkloadName};
use wharf_model::{Claim, Effective, EffectiveState, Evidence, Inputs, assess, locks_looked_at};
use wharf_model::{Error, ErrorKind, Result};
use wharf_records::{LifeProbe, ProxySecrets, ReadError};
use wharf_runtimes::{InstanceProof, PluginError, Scope, where_displaced};
use wharf_sdk::Confinement;

/// How often a row that changes during the list is assessed again, before it is shown as it is recorded.
const MAX_ASSESSMENTS: u32 = 3;
/// The reason why such a row is stale.
const CHANGING: &str = "it changed while it was being listed";

/// Status records by the names of their workloads.
type Statuses = HashMap<WorkloadName, std::result::Result<StatusRecord, ReadError>>;

/// The selection of workloads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListOptions {
    /// Also those that are stopped and should be.
    pub all: bool,
    /// Only those of this runtime.
    pub runtime: Option<String>,
    /// Only those of this group.
    pub group: Option<String>,
    /// Only those with all of these labels.
    pub labels: BTreeMap<String, String>,
}

/// The workloads, by name, with the URLs of those that run. Reads each file once, asks each owner once, writes nothing.
///
/// The order follows R04: the records are read before the owners are asked. Before a row is shown worse than recorded, its
/// records are read once more; if they have changed, the row is assessed again.
pub async fn list(context: &Context, options: &ListOptions) -> Result<Vec<WorkloadView>> {
    let configs = run_configs(context)?;
    if let Some(runtime) = &options.runtime {
        must_be_known(context, runtime, &configs)?;
    }
    let mut statuses: Statuses = context.store().list_statuses()?.into_iter().collect();
    let wanted = |config: &RunConfig| options.matches(config);
    let readable: Vec<&RunConfig> = configs
        .iter()
        .filter_map(|(_, config)| config.as_ref().ok())
        .filter(|config| wanted(config))
        .collect();
    // Orphans are shown only of the runtimes that are asked anyway; of all of them if there is no workload on record, as
    // where only the host's id was restored.
    let shows_orphans = options.all && options.group.is_none() && options.labels.is_empty();
    let is_part = options.is_filtered() && !shows_orphans;
    let scope = if is_part { Scope::TheseAlone } else { Scope::Everything };
    let mut discover = if shows_orphans && configs.is_empty() {
        discover_everything(context).await
    } else {
        discover(context, readable.iter().copied(), scope, InstanceProof::Labels).await?
    };
    let recorded = readable.iter().filter_map(|run| Some((*run, statuses.get(&run.name)?.as_ref().ok()?)));
    look_closely(context, &mut discover, recorded).await;
    let assessor = RowAssessor::new(context, &discover)?;
    let secrets = context.secrets();
    let mut rows = Vec::new();
    if shows_orphans {
        rows.extend(orphans_in(context, &discover.observed, &configs)?.iter().map(WorkloadView::of_orphan));
    }
    for (name, config) in configs {
        let status = statuses.remove(&name);
        let config = match config {
            Ok(config) if wanted(&config) => config,
            Ok(_) => continue,
            Err(error) if options.is_filtered() => {
                tracing::debug!(%name, %error, "left out of a filtered list");
                continue;
            }
            Err(error) => {
                rows.push(unreadable_config(&name, &error));
                continue;
            }
        };
        let row = assessor.row(&config, status)?.map(|row| with_url(row, &config, &secrets));
        let row = row.map(|row| with_session_servers(row, &config, &discover));
        let row = row.map(|row| with_way_back(row, &config, &discover));
        rows.extend(row.map(|row| with_socket(context, row, &config)));
    }
    if !options.is_filtered() {
        rows.extend(statuses.keys().filter_map(|name| row_without_config(context, name)));
    }
    rows.retain(|row| options.all || row.is_shown());
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let rows = join_all(rows.into_iter().map(|row| with_attempts(context, row))).await;
    Ok(rows)
}

/// Refuses a name that neither a runtime nor a record has, with the error of a `run` that names it.
pub(crate) fn must_know_runtime(context: &Context, runtime: &str) -> Result<()> {
    match unknown_runtime(context, runtime) {
        Some(_) => must_be_known(context, runtime, &run_configs(context)?),
        None => Ok(()),
    }
}

fn must_be_known(
    context: &Context,
    runtime: &str,
    configs: &[(WorkloadName, std::result::Result<RunConfig, ReadError>)],
) -> Result<()> {
    let mut recorded = configs.iter().filter_map(|(_, config)| config.as_ref().ok());
    // Workloads without an owner have an empty name of a runtime.
    if runtime.is_empty() || recorded.any(|config| config.runtime_name == runtime) {
        return Ok(());
    }
    unknown_runtime(context, runtime).map_or(Ok(()), |unknown| Err(unknown.into()))
}

/// The error of a name that no plugin provides; none while a library cannot be read, which may be the one that does. Another
/// fault of a library is told by who needs it.
fn unknown_runtime(context: &Context, runtime: &str) -> Option<PluginError> {
    match context.plugins().catalog().find(runtime) {
        Err(PluginError::UnknownRuntime { unusable, .. }) if !unusable.is_empty() => None,
        Err(unknown @ PluginError::UnknownRuntime { .. }) => Some(unknown),
        _ => None,
    }
}

/// The groups of all workloads.
pub fn groups(context: &Context) -> Result<BTreeSet<String>> {
    let configs = run_configs(context)?.into_iter();
    Ok(configs.filter_map(|(_, config)| Some(config.ok()?.group)).filter(|group| !group.is_empty()).collect())
}

/// The names of all workloads, or of those of a group. An unreadable RunConfig is in no group.
pub fn names(context: &Context, group: Option<&str>) -> Result<Vec<WorkloadName>> {
    let configs = run_configs(context)?.into_iter();
    let wanted = |config: std::result::Result<RunConfig, ReadError>| {
        group.is_none_or(|group| config.is_ok_and(|config| config.group == group))
    };
    Ok(configs.filter_map(|(name, config)| wanted(config).then_some(name)).collect())
}

/// One workload as the list shows it, its status record, and its confinement as its owner reports it.
pub(crate) async fn view(
    context: &Context,
    run: &RunConfig,
) -> Result<(WorkloadView, Option<StatusRecord>, Option<Confinement>)> {
    let status = context.store().read_status(&run.name);
    // The servers of its sessions have uids of their own.
    let scope = if run.instances.is_shared() { Scope::TheseAlone } else { Scope::Everything };
    let discover = discover(context, std::iter::once(run), scope, InstanceProof::Labels).await?;
    let record = status.as_ref().ok().cloned();
    let missing = matches!(&status, Err(error) if error.is_not_found());
    let view = RowAssessor::new(context, &discover)?.row(run, if missing { None } else { Some(status) })?;
    let removed = || Error::new(ErrorKind::NotFound, format!("'{}' has just been removed", run.name));
    let confinement = match discover.observed.evidence(run) {
        Evidence::Has(seen) => seen.confinement,
        Evidence::HasNot | Evidence::Missing(_) | Evidence::Remote => None,
    };
    let view = with_session_servers(view.ok_or_else(removed)?, run, &discover);
    let view = with_way_back(view, run, &discover);
    let view = with_attempts(context, view).await;
    Ok((view, record, confinement))
}

/// A status record without a RunConfig is shown with its file.
fn row_without_config(context: &Context, name: &WorkloadName) -> Option<WorkloadView> {
    // Both records are read again: the workload may have been created since the RunConfigs were read, or just been removed.
    if !context.store().read_run_config(name).is_err_and(|error| error.is_not_found())
        || context.store().read_status(name).is_err_and(|error| error.is_not_found())
    {
        return None;
    }
    let file = context.store().state().statuses().join(format!("{name}.json"));
    let reason = format!("a status record without a RunConfig: {}", file.display());
    Some(WorkloadView { advice: forget(name), ..WorkloadView::unreadable(name.as_str(), reason) })
}

impl ListOptions {
    fn matches(&self, config: &RunConfig) -> bool {
        self.runtime.as_ref().is_none_or(|runtime| *runtime == config.runtime_name)
            && self.group.as_ref().is_none_or(|group| *group == config.group)
            && self.labels.iter().all(|(key, value)| config.labels.get(key) == Some(value))
    }

    fn is_filtered(&self) -> bool {
        self.runtime.is_some() || self.group.is_some() || !self.labels.is_empty()
    }
}

impl WorkloadView {
    /// Whether the list shows it without `--all`: it runs, or it should.
    fn is_shown(&self) -> bool {
        self.wanted || !matches!(self.status, EffectiveState::Stopped | EffectiveState::Error)
    }
}

/// Assesses the rows of one snapshot.
struct RowAssessor<'a> {
    context: &'a Context,
    discover: &'a Discovery,
    probe: LifeProbe,
    boot: BootId,
}

impl<'a> RowAssessor<'a> {
    fn new(context: &'a Context, discover: &'a Discovery) -> Result<Self> {
        let probe = LifeProbe::open(context.store().state())?;
        let boot = BootId::current()
            .map_err(|error| Error::caused(ErrorKind::Failed, "the present boot cannot be told", &error))?;
        Ok(Self { context, discover, probe, boot })
    }

    /// The row of a workload; none if it was removed meanwhile.
    fn row(
        &self,
        config: &RunConfig,
        status: Option<std::result::Result<StatusRecord, ReadError>>,
    ) -> Result<Option<WorkloadView>> {
        if is_ownerless(config) {
            let record = status.and_then(std::result::Result::ok);
            return Ok(Some(ownerless(config, record.as_ref(), &self.discover.claim(config))));
        }
        if config.is_of_earlier_import() {
            let record = status.and_then(std::result::Result::ok);
            return Ok(Some(earlier_import(config, record.as_ref())));
        }
        let mut record = match status {
            None => None,
            Some(Ok(record)) => Some(record),
            Some(Err(error)) => return Ok(Some(unreadable_status(config, &error))),
        };
        let mut evidence = self.discover.observed.evidence(config);
        for _ in 0..MAX_ASSESSMENTS {
            let ours = record.as_ref().filter(|record| record.uid == config.uid);
            let effective = assess(ours, &self.inputs(config, ours, evidence)?);
            if !is_worse(ours, &effective) {
                return Ok(Some(with_check(WorkloadView::of(config, ours, effective), config)));
            }
            // Read once more *after* the locks were asked: a command may have changed it since.
            let now = self.context.store().show_status(&config.name).ok();
            match self.context.store().show_run_config(&config.name) {
                // It was removed, or removed and created anew: then this row is of a workload that no longer exists.
                Err(error) if error.is_not_found() => return Ok(None),
                Ok(other) if other.uid != config.uid => return Ok(None),
                _ => {}
            }
            let version =
                |record: &Option<StatusRecord>| record.as_ref().map(|it| (it.uid.clone(), it.revision));
            // A missing record has no revision to compare. If a command is at work, it is about to write the record, or to
            // remove it.
            let at_work = now.is_none() && self.probe.is_held(&config.name, LockKind::Operation)?;
            if version(&now) == version(&record) && !at_work {
                return Ok(Some(with_check(WorkloadView::of(config, ours, effective), config)));
            }
            // The owner's answer is older than the new record, so it does not count for it.
            record = now;
            evidence = Evidence::Missing(CHANGING.to_owned());
        }
        let phase = record.as_ref().map_or(EffectiveState::Starting, |record| record.phase.into());
        let recorded = Effective { stale: Some(CHANGING.to_owned()), ..Effective::fresh(phase, "") };
        Ok(Some(WorkloadView::of(config, record.as_ref(), recorded)))
    }

    /// Asks only about the locks that the assessment looks at: each question is a system call, which goes through all locks
    /// of the file.
    fn inputs(
        &self,
        config: &RunConfig,
        record: Option<&StatusRecord>,
        evidence: Evidence,
    ) -> Result<Inputs> {
        let looked_at = locks_looked_at(record);
        let is_held = |kind| -> Result<bool> {
            Ok(looked_at.contains(&kind) && self.probe.is_held(&config.name, kind)?)
        };
        Ok(Inputs {
            evidence,
            life_held: is_held(LockKind::Life)?,
            operation_held: is_held(LockKind::Operation)?,
            boot: self.boot.clone(),
        })
    }
}

/// The secret is read only for workloads that run: most of a long list is stopped.
fn with_url(mut row: WorkloadView, run: &RunConfig, secrets: &ProxySecrets) -> WorkloadView {
    if row.is_reachable() {
        match client_url(run, secrets) {
            Ok(found) => (row.url, row.token) = (found.url, found.token),
            // `url` for this workload alone reports the reason.
            Err(error) => tracing::debug!(name = %run.name, %error, "its URL cannot be told"),
        }
    }
    row
}

/// Adds the path of its Unix socket, which is no secret.
pub(crate) fn with_socket(context: &Context, row: WorkloadView, run: &RunConfig) -> WorkloadView {
    let unix_socket = if row.is_reachable() { unix_socket(context, run) } else { None };
    WorkloadView { unix_socket, ..row }
}

/// Adds to a stale row of a runtime with several places how to ask it in the right one: without its options, another place would
/// answer.
fn with_check(mut row: WorkloadView, run: &RunConfig) -> WorkloadView {
    // A row that changes too often says nothing about its runtime.
    if row.stale && row.stale_reason != CHANGING {
        row.advice.extend(run.owner().and_then(|owner| owner.check_in_place()));
    }
    row
}

/// The way on where a record cannot be used: without the record nobody can ask the owner.
fn forget(name: &WorkloadName) -> Vec<Advice> {
    vec![Advice::Forget { name: name.to_string() }]
}

fn unreadable_config(name: &WorkloadName, error: &ReadError) -> WorkloadView {
    let row = WorkloadView::unreadable(name.as_str(), wharf_model::chain(error));
    if error.is_corrupt() { WorkloadView { advice: forget(name), ..row } } else { row }
}

fn with_session_servers(row: WorkloadView, run: &RunConfig, discover: &Discovery) -> WorkloadView {
    let servers = discover.observed.children(run).into_iter().map(|seen| SessionServerView {
        uid: seen.uid.clone(),
        object: seen.object.clone(),
        state: state_word(seen.state),
    });
    WorkloadView { session_servers: servers.collect(), ..row }
}

/// Adds the next steps to a row that is stale because another instance answers in its owner's place.
fn with_way_back(mut row: WorkloadView, run: &RunConfig, discover: &Discovery) -> WorkloadView {
    if row.stale && discover.observed.is_displaced(run) {
        row.advice.extend(where_displaced(run));
    }
    row
}

fn unreadable_status(config: &RunConfig, error: &ReadError) -> WorkloadView {
    let context = wharf_model::chain(error);
    let effective = Effective::fresh(EffectiveState::Unknown, context);
    WorkloadView { advice: forget(&config.name), ..WorkloadView::of(config, None, effective) }
}

/// R07: no runtime is believed about a workload without an owner; the context lists which runtimes claim it, that is, what
/// an adoption would record.
fn ownerless(config: &RunConfig, record: Option<&StatusRecord>, claim: &Claim) -> WorkloadView {
    let name = config.name.to_string();
    let advice = match claim {
        Claim::Proven(_) => Advice::Adopt { name },
        Claim::Ambiguous(_) | Claim::Unknown | Claim::Undecided(_) => {
            Advice::AdoptByHand { name, runtime: None }
        }
    };
    let context = format!("owner unknown: {claim}");
    let effective = Effective::fresh(EffectiveState::Unknown, context);
    WorkloadView { advice: vec![advice], ..WorkloadView::of(config, record, effective) }
}

/// A workload that an earlier version imported. The other product's container is not asked for, so only the record is
/// shown.
fn earlier_import(config: &RunConfig, record: Option<&StatusRecord>) -> WorkloadView {
    let effective = Effective::fresh(EffectiveState::Unknown, EARLIER_IMPORT);
    WorkloadView { advice: way_on(config), ..WorkloadView::of(config, record, effective) }
}

fn is_worse(record: Option<&StatusRecord>, effective: &Effective) -> bool {
    let recorded = record.map(|record| record.phase.to_string());
    recorded.as_deref() != Some(effective.state.as_str())
}
