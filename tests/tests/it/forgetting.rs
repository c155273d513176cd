//! `rm --forget` and `rm --orphan`: what is dropped from the records, and what is found again in a runtime.
use serde_json::{Value, json};
use std::{fs, io::Write};
use wharf_tests::client::Client;
use wharf_tests::host::{Host, demo_server, eventually, kill, runs};

fn whoami(url: &str) -> i32 {
    Client::open(url).unwrap().call_tool("whoami", json!({})).unwrap().parse().unwrap()
}

/// As if its plugin had been taken away.
fn rename_runtime(host: &Host, name: &str, runtime: &str) {
    let path = host.path(&format!("state/runconfigs/{name}.json"));
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["runtime_name"] = json!(runtime);
    let mut file = fs::OpenOptions::new().write(true).truncate(true).open(path).unwrap();
    file.write_all(config.to_string().as_bytes()).unwrap();
}

#[test]
fn r08_forgetting_ends_the_supervisor_alone_and_says_what_stays() {
    let host = Host::new();
    let url = host.run(&["--name", "web", "--transport", "streamable-http", &demo_server()]);
    let pid = whoami(&url);
    let (uid, supervisor) =
        (host.record("web")["uid"].clone(), host.record("web")["process_id"].as_i64().unwrap());
    let said: Value = serde_json::from_str(&host.ok(&["rm", "--forget", "web", "--format", "json"])).unwrap();
    assert_eq!(said[0]["result"], "forgotten");
    let left = said[0]["left_behind"].as_str().unwrap();
    assert!(left.contains("(running)") && left.contains(uid.as_str().unwrap()), "{left}");
    assert!(!runs(i32::try_from(supervisor).unwrap()), "the supervisor has ended");
    assert!(runs(pid), "the workload was not touched");
    assert!(!host.leftovers().iter().any(|path| path.starts_with("state/")), "{:?}", host.leftovers());
    // The name is free for another workload.
    host.run(&["--name", "web", "--transport", "streamable-http", &demo_server()]);
    assert!(runs(pid));
    kill(pid, "KILL");
}

#[test]
fn r08_forgetting_needs_no_plugin() {
    let host = Host::new();
    let url = host.run(&["--name", "demo", &demo_server()]);
    let pid = whoami(&url);
    rename_runtime(&host, "demo", "absent");
    assert_eq!(host.wharf(&["rm", "demo"]).code, 5);
    let said = host.ok(&["rm", "--forget", "demo"]);
    assert!(said.contains("cannot be told now"), "{said}");
    // A server on a pipe ends with its supervisor.
    eventually("the server has ended", || !runs(pid));
    host.assert_nothing_runs();
}

#[test]
fn r12_a_supervisor_that_does_not_answer_is_killed_by_its_recorded_identity() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let supervisor = i32::try_from(host.record("demo")["process_id"].as_i64().unwrap()).unwrap();
    kill(supervisor, "STOP");
    host.ok(&["rm", "--forget", "demo"]);
    assert!(!runs(supervisor));
    host.assert_nothing_runs();
}
