//! Servers with a port without an address: only their runtime carries connections to them.
use serde_json::json;
use wharf_tests::client::Client;
use wharf_tests::engine::{Act, ScriptedEngine, State};
use wharf_tests::host::{Host, eventually, kill};

const RUNTIME: &str = "scripted-dial";

/// A host with a server behind `dial`, and the server's URL.
fn dialed() -> (ScriptedEngine, Host, String) {
    let host = Host::new();
    let engine = ScriptedEngine::new(&host, RUNTIME);
    let url = host.run(&["--runtime", RUNTIME, "--transport", "streamable-http", "--name", "far", "sh"]);
    (engine, host, url)
}

fn whoami(client: &mut Client) -> String {
    client.call_tool("whoami", json!({})).unwrap()
}

fn uid(host: &Host) -> String {
    host.record("far")["uid"].as_str().unwrap().to_owned()
}

#[test]
fn a_server_that_only_its_runtime_reaches_is_served_like_any_other() {
    let (engine, host, url) = dialed();
    let row = host.row("far").unwrap();
    assert_eq!((row["status"].as_str(), row["stale"].as_bool()), (Some("running"), None), "{row}");
    let mut client = Client::open(&url).unwrap();
    assert_eq!(whoami(&mut client), uid(&host));
    // More than all buffers on the way hold, both ways.
    let text = "0123456789abcdef".repeat(200 * 1024);
    assert!(client.call_tool("echo", json!({ "text": text })).unwrap() == text, "it comes back changed");
    // Several at once, each over a connection of its own.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = Client::open(&url).unwrap();
                for _ in 0..20 {
                    assert_eq!(whoami(&mut client), uid(&host));
                }
            });
        }
    });
    host.ok(&["stop", "far"]);
    assert_eq!(engine.named("far")[0].state, State::Stopped);
    assert!(Client::open(&url).is_err(), "nobody serves what is stopped");
    host.ok(&["start", "far"]);
    assert_eq!(whoami(&mut Client::open(&url).unwrap()), uid(&host));
    host.ok(&["rm", "far"]);
    assert!(engine.objects().is_empty());
}

#[test]
fn a_server_behind_dial_goes_on_without_its_supervisor_and_is_found_again() {
    let (engine, host, url) = dialed();
    let supervisor = host.record("far")["process_id"].as_u64().unwrap();
    kill(supervisor.try_into().unwrap(), "KILL");
    eventually("its proxy is gone", || Client::open(&url).is_err());
    assert_eq!(engine.named("far")[0].state, State::Running);
    host.ok(&["reconcile"]);
    eventually("it is served again", || Client::open(&url).is_ok());
    assert_eq!(engine.count("deploy"), 1, "it is the same server");
    assert_eq!(whoami(&mut Client::open(&url).unwrap()), uid(&host));
}

#[test]
fn what_ends_behind_dial_is_started_again_and_clients_go_on() {
    let (engine, host, url) = dialed();
    let mut client = Client::open(&url).unwrap();
    assert_eq!(whoami(&mut client), uid(&host));
    engine.kill(&engine.named("far")[0], 9);
    eventually("it was deployed again", || engine.count("deploy") == 2);
    eventually("the same client is answered", || client.call_tool("whoami", json!({})).is_ok());
}

#[test]
fn a_connection_that_cannot_be_made_is_an_error_of_its_request_and_of_no_later_one() {
    let (engine, host, url) = dialed();
    for act in [Act::Fail("unavailable".to_owned()), Act::Panic] {
        engine.order("dial", act.clone());
        let before = engine.count("dial");
        // A connection that is kept open from before carries one client, and not all of them at once.
        eventually("a connection is refused", || {
            let refused = std::thread::scope(|scope| {
                let clients: Vec<_> = (0..8).map(|_| scope.spawn(|| Client::open(&url).is_err())).collect();
                clients.into_iter().any(|client| client.join().unwrap())
            });
            refused && engine.count("dial") > before
        });
        engine.behave();
        assert_eq!(whoami(&mut Client::open(&url).unwrap()), uid(&host), "{act:?}");
    }
    let row = host.row("far").unwrap();
    assert_eq!(row["status"], "running", "what is not reached for a moment is no end: {row}");
}
