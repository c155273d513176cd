//! The second half of `adopt --rebind`: the new owner is recorded, and a supervisor that works at the former one is replaced.
//!
//! ```text
//! check      nothing is changed if the new owner does not answer, if the program is missing, or if it would run twice
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
use crate::commands::lookup::{connect_to_owner, read_record, refuse_earlier_import};
use crate::commands::nesting::refuse_nesting;
use crate::commands::record_owner::{Adopted, record_owner};
use crate::commands::start::start_locked;
use crate::commands::startable::refuse_missing_program;
use std::time::Duration;
use wharf_model::{
    Advice, Desired, Error, ErrorKind, LockKind, Owner, Phase, Result, RunConfig, StatusRecord,
};
use wharf_records::{LifeProbe, OperationLock};
use wharf_runtimes::ask_owner;
use wharf_sdk::WorkloadState;
use wharf_supervisor::Progress;

/// How long the former instance may take to say whether it still runs the workload.
const FORMER_WAIT: Duration = Duration::from_secs(5);

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
    refuse_earlier_import(before)?;
    let mut moved = before.clone();
    moved.set_owner(owner.clone());
    refuse_second_copy(context, before, &moved).await?;
    // It was asked before the lock was waited for, and may have gone away meanwhile.
    connect_to_owner(context, &moved).await?;
    refuse_missing_program(context, &moved).await?;
    let adopted = record_owner(context, before, owner, &operation)?;
    // A supervisor that ends late leaves nothing to be replaced: then it is a start that is missing.
    let again = Advice::Rebind { name: name.to_string(), runtime: before.runtime_name.clone() };
    let start = Advice::Start { name: name.to_string() };
    let ended = end_supervisor(context, &operation, record(context, before).as_ref()).await;
    ended.map_err(|error| {
        error
            .while_doing(format!("the owner of '{name}' is recorded, but not used yet"))
            .advise(again)
            .advise(start)
    })?;
    // It is read again: the supervisor may have recorded an end meanwhile.
    // Where it cannot be read, the start sets it aside: there was a supervisor.
    let is_wanted = record(context, before).is_none_or(|record| is_to_run(&record));
    if !is_wanted {
        return Ok(adopted);
    }
    let started = start_locked(context, name, operation, true, progress, None).await;
    started.map_err(|error| {
        error.while_doing(format!("the owner of '{name}' is recorded, and its supervisor ended for it"))
    })?;
    Ok(Adopted { restarted: true, ..adopted })
}

/// Refuses while another instance, which owned the workload so far, answers and shows that it runs: nothing would lead to it any
/// more, and the new supervisor would make a second one. An instance that does not answer holds nobody up.
async fn refuse_second_copy(context: &Context, before: &RunConfig, moved: &RunConfig) -> Result<()> {
    if before.runtime_instance == moved.runtime_instance {
        return Ok(());
    }
    let host_id = context.known_host_id()?;
    let asked = ask_owner(context.plugins(), &host_id, before);
    let seen = match tokio::time::timeout(FORMER_WAIT, asked).await {
        Ok(Ok((_, seen))) => seen,
        Ok(Err(_)) | Err(_) => None,
    };
    if seen.is_none_or(|seen| seen.state != WorkloadState::Running) {
        return Ok(());
    }
    let name = before.name.to_string();
    let message = format!("'{name}' runs at {}, which answers: it would run twice", before.runtime_instance);
    Err(Error::new(ErrorKind::Conflict, message).advise(Advice::Stop { name }))
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
