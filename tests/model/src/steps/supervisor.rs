//! A supervisor from its first step to its last: `host/supervisor/src`.

use crate::mutations::{Mutation, Rules};
use crate::state::{At, Config, Engine, Holder, Late, Note, Process, Record, State, Supervisor, Watching};
use wharf_model::Event;

impl Supervisor {
    /// One that was just started.
    pub(crate) fn new(config: Config, creates: bool, restarts: bool) -> Self {
        Self {
            uid: config.uid,
            creates,
            owner: config.owner,
            at: Watching::TakeLife,
            restarts,
            restarting: false,
            handle: None,
            base: None,
            asked: false,
            failed: false,
        }
    }

    /// Its word was "ready".
    pub(crate) fn is_ready(&self) -> bool {
        self.restarting || matches!(self.at, Watching::Watch | Watching::Stop | Watching::RemoveEnded)
    }

    /// Its control socket is served: from the moment when it is ready until it decides to end.
    pub(crate) fn listens(&self) -> bool {
        self.is_ready() && !matches!(self.at, Watching::Clear | Watching::End | Watching::Ended)
    }

    fn config(&self) -> Config {
        Config { uid: self.uid, owner: self.owner }
    }
}

/// Which slot of which name.
pub(crate) type Slot = (usize, usize);

/// One step of a supervisor.
pub(crate) fn step(state: &mut State, (name, slot): Slot, rules: &Rules) -> Option<()> {
    let mut mine = state.supervisors[name][slot]?;
    let answers = state.answers(mine.owner);
    let config = mine.config();
    let place = &mut state.places[name];
    // What it stops and removes is its own deployment: by handle, and by uid where it does not know the handle.
    mine.at = match mine.at {
        Watching::Ended => return None,
        Watching::TakeLife => {
            place.life.is_none().then_some(())?;
            place.life = Some(slot);
            Watching::Prepare
        }
        Watching::Prepare if place.config != Some(config) => {
            mine.failed = true;
            Watching::End
        }
        Watching::Prepare if !answers => give_up(&mut mine),
        Watching::Prepare => Watching::Take(Note::Supervisor),
        Watching::Take(note) => {
            if mine.restarting && mine.asked && note == Note::Handle {
                return interrupt(state, (name, slot), mine);
            }
            take_record(state, (name, slot), &mut mine, note)?
        }
        Watching::Put(note) => put_record(state, (name, slot), &mut mine, note, rules),
        Watching::TakeOver if !answers => give_up(&mut mine),
        Watching::TakeOver => take_over(state, name, &mut mine, rules)?,
        Watching::Deploy if mine.asked => return interrupt(state, (name, slot), mine),
        Watching::Deploy if !answers && mine.restarting => return None,
        Watching::Deploy if !answers => give_up(&mut mine),
        Watching::Deploy => {
            mine.handle = Some(place.make(config.owner, config.uid));
            Watching::Take(Note::Handle)
        }
        Watching::Settle => settle(state, name, &mut mine, rules)?,
        Watching::Start if mine.restarting && mine.asked => return interrupt(state, (name, slot), mine),
        Watching::Start if !answers => {
            if mine.restarting {
                return None;
            }
            give_up(&mut mine)
        }
        Watching::Start => {
            let object = mine.handle;
            match place.resources.iter_mut().find(|resource| Some(resource.object) == object) {
                Some(resource) => {
                    resource.running = true;
                    Watching::AwaitReady
                }
                None if mine.restarting => Watching::RemoveEnded,
                None => give_up(&mut mine),
            }
        }
        Watching::AwaitReady => await_ready(state, name, &mut mine),
        Watching::ReleaseOperation => {
            place.operation.unlock(rules, |holder| holder.supervisor == Some(slot));
            Watching::Watch
        }
        Watching::Watch if mine.asked => Watching::Stop,
        Watching::Watch => {
            let ended = answers && !place.object(mine.handle).is_some_and(|resource| resource.running);
            ended.then_some(())?;
            if mine.restarts { Watching::RemoveEnded } else { Watching::Take(Note::Ended) }
        }
        // Another engine has nothing of it, and says that it is stopped. The command asks for the proof.
        Watching::Stop if state.engines[config.owner] == Engine::Another => Watching::End,
        Watching::Stop if !answers => {
            // Refused, and it goes on. While it restarts it answers "stopped" all the same and ends, if that is wrong.
            mine.failed = true;
            mine.asked = false;
            if mine.restarting && rules.has(Mutation::SupervisorsEndIsStop) {
                Watching::End
            } else if mine.restarting {
                Watching::RemoveEnded
            } else {
                Watching::Watch
            }
        }
        Watching::Stop => {
            let object = mine.handle;
            for resource in place.resources.iter_mut().filter(|it| Some(it.object) == object) {
                resource.running = false;
            }
            Watching::End
        }
        Watching::RemoveEnded if mine.asked => return interrupt(state, (name, slot), mine),
        Watching::RemoveEnded => {
            answers.then_some(())?;
            place.remove_all(config, mine.handle.take(), rules);
            mine.restarting = true;
            Watching::Deploy
        }
        Watching::Clear => {
            // With its engine away it ends all the same: what is left is on record, by handle or by uid.
            if answers {
                place.remove_all(config, mine.handle.take(), rules);
            }
            Watching::End
        }
        Watching::GiveUp => {
            // Another engine has nothing of it, and says that it is removed.
            let had = mine.handle.is_some();
            let left = had && state.engines[config.owner] == Engine::Down;
            let nothing_known = rules.has(Mutation::DeadlineIsFailure) && mine.handle.is_none();
            if answers && !nothing_known {
                place.is_settled(rules).then_some(())?;
                place.remove_all(config, mine.handle.take(), rules);
            }
            mine.restarting = false;
            // What could not be removed stays on record.
            match (left, mine.creates) {
                (false, true) if had && !rules.has(Mutation::ProofBeforeTheCallAlone) => {
                    Watching::ProveGiveUp
                }
                (false, true) => Watching::GiveUpStatus,
                _ => Watching::Take(Note::StartFailed),
            }
        }
        Watching::ProveGiveUp => match state.proves(config, name, rules, |_| false)? {
            true => Watching::GiveUpStatus,
            false => Watching::Take(Note::StartFailed),
        },
        Watching::GiveUpStatus => {
            place.status = place.status.filter(|status| status.uid != mine.uid);
            Watching::GiveUpConfig
        }
        Watching::GiveUpConfig => {
            place.config = place.config.filter(|it| *it != config);
            Watching::End
        }
        Watching::End => return end(state, (name, slot), mine, rules),
    };
    state.supervisors[name][slot] = Some(mine);
    Some(())
}

fn give_up(mine: &mut Supervisor) -> Watching {
    mine.failed = true;
    Watching::GiveUp
}

/// A request to stop drops the restart where it is.
fn interrupt(state: &mut State, (name, slot): Slot, mut mine: Supervisor) -> Option<()> {
    mine.at = Watching::Stop;
    state.supervisors[name][slot] = Some(mine);
    Some(())
}

/// The deploy exceeds its deadline: whether it made something is not known yet. The same
/// is true of a deploy that a request to stop drops; what that one makes is found by uid when the workload is removed.
pub(crate) fn deploy_is_late(state: &mut State, (name, slot): Slot, rules: &Rules) -> Option<()> {
    let mut mine = state.supervisors[name][slot]?;
    let possible = mine.at == Watching::Deploy && state.answers(mine.owner);
    possible.then_some(())?;
    state.places[name].late = Some(Late { runtime: mine.owner, uid: mine.uid });
    mine.at = match (mine.asked, mine.restarting) {
        (true, _) => Watching::Stop,
        (false, true) if rules.has(Mutation::DeadlineIsFailure) => Watching::RemoveEnded,
        (false, false) if rules.has(Mutation::DeadlineIsFailure) => give_up(&mut mine),
        (false, _) => Watching::Settle,
    };
    state.supervisors[name][slot] = Some(mine);
    Some(())
}

/// An inspection by uid, which the engine answers once it has settled. What it made is ours: removed, and the start
/// goes on as one that failed, or as one more attempt.
fn settle(state: &mut State, name: usize, mine: &mut Supervisor, rules: &Rules) -> Option<Watching> {
    let place = &mut state.places[name];
    place.late.is_none().then_some(())?;
    if !state.answers(mine.owner) {
        return if mine.restarting { None } else { Some(give_up(mine)) };
    }
    state.places[name].remove_all(mine.config(), None, rules);
    Some(if mine.restarting { Watching::RemoveEnded } else { give_up(mine) })
}

/// What an earlier supervisor left: what runs is taken over where it can be, all else is removed.
fn take_over(state: &mut State, name: usize, mine: &mut Supervisor, rules: &Rules) -> Option<Watching> {
    let place = &mut state.places[name];
    place.is_settled(rules).then_some(())?;
    let recorded = place.status.and_then(|record| record.handle);
    let left = if rules.has(Mutation::HandleAlone) {
        place.object(recorded).copied()
    } else {
        place.labelled(mine.config()).max_by_key(|resource| resource.running).copied()
    };
    let taken = left.filter(|left| left.running && rules.taken_over);
    let handle = taken.map(|taken| taken.object);
    match taken {
        // Its handle is recorded already, unless it was found by its uid.
        Some(_) => mine.handle = handle,
        None => place.remove_all(mine.config(), recorded, rules),
    }
    Some(match taken {
        Some(taken) if Some(taken.object) == recorded => Watching::AwaitReady,
        Some(_) => Watching::Take(Note::Handle),
        None => Watching::Deploy,
    })
}

fn await_ready(state: &State, name: usize, mine: &mut Supervisor) -> Watching {
    let runs = state.places[name].object(mine.handle).is_some_and(|resource| resource.running);
    match (runs, mine.restarting) {
        (true, true) => Watching::Watch,
        (true, false) => Watching::Take(Note::Ready),
        (false, true) => Watching::RemoveEnded,
        (false, false) => give_up(mine),
    }
}

/// The record lock, and the reading under it.
fn take_record(state: &mut State, (name, slot): Slot, mine: &mut Supervisor, note: Note) -> Option<Watching> {
    let place = &mut state.places[name];
    let holder = Holder { supervisor: Some(slot), ..Holder::default() };
    // It waits on the file that it finds now: the mutation has its waiters among the commands.
    place.record.take(None, holder)?;
    mine.base = place.status;
    Some(Watching::Put(note))
}

/// The writing. A record that is gone, or of another creation, is not made again.
fn put_record(
    state: &mut State,
    (name, slot): Slot,
    mine: &mut Supervisor,
    note: Note,
    rules: &Rules,
) -> Watching {
    let base = mine.base.take();
    let ours = base.filter(|base| base.uid == mine.uid || rules.has(Mutation::CompareWithoutUid));
    let record = ours.and_then(|base| changed(base, note, mine));
    if let Some(record) = record {
        state.replace(name, base, record);
    }
    state.places[name].record.unlock(rules, |holder| holder.supervisor == Some(slot));
    match (note, record.is_some()) {
        (Note::Supervisor, true) => Watching::TakeOver,
        (Note::Handle, true) => Watching::Start,
        (Note::Ready, true) => Watching::ReleaseOperation,
        (Note::StartFailed | Note::Ended, _) => Watching::End,
        // Stopped or removed meanwhile: the command that did it has the word now.
        (Note::Handle, false) if mine.restarting => Watching::Clear,
        (Note::Supervisor | Note::Handle | Note::Ready, false) => give_up(mine),
    }
}

/// The record after a note; nothing if it is refused.
fn changed(base: Record, note: Note, mine: &Supervisor) -> Option<Record> {
    Some(match note {
        Note::Supervisor => base,
        Note::Handle if mine.restarting && !base.wanted => return None,
        Note::Handle => Record { handle: mine.handle, ..base },
        Note::Ready => Record { phase: base.phase.next(Event::Ready).ok()?, ..base },
        Note::StartFailed => Record { phase: base.phase.next(Event::StartFailed).ok()?, ..base },
        // A command that is stopping or removing it writes the transition itself.
        Note::Ended if base.phase.is_transitional() => base,
        Note::Ended => Record { phase: base.phase.next(Event::Failed).ok()?, ..base },
    })
}

/// Its locks go with it. Who waits for its word finds it.
fn end(state: &mut State, (name, slot): Slot, mut mine: Supervisor, rules: &Rules) -> Option<()> {
    let place = &mut state.places[name];
    place.life = place.life.filter(|holder| *holder != slot);
    place.operation.unlock(rules, |holder| holder.supervisor == Some(slot));
    let is_awaited =
        |process: &Process| process.at == At::Await && process.name == name && process.child == Some(slot);
    mine.at = Watching::Ended;
    state.supervisors[name][slot] = state.processes.iter().any(is_awaited).then_some(mine);
    Some(())
}
