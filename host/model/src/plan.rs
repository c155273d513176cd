//! [`plan`]: the action of `reconcile` on one workload, a pure function of what is desired, recorded and observed.
//!
//! ```text
//! locks       recorded            the owner says         action
//! operation   any                 anything               none: another command works on it
//! held
//! any         any                 nothing (no evidence)  none, with the reason (R04); the same for a remote server,
//!                                                        which has no owner (R03)
//! life held   running             it is paused, or       none, with the reason: only a person may let it go on, or
//!                                 fails its own check    knows why it does not work
//!             running, starting   anything else          in order: its supervisor tends it
//!             nothing, stopped,   anything               none: its supervisor is ending
//!             error
//! life free   nothing             anything               none: nobody knows whether its creation, its import or its removal
//!                                                        was interrupted, nor whether a command reported a failure
//!             starting, wanted    anything               start: its start was interrupted
//!             running, wanted     it is paused           none, with the reason: a start would undo what a person has
//!                                                        done
//!                                 runs                   start: its proxy is gone. By policy `no` only a server
//!                                                        with a port, which is resumed; else stop
//!                                 does not run, or has   start by policy, else record the exit
//!                                 none of it
//!             stopped, wanted     anything               start: its restart was interrupted
//!             error               runs                   stop: it should not run
//!                                 does not run           nothing: only a command starts it again; but one whose edit is
//!                                                        not settled starts, as it was before
//!             stopped, error      does not run, servers  stop: what is left of them is cleared up; so, too, of one that is
//!                                 of sessions recorded   running by the record, and is not started again
//!             starting, running,  anything               stop: the user wants it stopped
//!             not wanted
//!             stopped, not wanted runs                   stop
//!                                 does not run           in order
//! any         stopping, wanted    anything               start: its restart was interrupted
//!             stopping            anything               stop: its stop was interrupted
//!             removing            anything               remove: its removal was interrupted
//! ```
//!
//! "Wanted" means that `desired` is `running`. Two kinds of records are left alone before the table is used: one of another
//! uid, and one that an earlier version imported ([`EARLIER_IMPORT`]), unless it is being removed.
//!
//! After a reboot nothing recorded runs: the owner says so, the life lock is free, and a policy other than `no` brings the
//! workloads back that are wanted. An end that nobody saw and whose code nobody knows counts as a fault.
use crate::advice::NextStep;
use crate::effective_state::{CHECK_FAILS, Evidence, PAUSED, PAUSED_AND_ALONE, fails_its_check};
use crate::phase::Phase;
use crate::restart::{RestartPolicy, wants_restart};
use crate::run_config::RunConfig;
use crate::status_record::{Desired, StatusRecord};
use crate::transport::Transport;
use wharf_sdk::process_identity::BootId;
use wharf_sdk::{Exit, Observation, WorkloadState};

/// The action of reconciliation on a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing: the workload is as it should be.
    None,
    /// Nothing, for this reason.
    Leave(Reason),
    /// Start it, for this reason.
    Start(&'static str),
    /// Stop it, for this reason.
    Stop(&'static str),
    /// Remove it: its removal was interrupted.
    Remove,
    /// Record its end.
    Record(Exit),
}

/// Why reconciliation leaves a workload alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The reason, a sentence without the next step.
    pub text: String,
    /// The command by which a person decides; none if there is nothing to decide.
    pub next: Option<NextStep>,
}

impl<T: Into<String>> From<T> for Reason {
    fn from(text: T) -> Self {
        Self { text: text.into(), next: None }
    }
}

fn undecided(text: &str, next: NextStep) -> Action {
    Action::Leave(Reason { next: Some(next), ..text.into() })
}

/// The two locks that a plan depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locks {
    /// A command holds the operation lock.
    pub operation_held: bool,
    /// A supervisor holds the life lock.
    pub life_held: bool,
}

/// The action of reconciliation on one workload; see the table above.
pub fn plan(
    config: &RunConfig,
    recorded: Option<&StatusRecord>,
    evidence: &Evidence,
    locks: Locks,
    boot: &BootId,
) -> Action {
    if locks.operation_held {
        return Action::Leave("another command works on it".into());
    }
    let seen = match evidence {
        Evidence::Missing(reason) => return Action::Leave(reason.as_str().into()),
        Evidence::Remote => return Action::Leave("it is a remote server, and has no owner".into()),
        Evidence::Has(seen) => Some(seen.as_ref()),
        Evidence::HasNot => None,
    };
    let Some(record) = recorded else {
        return if locks.life_held {
            ending()
        } else if config.imported.is_some() {
            // `import` writes a stopped workload: finishing it means importing it again, and only the user can decide to do
            // that.
            undecided("its import was interrupted", NextStep::ImportOrStart)
        } else {
            undecided("its creation or its removal was interrupted", NextStep::StartOrRemove)
        };
    };
    if record.uid != config.uid {
        return Action::Leave("its status record is of another creation of the name".into());
    }
    if config.is_of_earlier_import() && record.phase != Phase::Removing {
        return Action::Leave(EARLIER_IMPORT.into());
    }
    let wanted = record.desired == Desired::Running;
    match record.phase {
        Phase::Removing => Action::Remove,
        Phase::Stopping if wanted => Action::Start("its restart was interrupted"),
        Phase::Stopping => Action::Stop("its stop was interrupted"),
        Phase::Running if locks.life_held => tended(seen),
        Phase::Starting if locks.life_held => Action::None,
        Phase::Stopped | Phase::Error if locks.life_held => ending(),
        Phase::Starting if wanted => Action::Start("its start was interrupted"),
        Phase::Starting | Phase::Running if !wanted => Action::Stop("it should not run"),
        Phase::Running => run_again(config, record, seen, boot),
        Phase::Stopped if wanted => Action::Start("its restart was interrupted"),
        // Its start undoes the edit.
        Phase::Error if wanted && config.previous.is_some() => Action::Start("its edit was interrupted"),
        Phase::Error | Phase::Stopped if runs(seen) => Action::Stop("it runs, and should not"),
        Phase::Error | Phase::Stopped if !record.session_servers.is_empty() => Action::Stop(LEFT),
        Phase::Starting | Phase::Stopped | Phase::Error => Action::None,
    }
}

/// The action on a workload that its supervisor tends.
fn tended(seen: Option<&Observation>) -> Action {
    match seen {
        Some(seen) if seen.is_paused() => undecided(PAUSED, NextStep::Start),
        Some(seen) if fails_its_check(seen) => undecided(CHECK_FAILS, NextStep::ReadLog),
        _ => Action::None,
    }
}

/// The reason why a workload that an earlier version imported is left alone.
pub const EARLIER_IMPORT: &str =
    "an earlier version imported it, to serve another product's container; this one makes copies instead";

/// The reason to stop a workload that does not run.
const LEFT: &str = "servers of its sessions are left";

/// The action on a workload that should run and has no supervisor.
fn run_again(config: &RunConfig, record: &StatusRecord, seen: Option<&Observation>, boot: &BootId) -> Action {
    // A new supervisor cannot reach its server, which answers nobody, and would start it anew.
    if seen.is_some_and(Observation::is_paused) {
        return undecided(PAUSED_AND_ALONE, NextStep::Start);
    }
    if runs(seen) {
        let is_resumed = config.transport != Transport::Stdio;
        return if is_resumed || config.restart != RestartPolicy::No {
            Action::Start("its supervisor is gone")
        } else {
            Action::Stop("its supervisor is gone, and it is not to be restarted")
        };
    }
    let exit = end(seen, record, boot);
    if !wants_restart(config.restart, &exit) {
        return if record.session_servers.is_empty() { Action::Record(exit) } else { Action::Stop(LEFT) };
    }
    Action::Start(if is_of_another_boot(record, boot) { "the machine was restarted" } else { "it ended" })
}

fn ending() -> Action {
    Action::Leave("its supervisor is beginning or ending".into())
}

fn runs(seen: Option<&Observation>) -> bool {
    seen.is_some_and(|seen| seen.state == WorkloadState::Running)
}

fn is_of_another_boot(record: &StatusRecord, boot: &BootId) -> bool {
    record.supervisor.as_ref().is_some_and(|supervisor| supervisor.boot_id != *boot)
}

/// How the workload ended, as far as the owner or the record tells.
fn end(seen: Option<&Observation>, record: &StatusRecord, boot: &BootId) -> Exit {
    if let Some(exit) = seen.and_then(|seen| seen.exit.clone()) {
        return exit;
    }
    let reason = match (is_of_another_boot(record, boot), seen) {
        (true, _) => "the machine was restarted",
        (false, Some(_)) => "its runtime does not say how it ended",
        (false, None) => "its runtime no longer has it",
    };
    Exit { reason: reason.to_owned(), ..Exit::default() }
}

#[cfg(test)]
mod tests;
