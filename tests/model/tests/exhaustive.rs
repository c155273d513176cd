//! Checks the protocol as the contract has it, in all its states; and that each way to get it wrong is found.
//! `--nocapture` shows how many states there are, and the counterexamples.
#![expect(clippy::print_stdout, reason = "the statistics are the result")]

use std::fmt::Write as _;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};
use wharf_model_checker::properties::{
    AGREEMENT, NO_DEADLOCK, NO_EMPTY_SUCCESS, NO_LOST_UPDATE, NO_UNKNOWN_RESOURCE,
    NO_VERDICT_WITHOUT_EVIDENCE, ON_RECORD, ONE_OPERATION, ONE_RESOURCE, READING_WRITES_NOTHING,
};
use wharf_model_checker::state::{Budget, Command, Process, State};
use wharf_model_checker::{Action, Mutation, Protocol, Rules, Scenario, Waits, scenarios};
use wharf_supervisor::machine::Effect;

const THREADS: usize = 2;

fn one_name() -> Rules {
    Rules::contract()
}

fn two_names() -> Rules {
    Rules { names: 2, ..Rules::contract() }
}

fn without_restarts() -> Rules {
    Rules { restarts: false, ..Rules::contract() }
}

/// Every kind of workload: restarted or not, resumed or replaced.
fn every_kind() -> impl Iterator<Item = Rules> {
    [(true, true), (true, false), (false, true), (false, false)]
        .map(|(restarts, resumed)| Rules { restarts, resumed, ..Rules::contract() })
        .into_iter()
}

/// A server on stdio whose runtime restarts it in place, as an engine does.
fn in_place() -> Rules {
    Rules { resumed: false, in_place: true, ..Rules::contract() }
}

/// A counterexample in words that can be read: who took which step.
fn story(path: Vec<(State, Option<Action>)>) -> String {
    let mut story = format!("{} steps", path.len() - 1);
    for (state, action) in path {
        let _ = match action {
            Some(Action::Command(process)) => {
                let Process { command, at, reading, .. } = &state.processes[process];
                match reading {
                    Some(reading) => write!(story, ", {command:?} {:?}", reading.step),
                    None => write!(story, ", {command:?} {at:?}"),
                }
            }
            Some(Action::Supervisor(name, slot)) => match &state.supervisors[name][slot] {
                Some(supervisor) => match supervisor.todo.first() {
                    Some(Effect::Work(work)) => write!(story, ", supervisor {work:?}"),
                    Some(effect) => write!(story, ", supervisor {effect:?}"),
                    None => Ok(()),
                },
                None => Ok(()),
            },
            Some(other) => write!(story, ", {other:?}"),
            None => Ok(()),
        };
    }
    story
}

/// Visits every state and finds nothing wrong.
fn holds(rules: Rules, scenario: Scenario) {
    let name = scenario.name;
    let begun = Instant::now();
    let checker = Protocol { rules, scenario }.checker().threads(THREADS).spawn_bfs().join();
    println!(
        "{name}: {} states, {} steps, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f64(),
    );
    assert!(checker.is_done());
    for (property, path) in checker.discoveries() {
        if checker.discovery_classification(property).to_string() == "counterexample" {
            panic!("'{property}' is broken: {}", story(path.into_vec()));
        }
    }
    checker.assert_properties();
}

/// Finds a counterexample to each of these properties.
fn breaks(mutation: Mutation, rules: Rules, scenario: Scenario, properties: &[&'static str]) {
    let model = Protocol { rules: rules.with(mutation), scenario };
    let begun = Instant::now();
    let wanted = HasDiscoveries::AllOf(properties.iter().copied().collect());
    let checker = model.checker().threads(THREADS).finish_when(wanted).spawn_bfs().join();
    let mut found = checker.discoveries();
    let all: Vec<_> = found.keys().copied().collect();
    println!(
        "{mutation:?}: {} states, {} steps, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f64(),
    );
    for property in properties {
        let Some(path) = found.remove(property) else {
            panic!("{mutation:?} does not break '{property}', only {all:?}");
        };
        println!("  breaks '{property}': {}", story(path.into_vec()));
    }
}

#[test]
fn commands_that_meet_hold_every_property() {
    holds(one_name(), scenarios::three_commands(Budget::default()));
    holds(one_name(), scenarios::three_commands(Budget { crashes: 1, ..Budget::default() }));
}

#[test]
fn two_deaths_and_an_exit_hold_every_property_for_every_kind_of_workload() {
    for rules in every_kind() {
        holds(rules, scenarios::two_commands(Budget { crashes: 2, exits: 1, ..Budget::default() }));
    }
}

#[test]
fn a_command_on_each_of_two_names_and_a_death_hold_every_property() {
    holds(two_names(), scenarios::two_names(Budget { crashes: 1, ..Budget::default() }));
    holds(two_names(), scenarios::two_names(Budget { outages: 1, ..Budget::default() }));
}

#[test]
fn engines_that_go_and_deploys_that_are_late_hold_every_property() {
    let gone = Budget { crashes: 1, outages: 1, ..Budget::default() };
    let late = Budget { crashes: 1, exits: 1, deadlines: 1, ..Budget::default() };
    for rules in [one_name(), without_restarts()] {
        holds(rules.clone(), scenarios::two_commands(gone));
        holds(rules, scenarios::two_commands(late));
    }
}

#[test]
fn effects_of_a_supervisor_that_fail_hold_every_property_for_every_kind_of_workload() {
    let faults = Budget { faults: 2, exits: 1, crashes: 1, ..Budget::default() };
    for rules in every_kind().chain([in_place()]) {
        holds(rules, scenarios::one_command(faults));
    }
}

#[test]
fn signals_and_starts_that_are_given_up_hold_every_property_for_every_kind_of_workload() {
    let interrupted = Budget { interruptions: 2, exits: 1, ..Budget::default() };
    for rules in every_kind().chain([in_place()]) {
        holds(rules.clone(), scenarios::one_command(Budget { outages: 1, deadlines: 1, ..interrupted }));
        holds(rules, scenarios::two_commands(Budget { interruptions: 1, ..interrupted }));
    }
}

#[test]
fn commands_that_do_not_wait_or_stay_hold_every_property_for_every_kind_of_workload() {
    let interrupted = Budget { interruptions: 1, faults: 1, exits: 1, ..Budget::default() };
    for waits in [Waits::No, Waits::Stays] {
        for rules in every_kind().chain([in_place()]) {
            let rules = Rules { waits, ..rules };
            holds(rules.clone(), scenarios::one_command(Budget { crashes: 1, ..interrupted }));
            holds(rules.clone(), scenarios::one_command(Budget { outages: 1, deadlines: 1, ..interrupted }));
            holds(rules, scenarios::two_commands(Budget { faults: 0, exits: 0, ..interrupted }));
        }
    }
}

#[test]
fn a_server_that_is_cut_off_holds_every_property() {
    let budget = Budget { crashes: 1, exits: 2, outages: 1, faults: 1, ..Budget::default() };
    for restarts in [true, false] {
        let rules = Rules { succeeds: true, resumed: false, restarts, ..Rules::contract() };
        holds(rules, scenarios::one_command(budget));
    }
}

#[test]
fn a_workload_that_ended_too_often_or_completed_holds_every_property() {
    let budget = Budget { crashes: 1, exits: 1, outages: 1, faults: 1, ..Budget::default() };
    for rules in [
        Rules { used_up: true, ..Rules::contract() },
        Rules { used_up: true, ..in_place() },
        Rules { restarts: false, succeeds: true, ..Rules::contract() },
    ] {
        holds(rules, scenarios::one_command(budget));
    }
}

#[test]
fn records_that_are_removed_by_hand_hold_every_property() {
    let lost = Budget { losses: 1, exits: 1, crashes: 1, ..Budget::default() };
    for rules in [one_name(), without_restarts(), in_place()] {
        holds(rules, scenarios::one_command(lost));
    }
}

#[test]
fn a_reader_among_commands_holds_every_property() {
    holds(two_names(), scenarios::reader_and_two(Budget::default()));
    holds(two_names(), scenarios::reader_and_one(Budget { outages: 1, ..Budget::default() }));
    holds(two_names(), scenarios::reader_and_one(Budget { crashes: 1, ..Budget::default() }));
    holds(one_name(), scenarios::reader_and_one(Budget { crashes: 1, exits: 1, ..Budget::default() }));
    holds(one_name(), scenarios::reader_and_one(Budget { crashes: 1, outages: 1, ..Budget::default() }));
}

#[test]
fn a_reconciliation_among_commands_holds_every_property() {
    for rules in [one_name(), without_restarts()] {
        holds(rules.clone(), scenarios::reconcile_and_two(Budget::default()));
        holds(rules, scenarios::reconcile_and_one(Budget { crashes: 1, exits: 1, ..Budget::default() }));
    }
}

#[test]
fn the_model_finds_a_missing_owner_check() {
    let scenario = scenarios::reader_and_one(Budget::default());
    breaks(Mutation::NoOwnerCheck, two_names(), scenario, &[NO_VERDICT_WITHOUT_EVIDENCE]);
}

#[test]
fn the_model_finds_a_snapshot_taken_before_the_files() {
    let scenario = scenarios::reader_and_one(Budget::default());
    breaks(Mutation::SnapshotBeforeFiles, one_name(), scenario, &[NO_VERDICT_WITHOUT_EVIDENCE]);
}

#[test]
fn the_model_finds_compare_and_set_without_the_uid() {
    let scenario = scenarios::reconcile_and_two(Budget::default());
    breaks(Mutation::CompareWithoutUid, without_restarts(), scenario, &[NO_LOST_UPDATE]);
}

#[test]
fn the_model_finds_a_read_that_writes() {
    let scenario = scenarios::reader_and_one(Budget { crashes: 1, ..Budget::default() });
    let broken = [READING_WRITES_NOTHING, NO_LOST_UPDATE, AGREEMENT];
    breaks(Mutation::ReadThatWrites, one_name(), scenario, &broken);
}

#[test]
fn the_model_finds_a_lock_file_that_is_unlinked() {
    let scenario = scenarios::three_commands(Budget::default());
    let broken = [ONE_OPERATION, NO_LOST_UPDATE];
    breaks(Mutation::LockFileUnlinked, one_name(), scenario, &broken);
}

#[test]
fn the_model_finds_resources_known_by_handle_alone() {
    let scenario = scenarios::two_commands(Budget { crashes: 1, ..Budget::default() });
    let broken = [NO_UNKNOWN_RESOURCE, ONE_RESOURCE, AGREEMENT];
    breaks(Mutation::HandleAlone, one_name(), scenario, &broken);
}

#[test]
fn the_model_finds_a_stop_that_trusts_the_end_of_the_supervisor() {
    let scenario = scenarios::two_commands(Budget { crashes: 1, ..Budget::default() });
    breaks(Mutation::SupervisorsEndIsStop, one_name(), scenario, &[NO_EMPTY_SUCCESS]);
}

#[test]
fn the_model_finds_a_deadline_that_is_taken_for_a_failure() {
    let scenario = scenarios::two_commands(Budget { deadlines: 1, ..Budget::default() });
    breaks(Mutation::DeadlineIsFailure, one_name(), scenario, &[NO_UNKNOWN_RESOURCE, AGREEMENT]);
}

#[test]
fn the_model_finds_an_instance_proof_only_before_the_call() {
    let scenario = scenarios::two_commands(Budget { outages: 1, ..Budget::default() });
    let broken = [NO_EMPTY_SUCCESS, NO_UNKNOWN_RESOURCE];
    breaks(Mutation::ProofBeforeTheCallAlone, one_name(), scenario, &broken);
}

#[test]
fn the_model_finds_an_instance_proof_apart_from_the_listing() {
    let scenario = scenarios::two_commands(Budget { outages: 1, ..Budget::default() });
    let broken = [NO_EMPTY_SUCCESS, NO_UNKNOWN_RESOURCE];
    breaks(Mutation::ProofApartFromTheLook, one_name(), scenario, &broken);
}

#[test]
fn the_model_finds_an_undo_that_trusts_its_memory() {
    let scenario = scenarios::two_commands(Budget { crashes: 2, exits: 1, ..Budget::default() });
    breaks(Mutation::UndoTrustsItsMemory, one_name(), scenario, &[AGREEMENT]);
}

#[test]
fn the_model_finds_rows_that_are_assessed_without_a_whole_second_look() {
    let verdict = [NO_VERDICT_WITHOUT_EVIDENCE];
    for mutation in [Mutation::GoneRowIsShown, Mutation::RunConfigNotReread, Mutation::AssessedAgainOnce] {
        breaks(mutation, one_name(), scenarios::reader_and_two(Budget::default()), &verdict);
    }
}

#[test]
fn the_model_finds_absence_compared_like_a_revision() {
    let scenario = scenarios::reader_and_two(Budget::default());
    breaks(Mutation::AbsenceAskedOnce, one_name(), scenario, &[NO_VERDICT_WITHOUT_EVIDENCE]);
}

#[test]
fn the_model_finds_mistakes_in_the_supervisors_machine() {
    let one = scenarios::one_command;
    let outage = Budget { outages: 1, ..Budget::default() };
    breaks(Mutation::GivesUpTheRecord, one_name(), one(outage), &[NO_UNKNOWN_RESOURCE]);
    let dropped = Budget { interruptions: 1, ..outage };
    breaks(Mutation::NothingFoundElsewhere, one_name(), one(dropped), &[NO_UNKNOWN_RESOURCE]);
    breaks(Mutation::EndedIsGone, one_name(), one(outage), &[ONE_RESOURCE]);
    breaks(Mutation::StartsUnrecorded, one_name(), one(Budget::default()), &[ON_RECORD]);
    let lost = Budget { losses: 1, ..Budget::default() };
    breaks(Mutation::OutlivesItsRunConfig, one_name(), one(lost), &[NO_DEADLOCK]);
}

#[test]
fn the_model_finds_a_single_look_for_what_a_dropped_deployment_brings() {
    let scenario = scenarios::one_command(Budget { interruptions: 1, ..Budget::default() });
    breaks(Mutation::LooksOnce, one_name(), scenario, &[NO_UNKNOWN_RESOURCE]);
}

#[test]
fn an_engine_that_acts_for_the_dead_defeats_every_protocol() {
    let scenario = scenarios::two_commands(Budget { crashes: 1, deadlines: 1, ..Budget::default() });
    breaks(Mutation::EngineOutlivesItsClients, one_name(), scenario, &[NO_UNKNOWN_RESOURCE]);
}

#[test]
fn each_scenario_of_the_model_begins_in_the_state_that_it_names() {
    let menu = scenarios::reader_and_two(Budget::default());
    assert_eq!(menu.commands[0], [Command::List]);
    let states = Protocol { rules: two_names(), scenario: menu }.init_states();
    // Four beginnings, and two commands of four kinds.
    assert_eq!(states.len(), 4 * 16);
    assert!(states.iter().all(|state| state.is_busy() && state.places[1].config.is_some()));
}
