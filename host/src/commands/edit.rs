//! `edit`: changes what a workload is, with the checks of `run`.
//!
//! ```text
//! check, fetch      the workload runs on; what is wrong is an error with nothing changed
//! stop              desired stays `running`: whoever comes next starts it
//! write             the new RunConfig, with the old one in it as `previous`: one file, whole or not at all (R11)
//! start             ready: the supervisor drops `previous`
//!                   else: the old RunConfig is written back, and started
//! ```
//!
//! If a process dies in between, the next start settles the edit (`settle.rs`), and reconciliation does so, too. The uid
//! stays, and with it the owner, the name, and the secret of the proxy.
use crate::commands::context::Context;
use crate::commands::edit_request::{Change, changed};
use crate::commands::ends::Ends;
use crate::commands::fetch::fetch;
use crate::commands::locking::lock_operation;
use crate::commands::lookup::{read_run_config, record_or_set_aside, refuse_earlier_import};
use crate::commands::nesting::refuse_nesting;
use crate::commands::request::Started;
use crate::commands::settle::settle_edit;
use crate::commands::start::{start_as_recorded, start_locked};
use crate::commands::stop::stop_locked;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use wharf_failpoint::{Point, reach};
use wharf_model::{Advice, Desired, Error, ErrorKind, Phase, Result, RunConfig, WorkloadName};
use wharf_supervisor::Progress;

/// A workload that was edited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Edited {
    /// Its name.
    pub name: String,
    /// Its uid, which an edit does not change.
    pub uid: String,
    /// Its runtime.
    pub runtime_name: String,
    /// The outcome.
    pub result: EditResult,
    /// The URL for clients; empty if it does not run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// The proxy's port; 0 if it never ran.
    pub port: u16,
}

/// The outcome of an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EditResult {
    /// It runs as it was changed.
    Restarted,
    /// It is not to run: its next start is as it was changed.
    Recorded,
    /// It is what was asked for already; nothing was done.
    Unchanged,
}

/// Changes what a workload is. If it runs, it is stopped, which may take `timeout`, and started; if it does not become ready
/// then, it is what it was before, and runs as such.
///
/// # Errors
/// The change cannot be had: then nothing is changed. The changed workload did not become ready: then the edit is
/// undone.
pub async fn edit(
    context: &Context,
    name: &WorkloadName,
    change: &Change<'_>,
    timeout: Duration,
    progress: &mut dyn Progress,
) -> Result<Edited> {
    edit_until(context, name, change, timeout, progress, Ends::take()?).await
}

/// The same, until `ends` asks for its end: then it is undone.
pub(crate) async fn edit_until(
    context: &Context,
    name: &WorkloadName,
    change: &Change<'_>,
    timeout: Duration,
    progress: &mut dyn Progress,
    mut ends: Ends,
) -> Result<Edited> {
    refuse_nesting(context)?;
    read_run_config(context, name)?;
    let operation = lock_operation(context, name).await?;
    settle_edit(context, name, &operation).await?;
    let old = read_run_config(context, name)?;
    if old.is_remote() {
        let message = format!("'{name}' is a remote server, which this version of wharf does not serve");
        return Err(Error::new(ErrorKind::Usage, message));
    }
    refuse_earlier_import(&old)?;
    let changed = changed(context, &old, change).await?;
    if changed.spec.is_none() {
        return Ok(edited(&old, EditResult::Unchanged, String::new()));
    }
    let record = record_or_set_aside(context, &operation)?.filter(|record| record.uid == old.uid);
    let is_wanted = record.as_ref().is_some_and(|record| record.desired == Desired::Running);
    if !is_wanted {
        write(context, &changed.run, None)?;
        return Ok(edited(&changed.run, EditResult::Recorded, String::new()));
    }
    fetch(context, &old, &changed, &mut ends).await?;
    if ends.has_come().await {
        return Err(ends.interrupted(&format!("the edit of '{name}'")));
    }
    let ran = record.is_some_and(|record| record.phase == Phase::Running);
    stop_locked(context, name, &operation, timeout, Desired::Running).await?;
    // A workload that did not run is not tried: there is nothing to go back to.
    if let Err(error) = write(context, &changed.run, ran.then(|| old.clone())) {
        let started = start_locked(context, name, operation, true, progress, ends.for_undoing()).await;
        return Err(undone(name, error, started));
    }
    let started = start_as_recorded(context, name, operation, true, progress, Some(&mut ends)).await;
    match started {
        Ok(started) => {
            Ok(edited(&RunConfig { port: started.port, ..changed.run }, EditResult::Restarted, started.url))
        }
        Err(cause) if !ran => Err(cause.while_doing(format!("'{name}' is changed, and does not run"))),
        Err(cause) => undo(context, &changed.run, cause, progress, &mut ends).await,
    }
}

/// Writes the new RunConfig, with the one to go back to in it.
fn write(context: &Context, run: &RunConfig, previous: Option<RunConfig>) -> Result<()> {
    let run = RunConfig { previous: previous.map(Box::new), ..run.clone() };
    context.store().update_run_config(&run.name, &run.uid, |now| now.clone_from(&run))?;
    reach(Point::EditRecorded);
    Ok(())
}

/// Starts what was there before, and returns the error that tells all of it. If the supervisor died after the changed
/// workload was ready, the edit is kept.
async fn undo(
    context: &Context,
    changed: &RunConfig,
    cause: Error,
    progress: &mut dyn Progress,
    ends: &mut Ends,
) -> Result<Edited> {
    let name = &changed.name;
    // The supervisor that failed has the lock until it ends. Another command that is first settles the edit itself.
    let started = async {
        let operation = lock_operation(context, name).await?;
        start_locked(context, name, operation, true, progress, ends.for_undoing()).await
    };
    let started = started.await;
    if let Ok(started) = &started
        && read_run_config(context, name).is_ok_and(|now| RunConfig { port: changed.port, ..now } == *changed)
    {
        let run = RunConfig { port: started.port, ..changed.clone() };
        return Ok(edited(&run, EditResult::Restarted, started.url.clone()));
    }
    Err(undone(name, cause, started))
}

fn undone(name: &WorkloadName, cause: Error, started: Result<Started>) -> Error {
    match started {
        Ok(_) => cause.while_doing(format!("the edit of '{name}' is undone, and it runs as before")),
        Err(error) => cause
            .while_doing(format!("the edit of '{name}' failed, and it does not run as before ({error})"))
            .advise(Advice::Start { name: name.to_string() }),
    }
}

fn edited(run: &RunConfig, result: EditResult, url: String) -> Edited {
    Edited {
        name: run.name.to_string(),
        uid: run.uid.to_string(),
        runtime_name: run.runtime_name.clone(),
        result,
        url,
        port: run.port,
    }
}
