use super::*;
use crate::resource::tests::observation;
use crate::uid::Uid;

fn record(phase: Phase) -> StatusRecord {
    let mut record = StatusRecord::new(Uid::random().unwrap());
    record.phase = phase;
    record
}

fn witnesses(evidence: Evidence, life_held: bool, operation_held: bool) -> Inputs {
    Inputs { evidence, life_held, operation_held, boot: BootId::from_text("this") }
}

fn seen(state: WorkloadState) -> Evidence {
    Evidence::Has(Box::new(observation(state)))
}

#[test]
fn r04_no_evidence_is_no_verdict() {
    for (phase, state) in [
        (Phase::Running, EffectiveState::Running),
        (Phase::Stopped, EffectiveState::Stopped),
        (Phase::Error, EffectiveState::Error),
    ] {
        let life = phase == Phase::Running;
        let shown = assess(Some(&record(phase)), &witnesses(Evidence::Missing("down".into()), life, false));
        assert_eq!((shown.state, shown.stale.as_deref()), (state, Some("down")));
    }
}

#[test]
fn r04_a_life_lock_that_nobody_holds_is_evidence_whatever_the_owner_says() {
    for evidence in [seen(WorkloadState::Running), Evidence::HasNot, Evidence::Missing("down".into())] {
        let shown = assess(Some(&record(Phase::Running)), &witnesses(evidence, false, false));
        assert_eq!(shown.state, EffectiveState::Unhealthy);
    }
}

#[test]
fn r06_a_workload_that_runs_again_is_running_again() {
    let record = record(Phase::Running);
    let worse = assess(Some(&record), &witnesses(seen(WorkloadState::Stopped), true, false));
    assert_eq!(worse.state, EffectiveState::Unhealthy);
    let healed = assess(Some(&record), &witnesses(seen(WorkloadState::Running), true, false));
    assert_eq!(healed, fresh(EffectiveState::Running, ""));
}

#[test]
fn one_that_is_paused_or_fails_its_check_is_there_and_not_running() {
    let Evidence::Has(running) = seen(WorkloadState::Running) else { unreachable!() };
    let shown = |condition: wharf_sdk::Condition, phase, life| {
        let seen = Observation { condition, ..(*running).clone() };
        assess(Some(&record(phase)), &witnesses(Evidence::Has(Box::new(seen)), life, false))
    };
    let paused = || wharf_sdk::Condition { paused: true, ..Default::default() };
    let failing = || wharf_sdk::Condition { check: Some(Check::Unhealthy), ..Default::default() };
    let told = shown(paused(), Phase::Running, true);
    assert_eq!((told.state, told.next), (EffectiveState::Paused, Some(NextStep::Start)));
    assert_eq!(shown(failing(), Phase::Running, true).state, EffectiveState::Unhealthy);
    assert_eq!(shown(Default::default(), Phase::Running, true).state, EffectiveState::Running);
    // It runs: whether it is paused changes nothing about one that should not.
    assert_eq!(shown(paused(), Phase::Stopped, false).state, EffectiveState::Unhealthy);
    let alone = shown(paused(), Phase::Running, false);
    assert_eq!((alone.state, alone.next), (EffectiveState::Unhealthy, Some(NextStep::Start)));
    assert!(alone.context.contains("paused") && alone.context.contains("no supervisor"), "{alone:?}");
}

#[test]
fn r03_a_remote_server_is_judged_by_its_proxy_alone() {
    let shown = |phase, life| assess(Some(&record(phase)), &witnesses(Evidence::Remote, life, false));
    assert_eq!(shown(Phase::Running, true), fresh(EffectiveState::Running, ""));
    assert_eq!(shown(Phase::Running, false).state, EffectiveState::Unhealthy);
    assert_eq!(shown(Phase::Stopped, false), fresh(EffectiveState::Stopped, ""));
}

#[test]
fn r04_an_owner_that_does_not_know_gives_no_evidence() {
    let Evidence::Has(mut unknown) = seen(WorkloadState::Running) else { unreachable!() };
    unknown.state = WorkloadState::Unknown;
    assert!(matches!(Evidence::of(*unknown), Evidence::Missing(_)));
}

#[test]
fn locks_that_are_not_asked_about_change_no_assessment() {
    let phases =
        [Phase::Starting, Phase::Running, Phase::Stopping, Phase::Stopped, Phase::Removing, Phase::Error];
    let records = phases.map(record).map(Some).into_iter().chain([None]);
    for record in records {
        let looked_at = locks_looked_at(record.as_ref());
        for evidence in [
            seen(WorkloadState::Running),
            seen(WorkloadState::Stopped),
            Evidence::HasNot,
            Evidence::Missing("down".into()),
        ] {
            for (life, operation) in [(false, false), (false, true), (true, false), (true, true)] {
                let told = assess(record.as_ref(), &witnesses(evidence.clone(), life, operation));
                let asked = witnesses(
                    evidence.clone(),
                    life && looked_at.contains(&LockKind::Life),
                    operation && looked_at.contains(&LockKind::Operation),
                );
                assert_eq!(assess(record.as_ref(), &asked), told);
            }
        }
    }
}

#[test]
fn a_transition_that_nobody_carries_on_is_interrupted() {
    for phase in [Phase::Starting, Phase::Stopping, Phase::Removing] {
        let alone = assess(Some(&record(phase)), &witnesses(Evidence::HasNot, false, false));
        assert_eq!(alone.state, EffectiveState::Interrupted);
        for (life, operation) in [(true, false), (false, true)] {
            let carried = assess(Some(&record(phase)), &witnesses(Evidence::HasNot, life, operation));
            assert_eq!(carried.state.as_str(), phase.to_string());
        }
    }
}
