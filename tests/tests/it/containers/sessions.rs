//! A container for each session of a workload.
use super::{containers, host, run};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use wharf_tests::client::Client;
use wharf_tests::engines::{Engine, Kind};
use wharf_tests::host::{Host, eventually, runs};

/// Sets how long a container is kept in reserve.
fn reserve(host: &Host, milliseconds: u64) {
    let settings = std::fs::read(host.path("config/config.json")).unwrap();
    let mut settings: Value = serde_json::from_slice(&settings).unwrap();
    settings["proxy"] = json!({ "session_reserve_ms": milliseconds });
    host.configure(&settings);
}

fn supervisor(host: &Host) -> i32 {
    i32::try_from(host.record("many")["process_id"].as_i64().unwrap()).unwrap()
}

fn each_session_has_a_container(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let host = host(&[(kind, engine.endpoint())]);
    reserve(&host, 0);
    let url = run(&host, kind, "many", &["--instances", "per-session"]);
    let uid = host.record("many")["uid"].as_str().unwrap().to_owned();
    let label = format!("label=wharf.parent={uid}");
    let of_sessions = || {
        let listed = engine.client(&["ps", "--all", "--filter", &label, "--format", "{{.Names}}"]);
        listed.lines().map(str::to_owned).collect::<BTreeSet<String>>()
    };
    assert_eq!((of_sessions().len(), containers(&engine).len()), (0, 1));
    let (mut one, mut other) = (Client::open(&url).unwrap(), Client::open(&url).unwrap());
    for client in [&mut one, &mut other] {
        let answer = client.call_tool("add", json!({ "a": 2, "b": 3 })).unwrap();
        assert_eq!(answer, "5");
    }
    assert_eq!((of_sessions().len(), containers(&engine).len()), (2, 3));
    let row = host.row("many").unwrap();
    assert_eq!(row["session_servers"].as_array().unwrap().len(), 2, "{row}");
    assert_eq!(host.list().len(), 1, "none of them is an orphan");
    assert_eq!(one.leave().unwrap().status, 204);
    eventually("its container is gone", || of_sessions().len() == 1);
    // A supervisor that dies leaves the other one, which goes with the next command.
    let supervisor = supervisor(&host);
    host.kill_own(supervisor);
    eventually("the supervisor is dead", || !runs(supervisor));
    host.ok(&["reconcile"]);
    assert_eq!((of_sessions().len(), containers(&engine).len()), (0, 1));
    Client::open(&url).unwrap();
    assert_eq!(containers(&engine).len(), 2);
    host.ok(&["rm", "many"]);
    assert_eq!(containers(&engine), Vec::<String>::new());
}

#[test]
fn each_session_has_a_container_of_docker_which_ends_with_it() {
    each_session_has_a_container(Kind::Docker);
}

#[test]
fn each_session_has_a_container_of_podman_which_ends_with_it() {
    each_session_has_a_container(Kind::Podman);
}

fn one_container_is_in_reserve(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let host = host(&[(kind, engine.endpoint())]);
    reserve(&host, 600_000);
    let url = run(&host, kind, "many", &["--instances", "per-session"]);
    let mut one = Client::open(&url).unwrap();
    one.call_tool("whoami", json!({})).unwrap();
    let running = |host: &Host| {
        let row = host.row("many").unwrap();
        let servers = row["session_servers"].as_array().cloned().unwrap_or_default();
        let running = servers.iter().filter(|server| server["state"] == "running");
        running.map(|server| server["uid"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    eventually("one is in reserve", || running(&host).len() == 2);
    let listed = engine.client(&["ps", "--filter", "label=wharf.parent", "--format", "{{.ID}}"]);
    let before: Vec<&str> = listed.lines().collect();
    let mut other = Client::open(&url).unwrap();
    // A container is called by the beginning of its id, inside of it.
    let of_other = other.call_tool("environment", json!({ "name": "HOSTNAME" })).unwrap();
    assert!(before.contains(&of_other.as_str()), "{of_other} {before:?}");
    eventually("another one is in reserve", || running(&host).len() == 3);
    // It is no orphan, and goes with the workload though its supervisor is dead.
    let supervisor = supervisor(&host);
    host.kill_own(supervisor);
    eventually("the supervisor is dead", || !runs(supervisor));
    assert_eq!(host.list().len(), 1);
    host.ok(&["rm", "many"]);
    assert_eq!(containers(&engine), Vec::<String>::new());
}

#[test]
fn one_container_of_docker_is_in_reserve_for_the_next_session() {
    one_container_is_in_reserve(Kind::Docker);
}

#[test]
fn one_container_of_podman_is_in_reserve_for_the_next_session() {
    one_container_is_in_reserve(Kind::Podman);
}

#[test]
fn sessions_that_come_and_go_while_the_engine_answers_nobody_leave_nothing() {
    let Some(engine) = Engine::start(Kind::Docker) else { return };
    let host = host(&[(Kind::Docker, engine.endpoint())]);
    reserve(&host, 0);
    let url = run(&host, Kind::Docker, "many", &["--instances", "per-session"]);
    let leaves = Client::open(&url).unwrap();
    engine.freeze();
    let begun = Instant::now();
    let comes = std::thread::spawn(move || Client::open(&url));
    assert_eq!(leaves.leave().unwrap().status, 204, "it is over for its client");
    let row = host.row("many").unwrap();
    assert_eq!((&row["status"], &row["stale"]), (&json!("running"), &json!(true)), "{row}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    engine.thaw();
    // It may have been refused meanwhile; then the next one is not.
    drop(comes.join().unwrap());
    eventually("the container of the one that left is gone", || containers(&engine).len() <= 2);
    host.ok(&["rm", "many"]);
    assert_eq!(containers(&engine), Vec::<String>::new());
}
