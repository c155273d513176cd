//! Properties that hold for the pure functions with any arguments.
use crate::tests::any;
use jiff::Timestamp;
use proptest::{collection::vec, prelude::*, sample::select};
use wharf_model::{Action, Claim, Effective, EffectiveState, Evidence, Locks, assess, claim, plan};
use wharf_model::{Desired, Event, Phase, RestartPolicy, RunConfig, StatusRecord};
use wharf_sdk::{Observation, WorkloadState};

fn runs(evidence: &Evidence) -> bool {
    matches!(evidence, Evidence::Has(seen) if seen.state == WorkloadState::Running)
}

fn is_at_rest(action: &Action) -> bool {
    matches!(action, Action::None | Action::Leave(_))
}

/// The same facts, recorded by a clock that said something else.
fn with_times_of(record: &StatusRecord, other: &StatusRecord) -> StatusRecord {
    let mut record = record.clone();
    (record.created_at, record.updated_at) = (other.created_at, other.updated_at);
    record.started_at = record.started_at.and(other.started_at);
    if let (Some(exit), Some(other)) = (&mut record.last_exit, &other.last_exit) {
        exit.at = other.at;
    }
    record
}

/// Whether the owner gave any evidence.
fn is_evidence(evidence: &Evidence) -> bool {
    matches!(evidence, Evidence::Has(_) | Evidence::HasNot)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn r04_without_evidence_the_record_is_shown_as_stale_or_what_the_locks_alone_prove(
        record in any::record(), mut witnesses in any::witnesses(), reason in ".{1,8}",
    ) {
        witnesses.evidence = Evidence::Missing(reason.clone());
        let shown = assess(Some(&record), &witnesses);
        let recorded = EffectiveState::from(record.phase);
        if shown.stale.is_some() {
            let expected = Effective { stale: Some(reason), ..Effective::fresh(recorded, record.status_context) };
            prop_assert_eq!(shown, expected);
        } else {
            // A row that is not stale rests on the locks: a free life lock is positive evidence.
            prop_assert!(shown.state == recorded || !witnesses.life_held, "{:?}", shown);
        }
    }

    #[test]
    fn r04_unhealthy_is_shown_on_positive_evidence_alone(
        record in proptest::option::of(any::record()), witnesses in any::witnesses(),
    ) {
        let shown = assess(record.as_ref(), &witnesses);
        if shown.state == EffectiveState::Unhealthy {
            let phase = record.as_ref().map(|record| record.phase);
            let without_proxy = phase == Some(Phase::Running) && !witnesses.life_held;
            let contradicted = is_evidence(&witnesses.evidence)
                && runs(&witnesses.evidence) != (phase == Some(Phase::Running));
            prop_assert!(without_proxy || contradicted);
            prop_assert!(shown.stale.is_none() && !shown.context.is_empty(), "{:?}", shown);
        }
    }

    #[test]
    fn r06_a_held_life_lock_and_evidence_of_running_heal_whatever_was_before(
        mut record in any::record(), seen in any::observation(), mut witnesses in any::witnesses(),
    ) {
        record.phase = Phase::Running;
        witnesses.life_held = true;
        witnesses.evidence = Evidence::Has(Box::new(Observation { state: WorkloadState::Running, ..seen }));
        let shown = assess(Some(&record), &witnesses);
        prop_assert_eq!((shown.state, shown.stale), (EffectiveState::Running, None));
    }

    #[test]
    fn r04_after_a_reboot_a_workload_is_gone_and_not_unhealthy(
        mut record in any::record(), mut witnesses in any::witnesses(),
    ) {
        record.phase = Phase::Running;
        (witnesses.life_held, witnesses.boot) = (false, any::boot(9));
        prop_assume!(record.supervisor.is_some());
        prop_assert_eq!(assess(Some(&record), &witnesses).state, EffectiveState::Stopped);
    }

    #[test]
    fn r04_nothing_is_decided_by_what_a_clock_said(
        config in any::config(), record in any::record(), other in any::record(), witnesses in any::witnesses(),
        created_at in proptest::option::of(any::moment()),
    ) {
        let stepped = with_times_of(&record, &other);
        prop_assert_eq!(assess(Some(&record), &witnesses), assess(Some(&stepped), &witnesses));
        let locks = Locks { operation_held: witnesses.operation_held, life_held: witnesses.life_held };
        let later = RunConfig { created_at, ..config.clone() };
        prop_assert_eq!(
            plan(&config, Some(&record), &witnesses.evidence, locks, &witnesses.boot),
            plan(&later, Some(&stepped), &witnesses.evidence, locks, &witnesses.boot)
        );
    }

    #[test]
    fn r04_a_plan_acts_on_evidence_alone_and_never_beside_a_command(
        config in any::config(), record in proptest::option::of(any::record()), evidence in any::evidence(),
        locks in any::locks(),
    ) {
        let action = plan(&config, record.as_ref(), &evidence, locks, &any::boot(0));
        if locks.operation_held || !is_evidence(&evidence) {
            prop_assert!(matches!(action, Action::Leave(_)), "{:?}", action);
        }
    }

    #[test]
    fn r02_a_record_of_another_uid_is_never_acted_on(
        config in any::config(), mut record in any::record(), evidence in any::evidence(), locks in any::locks(),
    ) {
        record.uid = any::uid(2);
        let action = plan(&config, Some(&record), &evidence, locks, &any::boot(0));
        prop_assert!(matches!(action, Action::Leave(_)), "{:?}", action);
    }

    #[test]
    fn r06_what_is_being_removed_is_removed_and_nothing_else(
        config in any::config(), mut record in any::record(), evidence in any::evidence(), locks in any::locks(),
    ) {
        record.phase = Phase::Removing;
        let action = plan(&config, Some(&record), &evidence, locks, &any::boot(0));
        prop_assert!(matches!(action, Action::Remove | Action::Leave(_)), "{:?}", action);
        prop_assert!(!record.phase.can_start() && !record.phase.can_stop());
    }

    #[test]
    fn r06_what_is_not_wanted_is_never_started_and_policy_no_restarts_nothing_that_ended(
        mut config in any::config(), mut record in any::record(), evidence in any::evidence(), locks in any::locks(),
    ) {
        record.desired = Desired::Stopped;
        let action = plan(&config, Some(&record), &evidence, locks, &any::boot(0));
        prop_assert!(!matches!(action, Action::Start(_)), "{:?}", action);
        (record.desired, config.restart) = (Desired::Running, RestartPolicy::No);
        // An interrupted operation is finished, which is no restart by policy.
        let ended = !matches!(record.phase, Phase::Starting | Phase::Stopping | Phase::Stopped);
        if ended && !runs(&evidence) {
            let action = plan(&config, Some(&record), &evidence, locks, &any::boot(0));
            prop_assert!(!matches!(action, Action::Start(_)), "{:?}", action);
        }
    }

    #[test]
    fn r06_what_is_shown_to_be_wrong_is_acted_on_once_nobody_holds_a_lock(
        config in any::config(), record in proptest::option::of(any::record()), mut witnesses in any::witnesses(),
    ) {
        (witnesses.operation_held, witnesses.life_held) = (false, false);
        let shown = assess(record.as_ref(), &witnesses).state;
        let free = Locks { operation_held: false, life_held: false };
        let action = plan(&config, record.as_ref(), &witnesses.evidence, free, &witnesses.boot);
        let is_wrong = matches!(shown, EffectiveState::Unhealthy | EffectiveState::Interrupted);
        // There is no record: nobody knows whether a creation or a removal was interrupted, and a command decides.
        if is_wrong && is_evidence(&witnesses.evidence) && record.is_some() {
            prop_assert!(!is_at_rest(&action), "shown {:?}, and {:?}", shown, action);
        }
    }

    #[test]
    fn r06_one_round_is_enough(
        config in any::config(), record in proptest::option::of(any::record()), evidence in any::evidence(),
    ) {
        prop_assume!(is_evidence(&evidence));
        let (boot, free) = (any::boot(0), Locks { operation_held: false, life_held: false });
        let mut after = record.clone().unwrap_or_else(|| StatusRecord::new(config.uid.clone()));
        let tell = |record: &mut StatusRecord, events: &[Event]| {
            events.iter().try_for_each(|event| record.apply(*event))
        };
        let (evidence, locks) = match plan(&config, record.as_ref(), &evidence, free, &boot) {
            Action::None => return Ok(()),
            Action::Leave(_) if record.is_none() => return Ok(()),
            Action::Leave(reason) => panic!("there is evidence, and no lock is held: {}", reason.text),
            Action::Start(_) => {
                tell(&mut after, &[Event::StartBegun, Event::Ready]).unwrap();
                after.desired = Desired::Running;
                (Evidence::HasNot, Locks { life_held: true, ..free })
            }
            Action::Stop(_) => {
                tell(&mut after, &[Event::StopBegun, Event::Stopped]).unwrap();
                after.desired = Desired::Stopped;
                (Evidence::HasNot, free)
            }
            Action::Record(exit) => {
                let fine = exit.code == Some(0);
                tell(&mut after, &[if fine { Event::Completed } else { Event::Failed }]).unwrap();
                after.desired = if fine { Desired::Stopped } else { after.desired };
                (evidence, free)
            }
            Action::Remove => {
                prop_assert_eq!(after.phase, Phase::Removing);
                return Ok(());
            }
        };
        prop_assert_eq!(plan(&config, Some(&after), &evidence, locks, &boot), Action::None);
    }

    #[test]
    fn r06_the_table_is_the_only_way_and_nothing_leads_out_of_removing(
        record in any::record(), events in vec(select(&Event::ALL[..]), 0..12),
    ) {
        let mut now = record.clone();
        let mut is_removing = now.phase == Phase::Removing;
        for event in events {
            let before = now.clone();
            match now.apply(event) {
                Ok(()) => prop_assert_eq!(Ok(now.phase), before.phase.next(event)),
                Err(refusal) => {
                    prop_assert_eq!(&now, &before, "a refusal changes nothing");
                    prop_assert_eq!(Err(refusal), before.phase.next(event));
                }
            }
            is_removing |= event == Event::RemoveBegun;
            prop_assert_eq!(now.phase == Phase::Removing, is_removing);
        }
        // In each of these phases, a start that becomes ready heals the record; a removal ends it.
        if !is_removing {
            prop_assert!(now.apply(Event::StartBegun).is_ok() && now.apply(Event::Ready).is_ok());
            prop_assert_eq!(now.phase, Phase::Running);
        }
        prop_assert_eq!((now.uid, now.desired), (record.uid, record.desired), "an event is no wish");
    }

    #[test]
    fn r07_a_claim_is_proven_by_one_resource_alone_and_by_no_silence(
        resources in any::resources(), silent in vec("[a-z]{1,4}", 0..3), turn in 0_usize..4,
    ) {
        let wanted = any::uid(1);
        let claimants = resources.iter().filter(|it| it.seen.uid == wanted.as_str()).count();
        let verdict = claim(wanted.as_str(), &resources, &silent);
        match (claimants, silent.is_empty(), &verdict) {
            (0, true, Claim::Unknown) => {}
            (1, true, Claim::Proven(found)) => {
                prop_assert_eq!(Some(&**found), resources.iter().find(|it| it.seen.uid == wanted.as_str()));
            }
            (0 | 1, false, Claim::Undecided(named)) => prop_assert_eq!(named, &silent),
            (2.., _, Claim::Ambiguous(named)) => prop_assert_eq!(named.len(), claimants),
            other => panic!("{other:?}"),
        }
        // Neither the order of the answers nor resources of other workloads matter.
        let mut turned = resources.clone();
        turned.rotate_left(turn.min(resources.len()));
        turned.retain(|it| it.seen.uid == wanted.as_str());
        let again = claim(wanted.as_str(), &turned, &silent);
        prop_assert_eq!(std::mem::discriminant(&again), std::mem::discriminant(&verdict));
    }
}

#[test]
fn r04_a_clock_may_stand_at_either_end_of_time() {
    let mut record = StatusRecord::new(any::uid(1));
    (record.created_at, record.updated_at) = (Timestamp::MAX, Timestamp::MIN);
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<StatusRecord>(&text).unwrap(), record);
}
