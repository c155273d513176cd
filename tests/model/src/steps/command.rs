//! The steps of `run`, `start`, `stop`, `rm`, and of the command that `reconcile` turns into: `host/src/commands`.

use super::place::version;
use super::reader;
use crate::mutations::{Mutation, Rules, Waits};
use crate::state::{
    Answered, At, Command, Config, Engine, Holder, Process, Record, State, Supervisor, Write,
};
use std::time::Duration;
use wharf_model::{Event, Phase};
use wharf_supervisor::machine::Ask;

/// One step of a command.
pub(crate) fn step(state: &mut State, process: usize, rules: &Rules) -> Option<()> {
    let name = state.processes[process].name;
    let engines = state.engines;
    let answers = |owner: usize| engines[owner] == Engine::Recorded;
    let place = &mut state.places[name];
    let mine = &mut state.processes[process];
    let next = match mine.at {
        At::Done => return None,
        At::Begin => match mine.command {
            Command::List | Command::Reconcile => At::Reading,
            Command::Run(owner) if !answers(owner) => At::Done,
            Command::Run(_) => At::WantOperation,
            Command::Start | Command::Stop | Command::Remove if place.config.is_none() => At::Done,
            Command::Start | Command::Stop | Command::Remove => At::WantOperation,
        },
        At::Reading => return reader::step(state, process, rules),
        At::WantOperation => {
            let unlinked = rules.has(Mutation::LockFileUnlinked);
            if unlinked && mine.opened.is_none() {
                mine.opened = Some(place.operation.generation);
                return Some(());
            }
            let holder = Holder { process: Some(process), ..Holder::default() };
            place.operation.take(mine.opened.take(), holder)?;
            if matches!(mine.command, Command::Run(_)) { At::CreateConfig } else { At::Read }
        }
        At::CreateConfig => create_config(state, process),
        At::Read => read(state, process, rules),
        At::ProbeLife => {
            mine.supervised = place.life.is_some();
            match mine.command {
                Command::Start => after_probe_of_start(mine),
                _ => At::Inspect,
            }
        }
        At::AskOwner => {
            let config = mine.config?;
            place.is_settled(rules).then_some(())?;
            let command = mine.command;
            match (answers(config.owner), command) {
                (false, _) => At::Release,
                (true, Command::Start) => At::Take(Write::StartBegun),
                (true, _) => At::ProbeLife,
            }
        }
        At::Inspect => inspect(state, process, rules)?,
        At::Take(write) => take(state, process, write, rules)?,
        At::Put(write) => put(state, process, write, rules),
        At::Spawn => spawn(state, process, rules)?,
        At::Await => await_word(state, process, rules)?,
        At::Tell => tell(state, process),
        At::AwaitEnd => await_end(state, process, rules)?,
        At::EngineStop => engine_stop(state, process, rules)?,
        At::ProveStop => {
            let config = mine.config?;
            let proven = state.proves(config, name, rules, |resource| !resource.running)?;
            if proven { At::Take(Write::Stopped) } else { At::Release }
        }
        At::AskOwnerToRemove => {
            let owner = mine.config?.owner;
            if answers(owner) { At::Take(Write::RemoveBegun) } else { At::Release }
        }
        At::AwaitGone => place.life.is_none().then_some(At::EngineRemove)?,
        At::EngineRemove => engine_remove(state, process, rules)?,
        At::ProveRemoval => {
            let config = mine.config?;
            let proven = state.proves(config, name, rules, |_| false)?;
            if proven { At::RemoveStatus } else { At::Release }
        }
        At::RemoveStatus => {
            place.status = place.status.filter(|status| Some(status.uid) != mine.config.map(|it| it.uid));
            At::RemoveConfig
        }
        At::RemoveConfig => {
            place.config = place.config.filter(|config| Some(*config) != mine.config);
            At::Release
        }
        At::Release => {
            place.operation.unlock(rules, |holder| holder.process == Some(process));
            At::Done
        }
    };
    let mine = &mut state.processes[process];
    mine.at = next;
    if next == At::Done {
        *mine = Process::done(mine.command, mine.name);
    }
    Some(())
}

/// The RunConfig is the first file, and exclusive.
fn create_config(state: &mut State, process: usize) -> At {
    let mine = &mut state.processes[process];
    let place = &mut state.places[mine.name];
    let Command::Run(owner) = mine.command else { return At::Release };
    if place.config.is_some() {
        return At::Release;
    }
    place.creations += 1;
    mine.config = Some(Config { uid: place.creations, owner });
    place.config = mine.config;
    At::Take(Write::First)
}

/// Under the operation lock. `reconcile` goes on only if the records have not changed.
fn read(state: &mut State, process: usize, rules: &Rules) -> At {
    let mine = &mut state.processes[process];
    let place = &state.places[mine.name];
    if mine.command == Command::Reconcile {
        let same_uid = mine.config.map(|it| it.uid) == place.config.map(|it| it.uid)
            && mine.record.map(version) == place.status.map(version);
        let same_revision = mine.record.map(|it| it.revision) == place.status.map(|it| it.revision);
        let stands = same_uid || rules.has(Mutation::CompareWithoutUid) && same_revision;
        if !stands || place.config.is_none() {
            return At::Release;
        }
        return planned(mine, rules);
    }
    mine.config = place.config;
    mine.record = place.status;
    match (mine.command, mine.config) {
        (_, None) => At::Release,
        (Command::Start, _) => At::ProbeLife,
        (Command::Run(_), _) => At::AskOwnerToRemove,
        (Command::Remove, _) if mine.record.is_some_and(|it| it.phase == Phase::Removing) => {
            At::AskOwnerToRemove
        }
        _ => At::AskOwner,
    }
}

/// The action of `reconcile` for a row: `reconcile` becomes the command that brings the desired state about.
fn planned(mine: &mut Process, rules: &Rules) -> At {
    match mine.record {
        Some(Record { phase: Phase::Running, .. }) if !rules.restarts && !mine.runs && !mine.supervised => {
            return At::Take(Write::ExitFound);
        }
        // The supervisor notices by itself.
        Some(Record { phase: Phase::Running, .. }) if mine.supervised => return At::Release,
        Some(Record { phase: Phase::Removing, .. }) => mine.command = Command::Remove,
        Some(Record { wanted: false, .. }) => mine.command = Command::Stop,
        // Nobody knows whether its creation or its removal was interrupted.
        None => return At::Release,
        Some(_) => mine.command = Command::Start,
    }
    At::Read
}

fn after_probe_of_start(mine: &Process) -> At {
    // Running and supervised: success. Supervised and anything else: a conflict.
    if mine.supervised { At::Release } else { At::AskOwner }
}

fn inspect(state: &mut State, process: usize, rules: &Rules) -> Option<At> {
    let mine = &mut state.processes[process];
    let place = &state.places[mine.name];
    let config = mine.config?;
    place.is_settled(rules).then_some(())?;
    let handle = mine.record.and_then(|record| record.handle);
    // A resource that was made and never started may still be: the host counts it as running.
    mine.runs = if rules.has(Mutation::HandleAlone) {
        place.object(handle).is_some_and(|resource| resource.running)
    } else {
        place.runs(config)
    };
    let stopped = mine.record.is_some_and(|record| record.phase == Phase::Stopped);
    let nothing_to_do = !mine.supervised && !mine.runs && stopped;
    let (command, owner) = (mine.command, config.owner);
    if !state.answers(owner) {
        return Some(At::Release);
    }
    Some(match (nothing_to_do, command) {
        (true, Command::Remove) => At::AskOwnerToRemove,
        (true, _) => At::Release,
        (false, _) => At::Take(Write::StopBegun),
    })
}

/// The record lock, and the reading under it.
fn take(state: &mut State, process: usize, write: Write, rules: &Rules) -> Option<At> {
    let mine = &mut state.processes[process];
    let place = &mut state.places[mine.name];
    if rules.has(Mutation::LockFileUnlinked) && mine.opened.is_none() {
        mine.opened = Some(place.record.generation);
        return Some(At::Take(write));
    }
    let holder = Holder { process: Some(process), ..Holder::default() };
    place.record.take(mine.opened.take(), holder)?;
    if write != Write::ExitFound {
        mine.record = place.status;
        return Some(At::Put(write));
    }
    // The assessed record is compared once more: a supervisor writes without the operation lock.
    let stands = mine.record.map(version) == place.status.map(version)
        || rules.has(Mutation::CompareWithoutUid)
            && mine.record.map(|it| it.revision) == place.status.map(|it| it.revision);
    if stands {
        return Some(At::Put(write));
    }
    place.record.unlock(rules, |holder| holder.process == Some(process));
    Some(At::Release)
}

/// The writing, if compare-and-set and the table of phases allow it.
fn put(state: &mut State, process: usize, write: Write, rules: &Rules) -> At {
    let Process { name, config, record: base, command, .. } = state.processes[process];
    let Some(config) = config else { return At::Release };
    let (event, wanted) = match write {
        Write::First | Write::StartBegun => (Event::StartBegun, Some(true)),
        Write::StopBegun => (Event::StopBegun, Some(false)),
        Write::Stopped => (Event::Stopped, None),
        Write::RemoveBegun => (Event::RemoveBegun, None),
        Write::StartFailed => (Event::StartFailed, None),
        Write::ExitFound => (Event::Failed, None),
    };
    let foreign = base.is_some_and(|base| base.uid != config.uid);
    let foreign = foreign && !rules.has(Mutation::CompareWithoutUid);
    let old = base.unwrap_or(Record {
        uid: config.uid,
        revision: 0,
        phase: Phase::Starting,
        wanted: true,
        handle: None,
    });
    let next = old.phase.next(event).ok().filter(|_| !foreign);
    if let Some(phase) = next {
        if write == Write::Stopped && state.places[name].runs(config) {
            state.ghost.empty_success = true;
        }
        let record = Record { uid: config.uid, phase, wanted: wanted.unwrap_or(old.wanted), ..old };
        state.replace(name, base, record);
        state.processes[process].record = state.places[name].status;
    }
    state.places[name].record.unlock(rules, |holder| holder.process == Some(process));
    if next.is_none() {
        return if write == Write::First { At::RemoveConfig } else { At::Release };
    }
    let supervised = state.processes[process].supervised;
    match (write, command) {
        (Write::First | Write::StartBegun, _) => At::Spawn,
        (Write::StopBegun, _) => {
            if supervised {
                At::Tell
            } else {
                At::EngineStop
            }
        }
        (Write::Stopped, Command::Remove) => At::AskOwnerToRemove,
        (Write::RemoveBegun, _) => At::AwaitGone,
        (Write::Stopped | Write::StartFailed | Write::ExitFound, _) => At::Release,
    }
}

fn spawn(state: &mut State, process: usize, rules: &Rules) -> Option<At> {
    let mine = &mut state.processes[process];
    let config = mine.config?;
    let slots = &mut state.supervisors[mine.name];
    let slot = slots.iter().position(Option::is_none)?;
    let creates = matches!(mine.command, Command::Run(_));
    slots[slot] = Some(Supervisor::new(config, creates, rules));
    mine.child = Some(slot);
    let name = mine.name;
    for holder in &mut state.places[name].operation.holders {
        if holder.process == Some(process) {
            holder.supervisor = Some(slot);
        }
    }
    if rules.waits == Waits::No {
        let lock = &mut state.places[name].operation;
        lock.close(|holder| holder.process = holder.process.filter(|it| *it != process));
        return Some(At::Done);
    }
    Some(At::Await)
}

/// Ready, failed, or died without a word: then the operation goes on here, if the lock is still ours.
///
/// Records that the supervisor removed before it died are not made again: RunConfig and record are read anew.
fn await_word(state: &mut State, process: usize, rules: &Rules) -> Option<At> {
    let Process { name, child, command, .. } = state.processes[process];
    let slot = &mut state.supervisors[name][child?];
    match slot {
        Some(Supervisor { ended: true, .. }) => {
            *slot = None;
            Some(At::Release)
        }
        // A command that stays may go at any time: its supervisor sees that.
        Some(supervisor) if supervisor.ready && supervisor.machine.task.foreground => Some(At::Done),
        Some(supervisor) if supervisor.ready => Some(At::Release),
        Some(_) => None,
        None => {
            let holders = &state.places[name].operation.holders;
            let ours = holders.iter().any(|holder| holder.process == Some(process));
            Some(match (ours, command) {
                (false, _) => At::Release,
                (true, Command::Run(_)) if rules.has(Mutation::UndoTrustsItsMemory) => At::AskOwnerToRemove,
                (true, Command::Run(_)) => At::Read,
                (true, _) => At::Take(Write::StartFailed),
            })
        }
    }
}

/// The request is heard by a supervisor that listens; to one that is gone it makes no difference.
fn tell(state: &mut State, process: usize) -> At {
    let name = state.processes[process].name;
    if let Some(slot) = state.places[name].life
        && let Some(supervisor) = &mut state.supervisors[name][slot]
        && supervisor.listens()
    {
        supervisor.request = Some(Ask::Stop(Duration::ZERO));
    }
    At::AwaitEnd
}

/// The life lock is the proof that the supervisor is gone. Not that the workload is: it may have been killed. If it
/// answered that it has stopped the workload, it has the owner's word for that, and has deployed nothing since.
fn await_end(state: &State, process: usize, rules: &Rules) -> Option<At> {
    let Process { name, answer, .. } = state.processes[process];
    match (answer, state.places[name].life) {
        // It could not stop the workload and goes on.
        (Some(Answered::Refused), _) => Some(At::Release),
        (_, Some(_)) => None,
        (_, None) if rules.has(Mutation::SupervisorsEndIsStop) => Some(At::Take(Write::Stopped)),
        (Some(Answered::Stopped), None) => Some(At::Take(Write::Stopped)),
        (None, None) => Some(At::EngineStop),
    }
}

/// A workload that is missing counts as stopped, so another engine does nothing and says that it is done.
fn engine_stop(state: &mut State, process: usize, rules: &Rules) -> Option<At> {
    let Process { name, config, record, .. } = state.processes[process];
    let config = config?;
    match state.engines[config.owner] {
        Engine::Down => return Some(At::Release),
        Engine::Another => {}
        Engine::Recorded => {
            state.places[name].is_settled(rules).then_some(())?;
            state.places[name].stop_all(config, record.and_then(|record| record.handle), rules);
        }
    }
    let believed = rules.has(Mutation::ProofBeforeTheCallAlone);
    Some(if believed { At::Take(Write::Stopped) } else { At::ProveStop })
}

/// The same for a resource that is to be removed.
fn engine_remove(state: &mut State, process: usize, rules: &Rules) -> Option<At> {
    let Process { name, config, record, .. } = state.processes[process];
    let config = config?;
    match state.engines[config.owner] {
        Engine::Down => return Some(At::Release),
        Engine::Another => {}
        Engine::Recorded => {
            state.places[name].is_settled(rules).then_some(())?;
            state.places[name].remove_all(config, record.and_then(|record| record.handle), rules);
        }
    }
    let believed = rules.has(Mutation::ProofBeforeTheCallAlone);
    Some(if believed { At::RemoveStatus } else { At::ProveRemoval })
}
