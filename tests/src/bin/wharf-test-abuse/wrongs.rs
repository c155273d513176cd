//! The wrongs that are done to a proxy, one function each.
use crate::Choices;
use serde_json::{Value, json};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};
use wharf_tests::client::{Client, http, split};

/// Connections that say nothing.
const SILENT: usize = 100;

/// One kind of wrong, done once.
pub(crate) type Wrong = fn(&str, &mut Choices) -> io::Result<()>;

/// Each goes on beside the others.
pub(crate) const WRONGS: [Wrong; 7] =
    [bare_opening, gone_in_a_call, deaf, half_a_body, silent, nonsense, cancels];

const POST: [(&str, &str); 2] =
    [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];

/// The bytes of a POST, of a session where one is named.
fn bytes(url: &str, session: Option<&str>, body: &str) -> Vec<u8> {
    let (address, path) = split(url);
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in POST.into_iter().chain(session.map(|session| ("Mcp-Session-Id", session))) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    format!("{head}\r\n{body}").into_bytes()
}

fn connect(url: &str) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(split(url).0)?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(socket)
}

fn initialize() -> String {
    let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "x", "version": "0" } });
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }).to_string()
}

fn call(id: u64, tool: &str, arguments: &Value) -> String {
    let params = json!({ "name": tool, "arguments": arguments });
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }).to_string()
}

/// The id of a session that was opened.
fn opened(url: &str) -> io::Result<String> {
    let (address, path) = split(url);
    let headers = POST.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let answer = http(address, "POST", path, &headers, &initialize())?;
    answer.header("mcp-session-id").map(str::to_owned).ok_or_else(|| io::Error::other("no session"))
}

/// Sessions that nobody uses; every other client does not even wait for the answer.
fn bare_opening(url: &str, choices: &mut Choices) -> io::Result<()> {
    match choices.of(2) {
        0 => connect(url)?.write_all(&bytes(url, None, &initialize())),
        _ => opened(url).map(drop),
    }
}

/// A client that goes while its call is at the server, and one that ends its session there.
fn gone_in_a_call(url: &str, choices: &mut Choices) -> io::Result<()> {
    let session = opened(url)?;
    let mut socket = connect(url)?;
    socket.write_all(&bytes(url, Some(&session), &call(1, "wait", &json!({ "ms": 600_000 }))))?;
    if choices.of(2) == 0 {
        let (address, path) = split(url);
        http(address, "DELETE", path, &[("Mcp-Session-Id".to_owned(), session)], "")?;
    }
    Ok(())
}

/// A client that reads nothing of a large answer for a while.
fn deaf(url: &str, choices: &mut Choices) -> io::Result<()> {
    let session = opened(url)?;
    let text = "y".repeat(3 * 1024 * 1024);
    let mut sockets = Vec::new();
    for id in 0..1 + choices.of(6) {
        let mut socket = connect(url)?;
        socket.write_all(&bytes(url, Some(&session), &call(id, "echo", &json!({ "message": text }))))?;
        sockets.push(socket);
    }
    thread::sleep(Duration::from_secs(1));
    Ok(())
}

/// A body that never ends.
fn half_a_body(url: &str, _: &mut Choices) -> io::Result<()> {
    let session = opened(url)?;
    let whole = bytes(url, Some(&session), &"z".repeat(4 * 1024 * 1024));
    let mut socket = connect(url)?;
    socket.write_all(&whole[..whole.len() - 1])?;
    thread::sleep(Duration::from_secs(2));
    Ok(())
}

/// Connections that say nothing at all.
fn silent(url: &str, _: &mut Choices) -> io::Result<()> {
    let connections: io::Result<Vec<_>> = (0..SILENT).map(|_| connect(url)).collect();
    thread::sleep(Duration::from_secs(3));
    connections.map(drop)
}

/// Bytes that are no message, or too many.
fn nonsense(url: &str, choices: &mut Choices) -> io::Result<()> {
    let session = opened(url)?;
    let body = match choices.of(5) {
        0 => "[".repeat(100_000),
        1 => "{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"ping\"}".to_owned(),
        2 => "x".repeat(20 * 1024 * 1024),
        3 => call(7, "echo", &json!({ "message": "\u{2028}\u{85}" })).replace("echo", "\\ud800"),
        _ => String::from_utf8_lossy(&[0xff, 0xfe, 0]).into_owned(),
    };
    let mut socket = connect(url)?;
    socket.write_all(&bytes(url, Some(&session), &body))?;
    let mut answer = [0; 512];
    socket.read(&mut answer).map(drop)
}

/// Calls that are never answered, cancelled one after the other.
fn cancels(url: &str, choices: &mut Choices) -> io::Result<()> {
    let client = Client::open(url)?;
    for id in 100..110 + choices.of(20) {
        let mut socket = connect(url)?;
        socket.write_all(&bytes(
            url,
            Some(client.session()),
            &call(id, "wait", &json!({ "ms": 600_000 })),
        ))?;
        let cancelled =
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
        client.send(&cancelled)?;
    }
    client.leave().map(drop)
}
