//! Clients, commands and servers that do their worst to a workload with a server for each session.
use super::session_servers::{kill_supervisor, recorded, run, server_of};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use wharf_tests::client::{Client, http, split};
use wharf_tests::host::{Host, eventually, kill};

/// As many servers of sessions as these tests allow.
const MOST: usize = 3;

/// A host on which few sessions may have servers.
fn host(proxy: &Value) -> Host {
    let host = Host::new();
    let mut settings = json!({ "session_servers": MOST });
    settings.as_object_mut().unwrap().extend(proxy.as_object().unwrap().clone());
    host.configure(&json!({ "proxy": settings, "start_timeout_ms": 3000 }));
    host
}

const HEADERS: [(&str, &str); 2] =
    [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];

fn initialize() -> String {
    let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "x", "version": "0" } });
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }).to_string()
}

/// The status of a bare `initialize`.
fn knock(url: &str) -> u16 {
    let (address, path) = split(url);
    let headers = HEADERS.map(|(name, value)| (name.to_owned(), value.to_owned()));
    http(address, "POST", path, &headers, &initialize()).map_or(0, |answer| answer.status)
}

/// Sends one and goes without waiting for its answer.
fn knock_and_run(url: &str) -> io::Result<()> {
    let (address, path) = split(url);
    let body = initialize();
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in HEADERS {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    TcpStream::connect(address)?.write_all(format!("{head}\r\n{body}").as_bytes())
}

/// Nothing of the workload is left once it is removed.
fn assert_removed(host: &Host) {
    host.ok(&["rm", "many"]);
    host.assert_nothing_runs();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn a_flood_of_initialize_costs_no_session_at_work_its_server_and_starts_no_more_than_may_run() {
    let host = host(&json!({}));
    let url = run(&host, &[]);
    let mut busy = Client::open(&url).unwrap();
    let server = server_of(&mut busy);
    let most = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let flood: Vec<_> = (0..24)
            .map(|number| {
                let url = url.clone();
                scope.spawn(move || {
                    if number % 3 == 0 {
                        let _ = knock_and_run(&url);
                    } else {
                        let _ = knock(&url);
                    }
                })
            })
            .collect();
        let newcomer = scope.spawn(|| server_of(&mut Client::open(&url).unwrap()));
        while flood.iter().any(|one| !one.is_finished()) || !newcomer.is_finished() {
            // It is at work, and whoever never called anything goes first.
            assert_eq!(server_of(&mut busy), server);
            most.fetch_and(recorded(&host).len() <= MOST, Ordering::Relaxed);
        }
        // Whose turn comes in the middle of it has the time to call.
        newcomer.join().unwrap();
    });
    assert!(most.load(Ordering::Relaxed), "more ran than may");
    assert_eq!(server_of(&mut busy), server);
    // A client in order is served among the abandoned sessions at once.
    let begun = Instant::now();
    server_of(&mut Client::open(&url).unwrap());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_removed(&host);
}

/// A server that is in order for the workload itself, whose handshake offers sampling, and does `otherwise` for sessions.
fn two_faced(host: &Host, otherwise: &str) -> String {
    let text = r#"read -r line
case $line in
  *'"sampling"'*)
    id=$(printf '%s\n' "$line" | sed -n 's/.*"id":\([0-9][0-9]*\).*/\1/p')
    echo '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"x","version":"1"}}}'
    cat >/dev/null ;;
  *) OTHERWISE ;;
esac"#;
    host.script("two-faced", &text.replace("OTHERWISE", otherwise))
}

fn run_two_faced(host: &Host, otherwise: &str) -> String {
    host.run(&["--name", "many", "--instances", "per-session", &two_faced(host, otherwise)])
}

#[test]
fn a_server_that_dies_at_once_or_never_gets_ready_costs_its_client_an_error_and_leaves_nothing() {
    for otherwise in ["exit 3", "cat >/dev/null", "while :; do echo junk; done"] {
        let host = host(&json!({}));
        let url = run_two_faced(&host, otherwise);
        let statuses = std::thread::scope(|scope| {
            let knocks: Vec<_> = (0..MOST + 2).map(|_| scope.spawn(|| knock(&url))).collect();
            knocks.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(statuses, [503; MOST + 2], "{otherwise}");
        eventually("they are off the record", || recorded(&host).is_empty());
        // Those that never got ready count as little as those that were never there.
        assert_eq!(host.row("many").unwrap()["status"], "running");
        assert_removed(&host);
    }
}

#[test]
fn who_leaves_while_the_server_is_being_started_leaves_no_server() {
    let host = host(&json!({}));
    let url = run_two_faced(&host, "cat >/dev/null");
    for _ in 0..MOST {
        knock_and_run(&url).unwrap();
    }
    // As long as a start may take, and not longer.
    eventually("they are off the record", || recorded(&host).is_empty());
    assert_removed(&host);
}

#[test]
fn no_more_sessions_wait_for_a_server_than_may() {
    const BEYOND: usize = 40;
    let host = Host::new();
    let settings = json!({ "proxy": { "session_servers": MOST }, "start_timeout_ms": 600_000 });
    host.configure(&settings);
    let url = run_two_faced(&host, "cat >/dev/null");
    let (address, path) = split(&url);
    let body = initialize();
    let message = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n\r\n{body}",
        body.len()
    );
    let begun = Instant::now();
    let sockets: Vec<_> = (0..256 + MOST + BEYOND)
        .map(|_| {
            let mut socket = TcpStream::connect(address).unwrap();
            socket.write_all(message.as_bytes()).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    // The others wait for half a minute, since no server ever gets ready.
    let answered = || sockets.iter().filter(|socket| socket.peek(&mut [0]).is_ok()).count();
    eventually("those beyond are refused", || answered() >= BEYOND - 5);
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    drop(sockets);
    assert_removed(&host);
}

/// Clients come and go until `work` is done.
fn while_sessions_start(url: &str, work: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..6 {
            let is_over = &is_over;
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let came = match number % 3 {
                        0 => knock_and_run(url),
                        1 => Client::open(url).and_then(|client| client.leave()).map(drop),
                        _ => Client::open(url).and_then(|mut it| it.call_tool("whoami", json!({}))).map(drop),
                    };
                    if came.is_err() {
                        // Nobody is there at the moment.
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
            });
        }
        let _over = Over(&is_over);
        work();
    });
}

/// Ends the clients, though the work has failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn stop_start_restart_and_rm_while_sessions_start_leave_nothing() {
    let host = host(&json!({}));
    let url = run(&host, &[]);
    while_sessions_start(&url, || {
        eventually("sessions have servers", || !recorded(&host).is_empty());
        for command in ["restart", "stop", "start", "stop", "start", "restart"] {
            host.ok(&[command, "many"]);
            if command == "stop" {
                assert_eq!(recorded(&host), BTreeSet::new(), "none is started after it");
                host.assert_nothing_runs();
            } else {
                eventually("sessions have servers", || !recorded(&host).is_empty());
            }
        }
        assert_removed(&host);
    });
    host.assert_nothing_runs();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn a_signal_ends_a_workload_soon_though_its_clients_come_back_at_once() {
    let host = host(&json!({}));
    let url = run(&host, &[]);
    while_sessions_start(&url, || {
        eventually("sessions have servers", || !recorded(&host).is_empty());
        let supervisor = i32::try_from(host.record("many")["process_id"].as_i64().unwrap()).unwrap();
        let begun = Instant::now();
        kill(supervisor, "TERM");
        host.assert_nothing_runs();
        // It gives its servers 12 s to end, and ends its own after that.
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    });
    assert_eq!(recorded(&host), BTreeSet::new(), "none was started for those that came meanwhile");
    assert_removed(&host);
}

#[test]
fn r11_a_supervisor_that_dies_while_sessions_start_leaves_nothing_that_the_next_command_does_not_find() {
    let host = host(&json!({}));
    for command in ["start", "stop"] {
        let url = run(&host, &[]);
        while_sessions_start(&url, || {
            eventually("sessions have servers", || !recorded(&host).is_empty());
            kill_supervisor(&host);
        });
        host.ok(&[command, "many"]);
        assert_eq!(recorded(&host), BTreeSet::new(), "{command}");
        if command == "stop" {
            host.assert_nothing_runs();
        }
        assert_removed(&host);
    }
}

#[test]
fn a_delete_right_after_the_session_is_open_ends_its_server() {
    let host = host(&json!({ "session_reserve_ms": 0 }));
    let url = run(&host, &[]);
    for _ in 0..3 * MOST {
        assert_eq!(Client::open(&url).unwrap().leave().unwrap().status, 204);
    }
    eventually("they are off the record", || recorded(&host).is_empty());
    assert_removed(&host);
}
