//! A server for each session of a workload.
use serde_json::{Value, json};
use std::collections::BTreeSet;
use wharf_tests::client::Client;
use wharf_tests::engine::ScriptedEngine;
use wharf_tests::host::{Host, demo_server, eventually, runs};

/// A host whose workloads have no server in reserve: what is on record is what sessions have.
fn host() -> Host {
    let host = Host::new();
    host.configure(&json!({ "proxy": { "session_reserve_ms": 0 } }));
    host
}

/// A workload with a server for each session, and its URL.
pub(super) fn run(host: &Host, options: &[&str]) -> String {
    let server = demo_server();
    host.run(&[&["--name", "many", "--instances", "per-session"], options, &[server.as_str()]].concat())
}

/// The uid of the server that serves a client, as that server knows it.
pub(super) fn server_of(client: &mut Client) -> String {
    client.call_tool("environment", json!({ "name": "WHARF_WORKLOAD_UID" })).unwrap()
}

/// The uids of the servers of sessions that are on record.
pub(super) fn recorded(host: &Host) -> BTreeSet<String> {
    let record = host.record("many");
    let servers = record["session_servers"].as_array().cloned().unwrap_or_default();
    servers.iter().map(|server| server["uid"].as_str().unwrap().to_owned()).collect()
}

/// The uids of the session servers that the runtime shows as running.
pub(super) fn shown(row: &Value) -> BTreeSet<String> {
    let servers = row["session_servers"].as_array().cloned().unwrap_or_default();
    let running = servers.iter().filter(|server| server["state"] == "running");
    running.map(|server| server["uid"].as_str().unwrap().to_owned()).collect()
}

pub(super) fn kill_supervisor(host: &Host) {
    let pid = i32::try_from(host.record("many")["process_id"].as_i64().unwrap()).unwrap();
    host.kill_own(pid);
    eventually("the supervisor is dead", || !runs(pid));
}

#[test]
fn each_session_has_a_server_which_ends_with_it() {
    let host = host();
    let url = run(&host, &[]);
    assert_eq!(recorded(&host), BTreeSet::new());
    let (mut one, mut other) = (Client::open(&url).unwrap(), Client::open(&url).unwrap());
    let servers = [server_of(&mut one), server_of(&mut other)];
    assert_ne!(servers[0], servers[1]);
    assert_eq!(server_of(&mut one), servers[0], "a session keeps its server");
    // The workload is one row, with the runtime's word for each of its servers.
    let uids = recorded(&host);
    assert_eq!(uids, BTreeSet::from(servers.clone()));
    let rows = host.list();
    assert_eq!((rows.len(), &shown(&rows[0])), (1, &uids));
    let text = host.ok(&["status", "many"]);
    assert!(text.contains("running, 2 session servers") && text.contains("Session servers:"), "{text}");
    assert_eq!(one.leave().unwrap().status, 204);
    eventually("its server is gone", || recorded(&host).len() == 1);
    assert_eq!(shown(&host.row("many").unwrap()), recorded(&host));
    assert_eq!(one.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" })).unwrap().status, 404);
    assert_eq!(server_of(&mut other), servers[1]);
    host.ok(&["stop", "many"]);
    host.assert_nothing_runs();
    assert_eq!(recorded(&host), BTreeSet::new());
    host.ok(&["rm", "many"]);
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn a_session_whose_server_ends_is_over_and_the_others_are_not() {
    let host = host();
    let url = run(&host, &[]);
    let (mut one, mut other) = (Client::open(&url).unwrap(), Client::open(&url).unwrap());
    let uid = recorded(&host).pop_first().unwrap();
    let state = std::fs::read(host.path(&format!("data/runtimes/process/{uid}.json"))).unwrap();
    let state: Value = serde_json::from_slice(&state).unwrap();
    assert_eq!(state["parent"], host.record("many")["uid"]);
    host.kill_server(i32::try_from(state["workload"]["pid"].as_i64().unwrap()).unwrap());
    eventually("it is gone", || !recorded(&host).contains(&uid));
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let told = [one.send(&ping).unwrap().status, other.send(&ping).unwrap().status];
    assert_eq!(told.iter().filter(|status| **status == 404).count(), 1, "{told:?}");
    let alive = if told[0] == 404 { &mut other } else { &mut one };
    assert_eq!(server_of(alive), server_of(alive));
}

#[test]
fn r09_what_a_dead_supervisor_left_of_them_goes_with_the_workload() {
    let host = host();
    for command in [&["reconcile"][..], &["start", "many"], &["stop", "many"], &["rm", "many"]] {
        let url = run(&host, &["--restart", "always"]);
        let mut client = Client::open(&url).unwrap();
        server_of(&mut client);
        let uids = recorded(&host);
        assert_eq!(uids.len(), 1);
        kill_supervisor(&host);
        let orphan = format!("process/{}", uids.first().unwrap());
        assert_eq!(host.wharf(&["rm", "--orphan", &orphan]).code, 4, "it is the workload's");
        assert_eq!(host.list().len(), 1, "and no row of its own");
        host.ok(command);
        let file = host.path(&format!("data/runtimes/process/{}.json", uids.first().unwrap()));
        assert!(!file.exists(), "{command:?}");
        if host.row("many").is_some() {
            assert_eq!(recorded(&host), BTreeSet::new(), "{command:?}");
            host.ok(&["rm", "many"]);
        }
        host.assert_nothing_runs();
        assert_eq!(host.leftovers(), Vec::<String>::new(), "{command:?}");
    }
}

#[test]
fn servers_of_sessions_that_have_ended_are_not_counted() {
    let host = host();
    let url = run(&host, &["--restart", "no"]);
    let mut client = Client::open(&url).unwrap();
    server_of(&mut client);
    assert!(host.ok(&["list"]).contains("running, 1 session server"));
    // Nobody removes it: its supervisor is dead, and it ends with the pipe to its stdin.
    kill_supervisor(&host);
    eventually("it has ended", || {
        let row = host.row("many").unwrap();
        let servers = row["session_servers"].as_array().cloned().unwrap_or_default();
        servers.len() == 1 && servers[0]["state"] == "stopped"
    });
    for command in [&["list", "--all"][..], &["status", "many"]] {
        let told = host.ok(command);
        assert!(!told.contains(", 1 session server"), "{told}");
    }
    host.ok(&["rm", "many"]);
    host.assert_nothing_runs();
}

#[test]
fn r11_what_a_lost_record_named_is_found_by_its_label() {
    let host = host();
    let url = run(&host, &["--restart", "no"]);
    server_of(&mut Client::open(&url).unwrap());
    kill_supervisor(&host);
    std::fs::remove_file(host.path("state/statuses/many.json")).unwrap();
    host.ok(&["rm", "many"]);
    host.assert_nothing_runs();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn as_many_servers_run_as_are_allowed_and_the_one_of_an_idle_session_goes_first() {
    let host = Host::new();
    host.configure(&json!({ "proxy": { "session_servers": 2, "session_reserve_ms": 0 } }));
    let url = run(&host, &[]);
    let (idle, mut busy) = (Client::open(&url).unwrap(), Client::open(&url).unwrap());
    let server = server_of(&mut busy);
    let mut third = Client::open(&url).unwrap();
    assert_ne!(server_of(&mut third), server);
    assert_eq!(recorded(&host).len(), 2);
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    assert_eq!(idle.send(&ping).unwrap().status, 404, "it never called anything");
    assert_eq!(server_of(&mut busy), server);
}

#[test]
fn who_cannot_have_a_server_for_each_session_is_refused_by_name() {
    let host = Host::new();
    let said =
        host.wharf(&["run", "--instances", "per-session", "--transport", "streamable-http", &demo_server()]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("tells its sessions apart itself"), "{said:?}");
    ScriptedEngine::new(&host, "scripted-one");
    let said = host.wharf(&["run", "--instances", "per-session", "--runtime", "scripted-one", "sh"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("'scripted-one' cannot run a server for each session"), "{said:?}");
    assert!(said.stderr.contains("--instances shared"), "{said:?}");
    assert_eq!(host.leftovers(), Vec::<String>::new());
}
