//! Performs the effects of a supervisor's machine on the model's files, locks and engines: one call, one listing or half a
//! change of a record at a time.

use super::supervisor::{Slot, exited, workload};
use crate::mutations::{Mutation, Rules};
use crate::state::{Engine, Holder, Record, State, Supervisor};
use wharf_model::{ErrorKind, Event as PhaseEvent, Phase};
use wharf_supervisor::machine::{Earlier, End, Event, Left, Work};

/// The progress of a work.
pub(crate) enum Progress {
    /// The first of two effects is done.
    Halfway,
    /// It is over.
    Over(Event),
}

const DONE: Option<Progress> = Some(Progress::Over(Event::Done));

fn failed(kind: ErrorKind) -> Option<Progress> {
    Some(Progress::Over(Event::Failed(kind)))
}

/// Performs it, or its next half. None if it has to wait.
pub(crate) fn perform(
    state: &mut State,
    (name, slot): Slot,
    mine: &mut Supervisor,
    work: Work,
    rules: &Rules,
) -> Option<Progress> {
    let config = mine.config();
    let engine = state.engines[config.owner];
    let place = &mut state.places[name];
    match work {
        Work::TakeLife => {
            place.life.is_none().then_some(())?;
            place.life = Some(slot);
            DONE
        }
        Work::Prepare if place.config != Some(config) => failed(ErrorKind::Conflict),
        Work::Prepare if engine != Engine::Recorded => failed(ErrorKind::Owner),
        Work::Prepare => Some(Progress::Over(Event::Prepared(workload(rules)))),
        Work::RecordFailure(Left::Interrupted) => DONE,
        Work::RecordSupervisor
        | Work::RecordHandle
        | Work::RecordReady
        | Work::RecordFailure(_)
        | Work::RecordEnd(_) => record(state, (name, slot), mine, work, rules),
        Work::LookForEarlier => look_for_earlier(state, name, mine, rules),
        Work::Deploy => deploy(state, name, mine, rules),
        Work::ProveMade => proof(state, name, mine, rules, |state, mine| {
            state.places[name].object(mine.handle).is_some_and(|resource| resource.uid == mine.uid)
        }),
        Work::Start if !mine.halfway => start(state, name, mine),
        Work::Start | Work::AwaitResumed => {
            let runs = place.object(mine.handle).is_some_and(|resource| resource.running);
            if runs { DONE } else { failed(ErrorKind::Runtime) }
        }
        Work::PutEarlierAside => put_aside(state, name, mine.earlier, mine, rules),
        Work::PutAside => put_aside(state, name, mine.handle, mine, rules),
        Work::StopKept | Work::Stop(_) => stop(state, name, mine),
        Work::Remove => {
            if mine.handle.is_none() && !rules.has(Mutation::LooksOnce) {
                place.is_settled(rules).then_some(())?;
            }
            remove(state, name, mine, rules)
        }
        Work::Settle => {
            place.late.is_none().then_some(())?;
            match remove(state, name, mine, rules)? {
                Progress::Over(Event::Removed { any }) => {
                    mine.handle = None;
                    Some(Progress::Over(Event::Settled { came: any }))
                }
                other => Some(other),
            }
        }
        Work::ProveEnded | Work::ProveStopped | Work::ProveGone => prove(state, name, mine, work, rules),
        Work::ProveOwner if engine == Engine::Recorded => DONE,
        Work::ProveOwner => failed(ErrorKind::Owner),
        Work::CheckWanted => {
            let record = place.status.filter(|record| record.uid == mine.uid);
            let wanted = place.config == Some(config) && record.is_some_and(may_restart);
            Some(Progress::Over(Event::Wanted(wanted)))
        }
        Work::Reattach => {
            let runs = place.object(mine.handle).is_some_and(|resource| resource.running);
            if runs && engine == Engine::Recorded { DONE } else { failed(ErrorKind::Runtime) }
        }
        Work::RemoveRecords if !mine.halfway => {
            place.status = place.status.filter(|status| status.uid != mine.uid);
            Some(Progress::Halfway)
        }
        Work::RemoveRecords => {
            place.config = place.config.filter(|it| *it != config);
            DONE
        }
        // Nobody else sees these; `Supervisor::learn` does them.
        Work::OpenControl | Work::BindPort | Work::Wait(_) | Work::AskExit => None,
        // The model's engines restart nothing by themselves.
        Work::RecordExit | Work::Follow => None,
    }
}

fn may_restart(record: Record) -> bool {
    record.wanted && record.phase == Phase::Running
}

/// The record lock, and the reading under it; then the writing. A record that is gone, or of another creation, is not
/// made again.
fn record(
    state: &mut State,
    (name, slot): Slot,
    mine: &mut Supervisor,
    work: Work,
    rules: &Rules,
) -> Option<Progress> {
    if !mine.halfway {
        let holder = Holder { supervisor: Some(slot), ..Holder::default() };
        // It waits on the present file: the mutation has its waiters among the commands.
        state.places[name].record.take(None, holder)?;
        mine.base = state.places[name].status;
        return Some(Progress::Halfway);
    }
    let base = mine.base.take();
    let ours = base.filter(|base| base.uid == mine.uid || rules.has(Mutation::CompareWithoutUid));
    let changed = ours.ok_or(ErrorKind::NotFound).and_then(|base| changed(base, work, mine));
    // A handle that is on record already is not written again.
    if let Ok(record) = changed
        && (ours != Some(record) || work != Work::RecordHandle)
    {
        state.replace(name, base, record);
    }
    state.places[name].record.unlock(rules, |holder| holder.supervisor == Some(slot));
    match changed {
        Ok(_) => DONE,
        Err(kind) => failed(kind),
    }
}

/// The new record, or the reason why it is refused. `RecordSupervisor` changes only fields that are not modelled.
fn changed(base: Record, work: Work, mine: &Supervisor) -> Result<Record, ErrorKind> {
    let told = |event, refusal| base.phase.next(event).map_err(|_| refusal);
    Ok(match work {
        Work::RecordHandle if mine.machine.restarting && !may_restart(base) => {
            return Err(ErrorKind::Conflict);
        }
        Work::RecordHandle => Record { handle: mine.handle, ..base },
        Work::RecordReady => Record { phase: told(PhaseEvent::Ready, ErrorKind::Conflict)?, ..base },
        Work::RecordFailure(_) => Record { phase: told(PhaseEvent::StartFailed, ErrorKind::Failed)?, ..base },
        // A command that is stopping or removing it writes the transition itself.
        Work::RecordEnd(_) if base.phase.is_transitional() => base,
        Work::RecordEnd(End::Completed | End::ByUser) => {
            Record { phase: told(PhaseEvent::Completed, ErrorKind::Failed)?, wanted: false, ..base }
        }
        Work::RecordEnd(_) => Record { phase: told(PhaseEvent::Failed, ErrorKind::Failed)?, ..base },
        _ => base,
    })
}

/// By uid and by the recorded handle. Only the recorded instance can prove that there is nothing.
fn look_for_earlier(state: &State, name: usize, mine: &mut Supervisor, rules: &Rules) -> Option<Progress> {
    let place = &state.places[name];
    place.is_settled(rules).then_some(())?;
    if !state.answers(mine.owner) {
        return failed(ErrorKind::Owner);
    }
    let recorded = place.status.and_then(|record| record.handle);
    let by_handle = place.object(recorded);
    let left = if rules.has(Mutation::HandleAlone) {
        by_handle
    } else {
        by_handle.or_else(|| place.labelled(mine.config()).next())
    };
    Some(Progress::Over(Event::Found(match left {
        None => Earlier::Nothing,
        Some(left) if left.running && rules.resumed => {
            mine.handle = Some(left.object);
            Earlier::Runs
        }
        Some(left) => {
            mine.earlier = Some(left.object);
            Earlier::Left
        }
    })))
}

/// Another engine makes it, too; that one is not followed, and its handle is of no use to the recorded one.
fn deploy(state: &mut State, name: usize, mine: &mut Supervisor, rules: &Rules) -> Option<Progress> {
    const ELSEWHERE: u8 = 0;
    let config = mine.config();
    let recorded = state.places[name].status.and_then(|record| record.handle);
    mine.handle = Some(match state.engines[config.owner] {
        Engine::Down => {
            mine.handle = None;
            let made = wharf_supervisor::machine::Made::Unknown;
            return Some(Progress::Over(Event::NotDeployed { kind: ErrorKind::Owner, made }));
        }
        Engine::Another => ELSEWHERE,
        Engine::Recorded => {
            let place = &mut state.places[name];
            let kept = place.labelled(config).next().map(|resource| resource.object);
            match kept.filter(|_| rules.in_place) {
                Some(kept) => kept,
                None => place.make(config.owner, config.uid),
            }
        }
    });
    let kept = rules.in_place && mine.handle == recorded;
    Some(Progress::Over(Event::Deployed { kept }))
}

fn start(state: &mut State, name: usize, mine: &Supervisor) -> Option<Progress> {
    match state.engines[mine.owner] {
        Engine::Down => failed(ErrorKind::Owner),
        Engine::Another => failed(ErrorKind::NotFound),
        Engine::Recorded => {
            let resources = &mut state.places[name].resources;
            match resources.iter_mut().find(|resource| Some(resource.object) == mine.handle) {
                Some(resource) => {
                    resource.running = true;
                    Some(Progress::Halfway)
                }
                None => failed(ErrorKind::NotFound),
            }
        }
    }
}

/// Another engine has nothing of it, and says that it is stopped.
fn stop(state: &mut State, name: usize, mine: &Supervisor) -> Option<Progress> {
    match state.engines[mine.owner] {
        Engine::Down => failed(ErrorKind::Owner),
        Engine::Another => DONE,
        Engine::Recorded => {
            for resource in &mut state.places[name].resources {
                resource.running &= Some(resource.object) != mine.handle;
            }
            DONE
        }
    }
}

fn put_aside(
    state: &mut State,
    name: usize,
    handle: Option<u8>,
    mine: &Supervisor,
    rules: &Rules,
) -> Option<Progress> {
    match state.engines[mine.owner] {
        Engine::Down => return failed(ErrorKind::Owner),
        Engine::Another => return DONE,
        Engine::Recorded => {}
    }
    let resources = &mut state.places[name].resources;
    if rules.in_place {
        for resource in resources {
            resource.running &= Some(resource.object) != handle;
        }
    } else {
        resources.retain(|resource| Some(resource.object) != handle);
    }
    DONE
}

/// By handle; without a known handle by uid, and then only in the recorded instance.
fn remove(state: &mut State, name: usize, mine: &mut Supervisor, rules: &Rules) -> Option<Progress> {
    let config = mine.config();
    let engine = state.engines[config.owner];
    let elsewhere = rules.has(Mutation::NothingFoundElsewhere) && engine == Engine::Another;
    if mine.handle.is_none() {
        let place = &state.places[name];
        if engine != Engine::Recorded && !elsewhere {
            return failed(ErrorKind::Owner);
        }
        let found = place.labelled(config).next().filter(|_| !elsewhere && !rules.has(Mutation::HandleAlone));
        mine.handle = found.map(|resource| resource.object);
        if mine.handle.is_none() {
            return Some(Progress::Over(Event::Removed { any: false }));
        }
    }
    match engine {
        Engine::Down => return failed(ErrorKind::Owner),
        Engine::Another => {}
        Engine::Recorded => state.places[name].resources.retain(|it| Some(it.object) != mine.handle),
    }
    Some(Progress::Over(Event::Removed { any: true }))
}

/// One listing, which tells its instance.
fn proof(
    state: &State,
    name: usize,
    mine: &Supervisor,
    rules: &Rules,
    shows: impl Fn(&State, &Supervisor) -> bool,
) -> Option<Progress> {
    state.places[name].is_settled(rules).then_some(())?;
    if !state.answers(mine.owner) || !shows(state, mine) {
        return failed(ErrorKind::Owner);
    }
    DONE
}

fn prove(state: &State, name: usize, mine: &mut Supervisor, work: Work, rules: &Rules) -> Option<Progress> {
    let is_gone = work == Work::ProveGone;
    let proven = rules.has(Mutation::ProofBeforeTheCallAlone)
        || state.proves(mine.config(), name, rules, |resource| !is_gone && !resource.running)?;
    if !proven {
        return failed(ErrorKind::Owner);
    }
    match work {
        Work::ProveStopped => Some(Progress::Over(exited(rules.succeeds))),
        _ => {
            (mine.handle, mine.earlier) = (None, None);
            DONE
        }
    }
}
