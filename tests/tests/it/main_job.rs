//! The main job with the server that comes with the repository.
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use wharf_tests::client::{Client, http, split};
use wharf_tests::host::{Host, demo_server, eventually, kill, runs};

#[test]
fn a_server_is_run_listed_called_stopped_and_removed() {
    let host = Host::new();
    let url = host.run(&["--name", "demo", &demo_server()]);
    let row = host.row("demo").unwrap();
    assert_eq!(row["runtime_name"], "process");
    assert_eq!(row["status"], "running");
    assert_eq!(row["url"], url.as_str());
    assert!(row.get("stale").is_none());
    let mut client = Client::open(&url).unwrap();
    assert_eq!(client.call_tool("add", json!({ "a": 2, "b": 3 })).unwrap(), "5");
    host.ok(&["stop", "demo"]);
    assert_eq!(host.row("demo").unwrap()["status"], "stopped");
    host.assert_nothing_runs();
    host.ok(&["rm", "demo"]);
    assert!(host.list().is_empty());
    assert_eq!(host.leftovers(), Vec::<String>::new());
    assert!(host.path("state/logs/demo.log").exists(), "logs stay");
}

#[test]
fn a_stopped_server_starts_again_at_the_same_url() {
    let host = Host::new();
    let url = host.run(&["--name", "demo", &demo_server()]);
    host.ok(&["stop", "demo"]);
    host.ok(&["start", "demo"]);
    assert_eq!(host.row("demo").unwrap()["url"], url.as_str());
    let first = host.server("demo");
    host.ok(&["restart", "demo"]);
    let second = host.server("demo");
    assert_ne!(first, second, "it is another process");
    host.ok(&["start", "demo"]);
    assert!(Client::open(&url).unwrap().call_tool("whoami", json!({})).is_ok());
    assert_eq!(host.server("demo"), second, "it ran already");
}

#[test]
fn four_clients_at_once_get_their_own_answers() {
    let host = Host::new();
    let url = host.run(&["--name", "demo", &demo_server()]);
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let url = url.clone();
            std::thread::spawn(move || {
                let mut client = Client::open(&url).unwrap();
                for round in 0..50 {
                    let message = format!("client {number} round {round}");
                    assert_eq!(client.call_tool("echo", json!({ "message": message })).unwrap(), message);
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn a_server_that_is_killed_comes_back_and_its_sessions_go_on() {
    let host = Host::new();
    let url = host.run(&["--name", "demo", &demo_server()]);
    let mut client = Client::open(&url).unwrap();
    let pid = host.server("demo");
    kill(pid, "KILL");
    eventually("another process answers in the same session", || {
        client.call_tool("whoami", json!({})).is_ok() && host.server("demo") != pid
    });
    assert_eq!(host.row("demo").unwrap()["status"], "running");
}

#[test]
fn a_server_with_a_port_runs_behind_the_same_checks() {
    let host = Host::new();
    let url = host.run(&["--name", "demo", "--transport", "streamable-http", &demo_server()]);
    let mut client = Client::open(&url).unwrap();
    assert_eq!(client.call_tool("add", json!({ "a": 2, "b": 3 })).unwrap(), "5");
    let (address, path) = split(&url);
    let headers = [("Content-Type", "application/json"), ("Origin", "http://evil.example")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(http(address, "POST", path, &headers, "{}").unwrap().status, 403);
}

#[test]
fn foreign_hosts_and_origins_are_refused() {
    let host = Host::new();
    let url = host.run(&["--name", "demo", &demo_server()]);
    let (address, path) = split(&url);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let post = |extra: (&str, &str)| {
        let headers =
            [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream"), extra]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
        http(address, "POST", path, &headers, body).unwrap().status
    };
    assert_eq!(post(("Host", "evil.example")), 403);
    assert_eq!(post(("Origin", "http://evil.example")), 403);
    assert_eq!(post(("Origin", "null")), 403);
    assert_eq!(post(("X-Nothing", "1")), 400, "no session");
}

#[test]
fn a_supervisor_that_is_killed_takes_its_server_along_and_both_can_be_started_again() {
    let host = Host::new();
    let url = host.run(&["--name", "demo", &demo_server()]);
    assert!(Client::open(&url).is_ok());
    let pid = host.server("demo");
    let supervisor = i32::try_from(host.record("demo")["process_id"].as_i64().unwrap()).unwrap();
    kill(supervisor, "KILL");
    host.assert_nothing_runs();
    eventually("its process is gone", || !runs(pid));
    let row = host.row("demo").unwrap();
    assert_eq!(row["status"], "unhealthy", "{row}");
    host.ok(&["start", "demo"]);
    assert_eq!(host.row("demo").unwrap()["status"], "running");
    assert!(Client::open(&url).is_ok());
}

#[test]
fn r05_reading_makes_changes_and_removes_no_file() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    host.run(&["--name", "stopped", &demo_server()]);
    host.ok(&["stop", "stopped"]);
    let mut before = all_below(&host.path("state"));
    // Until the supervisors have nothing more to write.
    eventually("nobody writes", || {
        let now = all_below(&host.path("state"));
        std::mem::replace(&mut before, now.clone()) == now
    });
    assert!(before.len() > 6, "{before:#?}");
    let reading: [&[&str]; 7] = [
        &["list", "--all"],
        &["list", "--format", "json"],
        &["status", "demo"],
        &["logs", "demo"],
        &["export", "demo"],
        &["url", "demo"],
        &["doctor"],
    ];
    for command in reading {
        host.ok(command);
        assert_eq!(all_below(&host.path("state")), before, "{command:?}");
    }
}

/// The entries of a folder, except logs, with their sizes and times of change.
fn all_below(folder: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let meta = entry.metadata().unwrap();
        if meta.is_dir() && entry.file_name() != "logs" {
            found.append(&mut all_below(&entry.path()));
        }
        found.insert(entry.path(), (meta.size(), meta.ctime(), meta.ctime_nsec()));
    }
    found
}
