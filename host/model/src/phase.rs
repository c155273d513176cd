//! [`Phase`]: the last recorded phase of a workload, and the one table of transitions.
//!
//! ```text
//!                 StartBegun, from every phase but removing
//!        ┌──────────────────────────┬────────────────────────┬──────────────────┐
//!        ▼                          │                        │                  │
//!   ┌──────────┐     Ready     ┌─────────┐   StopBegun  ┌──────────┐  Stopped  ┌─────────┐
//!   │ starting │──────────────▶│ running │─────────────▶│ stopping │──────────▶│ stopped │
//!   └──────────┘               └─────────┘              └──────────┘           └─────────┘
//!        │                      │       │                                           ▲
//!        │ StartFailed   Failed │       │ Completed                                 │
//!        ▼                      ▼       └───────────────────────────────────────────┘
//!   ┌─────────────────────────────┐
//!   │            error            │     StopBegun: also from starting, stopped and error
//!   └─────────────────────────────┘     RemoveBegun: from every phase, to removing, for good
//! ```
//!
//! - A transitional phase whose command died is resumed by the next command: `StartBegun` is legal in `starting`,
//!   `StopBegun` in `stopping`, `RemoveBegun` in `removing`.
//! - `StartBegun` is legal in `running`: after a reboot or the death of a supervisor the record still says `running`.
//!   `StopBegun` is legal in `stopped` and `error`: reconciliation stops a workload that runs and should not.
//! - `Ready` and `Stopped` may be reported twice. All other events are legal in one phase or two, so that a late report of
//!   a supervisor does not undo a transition that a command has begun.
//! - Invariant: no event leads out of `removing`; the record is removed after it.
//!
//! Health (`unhealthy`, `interrupted`, stale) is derived from a record and evidence, and is never a phase.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The last recorded phase of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// A start has begun and is not ready yet.
    Starting,
    /// It became ready.
    Running,
    /// A stop has begun.
    Stopping,
    /// It ended as it was asked to, or by itself without a fault.
    Stopped,
    /// Its removal has begun. Of its files, only the RunConfig is removed after this record.
    Removing,
    /// It could not be started, or ended for good with a fault.
    Error,
}

/// An event in the life of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A command creates, starts or restarts it, or resumes an interrupted start.
    StartBegun,
    /// The supervisor serves its proxy.
    Ready,
    /// It did not become ready.
    StartFailed,
    /// A command stops it, or resumes an interrupted stop.
    StopBegun,
    /// The stop is done.
    Stopped,
    /// It ended by itself without a fault and will not be restarted.
    Completed,
    /// It ended by itself with a fault, or the attempts to restart it are used up.
    Failed,
    /// A command removes it, or resumes an interrupted removal.
    RemoveBegun,
}

/// An event that is not legal in the phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a workload that is {phase} cannot be told: {event}")]
pub struct TransitionError {
    /// The phase.
    pub phase: Phase,
    /// The event.
    pub event: Event,
}

impl Phase {
    /// All phases.
    pub const ALL: [Self; 6] =
        [Self::Starting, Self::Running, Self::Stopping, Self::Stopped, Self::Removing, Self::Error];

    /// The phase after an event. This is the table of transitions.
    pub fn next(self, event: Event) -> Result<Self, TransitionError> {
        use Phase::{Error, Removing, Running, Starting, Stopped, Stopping};
        match (self, event) {
            (_, Event::RemoveBegun) => Ok(Removing),
            (Starting | Running | Stopping | Stopped | Error, Event::StartBegun) => Ok(Starting),
            (Starting | Running, Event::Ready) => Ok(Running),
            (Starting, Event::StartFailed) => Ok(Error),
            (Starting | Running | Stopping | Stopped | Error, Event::StopBegun) => Ok(Stopping),
            (Stopping | Stopped, Event::Stopped) => Ok(Stopped),
            (Running, Event::Completed) => Ok(Stopped),
            (Running, Event::Failed) => Ok(Error),
            (
                Starting | Running | Stopping | Stopped | Removing | Error,
                Event::StartBegun
                | Event::Ready
                | Event::StartFailed
                | Event::StopBegun
                | Event::Stopped
                | Event::Completed
                | Event::Failed,
            ) => Err(TransitionError { phase: self, event }),
        }
    }

    /// Whether a command is under way, or was interrupted.
    #[must_use]
    pub fn is_transitional(self) -> bool {
        matches!(self, Self::Starting | Self::Stopping | Self::Removing)
    }

    /// Whether a supervisor is expected to live.
    #[must_use]
    pub fn expects_supervisor(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping)
    }

    /// Whether a start is legal.
    #[must_use]
    pub fn can_start(self) -> bool {
        self.next(Event::StartBegun).is_ok()
    }

    /// Whether a stop is legal.
    #[must_use]
    pub fn can_stop(self) -> bool {
        self.next(Event::StopBegun).is_ok()
    }
}

impl Event {
    /// All events.
    pub const ALL: [Self; 8] = [
        Self::StartBegun,
        Self::Ready,
        Self::StartFailed,
        Self::StopBegun,
        Self::Stopped,
        Self::Completed,
        Self::Failed,
        Self::RemoveBegun,
    ];
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Removing => "removing",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::StartBegun => "a start has begun",
            Self::Ready => "it is ready",
            Self::StartFailed => "its start failed",
            Self::StopBegun => "a stop has begun",
            Self::Stopped => "it is stopped",
            Self::Completed => "it ended by itself",
            Self::Failed => "it ended with a fault",
            Self::RemoveBegun => "its removal has begun",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row for each phase, one letter for each event in the order of [`Event::ALL`]: the first letter of the next phase
    /// (`T` for stopped, since starting and stopping have the same first letter), `.` for refused.
    const TABLE: [(Phase, &str); 6] = [
        (Phase::Starting, "sREp...x"),
        (Phase::Running, "sR.p.TEx"),
        (Phase::Stopping, "s..pT..x"),
        (Phase::Stopped, "s..pT..x"),
        (Phase::Removing, ".......x"),
        (Phase::Error, "s..p...x"),
    ];

    fn letter(outcome: Result<Phase, TransitionError>) -> char {
        match outcome {
            Err(_) => '.',
            Ok(Phase::Starting) => 's',
            Ok(Phase::Running) => 'R',
            Ok(Phase::Stopping) => 'p',
            Ok(Phase::Stopped) => 'T',
            Ok(Phase::Removing) => 'x',
            Ok(Phase::Error) => 'E',
        }
    }

    #[test]
    fn every_phase_answers_every_event_as_the_table_says() {
        assert_eq!(TABLE.map(|(phase, _)| phase), Phase::ALL);
        for (phase, expected) in TABLE {
            let row: String = Event::ALL.iter().map(|event| letter(phase.next(*event))).collect();
            assert_eq!(row, expected, "{phase}");
        }
    }

    #[test]
    fn an_interrupted_command_may_be_given_again() {
        for (phase, event) in [
            (Phase::Starting, Event::StartBegun),
            (Phase::Stopping, Event::StopBegun),
            (Phase::Removing, Event::RemoveBegun),
        ] {
            assert!(phase.is_transitional());
            assert_eq!(phase.next(event), Ok(phase));
        }
    }

    #[test]
    fn a_refusal_names_phase_and_event() {
        let refusal = Phase::Removing.next(Event::Ready).unwrap_err();
        assert_eq!(refusal.to_string(), "a workload that is removing cannot be told: it is ready");
        assert!(!Phase::Removing.can_start() && !Phase::Removing.can_stop());
    }

    #[test]
    fn a_phase_is_written_as_it_is_shown() {
        for phase in Phase::ALL {
            assert_eq!(serde_json::to_string(&phase).unwrap(), format!("\"{phase}\""));
        }
    }
}
