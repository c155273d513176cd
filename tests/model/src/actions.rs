//! [`Protocol`]: the model, and every [`Action`] that may be next.

use stateright::{Model, Property};

use crate::mutations::Rules;
use crate::properties;
use crate::scenarios::Scenario;
use crate::state::{At, Engine, NAMES, PROCESSES, RUNTIMES, SUPERVISORS, State};
use crate::steps::{command, environment, reader, supervisor};
use wharf_supervisor::machine::Event;

/// One step of one participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A command's next step.
    Command(usize),
    /// A supervisor performs its next effect: name and slot.
    Supervisor(usize, usize),
    /// A supervisor hears of something from outside.
    SupervisorHears(usize, usize, Event),
    /// An effect of a supervisor fails, after it happened or before.
    EffectFails(usize, usize, bool),
    /// A deploy exceeds its deadline.
    DeployIsLate(usize, usize),
    /// `kill -9` of a command.
    KillCommand(usize),
    /// `kill -9` of a supervisor.
    KillSupervisor(usize, usize),
    /// A workload ends by itself.
    WorkloadEnds(usize),
    /// An engine goes, is replaced, or is back.
    EngineBecomes(usize, Engine),
    /// A deployment that exceeded its deadline appears, or is given up by the engine.
    LateComes(usize, bool),
    /// Somebody removes the records of a name by hand.
    RecordsAreLost(usize),
    /// All is quiet, and `reconcile` runs.
    ReconcileNext,
}

/// The model of one scenario.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// Its rules, with mistakes or without.
    pub rules: Rules,
    /// Its beginning.
    pub scenario: Scenario,
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.scenario.states(&self.rules)
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let budget = state.budget;
        for process in (0..PROCESSES).filter(|it| state.processes[*it].at != At::Done) {
            actions.push(Action::Command(process));
            if budget.crashes > 0 {
                actions.push(Action::KillCommand(process));
            }
        }
        for name in 0..NAMES {
            for slot in (0..SUPERVISORS).filter(|slot| state.supervisors[name][*slot].is_some()) {
                actions.push(Action::Supervisor(name, slot));
                let heard = supervisor::heard(state, (name, slot), &self.rules);
                actions.extend(heard.into_iter().map(|event| Action::SupervisorHears(name, slot, event)));
                if budget.crashes > 0 {
                    actions.push(Action::KillSupervisor(name, slot));
                }
                if budget.deadlines > 0 {
                    actions.push(Action::DeployIsLate(name, slot));
                }
                if budget.faults > 0 {
                    actions.extend([false, true].map(|happened| Action::EffectFails(name, slot, happened)));
                }
            }
            if budget.losses > 0 {
                actions.push(Action::RecordsAreLost(name));
            }
            if budget.exits > 0 {
                actions.push(Action::WorkloadEnds(name));
            }
            if state.places[name].late.is_some() {
                actions.extend([Action::LateComes(name, true), Action::LateComes(name, false)]);
            }
        }
        for runtime in 0..RUNTIMES {
            if state.engines[runtime] != Engine::Recorded {
                actions.push(Action::EngineBecomes(runtime, Engine::Recorded));
            } else if budget.outages > 0 {
                let gone = [Engine::Down, Engine::Another];
                actions.extend(gone.map(|engine| Action::EngineBecomes(runtime, engine)));
            }
        }
        actions.push(Action::ReconcileNext);
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        let rules = &self.rules;
        match action {
            Action::Command(process) => command::step(&mut state, process, rules)?,
            Action::Supervisor(name, slot) => supervisor::step(&mut state, (name, slot), rules)?,
            Action::SupervisorHears(name, slot, event) => {
                supervisor::hear(&mut state, (name, slot), event, rules)?;
            }
            Action::EffectFails(name, slot, happened) => {
                supervisor::fail(&mut state, (name, slot), happened, rules)?;
            }
            Action::DeployIsLate(name, slot) => supervisor::deploy_is_late(&mut state, (name, slot), rules)?,
            Action::RecordsAreLost(name) => environment::records_are_lost(&mut state, name)?,
            Action::KillCommand(process) => environment::kill_command(&mut state, process)?,
            Action::KillSupervisor(name, slot) => environment::kill_supervisor(&mut state, (name, slot))?,
            Action::WorkloadEnds(name) => environment::workload_ends(&mut state, name)?,
            Action::EngineBecomes(runtime, engine) => {
                environment::engine_becomes(&mut state, runtime, engine)?;
            }
            Action::LateComes(name, appears) => environment::late_comes(&mut state, name, appears, rules)?,
            Action::ReconcileNext => environment::reconcile_next(&mut state)?,
        }
        reader::note_truths(&mut state);
        environment::note_unrecorded(&mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
