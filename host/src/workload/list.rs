//! `list`: every workload with its effective state, in one pass.
use super::manager::Manager;
use super::view::WorkloadView;
use crate::error::{Error, ErrorKind, Result};
use crate::reconcile::{Effective, EffectiveState, Evidence, Observed, Witnesses, judge, observe};
use crate::status::{BootId, LifeProbe, LockKind, ReadError, RunConfig, StatusRecord, WorkloadName};
use std::collections::{BTreeMap, HashMap};

/// How often a row that changes under the reader is judged again, before it is shown as it is recorded.
const JUDGEMENTS: u32 = 3;
/// Why such a row is stale.
const CHANGING: &str = "it changed while it was being listed";

/// Which workloads.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Also those that do not run and should not.
    pub all: bool,
    /// Only those of this runtime.
    pub runtime: Option<String>,
    /// Only those of this group.
    pub group: Option<String>,
    /// Only those with all of these labels.
    pub labels: BTreeMap<String, String>,
}

impl Manager {
    /// The workloads, by name. Reads each file once, asks each owner once, writes nothing.
    ///
    /// The order is that of R04: the records are read before the owners are asked, and a row that is about to be
    /// shown worse than recorded is read once more; if it has changed by then it is judged again.
    pub async fn list(&self, options: &ListOptions) -> Result<Vec<WorkloadView>> {
        let configs = self.store().list_run_configs()?;
        let statuses: HashMap<WorkloadName, _> = self.store().list_statuses()?.into_iter().collect();
        let wanted = |config: &RunConfig| options.matches(config);
        let host_id = self.store().state().host_id()?.map(|id| id.to_string()).unwrap_or_default();
        let readable =
            configs.iter().filter_map(|(_, config)| config.as_ref().ok()).filter(|config| wanted(config));
        let observed = observe(self.plugins()?, &host_id, readable).await;
        let judge = Judge::new(self, &observed)?;
        let mut rows = Vec::new();
        if options.all && options.group.is_none() && options.labels.is_empty() {
            // Of the runtimes that were asked anyway.
            rows.extend(self.orphans_in(&observed, &configs)?.iter().map(WorkloadView::of_orphan));
        }
        for (name, config) in configs {
            let config = match config {
                Ok(config) if wanted(&config) => config,
                Ok(_) => continue,
                Err(error) if options.is_filtered() => {
                    tracing::debug!(%name, %error, "left out of a filtered list");
                    continue;
                }
                Err(error) => {
                    rows.push(WorkloadView::unreadable(name.as_str(), crate::error::chain(&error)));
                    continue;
                }
            };
            let record = statuses.get(&name).map(|status| status.as_ref());
            rows.extend(judge.row(&config, record)?);
        }
        self.rows_without_config(&statuses, &mut rows, options);
        rows.retain(|row| options.all || row.is_shown());
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(rows)
    }

    /// The names of all workloads, or of those of a group. A RunConfig that cannot be read is in no group.
    pub fn names(&self, group: Option<&str>) -> Result<Vec<WorkloadName>> {
        let configs = self.store().list_run_configs()?.into_iter();
        let wanted = |config: std::result::Result<RunConfig, ReadError>| {
            group.is_none_or(|group| config.is_ok_and(|config| config.group == group))
        };
        Ok(configs.filter_map(|(name, config)| wanted(config).then_some(name)).collect())
    }

    /// One workload as the list shows it.
    pub(super) async fn view(&self, run: &RunConfig) -> Result<(WorkloadView, Option<StatusRecord>)> {
        let status = self.store().read_status(&run.name);
        let host_id = self.store().state().host_id()?.map(|id| id.to_string()).unwrap_or_default();
        let observed = observe(self.plugins()?, &host_id, std::iter::once(run)).await;
        let missing = matches!(&status, Err(error) if error.is_not_found());
        let view =
            Judge::new(self, &observed)?.row(run, if missing { None } else { Some(status.as_ref()) })?;
        let removed = || Error::new(ErrorKind::NotFound, format!("'{}' has just been removed", run.name));
        Ok((view.ok_or_else(removed)?, status.ok()))
    }

    /// A status record alone is reported, with its file.
    fn rows_without_config(
        &self,
        statuses: &HashMap<WorkloadName, std::result::Result<StatusRecord, ReadError>>,
        rows: &mut Vec<WorkloadView>,
        options: &ListOptions,
    ) {
        if options.is_filtered() {
            return;
        }
        let alone: Vec<&WorkloadName> =
            statuses.keys().filter(|name| !rows.iter().any(|row| row.name == name.as_str())).collect();
        for name in alone {
            // It may have been created since the RunConfigs were read, or just been removed.
            if self.store().read_run_config(name).is_err_and(|error| error.is_not_found())
                && !self.store().read_status(name).is_err_and(|error| error.is_not_found())
            {
                let file = self.store().state().statuses().join(format!("{name}.json"));
                let reason = format!(
                    "a status record without a RunConfig: {}; drop it: wharf rm --forget {name}",
                    file.display()
                );
                rows.push(WorkloadView::unreadable(name.as_str(), reason));
            }
        }
    }
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

/// Judges rows of one snapshot.
struct Judge<'a> {
    manager: &'a Manager,
    observed: &'a Observed,
    probe: LifeProbe,
    boot: BootId,
}

impl<'a> Judge<'a> {
    fn new(manager: &'a Manager, observed: &'a Observed) -> Result<Self> {
        let probe = LifeProbe::open(manager.store().state())?;
        let boot = BootId::current()
            .map_err(|error| Error::caused(ErrorKind::Failed, "the present boot cannot be told", &error))?;
        Ok(Self { manager, observed, probe, boot })
    }

    /// The row of a workload; none if it was removed while it was being listed.
    fn row(
        &self,
        config: &RunConfig,
        status: Option<std::result::Result<&StatusRecord, &ReadError>>,
    ) -> Result<Option<WorkloadView>> {
        if config.owner().is_none() && !config.is_remote() {
            return Ok(Some(ownerless(config, status.and_then(std::result::Result::ok))));
        }
        let mut record = match status {
            None => None,
            Some(Ok(record)) => Some(record.clone()),
            Some(Err(error)) => return Ok(Some(unreadable_status(config, error))),
        };
        let mut evidence = self.observed.evidence(config);
        for _ in 0..JUDGEMENTS {
            let ours = record.as_ref().filter(|record| record.uid == config.uid);
            let effective = judge(ours, &self.witnesses(config, evidence)?);
            if !is_worse(ours, &effective) {
                return Ok(Some(WorkloadView::of(config, ours, effective)));
            }
            // Read once more *after* the locks were asked: a command may have changed it since.
            let now = self.manager.store().read_status(&config.name).ok();
            match self.manager.store().read_run_config(&config.name) {
                // Removed, or removed and made anew: this row is of a workload that is no more.
                Err(error) if error.is_not_found() => return Ok(None),
                Ok(other) if other.uid != config.uid => return Ok(None),
                _ => {}
            }
            let version =
                |record: &Option<StatusRecord>| record.as_ref().map(|it| (it.uid.clone(), it.revision));
            // A record that is missing has no revision: a command at work would be about to write it, or to remove it.
            let at_work = now.is_none() && self.probe.is_held(&config.name, LockKind::Operation)?;
            if version(&now) == version(&record) && !at_work {
                return Ok(Some(WorkloadView::of(config, ours, effective)));
            }
            // What the owner said belongs to another moment.
            record = now;
            evidence = Evidence::None(CHANGING.to_owned());
        }
        let phase = record.as_ref().map_or(EffectiveState::Starting, |record| record.phase.into());
        let recorded = Effective { state: phase, context: String::new(), stale: Some(CHANGING.to_owned()) };
        Ok(Some(WorkloadView::of(config, record.as_ref(), recorded)))
    }

    fn witnesses(&self, config: &RunConfig, evidence: Evidence) -> Result<Witnesses> {
        Ok(Witnesses {
            evidence,
            life_held: self.probe.is_held(&config.name, LockKind::Life)?,
            operation_held: self.probe.is_held(&config.name, LockKind::Operation)?,
            boot: self.boot.clone(),
        })
    }
}

fn unreadable_status(config: &RunConfig, error: &ReadError) -> WorkloadView {
    let context = crate::error::chain(error);
    WorkloadView::of(config, None, Effective { state: EffectiveState::Unknown, context, stale: None })
}

/// R07: it belongs to nobody, so nobody is believed about it. Who shows it is asked by `adopt`.
fn ownerless(config: &RunConfig, record: Option<&StatusRecord>) -> WorkloadView {
    let context = format!("owner unknown: no runtime is recorded; find it: wharf adopt {}", config.name);
    WorkloadView::of(config, record, Effective { state: EffectiveState::Unknown, context, stale: None })
}

fn is_worse(record: Option<&StatusRecord>, effective: &Effective) -> bool {
    let recorded = record.map(|record| record.phase.to_string());
    recorded.as_deref() != Some(effective.state.as_str())
}
