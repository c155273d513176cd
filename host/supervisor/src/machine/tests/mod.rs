//! Tests of the machine alone.
mod course;
mod drawing;

use super::*;
use course::{answers, endings, reached};
use std::time::Duration;
use wharf_model::{ErrorKind, RestartPolicy};

#[test]
fn every_state_knows_what_to_do_about_everything_that_can_happen() {
    let all = &reached().courses;
    assert!(all.iter().any(|course| course.ready && course.state.at == At::Running));
    assert!(all.len() > 1000, "{}", all.len());
}

#[test]
fn an_ended_machine_ignores_every_event() {
    let ended: Vec<State> =
        reached().courses.iter().map(|it| it.state).filter(|it| it.at == At::Ended).collect();
    assert!(!ended.is_empty());
    for state in ended {
        for event in [Event::Done, Event::Signalled, Event::Request(Ask::Stop(Duration::ZERO)), endings()[0]]
        {
            assert_eq!(step(state, event), (state, vec![]));
        }
    }
}

/// From every state, if every effect succeeds and a stop is requested as soon as the machine listens to requests.
#[test]
fn a_stop_ends_every_supervisor() {
    for course in &reached().courses {
        let mut course = *course;
        let workload = course.state.workload;
        for steps in 0.. {
            assert!(steps < 100, "{:?} does not end", course.state);
            if course.state.at == At::Ended {
                break;
            }
            let event = match course.work {
                _ if course.state.hears().requests => Event::Request(Ask::Stop(Duration::ZERO)),
                Some(work) => answers(work, workload)[0],
                None => Event::Begin,
            };
            course = course.follow(event).0;
        }
    }
}

/// A supervisor of a server on stdio that is up, with this policy.
fn up(policy: RestartPolicy) -> State {
    let task = Task { creates: false, attended: true, foreground: false };
    let workload = Workload { stdio: true, survives: false, in_place: true, restarts_itself: false, policy };
    State { workload, at: At::Running, made: Made::Handle, ..State::new(task) }
}

fn exited(succeeded: bool, was_away: bool) -> Event {
    Event::Exited(Ending { succeeded, was_away, restarts: false, ran_for: Duration::ZERO })
}

/// An end after which the engine starts it again.
const RESTARTED: Event =
    Event::Exited(Ending { succeeded: false, was_away: false, restarts: true, ran_for: Duration::ZERO });

/// A supervisor of a server on stdio that is up, of an engine that restarts workloads by itself.
fn followed() -> State {
    let up = up(RestartPolicy::Always);
    State { workload: Workload { restarts_itself: true, ..up.workload }, ..up }
}

#[test]
fn what_its_engine_restarts_is_followed_and_counted_and_never_deployed_anew() {
    let (mut state, effects) = step(followed(), RESTARTED);
    assert_eq!(effects, [Effect::HearExit, Effect::Work(Work::RecordExit)]);
    (state, _) = step(state, Event::Done);
    for _ in 0..100 {
        for event in [Event::Done, Event::Failed(ErrorKind::Runtime)] {
            let effects;
            (state, effects) = step(state, event);
            assert!(!effects.contains(&Effect::Work(Work::Deploy)), "{effects:?}");
        }
    }
    assert_eq!((state.at, state.restarts), (At::FollowingLater, 0), "an attempt that failed is no end");
    (state, _) = step(state, Event::Done);
    // It has ended once more before it answered.
    for event in [RESTARTED, Event::Done, Event::Done, Event::Done] {
        (state, _) = step(state, event);
    }
    assert_eq!((state.at, state.restarts), (At::Running, 2));
}

#[test]
fn an_end_that_its_engine_leaves_so_is_recorded_whatever_the_policy() {
    let (_, effects) = step(followed(), exited(false, false));
    assert_eq!(effects, [Effect::HearExit, Effect::Work(Work::RecordEnd(End::Failed))]);
    // But what the supervisor itself has ended comes back.
    let state = State { at: At::Stopping(Behalf::Own, During::Run), ..followed() };
    assert_eq!(step(state, RESTARTED).0.at, At::Pausing);
}

#[test]
fn an_end_after_the_supervisors_own_stop_whose_answer_was_lost_is_its_own_doing() {
    let stopping = State { at: At::Stopping(Behalf::Own, During::Run), ..followed() };
    let (waiting, _) = step(stopping, Event::Failed(ErrorKind::Deadline));
    assert_eq!(waiting.at, At::StdoutClosed);
    let (state, effects) = step(waiting, exited(false, false));
    assert!(state.at == At::Pausing && effects.contains(&Effect::HearExit), "{state:?} {effects:?}");
    // It runs on and can be reached again: then a later end is not the supervisor's.
    let (mut state, _) = step(waiting, Event::Done);
    for event in [Event::Done, exited(false, false)] {
        (state, _) = step(state, event);
    }
    assert_eq!(state.at, At::RecordingEnd);
}

#[test]
fn a_stop_of_what_its_engine_is_starting_again_is_answered_or_refused() {
    let (mut state, _) = step(followed(), RESTARTED);
    for event in [Event::Done, Event::Done, Event::Request(Ask::Stop(Duration::ZERO))] {
        (state, _) = step(state, event);
    }
    assert_eq!(state.at, At::Stopping(Behalf::Request, During::Follow));
    let (refused, effects) = step(state, Event::Failed(ErrorKind::Owner));
    assert!(effects.contains(&Effect::Answer(Reply::Refused)) && refused.at == At::FollowingLater);
    let (_, effects) = step(state, exited(false, false));
    assert_eq!(effects, [Effect::Answer(Reply::Stopped), Effect::End]);
}

#[test]
fn an_end_is_recorded_or_followed_by_a_restart_as_the_policy_says() {
    let record = |end| Some(Effect::Work(Work::RecordEnd(end)));
    for (policy, succeeded, was_away, recorded) in [
        (RestartPolicy::No, true, false, record(End::Completed)),
        (RestartPolicy::No, false, false, record(End::Failed)),
        (RestartPolicy::No, true, true, record(End::CutOff)),
        (RestartPolicy::OnFailure, true, false, record(End::Completed)),
        (RestartPolicy::OnFailure, false, false, None),
        (RestartPolicy::OnFailure, true, true, None),
        (RestartPolicy::Always, true, false, None),
        (RestartPolicy::UnlessStopped, true, false, None),
    ] {
        let (state, effects) = step(up(policy), exited(succeeded, was_away));
        let restarts = matches!(effects.last(), Some(Effect::Work(Work::Wait(_)))) && state.at == At::Pausing;
        assert_eq!(restarts, recorded.is_none(), "{policy:?} {succeeded} {was_away}");
        assert!(
            restarts || effects.last().copied() == recorded,
            "{policy:?} {succeeded} {was_away}: {effects:?}"
        );
    }
}

#[test]
fn an_engine_that_is_away_uses_up_no_attempt() {
    let (mut state, _) = step(up(RestartPolicy::Always), exited(false, false));
    for _ in 0..100 {
        for event in [Event::Done, Event::Wanted(true), Event::Failed(ErrorKind::Owner)] {
            (state, _) = step(state, event);
        }
        assert_eq!(state.at, At::Pausing);
    }
}

#[test]
fn attempts_that_fail_are_used_up_and_the_end_is_recorded() {
    let (mut state, _) = step(up(RestartPolicy::Always), exited(false, false));
    let mut attempts = 0;
    while state.at == At::Pausing {
        attempts += 1;
        for event in [Event::Done, Event::Wanted(true), Event::Failed(ErrorKind::Runtime)] {
            (state, _) = step(state, event);
        }
    }
    assert_eq!((attempts, state.at), (10, At::Clearing(Clearing::UsedUp)));
    (state, _) = step(state, Event::Done);
    let (_, effects) = step(state, Event::Done);
    assert_eq!(effects, [Effect::Work(Work::RecordEnd(End::UsedUp))]);
}

#[test]
fn a_stop_that_is_refused_between_attempts_uses_none_of_them_up() {
    let stop = Event::Request(Ask::Stop(Duration::ZERO));
    let refused = Event::Failed(ErrorKind::Runtime);
    let (paused, _) = step(up(RestartPolicy::Always), exited(false, false));
    let mut state = paused;
    for _ in 0..100 {
        (state, _) = step(step(state, stop).0, refused);
        assert_eq!(state, paused);
    }
    // Deployed again, and what came of that is not known: the same.
    for _ in 0..100 {
        for event in [Event::Done, Event::Wanted(true), Event::Done, Event::Done, Event::Done] {
            (state, _) = step(state, event);
        }
        assert_eq!((state.at, state.made), (At::Deploying, Made::Unknown));
        (state, _) = step(step(state, stop).0, refused);
        assert_eq!(state.at, At::Pausing);
        state.made = Made::Handle;
    }
    assert_eq!(state, paused);
}

/// A deployment that is given up may still bring a resource: it is looked for, whoever gives up.
#[test]
fn r01_a_deployment_that_was_begun_is_looked_for_before_a_supervisor_leaves_it() {
    let (mut state, _) = step(up(RestartPolicy::Always), exited(false, false));
    for event in [Event::Done, Event::Wanted(true), Event::Done, Event::Done, Event::Done] {
        (state, _) = step(state, event);
    }
    assert_eq!(state.at, At::Deploying);
    let (leaving, effects) = step(state, Event::Request(Ask::Leave));
    assert_eq!(effects, [Effect::Work(Work::Remove)]);
    let (_, effects) = step(leaving, Event::Removed { any: false });
    assert_eq!(effects, [Effect::Answer(Reply::Ends), Effect::End]);
}

#[test]
fn r08_a_start_that_is_given_up_says_whether_a_container_may_still_appear() {
    let task = Task { creates: true, attended: false, foreground: false };
    let deploying = State { at: At::Deploying, made: Made::Unknown, task, ..up(RestartPolicy::Always) };
    let (state, _) = step(deploying, Event::Request(Ask::Cancel));
    for (told, reply) in
        [(Event::Removed { any: false }, Reply::Ends), (Event::Failed(ErrorKind::Deadline), Reply::Refused)]
    {
        let (state, _) = step(state, told);
        let (_, effects) = step(state, Event::Done);
        assert_eq!(effects, [Effect::GivenUp, Effect::Answer(reply), Effect::End], "{told:?}");
    }
}
