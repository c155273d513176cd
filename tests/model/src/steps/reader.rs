//! `list`, and the first half of `reconcile`: `host/src/commands/list.rs`, `host/runtimes/src/observe.rs`.

use super::place::version;
use crate::mutations::{Mutation, Rules};
use crate::reading::{Answer, ReadStep, Reading, Row};
use crate::state::{At, Command, Engine, NAMES, Place, Process, RUNTIMES, Record, State};
use std::ops::Range;
use wharf_model::Phase;

/// The owner's word about one row.
enum Evidence {
    Runs,
    DoesNotRun,
    Missing,
}

/// One step of a reader. The mutation that asks first has the runtimes before the files.
pub(crate) fn step(state: &mut State, process: usize, rules: &Rules) -> Option<()> {
    let names = scope(&state.processes[process], rules);
    let mut reading = state.processes[process].reading.take().unwrap_or_default();
    let ask_first = rules.has(Mutation::SnapshotBeforeFiles);
    let Range { start: first, end } = names;
    let row_done = |name: usize| if name + 1 < end { ReadStep::Life(name + 1) } else { ReadStep::Begin };
    let next = match reading.step {
        ReadStep::Begin if ask_first => ReadStep::Ask(0),
        ReadStep::Begin => ReadStep::Config(first),
        ReadStep::Config(name) => {
            reading.rows[name].config = state.places[name].config;
            if name + 1 < end { ReadStep::Config(name + 1) } else { ReadStep::Status(first) }
        }
        ReadStep::Status(name) => {
            let row = &mut reading.rows[name];
            *row = Row { config: row.config, record: state.places[name].status, ..Row::default() };
            match (name + 1 < end, ask_first) {
                (true, _) => ReadStep::Status(name + 1),
                (false, true) => ReadStep::Life(first),
                (false, false) => ReadStep::Ask(0),
            }
        }
        ReadStep::Ask(runtime) => {
            reading.answers[runtime] = ask(state, runtime, rules)?;
            match (runtime + 1 < RUNTIMES, ask_first) {
                (true, _) => ReadStep::Ask(runtime + 1),
                (false, true) => ReadStep::Config(first),
                (false, false) => ReadStep::Life(first),
            }
        }
        // A name without a RunConfig has no row.
        ReadStep::Life(name) if reading.rows[name].config.is_none() => row_done(name),
        ReadStep::Life(name) => {
            reading.rows[name].life = state.places[name].life.is_some();
            ReadStep::Assess(name)
        }
        ReadStep::Assess(name) => match assessed(state, &reading, name, process, rules) {
            Assessment::AsRecorded => row_done(name),
            Assessment::Worse if reading.rows[name].renewed && rules.has(Mutation::AssessedAgainOnce) => {
                return verdict(state, process, reading, name, row_done(name), rules);
            }
            Assessment::Worse => ReadStep::RereadStatus(name),
        },
        ReadStep::RereadStatus(name) => match reread_status(state, &mut reading, name, rules) {
            Reread::Same if rules.has(Mutation::RunConfigNotReread) => {
                return verdict(state, process, reading, name, row_done(name), rules);
            }
            // Absence has no revision: it may have come, gone and come again. A creation and a removal hold the
            // operation lock while there is no record, so this is asked on both sides of the second look.
            Reread::Same
                if own_record(&reading.rows[name]).is_none() && !rules.has(Mutation::AbsenceAskedOnce) =>
            {
                ReadStep::Reprobe(name)
            }
            Reread::Same => ReadStep::RereadConfig(name),
            Reread::Changed if rules.has(Mutation::RunConfigNotReread) => ReadStep::Life(name),
            Reread::Changed => ReadStep::RereadConfig(name),
            Reread::Gone => return verdict(state, process, reading, name, row_done(name), rules),
        },
        ReadStep::Reprobe(name) if state.places[name].operation.is_held() => row_done(name),
        ReadStep::Reprobe(name) => ReadStep::RereadConfig(name),
        ReadStep::RereadConfig(name) => match reread_config(state, &mut reading, name) {
            Reread::Same => return verdict(state, process, reading, name, row_done(name), rules),
            Reread::Changed => ReadStep::Life(name),
            Reread::Gone => row_done(name),
        },
    };
    go_on(state, process, reading, next);
    Some(())
}

/// A listing shows all names, a reconciliation tends one.
fn scope(process: &Process, rules: &Rules) -> Range<usize> {
    match process.command {
        Command::Reconcile => process.name..process.name + 1,
        _ => 0..rules.names,
    }
}

/// The reader's next step; after the last row it is done, and forgets what it read.
fn go_on(state: &mut State, process: usize, mut reading: Box<Reading>, next: ReadStep) {
    let process = &mut state.processes[process];
    if next == ReadStep::Begin {
        process.at = At::Done;
        return;
    }
    reading.step = next;
    process.reading = Some(reading);
}

/// The answer of one runtime, begun and ended between two steps of all others.
fn ask(state: &State, runtime: usize, rules: &Rules) -> Option<Answer> {
    let recorded = match state.engines[runtime] {
        Engine::Down => return Some(Answer::None),
        Engine::Recorded => true,
        Engine::Another => false,
    };
    let (mut has, mut running, mut twice) = ([0; NAMES], [0; NAMES], [0; NAMES]);
    if recorded {
        for (name, place) in state.places.iter().enumerate() {
            place.is_settled(rules).then_some(())?;
            for resource in place.resources.iter().filter(|resource| resource.runtime == runtime) {
                let bit = 1 << resource.uid;
                twice[name] |= has[name] & bit;
                has[name] |= bit;
                running[name] |= if resource.running { bit } else { 0 };
            }
        }
    }
    Some(Answer::Complete { recorded, has, running, twice })
}

/// The word of the owner, and of nobody else, about a row; `host/runtimes/src/observed.rs`.
fn evidence(row: &Row, reading: &Reading, name: usize, rules: &Rules) -> Evidence {
    let any_runtime = rules.has(Mutation::NoOwnerCheck);
    let Some(config) = row.config else { return Evidence::Missing };
    let asked = if any_runtime { 0 } else { config.owner };
    match reading.answers[asked] {
        Answer::Complete { recorded, has, running, twice } if recorded || any_runtime => {
            let bit = 1 << config.uid;
            if row.renewed || twice[name] & bit != 0 {
                Evidence::Missing
            } else if running[name] & has[name] & bit != 0 {
                Evidence::Runs
            } else {
                Evidence::DoesNotRun
            }
        }
        Answer::Complete { .. } | Answer::None => Evidence::Missing,
    }
}

/// True if a row is shown worse than it is recorded: the table of `host/model/src/effective_state.rs`.
fn is_shown_worse(row: &Row, record: Option<Record>, evidence: &Evidence, operation: bool) -> bool {
    let Some(record) = record else { return !operation && !row.life };
    match record.phase {
        Phase::Starting | Phase::Stopping | Phase::Removing => !operation && !row.life,
        Phase::Running => !row.life || matches!(evidence, Evidence::DoesNotRun),
        Phase::Stopped | Phase::Error => matches!(evidence, Evidence::Runs),
    }
}

/// A record of another creation than the RunConfig's is no record of it.
fn own_record(row: &Row) -> Option<Record> {
    row.record.filter(|record| row.config.is_some_and(|config| config.uid == record.uid))
}

enum Assessment {
    AsRecorded,
    Worse,
}

/// The probe of the operation lock, and the assessment. `reconcile` also acts where it gets nothing worse to show: a
/// transition that no command carries on, though a supervisor lives.
fn assessed(state: &State, reading: &Reading, name: usize, process: usize, rules: &Rules) -> Assessment {
    let row = reading.rows[name];
    let operation = state.places[name].operation.is_held();
    let evidence = evidence(&row, reading, name, rules);
    let abandoned = state.processes[process].command == Command::Reconcile
        && !operation
        && own_record(&row).is_some_and(|record| record.phase.is_transitional());
    if abandoned || is_shown_worse(&row, own_record(&row), &evidence, operation) {
        Assessment::Worse
    } else {
        Assessment::AsRecorded
    }
}

enum Reread {
    Same,
    Changed,
    Gone,
}

fn reread_status(state: &State, reading: &mut Reading, name: usize, rules: &Rules) -> Reread {
    let now = state.places[name].status;
    let row = &mut reading.rows[name];
    if now.is_none() && row.record.is_some() && rules.has(Mutation::GoneRowIsShown) {
        return Reread::Gone;
    }
    if now.map(version) == row.record.map(version) {
        return Reread::Same;
    }
    *row = Row { config: row.config, record: now, renewed: true, unassessed: true, ..Row::default() };
    Reread::Changed
}

/// A RunConfig that is gone has no row any more; another one, or a renewed record, is assessed again by the locks.
fn reread_config(state: &State, reading: &mut Reading, name: usize) -> Reread {
    let now = state.places[name].config;
    let row = &mut reading.rows[name];
    if now.is_none() {
        return Reread::Gone;
    }
    if now == row.config && !row.unassessed {
        return Reread::Same;
    }
    *row = Row { config: now, record: row.record, renewed: true, ..Row::default() };
    Reread::Changed
}

/// The row is shown worse than it is recorded, or `reconcile` acts on it.
fn verdict(
    state: &mut State,
    process: usize,
    reading: Box<Reading>,
    name: usize,
    next: ReadStep,
    rules: &Rules,
) -> Option<()> {
    let row = reading.rows[name];
    if state.processes[process].command == Command::Reconcile {
        let process = &mut state.processes[process];
        process.config = row.config;
        process.record = own_record(&row);
        process.runs = matches!(evidence(&row, &reading, name, rules), Evidence::Runs);
        process.supervised = row.life;
        process.at = At::WantOperation;
        return Some(());
    }
    if !row.really_worse {
        state.ghost.false_verdict = true;
    }
    if let (true, Some(record)) = (rules.has(Mutation::ReadThatWrites), row.record) {
        state.ghost.reader_wrote = true;
        state.replace(name, row.record, Record { phase: Phase::Error, ..record });
    }
    go_on(state, process, reading, next);
    Some(())
}

/// After every step of anybody: each reader's rows are compared with the truth.
pub(crate) fn note_truths(state: &mut State) {
    let places = &state.places;
    for process in &mut state.processes {
        if let Process { reading: Some(reading), command: Command::List | Command::Reconcile, .. } = process {
            for (place, row) in places.iter().zip(&mut reading.rows) {
                note_truth(place, row);
            }
        }
    }
}

/// Notes if, at this moment, the row's records stand and the workload really is worse than they say.
fn note_truth(place: &Place, row: &mut Row) {
    let Some(config) = row.config else { return };
    let stands = place.config == row.config && place.status.map(version) == row.record.map(version);
    let abandoned = place.life.is_none() && !place.operation.is_held();
    let worse = match own_record(row).map(|record| record.phase) {
        None | Some(Phase::Starting | Phase::Stopping | Phase::Removing) => abandoned,
        Some(Phase::Running) => place.life.is_none() || !place.runs(config),
        Some(Phase::Stopped | Phase::Error) => place.runs(config),
    };
    row.really_worse |= stands && worse;
}
