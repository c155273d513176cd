//! Histories: any sequence of actions of commands, supervisors, owners, machines and careless users.
//!
//! Every operation is possible at any time; one that does not fit changes nothing, which is checked as well. So any part of
//! a history is a history, and shrinking needs no rules of its own.
use crate::tests::simulated_host::{OwnerAnswer, SimulatedHost};
use proptest::{collection::vec, prelude::*, sample::select};
use wharf_records::RecordKind;

const ANSWERS: [OwnerAnswer; 4] =
    [OwnerAnswer::Answers, OwnerAnswer::Silent, OwnerAnswer::Incomplete, OwnerAnswer::AnotherInstance];
const KINDS: [RecordKind; 2] = [RecordKind::RunConfig, RecordKind::Status];

/// One action; a number is that of a workload's name.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A command begins: `run` where there is nothing, `start` else.
    BeginStart(usize),
    BeginStop(usize),
    BeginRemove(usize),
    /// The command at work gets done.
    Finish(usize),
    /// The command at work, and the supervisor that it started, are killed.
    CommandDies(usize),
    /// `rm --forget`.
    Forget(usize),
    /// The workload ends by itself.
    Exits(usize, i32),
    SupervisorDies(usize),
    Owner(OwnerAnswer),
    /// Another host's resource with this workload's uid, or a second one of ours.
    Foreign(usize),
    Twice(usize),
    Reboot,
    Corrupt(usize, RecordKind),
    /// A writer reads a record, to write it later.
    Read(usize),
    /// The writer writes the record that it made from an earlier read.
    WriteLate(usize),
    /// The supervisor of an earlier workload of that name writes, with any revision.
    GhostWrites(usize),
    Reconcile,
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0_usize..2;
    prop_oneof![
        6 => name().prop_map(Step::BeginStart),
        3 => name().prop_map(Step::BeginStop),
        3 => name().prop_map(Step::BeginRemove),
        9 => name().prop_map(Step::Finish),
        3 => name().prop_map(Step::CommandDies),
        1 => name().prop_map(Step::Forget),
        3 => (name(), 0..2).prop_map(|(name, code)| Step::Exits(name, code)),
        2 => name().prop_map(Step::SupervisorDies),
        2 => select(&ANSWERS[..]).prop_map(Step::Owner),
        1 => name().prop_map(Step::Foreign),
        1 => name().prop_map(Step::Twice),
        1 => Just(Step::Reboot),
        1 => (name(), select(&KINDS[..])).prop_map(|(name, kind)| Step::Corrupt(name, kind)),
        2 => name().prop_map(Step::Read),
        2 => name().prop_map(Step::WriteLate),
        2 => name().prop_map(Step::GhostWrites),
        2 => Just(Step::Reconcile),
    ]
}

fn take(host: &mut SimulatedHost, step: Step) {
    match step {
        Step::BeginStart(name) => host.begin_start(name),
        Step::BeginStop(name) => host.begin_stop(name),
        Step::BeginRemove(name) => host.begin_remove(name),
        Step::Finish(name) => host.finish(name),
        Step::CommandDies(name) => host.command_dies(name),
        Step::Forget(name) => host.forget(name),
        Step::Exits(name, code) => host.exits(name, code),
        Step::SupervisorDies(name) => host.supervisor_dies(name),
        Step::Owner(answer) => host.owner_is(answer),
        Step::Foreign(name) => host.add_foreign(name),
        Step::Twice(name) => host.add_second(name),
        Step::Reboot => host.reboot(),
        Step::Corrupt(name, kind) => host.corrupt(name, kind),
        Step::Read(name) => host.read_to_write_later(name),
        Step::WriteLate(name) => host.write_late(name),
        Step::GhostWrites(name) => host.ghost_writes(name),
        Step::Reconcile => host.reconcile(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 2048,
        ..ProptestConfig::with_cases(256)
    })]

    #[test]
    fn r06_whatever_happens_records_and_views_are_true_and_all_agree_once_it_is_quiet(history in vec(step(), 1..40)) {
        let mut host = SimulatedHost::new();
        host.look();
        for step in history {
            take(&mut host, step);
            host.look();
        }
        host.grow_quiet();
    }
}
