//! Events that no command causes: deaths of processes, ends of workloads, engines that go and come, resources that appear
//! late, records that are lost.

use super::supervisor::{Slot, drop_work};
use crate::mutations::Rules;
use crate::state::{At, Config, Engine, NAMES, Process, State};

/// `kill -9` of a command: its locks go, but for those that a supervisor has a copy of.
pub(crate) fn kill_command(state: &mut State, process: usize) -> Option<()> {
    state.budget.crashes = state.budget.crashes.checked_sub(1)?;
    let Process { name, at, child, command, .. } = state.processes[process];
    (at != At::Done && at != At::Begin).then_some(())?;
    let place = &mut state.places[name];
    for lock in [&mut place.operation, &mut place.record] {
        lock.close(|holder| holder.process = holder.process.filter(|it| *it != process));
    }
    if let Some(child) = child {
        let heard = &mut state.supervisors[name][child];
        *heard = heard.take().filter(|child| !child.ended);
    }
    state.processes[process] = Process::done(command, name);
    Some(())
}

/// `kill -9` of a supervisor. A deployment that it began goes on in the engine.
pub(crate) fn kill_supervisor(state: &mut State, (name, slot): Slot) -> Option<()> {
    state.budget.crashes = state.budget.crashes.checked_sub(1)?;
    let killed = state.supervisors[name][slot].take().filter(|it| !it.ended)?;
    drop_work(state, name, &killed);
    let place = &mut state.places[name];
    place.life = place.life.filter(|holder| *holder != slot);
    for lock in [&mut place.operation, &mut place.record] {
        lock.close(|holder| holder.supervisor = holder.supervisor.filter(|it| *it != slot));
    }
    Some(())
}

/// The workload ends by itself.
pub(crate) fn workload_ends(state: &mut State, name: usize) -> Option<()> {
    state.budget.exits = state.budget.exits.checked_sub(1)?;
    state.places[name].resources.iter_mut().find(|resource| resource.running)?.running = false;
    Some(())
}

/// An engine stops answering, or another one takes its place; later it is back. What it has stays.
pub(crate) fn engine_becomes(state: &mut State, runtime: usize, engine: Engine) -> Option<()> {
    if engine != Engine::Recorded {
        (state.engines[runtime] == Engine::Recorded).then_some(())?;
        state.budget.outages = state.budget.outages.checked_sub(1)?;
    }
    (state.engines[runtime] != engine).then_some(())?;
    state.engines[runtime] = engine;
    Some(())
}

/// A deployment that exceeded its deadline, or was dropped, appears after all, or never.
/// A container that is restarted in place is made of the one that is there.
pub(crate) fn late_comes(state: &mut State, name: usize, appears: bool, rules: &Rules) -> Option<()> {
    let place = &mut state.places[name];
    let late = place.late.take()?;
    let config = Config { uid: late.uid, owner: late.runtime };
    let is_kept = rules.in_place && place.labelled(config).next().is_some();
    if appears && !is_kept {
        place.make(late.runtime, late.uid);
    }
    Some(())
}

/// Somebody removes both records of a name by hand, while no command is at work on it.
pub(crate) fn records_are_lost(state: &mut State, name: usize) -> Option<()> {
    state.budget.losses = state.budget.losses.checked_sub(1)?;
    let place = &mut state.places[name];
    (place.operation.holders.is_empty() && place.record.holders.is_empty()).then_some(())?;
    state.ghost.lost[name] = Some(place.config.take()?.uid);
    place.status = None;
    Some(())
}

/// Called after every step: whatever runs has its handle on record (R12), if its record is there at all.
pub(crate) fn note_unrecorded(state: &mut State) {
    for place in &state.places {
        let (Some(config), Some(status)) = (place.config, place.status) else { continue };
        let is_on_record = |object: u8| status.uid != config.uid || status.handle == Some(object);
        let runs = place.labelled(config).filter(|resource| resource.running);
        state.ghost.ran_unrecorded |= runs.into_iter().any(|resource| !is_on_record(resource.object));
    }
}

/// All is quiet: the next name is reconciled, nothing goes wrong any more.
pub(crate) fn reconcile_next(state: &mut State) -> Option<()> {
    let next = match state.settling {
        None => 0,
        Some(name) if name < NAMES => name + 1,
        Some(_) => return None,
    };
    is_quiet(state).then_some(())?;
    state.budget = crate::state::Budget::default();
    state.settling = Some(next);
    if next < NAMES {
        state.processes[0] = Process::new(crate::state::Command::Reconcile, next);
    }
    Some(())
}

/// No command is under way, no engine is away, and every supervisor watches a workload that runs.
pub(crate) fn is_quiet(state: &State) -> bool {
    let commands = state.processes.iter().all(|process| process.at == At::Done);
    let engines = state.engines.iter().all(|engine| *engine == Engine::Recorded);
    let places = state.places.iter().all(|place| place.late.is_none());
    let mut supervisors = state.supervisors.iter().zip(&state.places).flat_map(|(slots, place)| {
        slots.iter().flatten().map(move |it| {
            let runs = place.object(it.handle).is_some_and(|resource| resource.running);
            it.watches() && it.request.is_none() && runs && place.config == Some(it.config())
        })
    });
    commands && engines && places && supervisors.all(|quiet| quiet)
}
