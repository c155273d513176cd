//! What happens by itself: deaths of processes, ends of workloads, engines that go and come, what appears late.

use super::supervisor::Slot;
use crate::state::{At, Engine, NAMES, Process, State, Watching};

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
        *heard = heard.filter(|child| child.at != Watching::Ended);
    }
    state.processes[process] = Process::done(command, name);
    Some(())
}

/// `kill -9` of a supervisor: all that it says afterwards is nothing.
pub(crate) fn kill_supervisor(state: &mut State, (name, slot): Slot) -> Option<()> {
    state.budget.crashes = state.budget.crashes.checked_sub(1)?;
    state.supervisors[name][slot].filter(|it| it.at != Watching::Ended)?;
    state.supervisors[name][slot] = None;
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

/// What exceeded its deadline appears after all, or never.
pub(crate) fn late_comes(state: &mut State, name: usize, appears: bool) -> Option<()> {
    let late = state.places[name].late.take()?;
    if appears {
        state.places[name].make(late.runtime, late.uid);
    }
    Some(())
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
            it.at == Watching::Watch && !it.asked && runs
        })
    });
    commands && engines && places && supervisors.all(|quiet| quiet)
}
