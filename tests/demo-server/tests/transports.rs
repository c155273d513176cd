//! The built server, driven as any MCP client drives it: lines on its standard streams, requests on its port.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use serde_json::{Value, json};

const SERVER: &str = env!("CARGO_BIN_EXE_wharf-demo-server");
const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// A server that does not outlive the test that started it, not even one that fails.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server on standard streams, past its handshake.
struct Session {
    server: Server,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    greeting: Value,
}

impl Session {
    fn start(revision: &str) -> Session {
        let mut child = Command::new(SERVER)
            .env_clear()
            .env("WHARF_DEMO_COLOUR", "teal")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let server = Server(child);
        let mut session = Session { server, input, output, greeting: Value::Null };
        session.send(&initialize(revision));
        session.greeting = session.receive();
        session.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        session
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.input.as_mut().unwrap(), "{message}").unwrap();
    }

    /// The next line: it must be a message, for nothing else may be on standard output.
    fn receive(&mut self) -> Value {
        serde_json::from_str(&self.output.next().unwrap().unwrap()).unwrap()
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        self.send(&call(7, tool, arguments));
        self.receive()["result"].take()
    }

    /// Ends the input; returns how the server ended, and its last lines.
    fn finish(mut self) -> (ExitStatus, Vec<String>) {
        drop(self.input.take());
        let rest = self.output.by_ref().map(Result::unwrap).collect();
        (self.server.0.wait().unwrap(), rest)
    }
}

fn initialize(revision: &str) -> Value {
    let client = json!({"name": "transports", "version": "0"});
    let params = json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": client});
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
}

fn call(id: u32, tool: &str, arguments: &Value) -> Value {
    let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": "token"}});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

#[test]
fn every_session_based_revision_is_answered_in_its_own_words() {
    for revision in REVISIONS {
        let mut session = Session::start(revision);
        assert_eq!(session.greeting["result"]["protocolVersion"], revision);
        session.send(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}));
        let listed = session.receive();
        let mut names: Vec<&str> = Vec::new();
        names.extend(
            listed["result"]["tools"].as_array().unwrap().iter().filter_map(|tool| tool["name"].as_str()),
        );
        assert_eq!(names, ["add", "echo", "environment", "now", "wait", "whoami"]);
        let (status, rest) = session.finish();
        assert!(status.success() && rest.is_empty(), "{status}, {rest:?}");
    }
}

#[test]
fn tools_answer_from_the_real_process() {
    let mut session = Session::start("2025-06-18");
    let pid = session.server.0.id().to_string();
    assert_eq!(text(&session.call("whoami", &json!({}))), pid);
    assert_eq!(text(&session.call("echo", &json!({"message": "a\n\"b\""}))), "a\n\"b\"");
    assert_eq!(text(&session.call("add", &json!({"a": 2, "b": 3.5}))), "5.5");
    assert_eq!(text(&session.call("environment", &json!({"name": "WHARF_DEMO_COLOUR"}))), "teal");
    assert!(text(&session.call("now", &json!({}))).ends_with('Z'));
}

#[test]
fn mistakes_of_the_caller_are_tool_errors() {
    let mut session = Session::start("2025-06-18");
    for (tool, arguments) in [
        ("environment", json!({"name": "WHARF_DEMO_UNSET"})),
        ("wait", json!({"ms": 1, "steps": 0})),
        ("wait", json!({"ms": 600_001})),
    ] {
        let result = session.call(tool, &arguments);
        assert_eq!(result["isError"], true, "{tool} {arguments}: {result}");
    }
}

#[test]
fn wait_reports_every_step_before_its_answer() {
    let mut session = Session::start("2025-06-18");
    session.send(&call(3, "wait", &json!({"ms": 3, "steps": 3})));
    for step in 1..=3 {
        let progress = session.receive()["params"].take();
        assert_eq!(progress["progressToken"], "token");
        assert_eq!(progress["progress"].as_f64(), Some(f64::from(step)));
        assert_eq!(progress["total"].as_f64(), Some(3.0));
    }
    assert_eq!(text(&session.receive()["result"]), "waited 3 ms in 3 steps");
}

#[test]
fn a_cancelled_wait_is_never_answered() {
    let mut session = Session::start("2025-06-18");
    session.send(&call(3, "wait", &json!({"ms": 600_000})));
    session.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}}));
    let (status, rest) = session.finish();
    assert!(status.success() && rest.is_empty(), "{status}, {rest:?}");
}

#[test]
fn a_client_that_leaves_before_the_handshake_is_no_failure() {
    let output = Command::new(SERVER).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
}

#[test]
fn http_serves_the_same_tools_to_loopback_names_only() {
    let child = Command::new(SERVER).args(["--port", "0"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut server = Server(child);
    let mut announced = String::new();
    BufReader::new(server.0.stderr.take().unwrap()).read_line(&mut announced).unwrap();
    let url = announced.trim_end().rsplit_once("http://").map(|(_, url)| url).unwrap();
    let address = url.strip_suffix("/mcp").unwrap();

    let answered = post(address, address, "");
    assert!(answered.starts_with("HTTP/1.1 200 ") && answered.contains("wharf-demo-server"), "{answered}");
    let foreign_host = post(address, "rebound.example", "");
    assert!(foreign_host.starts_with("HTTP/1.1 403 "), "{foreign_host}");
    let foreign_page = post(address, address, "Origin: http://page.example\r\n");
    assert!(foreign_page.starts_with("HTTP/1.1 403 "), "{foreign_page}");
}

/// Posts `initialize` and returns the whole answer.
fn post(address: &str, host: &str, headers: &str) -> String {
    let body = initialize("2025-11-25").to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /mcp HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
