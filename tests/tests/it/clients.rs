//! Several clients on one server, as its user sees it.
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use wharf_tests::client::Client;
use wharf_tests::host::{Host, built, eventually, kill, runs};

/// A server that says something after each answer, and never answers a call of `silent`.
const TALKATIVE: &str = r#"while read -r line; do
  id=$(printf '%s\n' "$line" | sed -n 's/.*"id":\([0-9][0-9]*\).*/\1/p')
  case $line in
    *'"initialize"'*)
      echo '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":"2025-06-18","capabilities":{"logging":{},"tools":{}},"serverInfo":{"name":"talkative","version":"1"}}}' ;;
    *'"silent"'*) ;;
    *'"asks"'*)
      echo '{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}'
      echo '{"jsonrpc":"2.0","id":'$id',"result":{"content":[{"type":"text","text":"asked"}]}}' ;;
    *'"tools/call"'*)
      echo '{"jsonrpc":"2.0","id":'$id',"result":{"content":[{"type":"text","text":"done"}]}}'
      echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"after the answer"}}' ;;
    *'"ping"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{}}' ;;
  esac
done"#;

#[test]
fn undelivered_messages_are_counted_in_the_status_and_the_log() {
    let host = Host::new();
    let url = host.run(&["--name", "talkative", &host.script("talkative", TALKATIVE)]);
    let (mut one, mut other) = (Client::open(&url).unwrap(), Client::open(&url).unwrap());
    let quiet: Value = serde_json::from_str(&host.ok(&["status", "talkative", "--format", "json"])).unwrap();
    assert!(quiet["supervisor"].get("undelivered").is_none(), "{quiet}");
    assert_eq!(one.call_tool("x", json!({})).unwrap(), "done");
    assert_eq!(other.call_tool("x", json!({})).unwrap(), "done");
    assert_eq!(other.call_tool("x", json!({})).unwrap(), "done");
    // The answers to status' own ping come after all of that.
    let status = host.ok(&["status", "talkative", "--format", "json"]);
    let status: Value = serde_json::from_str(&status).unwrap();
    let counts = status["supervisor"]["undelivered"].as_array().unwrap();
    let ambiguous = json!({ "what": "log message", "why": "several clients were at work", "count": 2 });
    assert!(counts.contains(&ambiguous), "{status}");
    let text = host.ok(&["status", "talkative"]);
    let row = text.lines().find(|line| line.starts_with("Not delivered:")).unwrap();
    assert!(row.contains("2 x log message (several clients were at work)"), "{row}");
    eventually("the log tells of it", || {
        host.ok(&["logs", "--proxy", "talkative"]).contains("reached no client")
    });
}

#[test]
fn a_server_that_asks_one_of_several_clients_is_told_of_the_option_once_and_in_the_status() {
    let host = Host::new();
    let server = host.script("talkative", TALKATIVE);
    let url = host.run(&["--name", "talkative", &server]);
    let (mut one, mut other) = (Client::open(&url).unwrap(), Client::open(&url).unwrap());
    assert_eq!(one.call_tool("asks", json!({})).unwrap(), "asked");
    assert!(!host.ok(&["status", "talkative"]).contains("per-session"), "one alone may be asked");
    for _ in 0..3 {
        assert_eq!(other.call_tool("asks", json!({})).unwrap(), "asked");
    }
    let status = host.ok(&["status", "talkative"]);
    let advice = status.lines().find(|line| line.starts_with("Advice:")).unwrap();
    assert!(advice.contains("--instances per-session"), "{status}");
    let told = || host.ok(&["logs", "--proxy", "talkative"]).matches("several share it").count();
    eventually("the log tells of it", || told() > 0);
    assert_eq!(told(), 1);
    // With that option there is nothing to be told.
    host.ok(&["rm", "talkative"]);
    let url = host.run(&["--name", "talkative", "--instances", "per-session", &server]);
    for mut client in [Client::open(&url).unwrap(), Client::open(&url).unwrap()] {
        assert_eq!(client.call_tool("asks", json!({})).unwrap(), "asked");
    }
    assert!(!host.ok(&["status", "talkative"]).contains("Advice:"));
}

#[test]
fn the_time_that_a_call_may_take_is_a_setting() {
    let host = Host::new();
    host.configure(&json!({ "proxy": { "call_timeout_ms": 300 } }));
    let url = host.run(&["--name", "talkative", &host.script("talkative", TALKATIVE)]);
    let mut client = Client::open(&url).unwrap();
    let error = client.call_tool("silent", json!({})).unwrap_err().to_string();
    assert!(error.contains("did not answer in time"), "{error}");
    assert_eq!(client.call_tool("x", json!({})).unwrap(), "done");
}

/// A host with a server that answers nothing but the handshake, and many who ask for its status: each ping takes three
/// seconds, so one after the other they take more than forty.
fn asked_by_many() -> (Host, Vec<Child>) {
    let host = Host::new();
    let mute = TALKATIVE.replace(r#"*'"ping"'*"#, r#"*'"never"'*"#);
    host.run(&["--name", "mute", &host.script("mute", &mute)]);
    let asking = ask(&host);
    // This one is answered with the others or after them.
    host.ok(&["status", "mute"]);
    (host, asking)
}

fn ask(host: &Host) -> Vec<Child> {
    let ask = || host.command(&["status", "mute"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    (0..14).map(|_| ask().unwrap()).collect()
}

fn assert_prompt(begun: Instant) {
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn a_server_that_answers_no_ping_holds_up_neither_a_stop_nor_the_others_who_ask() {
    let begun = Instant::now();
    let (host, mut asking) = asked_by_many();
    for one in &mut asking {
        assert!(one.wait().unwrap().success());
    }
    assert_prompt(begun);
    let mut again = ask(&host);
    let begun = Instant::now();
    host.ok(&["stop", "mute"]);
    assert_prompt(begun);
    for one in &mut again {
        one.wait().unwrap();
    }
    host.assert_nothing_runs();
}

#[test]
fn a_server_that_answers_no_ping_holds_up_no_signal() {
    let (host, mut asking) = asked_by_many();
    asking.extend(ask(&host));
    let supervisor = i32::try_from(host.record("mute")["process_id"].as_i64().unwrap()).unwrap();
    let begun = Instant::now();
    kill(supervisor, "TERM");
    eventually("it ends", || !runs(supervisor));
    assert_prompt(begun);
    for one in &mut asking {
        one.wait().unwrap();
    }
}

#[test]
fn a_stop_whose_command_is_gone_before_it_was_heard_is_dropped() {
    let host = Host::new();
    let url = host.run(&["--name", "one", &host.script("talkative", TALKATIVE)]);
    let supervisor = i32::try_from(host.record("one")["process_id"].as_i64().unwrap()).unwrap();
    // It hears nothing as long as it is stopped.
    kill(supervisor, "STOP");
    let mut asker = UnixStream::connect(host.path("state/control/one.sock")).unwrap();
    writeln!(asker, r#"{{"version":1,"body":{{"stop":{{"timeout_ms":0}}}}}}"#).unwrap();
    drop(asker);
    kill(supervisor, "CONT");
    assert_eq!(Client::open(&url).unwrap().call_tool("x", json!({})).unwrap(), "done");
    // A request that is answered now was heard after the stop.
    host.ok(&["status", "one"]);
    assert_eq!(host.row("one").unwrap()["status"], "running");
    assert!(runs(supervisor));
}

/// A little of what is done for an hour by hand.
fn abused(instances: &str) {
    let said = Command::new(built("wharf-test-abuse")).args(["8", instances]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}

#[test]
fn abuse_of_a_shared_server_costs_clients_in_order_no_answer_and_nothing_is_kept_of_it() {
    abused("shared");
}

#[test]
fn abuse_of_servers_of_sessions_costs_clients_in_order_no_answer_and_nothing_is_kept_of_it() {
    abused("per-session");
}
