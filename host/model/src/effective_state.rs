//! The effective state: a pure function of the record and the witnesses.
//!
//! The witnesses are the owner, for the workload, and the life lock, for its proxy. The operation lock tells whether a command
//! is at work, and the boot whether the machine was restarted.
//!
//! ```text
//! recorded    witnesses                                        effective
//! nothing     operation or life lock held                      starting
//!             neither, owner: running                          unhealthy (it runs, and nothing is recorded of it)
//!             neither                                          interrupted
//! transition  operation or life lock held                      the transition
//!             neither                                          interrupted
//! running     life lock free, recorded in another boot         stopped (the machine was restarted)
//!             life lock free                                   unhealthy (no proxy, and paused, if somebody has paused it)
//!             held, owner: running                             running; paused, if somebody has paused it; unhealthy, if the
//!                                                              engine's own check of it fails
//!             held, owner: not running, or has none of it      unhealthy, with what the owner says
//!             held, no evidence                                running, stale, with the reason
//! stopped,    owner: running                                   unhealthy (it runs, and should not)
//! error       owner: anything else                             as recorded
//!             no evidence                                      as recorded, stale, with the reason
//! ```
//! An owner that does not know the state of a workload gives no evidence. A remote server has no owner (R03): the life lock
//! alone tells about it.
use crate::advice::NextStep;
use crate::exit::how;
use crate::lock_kind::LockKind;
use crate::phase::Phase;
use crate::status_record::{Desired, StatusRecord};
use serde::Serialize;
use wharf_sdk::process_identity::BootId;
use wharf_sdk::{Check, Observation, WorkloadState};

/// The state of a workload, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EffectiveState {
    /// A start is under way.
    Starting,
    /// The workload and its proxy run.
    Running,
    /// A stop is under way.
    Stopping,
    /// It does not run, and should not.
    Stopped,
    /// It is being removed.
    Removing,
    /// It ended with a fault, or could not be started.
    Error,
    /// The workload and its proxy are there, and somebody has paused the workload in its engine.
    Paused,
    /// The evidence contradicts the desired state.
    Unhealthy,
    /// A command ended before it was done; the next one goes on from `desired`.
    Interrupted,
    // Set by the listing, never by `assess`.
    /// Not assessed: the record cannot be read, the workload has no owner (R07), or an earlier version imported it.
    Unknown,
}

impl EffectiveState {
    /// All of them, for documentation.
    pub const ALL: [Self; 10] = [
        Self::Starting,
        Self::Running,
        Self::Stopping,
        Self::Stopped,
        Self::Removing,
        Self::Error,
        Self::Paused,
        Self::Unhealthy,
        Self::Interrupted,
        Self::Unknown,
    ];

    /// The name that is shown and written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Removing => "removing",
            Self::Error => "error",
            Self::Paused => "paused",
            Self::Unhealthy => "unhealthy",
            Self::Interrupted => "interrupted",
            Self::Unknown => "unknown",
        }
    }
}

impl From<Phase> for EffectiveState {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Starting => Self::Starting,
            Phase::Running => Self::Running,
            Phase::Stopping => Self::Stopping,
            Phase::Stopped => Self::Stopped,
            Phase::Removing => Self::Removing,
            Phase::Error => Self::Error,
        }
    }
}

/// The state of a workload as it is shown, with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The state.
    pub state: EffectiveState,
    /// More about it, in words.
    pub context: String,
    /// Why the state rests on the record alone; none where it is fresh.
    pub stale: Option<String>,
    /// The next step that helps; none if there is nothing to do, or if it is not known.
    pub next: Option<NextStep>,
}

impl Effective {
    /// A state that rests on what was just seen, for this reason.
    pub fn fresh(state: EffectiveState, context: impl Into<String>) -> Self {
        Self { state, context: context.into(), stale: None, next: None }
    }

    #[must_use]
    fn then(self, next: NextStep) -> Self {
        Self { next: Some(next), ..self }
    }
}

/// The owner's evidence about one workload.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    /// The owner has the workload, in this state.
    Has(Box<Observation>),
    /// The owner answered completely, and does not have the workload.
    HasNot,
    /// There is no evidence, for this reason.
    Missing(String),
    /// The workload is a remote server (R03), so nobody was asked.
    Remote,
}

impl Evidence {
    /// The evidence in an observation: none if the runtime does not know the state.
    pub fn of(seen: Observation) -> Self {
        if seen.state == WorkloadState::Unknown {
            return Self::Missing("its runtime has it, and does not know what it does".to_owned());
        }
        Self::Has(Box::new(seen))
    }
}

/// Everything beside the record that the effective state depends on.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The owner's evidence.
    pub evidence: Evidence,
    /// True if a supervisor holds the life lock. Only looked at where [`locks_looked_at`] names that lock.
    pub life_held: bool,
    /// True if a command holds the operation lock. Only looked at where [`locks_looked_at`] names that lock.
    pub operation_held: bool,
    /// The present boot.
    pub boot: BootId,
}

/// The effective state of a workload.
pub fn assess(recorded: Option<&StatusRecord>, witnesses: &Inputs) -> Effective {
    let Some(record) = recorded else {
        // There is a RunConfig and no status record: the workload is being created or removed, or that was interrupted.
        return if witnesses.operation_held || witnesses.life_held {
            fresh(EffectiveState::Starting, "")
        } else if matches!(&witnesses.evidence, Evidence::Has(seen) if seen.state == WorkloadState::Running) {
            fresh(EffectiveState::Unhealthy, "it runs, and nothing is recorded of it").then(NextStep::Stop)
        } else {
            fresh(EffectiveState::Interrupted, "its creation or its removal was interrupted")
                .then(NextStep::StartOrRemove)
        };
    };
    match record.phase {
        Phase::Starting => transition(EffectiveState::Starting, record, witnesses),
        Phase::Stopping => transition(EffectiveState::Stopping, record, witnesses),
        Phase::Removing => transition(EffectiveState::Removing, record, witnesses),
        Phase::Running => running(record, witnesses),
        Phase::Stopped => resting(EffectiveState::Stopped, record, witnesses),
        Phase::Error => resting(EffectiveState::Error, record, witnesses),
    }
}

/// The locks that the effective state depends on, for a workload with this record. A reader asks about no others.
pub fn locks_looked_at(recorded: Option<&StatusRecord>) -> &'static [LockKind] {
    match recorded.map(|record| record.phase) {
        None | Some(Phase::Starting | Phase::Stopping | Phase::Removing) => {
            &[LockKind::Operation, LockKind::Life]
        }
        Some(Phase::Running) => &[LockKind::Life],
        Some(Phase::Stopped | Phase::Error) => &[],
    }
}

fn fresh(state: EffectiveState, context: impl Into<String>) -> Effective {
    Effective::fresh(state, context)
}

fn transition(state: EffectiveState, record: &StatusRecord, witnesses: &Inputs) -> Effective {
    if witnesses.operation_held || witnesses.life_held {
        return fresh(state, "");
    }
    let next = match (record.phase, record.desired) {
        (Phase::Removing, _) => NextStep::FinishRemoval,
        (_, Desired::Running) => NextStep::Start,
        (_, Desired::Stopped) => NextStep::Stop,
    };
    fresh(EffectiveState::Interrupted, format!("a command ended while it was {}", state.as_str())).then(next)
}

fn running(record: &StatusRecord, witnesses: &Inputs) -> Effective {
    if !witnesses.life_held {
        let rebooted =
            record.supervisor.as_ref().is_some_and(|supervisor| supervisor.boot_id != witnesses.boot);
        return if rebooted {
            fresh(EffectiveState::Stopped, "the machine was restarted").then(NextStep::Start)
        } else if matches!(&witnesses.evidence, Evidence::Has(seen) if seen.is_paused()) {
            fresh(EffectiveState::Unhealthy, PAUSED_AND_ALONE).then(NextStep::Start)
        } else {
            let why = match record.supervisor {
                Some(_) => "its supervisor is gone, so it has no proxy",
                None => "it has no supervisor, and so no proxy",
            };
            fresh(EffectiveState::Unhealthy, why).then(NextStep::Start)
        };
    }
    match &witnesses.evidence {
        Evidence::Has(seen) if seen.is_paused() => {
            fresh(EffectiveState::Paused, PAUSED).then(NextStep::Start)
        }
        Evidence::Has(seen) if fails_its_check(seen) => {
            fresh(EffectiveState::Unhealthy, CHECK_FAILS).then(NextStep::ReadLog)
        }
        Evidence::Has(seen) if seen.state == WorkloadState::Running => {
            fresh(EffectiveState::Running, record.status_context.clone())
        }
        Evidence::Has(seen) => fresh(EffectiveState::Unhealthy, not_running(seen)),
        Evidence::HasNot => fresh(EffectiveState::Unhealthy, "its runtime no longer has it"),
        Evidence::Missing(reason) => stale(EffectiveState::Running, record, reason),
        Evidence::Remote => fresh(EffectiveState::Running, record.status_context.clone()),
    }
}

fn resting(state: EffectiveState, record: &StatusRecord, witnesses: &Inputs) -> Effective {
    match &witnesses.evidence {
        Evidence::Has(seen) if seen.state == WorkloadState::Running => {
            fresh(EffectiveState::Unhealthy, "it runs, and should not").then(NextStep::Stop)
        }
        Evidence::Has(_) | Evidence::HasNot | Evidence::Remote => fresh(state, record.status_context.clone()),
        Evidence::Missing(reason) => stale(state, record, reason),
    }
}

fn stale(state: EffectiveState, record: &StatusRecord, reason: &str) -> Effective {
    Effective { stale: Some(reason.to_owned()), ..fresh(state, record.status_context.clone()) }
}

/// True of a running workload whose engine has a check of its own, such as an image's, and says that it fails.
pub(crate) fn fails_its_check(seen: &Observation) -> bool {
    seen.state == WorkloadState::Running && seen.condition.check == Some(Check::Unhealthy)
}

/// The reason of [`EffectiveState::Paused`].
pub(crate) const PAUSED: &str = "somebody has paused it in its engine";
/// The reason for one that is paused and has no supervisor, and so no proxy.
pub(crate) const PAUSED_AND_ALONE: &str = "somebody has paused it in its engine, and it has no supervisor";
/// The reason for a workload whose engine says that it does not work.
pub(crate) const CHECK_FAILS: &str = "the check of its image (HEALTHCHECK) fails";

fn not_running(seen: &Observation) -> String {
    let exit = seen.exit.as_ref().map(|exit| format!("it {}", how(exit)));
    exit.unwrap_or_else(|| "it does not run".to_owned())
}

#[cfg(test)]
mod tests;
