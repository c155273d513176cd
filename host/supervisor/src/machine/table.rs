//! [`step`]: the one table of a supervisor's transitions, in groups of rows. The functions that several rows share are in
//! `transitions.rs`.
use super::effect::{Effect, Left, Work};
use super::event::{Earlier, Ending, Event};
use super::state::{Again, At, Behalf, Cause, Clearing, Made, State};
use super::transitions::{
    Next, REATTACH_PAUSE, STDIN_GRACE, after_exit, attempt_failed, back, clear, cleared, counted, deploy,
    end, follow_later, give_up, give_up_as_before, given_up, go, not_stopped, not_up, request, run,
    signalled, stop, stopped, uncleared, uncleared_start,
};

/// The next state, and its effects. An event that the state does not wait for changes nothing; the run loop sends none of
/// those.
#[must_use]
pub fn step(state: State, event: Event) -> Next {
    next(state, event).unwrap_or((state, Vec::new()))
}

/// The table: the first row that fits. None where the state does not wait for the event.
pub(super) fn next(state: State, event: Event) -> Option<Next> {
    let groups =
        [from_outside, in_start, in_given_up_start, in_clearing, in_run, in_engine_restart, in_restart];
    groups.into_iter().find_map(|rows| rows(state, event))
}

/// What is heard from outside, and from the workload that is up.
fn from_outside(state: State, event: Event) -> Option<Next> {
    let hears = state.hears();
    Some(match (state.at, event) {
        (_, Event::Request(ask)) if hears.requests => request(state, ask),
        (_, Event::Signalled) if hears.signals => signalled(state),
        (_, Event::ClientGone) if hears.client => give_up(state, Cause::Abandoned),
        (_, Event::ConfigRemoved) if hears.config => end(state, vec![]),
        (At::Running | At::StdoutClosed, Event::Exited(ending)) => after_exit(state, ending),
        (At::Running, Event::StdoutClosed) => go(state, At::StdoutClosed, Work::Wait(STDIN_GRACE)),
        _ => return None,
    })
}

/// The start.
fn in_start(state: State, event: Event) -> Option<Next> {
    Some(match (state.at, event) {
        (At::TakingLife, Event::Begin) => go(state, At::TakingLife, Work::TakeLife),
        (At::TakingLife, Event::Done) => go(state, At::Preparing, Work::Prepare),
        (At::Preparing, Event::Prepared(workload)) => {
            go(State { workload, ..state }, At::OpeningControl, Work::OpenControl)
        }
        (At::OpeningControl, Event::Done) => go(state, At::BindingPort, Work::BindPort),
        (At::BindingPort, Event::Done) => go(state, At::RecordingSupervisor, Work::RecordSupervisor),
        (At::RecordingSupervisor, Event::Done) => go(state, At::Looking, Work::LookForEarlier),
        (At::Looking, Event::Found(Earlier::Nothing)) => deploy(state, vec![]),
        (At::Looking, Event::Found(Earlier::Runs)) => {
            go(State { made: Made::Handle, ..state }, At::Resuming, Work::AwaitResumed)
        }
        (At::Looking, Event::Found(Earlier::Left)) => {
            go(state, At::Clearing(Clearing::Earlier), Work::PutEarlierAside)
        }
        (At::Resuming, Event::Done) => go(state, At::RecordingReady, Work::RecordReady),
        (At::Deploying, Event::Deployed { kept }) => {
            let may = kept && state.workload.stdio && !state.restarting && state.again == Again::No;
            let again = if may { Again::Possible } else { state.again };
            go(State { made: Made::Handle, again, ..state }, At::ProvingMade, Work::ProveMade)
        }
        (At::Deploying, Event::NotDeployed { kind, made }) => not_up(State { made, ..state }, kind),
        (At::ProvingMade, Event::Done) => go(state, At::RecordingHandle, Work::RecordHandle),
        (At::RecordingHandle, Event::Done) => go(state, At::Starting, Work::Start),
        (At::Starting, Event::Done) if state.restarting => back(state),
        (At::Starting, Event::Done) => go(state, At::RecordingReady, Work::RecordReady),
        (At::RecordingReady, Event::Done) => run(state, vec![Effect::ReportReady]),
        (At::ProvingMade | At::RecordingHandle | At::Starting, Event::Failed(kind)) => not_up(state, kind),
        (At::AskingExit, Event::Exited(Ending { succeeded: true, .. })) => {
            clear(state, Clearing::Again, vec![])
        }
        (At::AskingExit, Event::Exited(_) | Event::Failed(_)) => give_up_as_before(state),
        _ => return None,
    })
}

/// A start that is given up.
fn in_given_up_start(state: State, event: Event) -> Option<Next> {
    Some(match (state.at, event) {
        (
            At::TakingLife
            | At::Preparing
            | At::OpeningControl
            | At::BindingPort
            | At::RecordingSupervisor
            | At::Looking
            | At::Resuming
            | At::RecordingReady,
            Event::Failed(kind),
        ) => give_up(state, Cause::Failed(kind)),
        (At::RemovingRecords, Event::Failed(_)) => {
            go(state, At::RecordingFailure, Work::RecordFailure(Left::Records))
        }
        (At::RemovingRecords, Event::Done) | (At::RecordingFailure, Event::Done | Event::Failed(_)) => {
            given_up(state)
        }
        _ => return None,
    })
}

/// What is left of a deployment is stopped or removed.
fn in_clearing(state: State, event: Event) -> Option<Next> {
    Some(match (state.at, event) {
        // A kept container must not run. Without restart in place everything must be gone, or the next deployment
        // makes a second resource.
        (At::Clearing(why), Event::Done) if state.workload.in_place => {
            go(state, At::Proving(why), Work::ProveEnded)
        }
        (At::Clearing(why), Event::Done) => go(state, At::Proving(why), Work::ProveGone),
        (At::Clearing(why), Event::Removed { any: true }) => go(state, At::Proving(why), Work::ProveGone),
        (At::Clearing(Clearing::GiveUp), Event::Settled { came: false }) => uncleared_start(state),
        (At::Clearing(why), Event::Removed { any: false } | Event::Settled { .. })
        | (At::Proving(why), Event::Done) => cleared(State { made: Made::Nothing, ..state }, why, vec![]),
        (At::Clearing(why) | At::Proving(why), Event::Failed(kind)) => uncleared(state, why, kind),
        _ => return None,
    })
}

/// The run.
fn in_run(state: State, event: Event) -> Option<Next> {
    Some(match (state.at, event) {
        (At::StdoutClosed, Event::Done) => go(state, At::Reattaching, Work::Reattach),
        (At::Reattaching, Event::Done) => run(state, vec![]),
        (At::Reattaching, Event::Failed(_)) => go(state, At::ProvingOwnerToEnd, Work::ProveOwner),
        (At::ProvingOwnerToEnd, Event::Done) => stop(state, Behalf::Own, STDIN_GRACE),
        // Its engine is away, and may have left it running: it is attached again as soon as that is back.
        (At::ProvingOwnerToEnd, Event::Failed(_)) => go(state, At::StdoutClosed, Work::Wait(REATTACH_PAUSE)),
        (At::Stopping(behalf, during), Event::Done) => {
            go(state, At::ProvingStopped(behalf, during), Work::ProveStopped)
        }
        (At::Stopping(behalf, during) | At::ProvingStopped(behalf, during), Event::Exited(ending)) => {
            stopped(state, behalf, during, ending)
        }
        (At::Stopping(behalf, during) | At::ProvingStopped(behalf, during), Event::Failed(_)) => {
            not_stopped(state, behalf, during)
        }
        _ => return None,
    })
}

/// Restarts of its engine's own.
fn in_engine_restart(state: State, event: Event) -> Option<Next> {
    Some(match (state.at, event) {
        (At::RecordingExit, Event::Done | Event::Failed(_)) | (At::Following, Event::Failed(_)) => {
            follow_later(state, vec![])
        }
        (At::FollowingLater, Event::Done) => go(state, At::Following, Work::Follow),
        (At::Following, Event::Done) => back(state),
        (At::Following, Event::Exited(ending)) if ending.restarts => after_exit(counted(state), ending),
        (At::Following | At::Reattaching, Event::Exited(ending)) => after_exit(state, ending),
        _ => return None,
    })
}

/// Restarts.
fn in_restart(state: State, event: Event) -> Option<Next> {
    Some(match (state.at, event) {
        (At::Pausing, Event::Done) => go(state, At::CheckingWanted, Work::CheckWanted),
        // A command is at work on it: the exit is left to that command.
        (At::CheckingWanted, Event::Wanted(false)) => end(state, vec![]),
        (At::CheckingWanted, Event::Wanted(true)) => go(state, At::ProvingOwner, Work::ProveOwner),
        (At::ProvingOwner, Event::Done) => clear(state, Clearing::Restart, vec![Effect::BeginRestart]),
        (At::ProvingOwner, Event::Failed(kind)) => not_up(state, kind),
        // It was stopped or removed meanwhile: the command that did so goes on.
        (At::CheckingFailure(_), Event::Wanted(false)) => clear(state, Clearing::Unwanted, vec![]),
        (At::CheckingFailure(kind), Event::Wanted(true)) => attempt_failed(state, kind),
        (At::RecordingEnd, Event::Done | Event::Failed(_)) => end(state, vec![]),
        _ => return None,
    })
}
