//! Clients that do all kinds of wrong to one workload for as long as is wanted, while others work in order.
//!
//! `wharf-test-abuse SECONDS [shared|per-session]`: a line a minute (ten of them at least) with the memory, descriptors
//! and threads of the supervisor, the servers of sessions, and the answers so far. It ends with code 0 if no client in order
//! ever got a wrong answer, and the supervisor holds at the end, at rest, what it held after the first sixth.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]
use serde_json::{Value, json};
use std::{
    env, fs,
    io::{self, Read, Write},
    net::TcpStream,
    process::ExitCode,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};
use wharf_tests::client::{Client, http, split};
use wharf_tests::host::{Host, demo_server};

/// The workload.
const NAME: &str = "abused";
/// Clients in order, each with a session after the other.
const WORKERS: u64 = 6;
/// Connections that say nothing.
const SILENT: usize = 100;
/// How long what was held for clients that are gone may take to be given back: calls, streams and idle memory have limits of
/// their own, which `config.json` makes short here.
const REST: Duration = Duration::from_secs(20);
/// More memory than this at the end is a leak: the allocator keeps some in pieces.
const MARGIN_KIB: u64 = 24 * 1024;
/// A connection that is being closed at the moment is no leak.
const MARGIN_DESCRIPTORS: usize = 8;

/// A server's pipes, and the wait for its end.
const DESCRIPTORS_OF_SERVER: usize = 6;

/// What came of the clients in order.
#[derive(Default)]
struct Seen {
    right: AtomicU64,
    wrong: AtomicU64,
    /// Calls without an answer: the server was killed, or the session had to go.
    refused: AtomicU64,
    /// Wrongs that were done.
    done: AtomicU64,
    is_over: AtomicBool,
}

impl Seen {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }
}

/// A source of choices.
struct Choices(u64);

impl Choices {
    fn of(&mut self, count: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % count
    }
}

/// The resources of a supervisor.
#[derive(Clone, Copy, Debug)]
struct Held {
    pss_kib: u64,
    anon_kib: u64,
    descriptors: usize,
    threads: usize,
    /// Servers of sessions on record. Those of sessions that were left stay until others need their places.
    servers: usize,
}

impl Held {
    fn by(pid: i32, servers: usize) -> io::Result<Self> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let kib = |name: &str| {
            let line = rollup.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or_default()
        };
        Ok(Self {
            pss_kib: kib("Pss:"),
            anon_kib: kib("Pss_Anon:"),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
            threads: fs::read_dir(format!("/proc/{pid}/task"))?.count(),
            servers,
        })
    }
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok());
    let instances = arguments.next().unwrap_or_else(|| "shared".to_owned());
    let Some(seconds) = seconds else {
        println!("usage: wharf-test-abuse SECONDS [shared|per-session]");
        return ExitCode::from(2);
    };
    match abuse(Duration::from_secs(seconds), &instances) {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(faults) => {
            println!("{}", faults.join("\n"));
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("wharf-test-abuse: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does it, and returns what was not as it should be.
fn abuse(lasts: Duration, instances: &str) -> io::Result<Vec<String>> {
    let host = Host::new();
    // What is kept for clients that are gone is kept for less than a run takes.
    host.configure(
        &json!({ "proxy": { "resume_ms": 2000, "session_servers": 12, "session_reserve_ms": 2000 } }),
    );
    let url = host.run(&["--name", NAME, "--instances", instances, &demo_server()]);
    let supervisor = supervisor(&host);
    let seen = Seen::default();
    println!(
        "Of the supervisor: {instances}\n   s   PSS KiB  anon KiB  descriptors  threads  servers   right  refused  wrong   abuse"
    );
    let (early, held) = thread::scope(|scope| {
        for number in 0..WORKERS {
            let (url, seen) = (&url, &seen);
            scope.spawn(move || work(url, number, seen));
        }
        for (number, wrong) in WRONGS.into_iter().enumerate() {
            let (url, seen) = (&url, &seen);
            scope.spawn(move || {
                let mut choices = Choices(0x9e37_79b9 + number as u64);
                while seen.goes_on() {
                    // It is meant to be refused.
                    let _ = wrong(url, &mut choices);
                    seen.done.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(20 + choices.of(80)));
                }
            });
        }
        let watched = watch(&host, supervisor, lasts, &seen);
        seen.is_over.store(true, Ordering::Relaxed);
        watched
    })?;
    thread::sleep(REST.min(lasts));
    let rest = line(&host, supervisor, lasts + REST.min(lasts), &seen)?;
    let mut faults = Vec::new();
    if seen.wrong.load(Ordering::Relaxed) > 0 || seen.right.load(Ordering::Relaxed) == 0 {
        faults.push("clients in order got wrong answers, or none".to_owned());
    }
    let descriptors = held.descriptors + MARGIN_DESCRIPTORS + DESCRIPTORS_OF_SERVER * rest.servers;
    if rest.anon_kib > early.anon_kib + MARGIN_KIB || rest.descriptors > descriptors {
        faults
            .push(format!("more is held than before: {early:?} early, {held:?} at first, {rest:?} at rest"));
    }
    host.ok(&["rm", NAME]);
    host.assert_nothing_runs();
    Ok(faults)
}

/// Prints what is held, kills a server now and then; returns what was held after a sixth of the time, and at first.
fn watch(host: &Host, supervisor: i32, lasts: Duration, seen: &Seen) -> io::Result<(Held, Held)> {
    let began = Instant::now();
    let interval = (lasts / 10).min(Duration::from_secs(60));
    let first = line(host, supervisor, Duration::ZERO, seen)?;
    let mut early = first;
    while began.elapsed() < lasts {
        thread::sleep(interval.min(lasts.saturating_sub(began.elapsed())));
        let now = line(host, supervisor, began.elapsed(), seen)?;
        if began.elapsed() <= lasts / 6 || now.anon_kib > early.anon_kib && began.elapsed() <= lasts / 5 {
            early = now;
        }
        kill_a_server(host);
    }
    Ok((early, first))
}

fn line(host: &Host, supervisor: i32, at: Duration, seen: &Seen) -> io::Result<Held> {
    let servers = host.record(NAME)["session_servers"].as_array().map_or(0, Vec::len);
    let held = Held::by(supervisor, servers)?;
    let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
    println!(
        "{:>4} {:>9} {:>9} {:>12} {:>8} {servers:>8} {:>7} {:>8} {:>6} {:>7}",
        at.as_secs(),
        held.pss_kib,
        held.anon_kib,
        held.descriptors,
        held.threads,
        count(&seen.right),
        count(&seen.refused),
        count(&seen.wrong),
        count(&seen.done),
    );
    Ok(held)
}

fn supervisor(host: &Host) -> i32 {
    i32::try_from(host.record(NAME)["process_id"].as_i64().unwrap_or_default()).unwrap_or_default()
}

/// The server of a session, or the shared one, which comes back.
fn kill_a_server(host: &Host) {
    let record = host.record(NAME);
    let of_session = record["session_servers"][0]["handle"]["data"]["workload"]["pid"].as_i64();
    let own = || record["handle"]["data"]["workload"]["pid"].as_i64();
    if let Some(pid) = of_session.or_else(own).and_then(|pid| i32::try_from(pid).ok()) {
        host.kill_server(pid);
    }
}

/// A client in order: sessions one after the other, with calls whose answers it knows.
fn work(url: &str, number: u64, seen: &Seen) {
    let mut choices = Choices(number + 1);
    while seen.goes_on() {
        let Ok(mut client) = Client::open(url) else {
            seen.refused.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(200));
            continue;
        };
        for round in 0..20 + choices.of(60) {
            if !seen.goes_on() {
                break;
            }
            let bytes = [16, 1024, 64 * 1024, 512 * 1024][choices.of(4) as usize];
            let said = format!("{number} {round} {}", "x".repeat(bytes));
            match client.call_tool("echo", json!({ "message": said })) {
                Ok(answer) if answer == said => seen.right.fetch_add(1, Ordering::Relaxed),
                Ok(_) => seen.wrong.fetch_add(1, Ordering::Relaxed),
                Err(_) => {
                    seen.refused.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            };
            thread::sleep(Duration::from_millis(choices.of(50)));
        }
        // Every other one just goes.
        if choices.of(2) == 0 {
            let _ = client.leave();
        }
    }
}

type Wrong = fn(&str, &mut Choices) -> io::Result<()>;

/// Each goes on beside the others.
const WRONGS: [Wrong; 7] = [bare_opening, gone_in_a_call, deaf, half_a_body, silent, nonsense, cancels];

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
