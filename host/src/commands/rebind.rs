//! The second half of `adopt --rebind`: the new owner is recorded, and a supervisor that works at the former one is replaced.
//!
//! ```text
//! check      nothing is changed if what would be started cannot be started here
//! record     the new owner; a write that fails leaves the supervisor at work
//! leave      the supervisor ends, and the workload stays as it is
//! start      a new supervisor, which connects to the owner on record, resumes the workload or starts it anew
//! ```
//!
//! Situation: a supervisor connects to its owner once, when it is started. If the owner is moved beneath it, it goes on at the
//! former endpoint, and refuses every stop for as long as that one cannot be used. Conclusion: it is replaced each time, also
//! where the owner on record is the new one already: a process that died after the record is made good by the same command
//! again. One that died after the supervisor's end leaves what a killed supervisor leaves, and `start`, `stop`, `rm` and
//! `reconcile` go on from there.
use crate::commands::context::Context;
use crate::commands::leaving::end_supervisor;
use crate::commands::lookup::read_record;
use crate::commands::nesting::refuse_nesting;
use crate::commands::record_owner::{Adopted, record_owner};
use crate::commands::start::start_locked;
use crate::commands::startable::refuse_missing_program;
use wharf_model::{Advice, Desired, LockKind, Owner, Phase, Result, RunConfig, StatusRecord};
use wharf_records::{LifeProbe, OperationLock};
use wharf_supervisor::Progress;

/// Moves a workload to this owner.
///
/// # Errors
/// The workload has changed since the owner was looked for, or could not be started again: then nothing is changed. Or its
/// supervisor could not be replaced: then the message says that the owner is recorded.
pub(crate) async fn rebind(
    context: &Context,
    before: &RunConfig,
    owner: Owner,
    operation: OperationLock,
    progress: &mut dyn Progress,
) -> Result<Adopted> {
    let name = &before.name;
    if !LifeProbe::open(context.store().state())?.is_held(name, LockKind::Life)? {
        return record_owner(context, before, owner, &operation);
    }
    refuse_nesting(context)?;
    let mut moved = before.clone();
    moved.set_owner(owner.clone());
    refuse_missing_program(context, &moved).await?;
    let adopted = record_owner(context, before, owner, &operation)?;
    let again = Advice::Rebind { name: name.to_string(), runtime: before.runtime_name.clone() };
    let ended = end_supervisor(context, &operation, record(context, before).as_ref()).await;
    ended.map_err(|error| {
        error.while_doing(format!("the owner of '{name}' is recorded, but not used yet")).advise(again)
    })?;
    // It is read again: the supervisor may have recorded an end meanwhile.
    let is_wanted = record(context, before).is_some_and(|record| is_to_run(&record));
    if !is_wanted {
        return Ok(adopted);
    }
    let started = start_locked(context, name, operation, true, progress, None).await;
    started.map_err(|error| {
        error.while_doing(format!("the owner of '{name}' is recorded, and its supervisor ended for it"))
    })?;
    Ok(Adopted { restarted: true, ..adopted })
}

/// The status record of this creation of the workload, if it can be read.
fn record(context: &Context, run: &RunConfig) -> Option<StatusRecord> {
    read_record(context, &run.name).ok().flatten().filter(|record| record.uid == run.uid)
}

/// Whether it ran, or was on the way to it. What was being stopped or removed is left to that command.
fn is_to_run(record: &StatusRecord) -> bool {
    let is_under_way = matches!(record.phase, Phase::Starting | Phase::Running | Phase::Stopping);
    record.desired == Desired::Running && is_under_way
}
