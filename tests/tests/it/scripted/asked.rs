//! The questions of a command to its owner, and the workloads that they are about.
use wharf_tests::engine::ScriptedEngine;
use wharf_tests::host::{Host, eventually, kill, runs};

const RUNTIME: &str = "scripted-one";
/// The workloads of the tests.
const NAMES: [&str; 3] = ["first", "second", "third"];

/// A host with [`NAMES`] running on one engine.
fn several() -> (ScriptedEngine, Host) {
    let host = Host::new();
    let engine = ScriptedEngine::new(&host, RUNTIME);
    for name in NAMES {
        host.run(&["--runtime", RUNTIME, "--name", name, "sh"]);
    }
    (engine, host)
}

/// The uids that listings were asked for from now on; empty for a listing of everything.
fn listed(engine: &ScriptedEngine, act: impl FnOnce()) -> Vec<String> {
    let before = engine.count("list");
    act();
    engine.asked("list").split_off(before)
}

#[test]
fn r10_a_command_on_one_workload_asks_about_that_one_alone() {
    let (engine, host) = several();
    let uid = host.record("second")["uid"].as_str().unwrap().to_owned();
    for command in [
        &["status", "second"][..],
        &["stop", "second"],
        &["start", "second"],
        &["restart", "second"],
        &["reconcile", "second"],
        &["rm", "second"],
    ] {
        let asked = listed(&engine, || drop(host.ok(command)));
        assert!(!asked.is_empty(), "{command:?} asks nobody");
        assert!(asked.iter().all(|about| *about == uid), "{command:?} asks about {asked:?}");
    }
    // The same for the command that creates one.
    let asked = listed(&engine, || drop(host.run(&["--runtime", RUNTIME, "--name", "fourth", "sh"])));
    let uid = host.record("fourth")["uid"].as_str().unwrap().to_owned();
    assert!(asked.iter().all(|about| *about == uid), "run asks about {asked:?}");
}

#[test]
fn r10_a_stop_of_all_asks_about_each_a_few_times_and_never_for_a_list_of_them() {
    let (engine, host) = several();
    let asked = listed(&engine, || drop(host.ok(&["stop", "--all"])));
    assert!(asked.iter().all(|about| !about.is_empty()), "a listing of everything: {asked:?}");
    let uids = NAMES.map(|name| host.record(name)["uid"].as_str().unwrap().to_owned());
    for uid in uids {
        let times = asked.iter().filter(|about| **about == uid).count();
        assert!((1..=4).contains(&times), "asked {times} times about one of three: {asked:?}");
    }
}

/// The calls that a command and all that it sets off make, by operation, but for the connection itself.
fn calls(engine: &ScriptedEngine, host: &Host, command: &[&str]) -> Vec<String> {
    let before = engine.calls().len();
    host.ok(command);
    let calls = engine.calls().split_off(before).into_iter().map(|call| call.operation);
    calls.filter(|operation| operation != "connect").collect()
}

#[test]
fn r10_a_stop_takes_at_most_5_calls_and_a_removal_6() {
    let (engine, host) = several();
    let stop = calls(&engine, &host, &["stop", "first"]);
    assert!(stop.len() <= 5, "{stop:?}");
    assert_eq!(stop.iter().filter(|operation| *operation == "stop").count(), 1, "{stop:?}");
    // Once the proof that the owner answers before anything is changed, once that it ended there.
    assert!(stop.iter().filter(|operation| *operation == "list").count() <= 2, "{stop:?}");
    let again = calls(&engine, &host, &["stop", "first"]);
    assert_eq!(again, ["list"], "what is stopped is looked at once");
    let stopped = calls(&engine, &host, &["rm", "first"]);
    assert_eq!(stopped, ["list", "remove", "list"]);
    let running = calls(&engine, &host, &["rm", "second"]);
    assert!(running.len() <= 6, "{running:?}");
    assert_eq!(
        running.last().map(String::as_str),
        Some("list"),
        "the last word is that nothing is left: {running:?}"
    );
}

#[test]
fn r10_a_stop_without_a_supervisor_takes_at_most_5_calls() {
    let (engine, host) = several();
    let supervisor = i32::try_from(host.record("third")["process_id"].as_i64().unwrap()).unwrap();
    kill(supervisor, "KILL");
    eventually("its supervisor is gone", || !runs(supervisor));
    let stop = calls(&engine, &host, &["stop", "third"]);
    assert_eq!(stop, ["list", "stop", "inspect", "list"]);
}
