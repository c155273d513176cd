//! Several clients on one server, as its user sees it.
use serde_json::{Value, json};
use wharf_tests::client::Client;
use wharf_tests::host::{Host, eventually};

/// A server that says something after each answer, and never answers a call of `silent`.
const TALKATIVE: &str = r#"while read -r line; do
  id=$(printf '%s\n' "$line" | sed -n 's/.*"id":\([0-9][0-9]*\).*/\1/p')
  case $line in
    *'"initialize"'*)
      echo '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":"2025-06-18","capabilities":{"logging":{},"tools":{}},"serverInfo":{"name":"talkative","version":"1"}}}' ;;
    *'"silent"'*) ;;
    *'"tools/call"'*)
      echo '{"jsonrpc":"2.0","id":'$id',"result":{"content":[{"type":"text","text":"done"}]}}'
      echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"after the answer"}}' ;;
    *'"ping"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{}}' ;;
  esac
done"#;

#[test]
fn what_reaches_no_client_is_in_the_status_and_the_log() {
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
fn the_time_that_a_call_may_take_is_a_setting() {
    let host = Host::new();
    host.configure(&json!({ "proxy": { "call_timeout_ms": 300 } }));
    let url = host.run(&["--name", "talkative", &host.script("talkative", TALKATIVE)]);
    let mut client = Client::open(&url).unwrap();
    let error = client.call_tool("silent", json!({})).unwrap_err().to_string();
    assert!(error.contains("did not answer in time"), "{error}");
    assert_eq!(client.call_tool("x", json!({})).unwrap(), "done");
}
