//! An engine that has much to do at once, and what is told of it then.
use super::{containers, host};
use std::{process::Stdio, thread, time::Instant};
use wharf_tests::engines::{DEMO_IMAGE, Engine, Kind};
use wharf_tests::host::eventually;
use wharf_tests::tap::Tap;

/// Runs that are begun at the same time.
const RUNS: usize = 40;

/// Each is ready in its turn.
fn starts_many(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let host = host(&[(kind, engine.endpoint())]);
    let begin = |number: usize| {
        let name = format!("many-{number}");
        let mut run = host.command(&["run", "--runtime", kind.runtime(), "--name", &name, DEMO_IMAGE]);
        run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let begun: Vec<_> = (0..RUNS).map(begin).collect();
    let said: Vec<_> = begun.into_iter().map(|run| run.wait_with_output().unwrap()).collect();
    let refused = said.iter().filter(|said| !said.status.success());
    let refused: Vec<_> = refused.map(|said| String::from_utf8_lossy(&said.stderr)).collect();
    assert_eq!(refused, Vec::<String>::new());
    let rows = host.list();
    assert_eq!(rows.iter().filter(|row| row["status"] == "running").count(), RUNS, "{rows:?}");
    host.ok(&["rm", "--all", "--timeout", "0"]);
    assert_eq!(containers(&engine), Vec::<String>::new());
}

#[test]
fn forty_runs_at_once_on_docker_are_all_ready() {
    starts_many(Kind::Docker);
}

#[test]
fn forty_runs_at_once_on_podman_are_all_ready() {
    starts_many(Kind::Podman);
}

/// The engine answers pings, and nothing that would say who it is: who changes something waits for it, longer than a
/// silent one is waited for, and who looks does not.
fn is_waited_for(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let tap = Tap::before(&engine.socket());
    let host = host(&[(kind, format!("unix://{}", tap.socket().display()))]);
    let run = ["run", "--runtime", kind.runtime(), "--name", "late", DEMO_IMAGE];
    for command in [&run[..], &["stop", "late"], &["start", "late"], &["rm", "late"]] {
        tap.requests();
        tap.hold("/info");
        thread::scope(|scope| {
            let said = scope.spawn(|| host.wharf(command));
            eventually("it is asked who it is", || tap.was_asked("/info"));
            let began = Instant::now();
            let doctor = host.ok(&["doctor"]);
            let took = began.elapsed();
            assert!(doctor.contains("it gave no answer within"), "{doctor}");
            // A silent one is given up after nine seconds.
            assert!((9..20).contains(&took.as_secs()), "{took:?}");
            assert!(!said.is_finished(), "{command:?} did not wait: {:?}", said.join());
            tap.let_go();
            let said = said.join().unwrap();
            assert_eq!(said.code, 0, "{command:?}: {said:?}");
        });
    }
    assert_eq!(containers(&engine), Vec::<String>::new());
}

#[test]
fn a_docker_that_has_much_to_do_is_waited_for_by_who_changes_something() {
    is_waited_for(Kind::Docker);
}

#[test]
fn a_podman_that_has_much_to_do_is_waited_for_by_who_changes_something() {
    is_waited_for(Kind::Podman);
}
