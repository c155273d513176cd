//! `reconcile`: records ends that the evidence shows, starts workloads that should run, and stops those that should not
//! (R06).
//!
//! It takes one snapshot of all owners after the records were read (R04). Then it goes through the workloads, each under
//! its operation lock, and looks at its record and its locks again: a workload that has changed since the snapshot is left
//! alone.
use crate::commands::adopt::record_proven_owner;
use crate::commands::attempts::brought_back;
use crate::commands::context::Context;
use crate::commands::discovery::{Discovery, discover, is_ownerless, look_closely};
use crate::commands::ends::Ends;
use crate::commands::lookup::{is_gone, read_run_config, run_configs};
use crate::commands::nesting::refuse_nesting;
use crate::commands::remove::remove_locked;
use crate::commands::start::start_locked;
use crate::commands::startable::refuse_missing_program;
use crate::commands::stop::{stop_locked, stop_timeout};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use wharf_failpoint::{Point, reach};
use wharf_model::{Action, Advice, Claim, Evidence, Locks, Resource, plan};
use wharf_model::{BootId, Desired, Event, LockKind, Phase, RunConfig, StatusRecord, WorkloadName};
use wharf_model::{Error, ErrorKind, Result, chain};
use wharf_records::{LifeProbe, OperationLock, ReadError};
use wharf_runtimes::{InstanceProof, Scope, last_exit, where_displaced};
use wharf_sdk::{Exit, WorkloadState};

/// At most this many workloads are worked on at a time.
const AT_A_TIME: usize = 8;
/// The reason why a workload that changed meanwhile is left alone.
const CHANGED: &str = "it changed since its runtime was asked";

/// The outcome for one workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Reconciled {
    /// Its name.
    pub name: String,
    /// The outcome.
    pub result: Reconciliation,
    /// The reason.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Its owner could not be asked, so that nothing was decided about it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unasked: bool,
    /// The next steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<Advice>,
    /// The failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// The outcome, its reason, and the next steps.
struct Done {
    result: Reconciliation,
    reason: String,
    unasked: bool,
    advice: Vec<Advice>,
}

impl Done {
    fn new(result: Reconciliation, reason: impl Into<String>) -> Self {
        Self { result, reason: reason.into(), unasked: false, advice: Vec::new() }
    }
}

/// The outcome for a workload, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reconciliation {
    /// Nothing was done: it is as it should be.
    InOrder,
    /// Nothing was done: there is no evidence, another command works on it, its supervisor is bringing it back, or it has
    /// failed and only a command may start it again.
    LeftAlone,
    /// Nothing was done: it has no owner, and none is proven.
    OwnerUnknown,
    /// Nothing was done: it has no owner, and several runtimes claim it.
    Ambiguous,
    /// Its owner was found, and recorded.
    Adopted,
    /// It was started.
    Started,
    /// It was stopped.
    Stopped,
    /// It was removed.
    Removed,
    /// Its end was recorded.
    Recorded,
    /// The action failed.
    Failed,
}

/// The records of one workload, read before its owner was asked.
struct Reading {
    name: WorkloadName,
    config: std::result::Result<RunConfig, ReadError>,
    status: std::result::Result<Option<StatusRecord>, ReadError>,
}

/// Reconciles these workloads, or all if none is named, and reports the outcome for each.
///
/// # Errors
/// A named workload does not exist, or the records cannot be read at all. A failure of one workload is in its report.
pub async fn reconcile(context: &Context, names: &[WorkloadName]) -> Result<Vec<Reconciled>> {
    let readings = readings(context, names)?;
    let configs: Vec<&RunConfig> =
        readings.iter().filter_map(|reading| reading.config.as_ref().ok()).collect();
    let scope = if names.is_empty() { Scope::Everything } else { Scope::TheseAlone };
    let mut discover = discover(context, configs.iter().copied(), scope, InstanceProof::Engine).await?;
    let recorded = readings
        .iter()
        .filter_map(|reading| Some((reading.config.as_ref().ok()?, reading.status.as_ref().ok()?.as_ref()?)));
    look_closely(context, &mut discover, recorded).await;
    let discover = &discover;
    let done = stream::iter(readings).map(|reading| reconcile_one(context, reading, discover));
    Ok(done.buffered(AT_A_TIME).collect().await)
}

fn readings(context: &Context, names: &[WorkloadName]) -> Result<Vec<Reading>> {
    let mut readings: Vec<Reading> = Vec::new();
    let configs = if names.is_empty() {
        run_configs(context)?
    } else {
        for name in names {
            if is_gone(context, name) {
                read_run_config(context, name)?;
            }
        }
        names.iter().map(|name| (name.clone(), context.store().read_run_config(name))).collect()
    };
    for (name, config) in configs {
        if readings.iter().all(|reading| reading.name != name) {
            let status = status_of(context, &name);
            readings.push(Reading { name, config, status });
        }
    }
    Ok(readings)
}

fn status_of(context: &Context, name: &WorkloadName) -> std::result::Result<Option<StatusRecord>, ReadError> {
    match context.store().read_status(name) {
        Ok(record) => Ok(Some(record)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn reconcile_one(context: &Context, reading: Reading, discover: &Discovery) -> Reconciled {
    let name = reading.name.to_string();
    match assess_and_act(context, reading, discover).await {
        Ok(Done { result, reason, unasked, advice }) => {
            Reconciled { name, result, reason, unasked, advice, error: None }
        }
        Err(error) => {
            let (result, reason, advice) = (Reconciliation::Failed, String::new(), Vec::new());
            Reconciled { name, result, reason, unasked: false, advice, error: Some(error) }
        }
    }
}

async fn assess_and_act(context: &Context, reading: Reading, discover: &Discovery) -> Result<Done> {
    let Reading { name, config, status } = reading;
    // Without a readable RunConfig it is unknown whether the workload is wanted.
    let config = match config {
        Ok(config) => config,
        Err(error) => return Ok(Done::new(Reconciliation::LeftAlone, chain(&error))),
    };
    if is_ownerless(&config) {
        return assess_and_adopt(context, &config, discover).await;
    }
    let before = match status {
        Ok(status) => status,
        Err(error) => return Ok(Done::new(Reconciliation::LeftAlone, chain(&error))),
    };
    let evidence = discover.observed.evidence(&config);
    let first = plan_for(context, &config, before.as_ref(), &evidence, false)?;
    if let Some(rest) = at_rest(&config.name, first, before.as_ref()) {
        // Its supervisor tends it, so there is nothing to do; but it may be down, and the supervisor alone knows that: an
        // engine may still show it as running.
        let is_tended = rest.result == Reconciliation::InOrder
            && before.as_ref().is_some_and(|record| record.phase == Phase::Running);
        if is_tended {
            let tries = brought_back(context, &config.name).await;
            let why: Vec<String> = why_down(&evidence).into_iter().chain(tries).collect();
            if !why.is_empty() {
                return Ok(Done::new(Reconciliation::LeftAlone, why.join("; ")));
            }
        }
        if !matches!(evidence, Evidence::Missing(_)) {
            return Ok(rest);
        }
        let mut rest = Done { unasked: true, ..rest };
        if discover.observed.is_displaced(&config) {
            rest.advice.extend(where_displaced(&config));
        } else {
            rest.advice.extend(config.owner().and_then(|owner| owner.check_in_place()));
        }
        return Ok(rest);
    }
    let Some(operation) = lock_if_free(context, &name)? else { return Ok(busy()) };
    let config_now = context.store().read_run_config(&name);
    let status_now = status_of(context, &name);
    let version = |record: &Option<StatusRecord>| record.as_ref().map(|it| (it.uid.clone(), it.revision));
    let unchanged = config_now.is_ok_and(|now| now.uid == config.uid && now.owner() == config.owner())
        && status_now.is_ok_and(|now| version(&now) == version(&before));
    if !unchanged {
        return Ok(Done::new(Reconciliation::LeftAlone, CHANGED));
    }
    let action = plan_for(context, &config, before.as_ref(), &evidence, true)?;
    reach(Point::ReconcileDecided);
    act(context, &config, before.as_ref(), action, operation).await
}

/// R07: reconciliation by itself records an owner only for a workload that runs and whose proxy is up. The proof from the
/// snapshot is repeated under the lock.
async fn assess_and_adopt(context: &Context, config: &RunConfig, discover: &Discovery) -> Result<Done> {
    let name = &config.name;
    let claim = discover.claim(config);
    let proven = match &claim {
        Claim::Proven(proven) => proven,
        Claim::Ambiguous(_) => return Ok(Done::new(Reconciliation::Ambiguous, claim.to_string())),
        Claim::Unknown => return Ok(Done::new(Reconciliation::OwnerUnknown, claim.to_string())),
        Claim::Undecided(_) => {
            let done = Done::new(Reconciliation::OwnerUnknown, claim.to_string());
            return Ok(Done { unasked: true, ..done });
        }
    };
    let Some(operation) = lock_if_free(context, name)? else { return Ok(busy()) };
    if !serves(context, config, proven)? {
        let done =
            Done::new(Reconciliation::OwnerUnknown, format!("{claim}, which does not run with a proxy"));
        return Ok(Done { advice: vec![Advice::Adopt { name: name.to_string() }], ..done });
    }
    match record_proven_owner(context, config, proven, &operation).await {
        Err(error) if error.kind == ErrorKind::Conflict => Ok(Done::new(Reconciliation::LeftAlone, CHANGED)),
        other => other.map(|_| Done::new(Reconciliation::Adopted, claim.to_string())),
    }
}

fn serves(context: &Context, config: &RunConfig, proven: &Resource) -> Result<bool> {
    let probe = LifeProbe::open(context.store().state())?;
    Ok(proven.seen.state == WorkloadState::Running && probe.is_held(&config.name, LockKind::Life)?)
}

fn lock_if_free(context: &Context, name: &WorkloadName) -> Result<Option<OperationLock>> {
    match OperationLock::try_acquire(context.store().state(), name) {
        Err(error) if error.is_busy() => Ok(None),
        other => Ok(Some(other?)),
    }
}

/// The plan with the present locks. `is_ours`: this command holds the operation lock.
fn plan_for(
    context: &Context,
    config: &RunConfig,
    record: Option<&StatusRecord>,
    evidence: &Evidence,
    is_ours: bool,
) -> Result<Action> {
    let probe = LifeProbe::open(context.store().state())?;
    let locks = Locks {
        operation_held: !is_ours && probe.is_held(&config.name, LockKind::Operation)?,
        life_held: probe.is_held(&config.name, LockKind::Life)?,
    };
    let boot = BootId::current()
        .map_err(|error| Error::caused(ErrorKind::Failed, "the present boot cannot be told", &error))?;
    Ok(plan(config, record, evidence, locks, &boot))
}

async fn act(
    context: &Context,
    config: &RunConfig,
    record: Option<&StatusRecord>,
    action: Action,
    operation: OperationLock,
) -> Result<Done> {
    match action {
        Action::None | Action::Leave(_) => {
            Ok(at_rest(&config.name, action, record).unwrap_or(Done::new(Reconciliation::InOrder, "")))
        }
        Action::Start(why) => {
            refuse_nesting(context)?;
            refuse_missing_program(context, config).await?;
            // It should run: that what reconciles ends meanwhile is no reason not to.
            let mut ends = Ends::Served(CancellationToken::new());
            start_locked(context, &config.name, operation, true, &mut (), Some(&mut ends)).await?;
            Ok(Done::new(Reconciliation::Started, why))
        }
        Action::Stop(why) => {
            let timeout = stop_timeout(context, &config.name);
            stop_locked(context, &config.name, &operation, timeout, Desired::Stopped).await?;
            Ok(Done::new(Reconciliation::Stopped, why))
        }
        Action::Remove => {
            remove_locked(context, config, &operation).await?;
            Ok(Done::new(Reconciliation::Removed, "its removal was interrupted"))
        }
        Action::Record(exit) => {
            record_exit(context, config, record.map_or(0, |record| record.revision), &exit)?;
            reach(Point::MissedEndRecorded);
            Ok(Done::new(Reconciliation::Recorded, format!("it {}", wharf_model::how(&exit))))
        }
    }
}

/// Records an end that no supervisor noticed, unless the record has changed.
fn record_exit(context: &Context, config: &RunConfig, revision: u64, exit: &Exit) -> Result<()> {
    context.store().update_status::<Error>(&config.name, &config.uid, |record| {
        let record = record.filter(|record| record.revision == revision);
        let mut record = record.ok_or_else(|| Error::new(ErrorKind::Conflict, CHANGED))?;
        let fine = exit.code == Some(0);
        let event = if fine { Event::Completed } else { Event::Failed };
        record.apply(event).map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))?;
        if fine {
            record.desired = Desired::Stopped;
        }
        record.last_exit = Some(last_exit(exit));
        record.set_supervisor(None);
        Ok(record)
    })?;
    Ok(())
}

fn busy() -> Done {
    Done::new(Reconciliation::LeftAlone, "another command works on it")
}

/// The owner's reason why a workload does not run that its supervisor tends; none if it runs, or if the owner does not say why.
fn why_down(evidence: &Evidence) -> Option<String> {
    let Evidence::Has(seen) = evidence else { return None };
    let exit = seen.exit.as_ref().filter(|exit| !exit.reason.is_empty())?;
    (seen.state == WorkloadState::Stopped).then(|| format!("it {}", wharf_model::how(exit)))
}

/// The report if there is nothing to do.
fn at_rest(name: &WorkloadName, action: Action, record: Option<&StatusRecord>) -> Option<Done> {
    match action {
        Action::None => Some(match record.filter(|record| is_given_up(record)) {
            Some(record) => {
                let why = if record.status_context.is_empty() { "it failed" } else { &record.status_context };
                let advice = vec![Advice::Start { name: name.to_string() }];
                Done { advice, ..Done::new(Reconciliation::LeftAlone, why) }
            }
            None => Done::new(Reconciliation::InOrder, ""),
        }),
        Action::Leave(reason) => {
            let advice = reason.next.map(|next| next.advice(name.as_str())).unwrap_or_default();
            Some(Done { advice, ..Done::new(Reconciliation::LeftAlone, reason.text) })
        }
        Action::Start(_) | Action::Stop(_) | Action::Remove | Action::Record(_) => None,
    }
}

/// Whether it should run and failed, so that only a command starts it again.
fn is_given_up(record: &StatusRecord) -> bool {
    record.phase == Phase::Error && record.desired == Desired::Running
}
