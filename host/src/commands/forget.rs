//! `rm --forget`: drops the records of a workload without asking its owner (R08).
use crate::commands::context::Context;
use crate::commands::discovery::discover;
use crate::commands::leaving::end_supervisor;
use crate::commands::locking::lock_and_give_up;
use crate::commands::lookup::{is_gone, read_run_config};
use serde::Serialize;
use std::{path::PathBuf, time::Duration};
use wharf_failpoint::{Point, reach};
use wharf_model::{Advice, Evidence};
use wharf_model::{Error, ErrorKind, Result};
use wharf_model::{RunConfig, StatusRecord, WorkloadName};
use wharf_records::{OperationLock, ReadError, RecordKind};
use wharf_runtimes::{InstanceProof, Scope};
use wharf_sdk::{Observation, WorkloadState};
use wharf_supervisor::client::control;

/// How long its owner may take to say what is left behind. It is only told: the records are dropped by then.
const TOLD_WITHIN: Duration = Duration::from_secs(11);

/// A workload whose records were dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// Its name.
    pub name: String,
    /// The resources that are left in its engine, in words.
    pub left_behind: String,
    /// The steps that remove them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<Advice>,
    /// The new paths of corrupt records, which keep all their bytes.
    pub set_aside: Vec<PathBuf>,
}

/// One record, as it was found.
enum Found<R> {
    Nothing,
    Readable(R),
    Corrupt,
}

/// Ends a workload's supervisor if it lives, and drops its records, whatever they are, without asking its owner; reports
/// which resources are left. A status record without a RunConfig is dropped, too; corrupt records keep their bytes under
/// another name.
///
/// # Errors
/// A record cannot be read, or a newer version wrote it: then nothing is changed.
pub async fn forget(context: &Context, name: &WorkloadName) -> Result<Forgotten> {
    recorded(context, name)?;
    let (operation, given_up) = lock_and_give_up(context, name).await?;
    if is_gone(context, name) && context.store().read_status(name).is_err_and(|error| error.is_not_found()) {
        let left_behind = "nothing: it was being created, which was given up".to_owned();
        let (advice, set_aside) = (Vec::new(), Vec::new());
        return Ok(Forgotten { name: name.to_string(), left_behind, advice, set_aside });
    }
    let (run, record) = recorded(context, name)?;
    let told = match &record {
        Found::Readable(record) => Some(record),
        Found::Nothing | Found::Corrupt => None,
    };
    let ended = end_supervisor(context, &operation, told).await;
    ended.map_err(|error| error.while_doing("nothing was forgotten"))?;
    if let Err(error) = control::clear(context.store().state(), name) {
        tracing::warn!(%name, %error, "a socket of a dead supervisor stays");
    }
    let set_aside = drop_records(context, &operation, &run, &record)?;
    let (mut left_behind, advice) = left_behind(context, &run, &record).await;
    if let Err(error) = given_up {
        left_behind = format!("{left_behind}; {}", error.message);
    }
    Ok(Forgotten { name: name.to_string(), left_behind, advice, set_aside })
}

/// Drops the existing records; returns the new paths of corrupt ones.
fn drop_records(
    context: &Context,
    operation: &OperationLock,
    run: &Found<RunConfig>,
    record: &Found<StatusRecord>,
) -> Result<Vec<PathBuf>> {
    let (name, store) = (operation.name(), context.store());
    let mut set_aside = Vec::new();
    if let (Found::Readable(run), Found::Readable(record)) = (run, record)
        && run.uid == record.uid
    {
        store.remove_records(name, &run.uid, [Point::StatusForgotten, Point::RunConfigForgotten])?;
        return Ok(set_aside);
    }
    match record {
        Found::Nothing => {}
        Found::Readable(record) => store.remove_status(name, &record.uid)?,
        Found::Corrupt => set_aside.push(store.quarantine(RecordKind::Status, operation)?),
    }
    reach(Point::StatusForgotten);
    match run {
        Found::Nothing => {}
        Found::Readable(run) => store.remove_run_config(name, &run.uid)?,
        Found::Corrupt => set_aside.push(store.quarantine(RecordKind::RunConfig, operation)?),
    }
    reach(Point::RunConfigForgotten);
    Ok(set_aside)
}

/// Both records of a name. It is an error if neither exists, or if this version cannot read one.
fn recorded(context: &Context, name: &WorkloadName) -> Result<(Found<RunConfig>, Found<StatusRecord>)> {
    let run = found(context.store().read_run_config(name), |run| run.schema_version.is_newer())?;
    let record = found(context.store().read_status(name), |record| record.schema_version.is_newer())?;
    if matches!((&run, &record), (Found::Nothing, Found::Nothing)) {
        read_run_config(context, name)?;
    }
    Ok((run, record))
}

/// The resources that are left of a forgotten workload, as the owner reports them or as far as they are known without it;
/// and the steps that remove them.
async fn left_behind(
    context: &Context,
    run: &Found<RunConfig>,
    record: &Found<StatusRecord>,
) -> (String, Vec<Advice>) {
    let Found::Readable(run) = run else {
        let uid = match record {
            Found::Readable(record) => format!(" with the uid {}", record.uid),
            Found::Nothing | Found::Corrupt => String::new(),
        };
        let left = format!("whatever any runtime has of it{uid}: nothing on record says which one made it");
        return (left, Vec::new());
    };
    if run.is_remote() {
        return ("nothing: it was a remote server".to_owned(), Vec::new());
    }
    let Some(owner) = run.owner() else {
        let left = format!("whatever any runtime has with the uid {}: it had no owner", run.uid);
        return (left, Vec::new());
    };
    let place = format!("the runtime '{}' ({})", owner.runtime_name, owner.runtime_instance);
    let remove = vec![Advice::RemoveOrphan { runtime: owner.runtime_name, uid: run.uid.to_string() }];
    let (evidence, children) = evidence_of(context, run).await;
    if !children.is_empty() {
        let left: Vec<String> = children.iter().map(shown).collect();
        let uids = children
            .into_iter()
            .map(|child| child.uid)
            .chain(matches!(evidence, Evidence::Has(_)).then(|| run.uid.to_string()));
        let advice = uids.map(|uid| Advice::RemoveOrphan { runtime: run.runtime_name.clone(), uid });
        return (
            format!("{} and servers of sessions in {place}: {}", of_itself(&evidence), left.join(", ")),
            advice.collect(),
        );
    }
    match evidence {
        Evidence::HasNot | Evidence::Remote => (format!("nothing: {place} has none of it"), Vec::new()),
        Evidence::Has(seen) => (format!("{} in {place}", shown(&seen)), remove),
        Evidence::Missing(reason) => {
            let uid = &run.uid;
            (format!("whatever {place} has with the uid {uid}, which cannot be told now ({reason})"), remove)
        }
    }
}

/// The workload's own resource in words, beside servers of its sessions.
fn of_itself(evidence: &Evidence) -> String {
    match evidence {
        Evidence::Has(seen) => shown(seen),
        Evidence::HasNot | Evidence::Remote | Evidence::Missing(_) => "nothing of itself".to_owned(),
    }
}

/// The owner's evidence of it, and the servers of its sessions that the owner shows.
async fn evidence_of(context: &Context, run: &RunConfig) -> (Evidence, Vec<Observation>) {
    let scope = if run.instances.is_shared() { Scope::TheseAlone } else { Scope::Everything };
    // The record that was just dropped may have been the last one with an owner. Then a lost host id looks like one that
    // was never made, so an empty one is an error here.
    let discover = match context.known_host_id() {
        Ok(id) if id.is_empty() => Err(Error::new(ErrorKind::Failed, "the id of this host is missing")),
        Ok(_) => {
            let discover = discover(context, std::iter::once(run), scope, InstanceProof::Engine);
            let late = || Err(Error::new(ErrorKind::Deadline, "its runtime gave no answer in time"));
            tokio::time::timeout(TOLD_WITHIN, discover).await.unwrap_or_else(|_| late())
        }
        Err(error) => Err(error),
    };
    match discover {
        Ok(discover) => {
            let children = discover.observed.children(run).into_iter().cloned().collect();
            (discover.observed.evidence(run), children)
        }
        Err(error) => (Evidence::Missing(error.message), Vec::new()),
    }
}

fn found<R>(read: std::result::Result<R, ReadError>, is_newer: impl FnOnce(&R) -> bool) -> Result<Found<R>> {
    match read {
        Ok(record) if is_newer(&record) => {
            let message = "its record was written by a newer wharf, which alone can remove it";
            Err(Error::new(ErrorKind::Failed, message))
        }
        Ok(record) => Ok(Found::Readable(record)),
        Err(error) if error.is_not_found() => Ok(Found::Nothing),
        Err(error) if error.is_corrupt() => Ok(Found::Corrupt),
        Err(error) => Err(error.into()),
    }
}

/// A resource in words: the runtime's own name for it, and its state.
pub(crate) fn shown(seen: &Observation) -> String {
    let object = if seen.object.is_empty() { seen.uid.as_str() } else { seen.object.as_str() };
    let state = if seen.is_paused() { "paused" } else { state_word(seen.state) };
    format!("{object} ({state})")
}

/// The state of a resource, in one word.
pub(crate) const fn state_word(state: WorkloadState) -> &'static str {
    match state {
        WorkloadState::Created => "created",
        WorkloadState::Running => "running",
        WorkloadState::Stopped => "stopped",
        WorkloadState::Removing => "removing",
        WorkloadState::Unknown => "unknown",
    }
}
