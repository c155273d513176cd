use super::*;
use crate::raw_json::Opaque;
use crate::resource::tests::observation;
use crate::run_config::Imported;
use crate::uid::Uid;
use crate::workload_name::WorkloadName;
use wharf_sdk::process_identity::ProcessIdentity;

const NOW: &str = "this boot";
const POLICIES: [RestartPolicy; 4] =
    [RestartPolicy::No, RestartPolicy::OnFailure, RestartPolicy::Always, RestartPolicy::UnlessStopped];

/// Everything that a plan may depend on.
#[derive(Clone, Debug)]
struct Case {
    phase: Option<Phase>,
    desired: Desired,
    evidence: Evidence,
    locks: Locks,
    policy: RestartPolicy,
    transport: Transport,
    rebooted: bool,
    /// Servers of its sessions are on record.
    has_session_servers: bool,
}

fn seen(state: WorkloadState, code: Option<i32>) -> Evidence {
    let exit = code.map(|code| Exit { code: Some(code), ..Exit::default() });
    Evidence::Has(Box::new(Observation { exit, ..observation(state) }))
}

fn every_evidence() -> Vec<Evidence> {
    vec![
        seen(WorkloadState::Running, None),
        seen(WorkloadState::Stopped, Some(0)),
        seen(WorkloadState::Stopped, Some(7)),
        seen(WorkloadState::Created, None),
        seen(WorkloadState::Unknown, None),
        Evidence::HasNot,
        Evidence::Missing("down".to_owned()),
    ]
}

fn every_case() -> Vec<Case> {
    let mut cases = Vec::new();
    let phases = Phase::ALL.into_iter().map(Some).chain([None]);
    for phase in phases {
        for desired in [Desired::Running, Desired::Stopped] {
            for evidence in every_evidence() {
                for bits in 0..16_u8 {
                    for policy in POLICIES {
                        cases.push(Case {
                            phase,
                            desired,
                            evidence: evidence.clone(),
                            locks: Locks { operation_held: bits & 1 != 0, life_held: bits & 2 != 0 },
                            policy,
                            transport: if bits & 4 != 0 {
                                Transport::StreamableHttp
                            } else {
                                Transport::Stdio
                            },
                            rebooted: bits & 8 != 0,
                            has_session_servers: false,
                        });
                    }
                }
            }
        }
    }
    cases
}

impl Case {
    fn plan(&self) -> Action {
        self.plan_for(RunConfig::new(
            Uid::random().unwrap(),
            WorkloadName::new("time").unwrap(),
            "uvx://time",
        ))
    }

    fn plan_for(&self, mut config: RunConfig) -> Action {
        (config.restart, config.transport) = (self.policy, self.transport);
        let record = self.phase.map(|phase| {
            let mut record = StatusRecord::new(config.uid.clone());
            (record.phase, record.desired) = (phase, self.desired);
            let boot_id = BootId::from_text(if self.rebooted { "an earlier boot" } else { NOW });
            if self.has_session_servers {
                let uid = Uid::random().unwrap();
                record.session_servers.push(crate::status_record::SessionServer { uid, handle: None });
            }
            record.set_supervisor(Some(ProcessIdentity { pid: 7, start_time: 7, boot_id }));
            record
        });
        plan(&config, record.as_ref(), &self.evidence, self.locks, &BootId::from_text(NOW))
    }

    fn runs(&self) -> bool {
        matches!(&self.evidence, Evidence::Has(seen) if seen.state == WorkloadState::Running)
    }

    fn is_free(&self) -> bool {
        !self.locks.operation_held && !self.locks.life_held
    }
}

fn acts(action: &Action) -> bool {
    !matches!(action, Action::None | Action::Leave(_))
}

#[test]
fn r04_without_evidence_nothing_is_done_and_the_reason_is_told() {
    for case in every_case().iter().filter(|case| matches!(case.evidence, Evidence::Missing(_))) {
        assert!(matches!(case.plan(), Action::Leave(_)), "{case:?}");
        if !case.locks.operation_held {
            assert_eq!(case.plan(), Action::Leave("down".into()), "{case:?}");
        }
    }
}

#[test]
fn r06_one_that_is_paused_or_fails_its_check_is_left_alone_with_the_reason() {
    let running = |condition| {
        let Evidence::Has(mut seen) = seen(WorkloadState::Running, None) else { unreachable!() };
        seen.condition = condition;
        Evidence::Has(seen)
    };
    let paused = wharf_sdk::Condition { paused: true, ..Default::default() };
    let failing = wharf_sdk::Condition { check: Some(wharf_sdk::Check::Unhealthy), ..Default::default() };
    for case in every_case().into_iter().filter(|case| case.runs()) {
        let is_up = case.phase == Some(Phase::Running) && !case.locks.operation_held;
        let tended = is_up && case.locks.life_held;
        // A new supervisor would start it anew, and so undo the pause.
        let alone = is_up && !case.locks.life_held && case.desired == Desired::Running;
        for (condition, is_left) in [(&paused, tended || alone), (&failing, tended)] {
            let odd = Case { evidence: running(condition.clone()), ..case.clone() };
            let leaves = matches!(odd.plan(), Action::Leave(Reason { next: Some(_), .. }));
            assert_eq!(
                (leaves, odd.plan() == case.plan()),
                if is_left { (true, false) } else { (leaves, true) },
                "{odd:?}"
            );
        }
    }
}

#[test]
fn r06_what_another_command_works_on_is_left_alone() {
    for case in every_case().iter().filter(|case| case.locks.operation_held) {
        assert!(matches!(case.plan(), Action::Leave(_)), "{case:?}");
    }
}

#[test]
fn r06_beside_a_supervisor_only_interrupted_ends_are_finished() {
    for case in every_case().iter().filter(|case| case.locks.life_held) {
        let action = case.plan();
        let finishes = matches!(case.phase, Some(Phase::Stopping | Phase::Removing));
        assert!(!acts(&action) || finishes, "{case:?}: {action:?}");
    }
}

#[test]
fn r06_what_is_not_wanted_is_never_started_and_never_recorded_as_ended() {
    for case in every_case() {
        if case.phase.is_some() && case.desired == Desired::Stopped {
            let action = case.plan();
            assert!(!matches!(action, Action::Start(_) | Action::Record(_)), "{case:?}: {action:?}");
        }
    }
}

#[test]
fn r06_a_policy_of_no_starts_only_what_was_being_started_or_can_be_resumed() {
    for case in every_case() {
        if case.policy == RestartPolicy::No
            && matches!(case.plan(), Action::Start(_))
            && !matches!(case.phase, Some(Phase::Starting | Phase::Stopping | Phase::Stopped))
        {
            assert!(case.runs() && case.transport != Transport::Stdio, "{case:?}");
        }
    }
}

#[test]
fn what_an_earlier_version_imported_is_left_alone_unless_it_is_being_removed() {
    for case in every_case() {
        let mut config =
            RunConfig::new(Uid::random().unwrap(), WorkloadName::new("time").unwrap(), "uvx://time");
        let handle = Some(Opaque::of(&"another product's").unwrap());
        config.imported = Some(Imported { from: "x".to_owned(), name: "time".to_owned(), handle });
        let action = case.plan_for(config);
        let may_act = case.phase == Some(Phase::Removing);
        assert!(
            matches!(action, Action::Leave(_)) || (may_act && action == Action::Remove),
            "{case:?}: {action:?}"
        );
    }
}

#[test]
fn r06_every_interrupted_command_is_finished() {
    for case in every_case() {
        if matches!(case.evidence, Evidence::Missing(_)) || !case.is_free() {
            continue;
        }
        let action = case.plan();
        match (case.phase, case.desired) {
            // Without a record, a creation was interrupted, which was reported to nobody as done; or a removal was.
            (None, _) => assert!(matches!(action, Action::Leave(_)), "{case:?}: {action:?}"),
            (Some(Phase::Starting | Phase::Stopping | Phase::Stopped), Desired::Running) => {
                assert!(matches!(action, Action::Start(_)), "{case:?}");
            }
            (Some(Phase::Stopping | Phase::Starting), Desired::Stopped) => {
                assert!(matches!(action, Action::Stop(_)), "{case:?}");
            }
            (Some(Phase::Removing), _) => assert_eq!(action, Action::Remove, "{case:?}"),
            (Some(Phase::Stopped), Desired::Stopped) | (Some(Phase::Running | Phase::Error), _) => {}
        }
    }
}

#[test]
fn r06_what_runs_and_should_not_is_stopped_and_what_rests_stays() {
    for case in every_case() {
        let resting = match case.phase {
            Some(Phase::Stopped) => case.desired == Desired::Stopped,
            Some(Phase::Error) => true,
            _ => false,
        };
        if resting && case.is_free() && !matches!(case.evidence, Evidence::Missing(_)) {
            let expected = if case.runs() { Action::Stop("it runs, and should not") } else { Action::None };
            assert_eq!(case.plan(), expected, "{case:?}");
        }
    }
}

#[test]
fn r06_a_workload_that_should_run_and_has_no_supervisor_is_brought_back_by_policy() {
    for case in every_case() {
        let concerned = case.phase == Some(Phase::Running) && case.desired == Desired::Running;
        if !concerned || !case.is_free() || matches!(case.evidence, Evidence::Missing(_)) {
            continue;
        }
        let fine = matches!(&case.evidence, Evidence::Has(seen)
            if seen.exit.as_ref().is_some_and(|exit| exit.code == Some(0)));
        let action = case.plan();
        match (case.runs(), case.policy) {
            (true, RestartPolicy::No) if case.transport == Transport::Stdio => {
                assert!(matches!(action, Action::Stop(_)), "{case:?}: {action:?}");
            }
            (true, _) => assert!(matches!(action, Action::Start(_)), "{case:?}: {action:?}"),
            (false, RestartPolicy::No) => {
                assert!(matches!(action, Action::Record(_)), "{case:?}: {action:?}");
            }
            (false, RestartPolicy::OnFailure) if fine => {
                assert!(matches!(action, Action::Record(_)), "{case:?}: {action:?}");
            }
            (false, _) => {
                let why = if case.rebooted { "the machine was restarted" } else { "it ended" };
                assert_eq!(action, Action::Start(why), "{case:?}");
            }
        }
    }
}

#[test]
fn r06_an_edit_that_is_not_settled_is_undone_by_a_start_where_it_is_wanted() {
    for case in every_case() {
        let mut config =
            RunConfig::new(Uid::random().unwrap(), WorkloadName::new("time").unwrap(), "uvx://time");
        let without = case.plan_for(config.clone());
        config.previous = Some(Box::new(config.clone()));
        let with = case.plan_for(config);
        let is_evidence = !matches!(case.evidence, Evidence::Missing(_));
        if case.phase == Some(Phase::Error)
            && case.desired == Desired::Running
            && case.is_free()
            && is_evidence
        {
            assert_eq!(with, Action::Start("its edit was interrupted"), "{case:?}");
        } else {
            assert_eq!(with, without, "{case:?}");
        }
    }
}

#[test]
fn r02_a_record_of_another_creation_decides_nothing() {
    let config = RunConfig::new(Uid::random().unwrap(), WorkloadName::new("time").unwrap(), "uvx://time");
    let record = StatusRecord::new(Uid::random().unwrap());
    let free = Locks { operation_held: false, life_held: false };
    let action = plan(&config, Some(&record), &Evidence::HasNot, free, &BootId::from_text(NOW));
    assert!(matches!(action, Action::Leave(_)), "{action:?}");
}

#[test]
fn r09_servers_of_sessions_that_are_left_are_cleared_up_unless_a_start_does_that() {
    for case in every_case() {
        let without = case.plan();
        let with = Case { has_session_servers: true, ..case.clone() }.plan();
        let nothing_would_be_done = matches!(without, Action::None | Action::Record(_));
        if nothing_would_be_done && case.is_free() && !case.runs() && case.phase.is_some() {
            assert!(matches!(with, Action::Stop(_)), "{case:?}: {with:?}");
        } else {
            assert_eq!(with, without, "{case:?}");
        }
    }
}
