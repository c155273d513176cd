//! The functions that several rows of the table share (`table.rs`): each enters a state, and decides where that depends on the
//! circumstances.
use super::effect::{Effect, End, Left, Reply, Work};
use super::event::{Ask, Ending};
use super::pauses::LONGEST_ABSENCE;
use super::state::{Again, At, Behalf, Cause, Clearing, During, Made, State};
use std::time::Duration;
use wharf_model::{ErrorKind, RestartPolicy};

/// How long a server may take to end after its stdin was closed, before it gets a signal; also after it has closed its
/// stdout.
pub(crate) const STDIN_GRACE: Duration = Duration::from_secs(2);
/// How long a workload may take to end when a signal ends its supervisor.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before a workload whose engine is away is attached again: clients wait for it.
pub(super) const REATTACH_PAUSE: Duration = Duration::from_secs(1);

/// A state, and the effects of entering it.
pub(super) type Next = (State, Vec<Effect>);

/// Enters a state with one work.
pub(super) fn go(state: State, at: At, work: Work) -> Next {
    then(state, at, vec![], work)
}

fn then(state: State, at: At, mut effects: Vec<Effect>, work: Work) -> Next {
    effects.push(Effect::Work(work));
    (State { at, ..state }, effects)
}

pub(super) fn end(state: State, mut effects: Vec<Effect>) -> Next {
    effects.push(Effect::End);
    (State { at: At::Ended, ..state }, effects)
}

pub(super) fn request(state: State, ask: Ask) -> Next {
    match ask {
        Ask::Report => (state, vec![Effect::Answer(Reply::Report)]),
        Ask::ChangeAccess => (state, vec![Effect::Answer(Reply::OutOfTurn)]),
        Ask::Stop(_) | Ask::Cancel | Ask::Leave if state.is_starting() => give_up(state, Cause::Stopped),
        // The supervisor decides on restarts by itself; a command cannot give one up.
        Ask::Cancel => (state, vec![Effect::Answer(Reply::NotStarting)]),
        // The deployment may still come, and nobody would look for it any more.
        Ask::Leave if matches!(state.made, Made::Unknown | Made::Late) => {
            clear(state, Clearing::Leaving, vec![])
        }
        Ask::Leave => end(state, vec![Effect::Answer(Reply::Ends)]),
        Ask::Stop(timeout) => stop(state, Behalf::Request, timeout),
    }
}

/// A signal. A workload that survives its supervisor is left running, unless its user ends it in the foreground.
pub(super) fn signalled(state: State) -> Next {
    if state.is_starting() {
        return give_up(state, Cause::Interrupted);
    }
    let is_left = !state.is_restarting() && state.workload.survives && !state.task.foreground;
    if is_left { end(state, vec![]) } else { stop(state, Behalf::Signal, SIGNAL_TIMEOUT) }
}

pub(super) fn stop(state: State, behalf: Behalf, timeout: Duration) -> Next {
    let during = match state.at {
        At::Pausing | At::ProvingOwner => During::Pause,
        At::Following | At::FollowingLater => During::Follow,
        _ if state.is_restarting() => During::Restart,
        _ => During::Run,
    };
    go(state, At::Stopping(behalf, during), Work::Stop(timeout))
}

/// The workload has ended as wanted. A restart may have left a half-made deployment, which is removed, and an earlier
/// deployment that may still appear is looked for. In all other cases the ended workload stays as it is, with its logs.
pub(super) fn stopped(state: State, behalf: Behalf, during: During, ending: Ending) -> Next {
    match (behalf, during) {
        (Behalf::Own, _) => after_own_stop(state, ending),
        (_, During::Run | During::Follow) => ended_for(state, behalf),
        (_, During::Pause) if state.made != Made::Late => ended_for(state, behalf),
        (_, During::Pause | During::Restart) => clear(state, Clearing::Interrupted(behalf), vec![]),
    }
}

/// The supervisor's last steps after it has ended the workload. A signal in the foreground means that the user wants it
/// stopped, which is recorded; any other signal is a shutdown or a logout, and nothing is recorded.
fn ended_for(state: State, behalf: Behalf) -> Next {
    match behalf {
        Behalf::Request => end(state, vec![Effect::Answer(Reply::Stopped)]),
        Behalf::Signal | Behalf::Own if state.task.foreground => record_end(state, End::ByUser, vec![]),
        Behalf::Signal | Behalf::Own => end(state, vec![]),
    }
}

pub(super) fn not_stopped(state: State, behalf: Behalf, during: During) -> Next {
    match (behalf, during) {
        (Behalf::Own, _) => {
            let (state, mut effects) = end_later(State { own_stop: true, ..state });
            effects.insert(0, Effect::TellUnstopped);
            (state, effects)
        }
        (Behalf::Request, During::Run) => {
            let effects = vec![Effect::TellUnstopped, Effect::Answer(Reply::Refused)];
            (State { at: At::Running, ..state }, effects)
        }
        (Behalf::Request, During::Follow) => {
            follow_later(state, vec![Effect::TellUnstopped, Effect::Answer(Reply::Refused)])
        }
        (Behalf::Request, During::Pause | During::Restart) => refused_restart(state),
        (Behalf::Signal, _) => end(state, vec![Effect::TellUnstopped]),
    }
}

/// The workload could not be ended on the supervisor's own account; that is tried again later.
fn end_later(state: State) -> Next {
    go(state, At::StdoutClosed, Work::Wait(LONGEST_ABSENCE + STDIN_GRACE))
}

pub(super) fn run(state: State, mut effects: Vec<Effect>) -> Next {
    effects.push(Effect::WatchEnd);
    let state =
        State { at: At::Running, restarting: false, own_stop: false, again: Again::No, cause: None, ..state };
    (state, effects)
}

/// After an end: its engine starts it again and the supervisor follows; or the supervisor restarts it by policy; or the end
/// is recorded. An engine that restarts workloads by itself has given up if it does not, or somebody has stopped it there.
///
/// Situation: the supervisor's own stop has reached the engine, its answer was lost, and the end comes later. Conclusion: it
/// was not somebody else who stopped it there, and it is restarted as the policy says.
pub(super) fn after_exit(mut state: State, ending: Ending) -> Next {
    if ending.restarts {
        state.own_stop = false;
        state.pauses.ended(ending.ran_for);
        return then(state, At::RecordingExit, vec![Effect::HearExit], Work::RecordExit);
    }
    if state.own_stop {
        return after_own_stop(state, ending);
    }
    let policy = match state.workload.restarts_itself {
        true => RestartPolicy::No,
        false => state.workload.policy,
    };
    by_policy(state, ending, policy)
}

/// The engine has pauses of its own between its attempts. Those of the supervisor are short, and bound what an engine without
/// pauses costs.
pub(super) fn follow_later(mut state: State, effects: Vec<Effect>) -> Next {
    let pause = state.pauses.next_pause().unwrap_or(LONGEST_ABSENCE).min(LONGEST_ABSENCE);
    then(state, At::FollowingLater, effects, Work::Wait(pause))
}

/// After an end that the supervisor itself brought about, since it could not reach the server any more.
fn after_own_stop(state: State, ending: Ending) -> Next {
    by_policy(state, ending, state.workload.policy)
}

/// A restart by policy, or the end is recorded. If the engine of a server on stdio went away, it closed the server's stdin;
/// so exit code 0 is no completion then.
fn by_policy(state: State, ending: Ending, policy: RestartPolicy) -> Next {
    let was_cut_off = ending.succeeded && ending.was_away && state.workload.stdio;
    let is_restarted = policy.restarts_after(ending.succeeded) || was_cut_off && policy != RestartPolicy::No;
    let effects = vec![Effect::HearExit];
    if !is_restarted {
        let end = match (was_cut_off, ending.succeeded) {
            (true, _) => End::CutOff,
            (false, true) => End::Completed,
            (false, false) => End::Failed,
        };
        return record_end(state, end, effects);
    }
    let mut state = State { restarting: true, own_stop: false, ..state };
    state.pauses.ended(ending.ran_for);
    next_attempt(state, effects)
}

fn record_end(state: State, end: End, effects: Vec<Effect>) -> Next {
    then(state, At::RecordingEnd, effects, Work::RecordEnd(end))
}

fn next_attempt(mut state: State, effects: Vec<Effect>) -> Next {
    match state.pauses.next_pause() {
        Some(pause) => then(state, At::Pausing, effects, Work::Wait(pause)),
        None => clear(state, Clearing::UsedUp, effects),
    }
}

pub(super) fn attempt_failed(mut state: State, kind: ErrorKind) -> Next {
    state.pauses.failed(kind == ErrorKind::Owner);
    next_attempt(state, vec![Effect::NoteFailure])
}

/// Refuses a stop that came before an attempt, or interrupted it: the attempt has not failed.
fn refused_restart(mut state: State) -> Next {
    state.pauses.interrupted();
    next_attempt(state, vec![Effect::Answer(Reply::Refused)])
}

pub(super) fn back(state: State) -> Next {
    run(counted(state), vec![Effect::Back])
}

/// One restart more.
pub(super) fn counted(state: State) -> State {
    State { restarts: state.restarts.saturating_add(1), ..state }
}

pub(super) fn deploy(state: State, effects: Vec<Effect>) -> Next {
    then(State { made: Made::Unknown, ..state }, At::Deploying, effects, Work::Deploy)
}

/// A start or a restart failed before the workload was up.
pub(super) fn not_up(state: State, kind: ErrorKind) -> Next {
    if state.restarting {
        return match kind {
            ErrorKind::Conflict | ErrorKind::NotFound => {
                go(state, At::CheckingFailure(kind), Work::CheckWanted)
            }
            _ => attempt_failed(state, kind),
        };
    }
    let cause = Cause::Failed(kind);
    if state.again == Again::Possible {
        let state = State { cause: Some(cause), ..state };
        return then(state, At::AskingExit, vec![Effect::KeepError], Work::AskExit);
    }
    give_up(state, cause)
}

/// Gives the start up for the reason that was kept when it was repeated.
pub(super) fn give_up_as_before(state: State) -> Next {
    give_up(state, state.cause.unwrap_or(Cause::Failed(ErrorKind::Failed)))
}

pub(super) fn give_up(state: State, cause: Cause) -> Next {
    clear(State { cause: Some(cause), ..state }, Clearing::GiveUp, vec![Effect::GiveUp(cause)])
}

/// Stops or removes the deployment that may exist.
pub(super) fn clear(state: State, why: Clearing, effects: Vec<Effect>) -> Next {
    let stays = why == Clearing::GiveUp && !state.is_dropped() && state.workload.in_place;
    let work = match state.made {
        Made::Nothing => return cleared(state, why, effects),
        Made::Unknown => Work::Remove,
        Made::Late => Work::Settle,
        // The user may want to look at the container and its output, so it is kept.
        Made::Handle if stays => Work::StopKept,
        Made::Handle if why == Clearing::GiveUp => Work::Remove,
        Made::Handle => Work::PutAside,
    };
    then(state, At::Clearing(why), effects, work)
}

pub(super) fn cleared(state: State, why: Clearing, mut effects: Vec<Effect>) -> Next {
    match why {
        Clearing::Earlier => deploy(state, effects),
        Clearing::Again => deploy(State { again: Again::Used, ..state }, effects),
        Clearing::Restart => {
            effects.push(Effect::Cleared);
            deploy(state, effects)
        }
        Clearing::Unwanted => end(state, effects),
        Clearing::Leaving => {
            effects.push(Effect::Answer(Reply::Ends));
            end(state, effects)
        }
        Clearing::UsedUp => record_end(state, End::UsedUp, effects),
        Clearing::Interrupted(behalf) => ended_for(state, behalf),
        Clearing::GiveUp => {
            let is_abandoned = match state.cause {
                Some(Cause::Abandoned) => true,
                Some(Cause::Interrupted) => !state.task.attended,
                _ => false,
            };
            if state.is_dropped() {
                then(state, At::RemovingRecords, effects, Work::RemoveRecords)
            } else if is_abandoned || state.cause == Some(Cause::Failed(ErrorKind::Owner)) {
                // If the command died or the machine shuts down, the user's wish has not changed; if the owner went away,
                // that says nothing about the workload. So nothing is recorded, and the next command goes on from
                // `starting`.
                let (state, more) = given_up(state);
                effects.extend(more);
                (state, effects)
            } else {
                then(state, At::RecordingFailure, effects, Work::RecordFailure(Left::Nothing))
            }
        }
    }
}

pub(super) fn uncleared(state: State, why: Clearing, kind: ErrorKind) -> Next {
    match why {
        Clearing::Earlier => give_up(state, Cause::Failed(kind)),
        Clearing::Again => give_up_as_before(state),
        Clearing::Restart => not_up(state, kind),
        Clearing::Unwanted => end(state, vec![Effect::TellUncleared]),
        Clearing::Leaving => end(state, vec![Effect::TellUncleared, Effect::Answer(Reply::Ends)]),
        Clearing::UsedUp => record_end(state, End::UsedUp, vec![Effect::TellUncleared]),
        Clearing::Interrupted(Behalf::Request) => refused_restart(state),
        Clearing::Interrupted(Behalf::Signal | Behalf::Own) => end(state, vec![Effect::TellUncleared]),
        Clearing::GiveUp => uncleared_start(state),
    }
}

/// A workload that could not be removed stays on record. If its owner went away, that says nothing about the workload: it
/// stays as it is, `starting`, and the next command goes on from there.
pub(super) fn uncleared_start(state: State) -> Next {
    if state.cause == Some(Cause::Failed(ErrorKind::Owner)) {
        return if state.is_dropped() {
            go(state, At::RecordingFailure, Work::RecordFailure(Left::Interrupted))
        } else {
            given_up(state)
        };
    }
    go(state, At::RecordingFailure, Work::RecordFailure(Left::Resource))
}

pub(super) fn given_up(state: State) -> Next {
    let mut effects = vec![Effect::GivenUp];
    if state.cause == Some(Cause::Stopped) {
        // If something may still be there, the command must know: a single question to the owner proves nothing then.
        let is_cleared = state.made == Made::Nothing;
        effects.push(Effect::Answer(if is_cleared { Reply::Ends } else { Reply::Refused }));
    }
    end(state, effects)
}
