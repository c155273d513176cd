//! A machine that was restarted: the records are of another boot.
use super::tools::{status, write};
use serde_json::{Value, json};
use wharf_tests::engine::{ScriptedEngine, State};
use wharf_tests::host::{Host, demo_server, eventually, kill};

#[test]
fn r12_after_a_reboot_a_workload_is_stopped_and_can_be_started() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let supervisor = i32::try_from(host.record("demo")["process_id"].as_i64().unwrap()).unwrap();
    kill(supervisor, "KILL");
    host.assert_nothing_runs();
    assert_eq!(status(&host, "demo"), "unhealthy");
    // As if the machine had been restarted since: everything on record is of another boot.
    let mut record = host.record("demo");
    let other = json!("00000000-0000-4000-8000-000000000000");
    record["supervisor"]["boot_id"] = other.clone();
    for process in ["launcher", "workload"] {
        record["handle"]["data"][process]["boot_id"] = other.clone();
    }
    write(&host.path("state/statuses/demo.json"), record.to_string().as_bytes());
    assert_eq!(status(&host, "demo"), "stopped");
    host.ok(&["start", "demo"]);
    let record: Value = host.record("demo");
    assert_eq!(record["status"], "running");
    assert_ne!(record["supervisor"]["boot_id"], other);
    host.ok(&["rm", "demo"]);
    host.assert_nothing_runs();
}

/// A workload of a scripted engine as it is after a reboot: no supervisor, and everything on record of another boot.
fn rebooted(policy: &str) -> (ScriptedEngine, Host) {
    let host = Host::new();
    let engine = ScriptedEngine::new(&host, "scripted-one");
    host.run(&["--runtime", "scripted-one", "--restart", policy, "--name", "demo", "sh"]);
    let mut record = host.record("demo");
    kill(i32::try_from(record["process_id"].as_i64().unwrap()).unwrap(), "KILL");
    host.assert_nothing_runs();
    record["supervisor"]["boot_id"] = json!("00000000-0000-4000-8000-000000000000");
    write(&host.path("state/statuses/demo.json"), record.to_string().as_bytes());
    (engine, host)
}

#[test]
fn r12_after_a_reboot_what_an_engine_has_stopped_is_stopped_and_reconcile_brings_it_back() {
    let (engine, host) = rebooted("always");
    engine.objects().iter().for_each(|object| engine.kill(object, 137));
    assert_eq!(status(&host, "demo"), "stopped", "the machine was restarted; nothing is wrong with it");
    host.ok(&["reconcile"]);
    eventually("it runs", || status(&host, "demo") == "running");
    assert!(engine.objects().iter().all(|object| object.state == State::Running));
    host.ok(&["rm", "demo"]);
    assert_eq!(engine.objects(), []);
}

#[test]
fn r12_after_a_reboot_what_is_not_to_be_restarted_is_recorded_and_stays() {
    let (engine, host) = rebooted("no");
    engine.objects().iter().for_each(|object| engine.kill(object, 137));
    host.ok(&["reconcile"]);
    let record = host.record("demo");
    assert_eq!((&record["status"], &record["last_exit"]["code"]), (&json!("error"), &json!(137)), "{record}");
    assert!(record["process_id"].is_null(), "{record}");
    host.ok(&["start", "demo"]);
    assert_eq!(status(&host, "demo"), "running");
    host.ok(&["rm", "demo"]);
    assert_eq!(engine.objects(), []);
}

#[test]
fn r12_after_a_reboot_what_an_engine_runs_again_by_itself_gets_its_proxy_back() {
    let (engine, host) = rebooted("always");
    host.ok(&["reconcile"]);
    eventually("it runs", || status(&host, "demo") == "running");
    assert_eq!(engine.objects().len(), 1);
    assert_ne!(host.record("demo")["supervisor"]["boot_id"], "00000000-0000-4000-8000-000000000000");
    host.ok(&["rm", "demo"]);
    assert_eq!(engine.objects(), []);
}
