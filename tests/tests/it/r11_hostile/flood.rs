//! Connections that use up a supervisor's descriptors: it still brings its workload back.
use super::tools::limited;
use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
};
use wharf_tests::host::{Host, demo_server, eventually, kill};

/// The limit that a user's processes have, and the most that they may have.
const LIMITS: [u64; 2] = [128, 160];
/// More than the first limit, and few enough that all others fit into a listener's backlog.
const CONNECTIONS: usize = 150;

/// The two limits of a process, from proc_pid_limits(5).
fn limits_of(pid: i32) -> [u64; 2] {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    [numbers[0], numbers[1]]
}

/// A connection that has asked something at the workload's own path, and keeps itself open.
fn connect(address: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("PUT /{path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
    stream.set_nonblocking(true).unwrap();
    stream
}

/// Whether the other end has not closed it.
fn is_open(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

fn flooded(transport: &str) {
    let host = Host::new();
    let [soft, hard] = LIMITS;
    let demo = demo_server();
    let args = ["run", "--name", "demo", "--restart", "always", "--transport", transport, &demo];
    let said = limited(&host, &format!("ulimit -Sn {soft} && ulimit -Hn {hard}"), &args);
    assert_eq!(said.code, 0, "{said:?}");
    let supervisor = i32::try_from(host.record("demo")["process_id"].as_i64().unwrap()).unwrap();
    let server = host.server("demo");
    assert_eq!(limits_of(supervisor), [hard, hard], "the supervisor has all that it may have");
    assert_eq!(limits_of(server), [soft, hard], "its workload has what it would have had");
    let url = said.stdout.trim().trim_start_matches("http://");
    let (address, path) = url.split_once('/').unwrap();
    let open = || fs::read_dir(format!("/proc/{supervisor}/fd")).unwrap().count();
    let alone = open();
    let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| connect(address, path)).collect();
    // It has accepted as many as it may.
    let mut before = 0;
    eventually("no more are taken", || {
        let now = open();
        std::mem::replace(&mut before, now) == now && now > alone + 20
    });
    kill(server, "KILL");
    eventually("the workload is back", || {
        host.server("demo") != server && host.row("demo").is_some_and(|row| row["status"] == "running")
    });
    // The one that has rested longest makes room for the next; all others are still there.
    let held = connections.iter_mut().filter_map(|it| is_open(it).then_some(())).count();
    assert!(held > 20, "{held} connections are still there");
    assert_eq!(limits_of(host.server("demo")), [soft, hard]);
    drop(connections);
    host.ok(&["rm", "demo"]);
    host.assert_nothing_runs();
}

#[test]
fn r11_a_flood_of_connections_keeps_no_server_on_a_pipe_from_coming_back() {
    flooded("stdio");
}

#[test]
fn r11_a_flood_of_connections_keeps_no_server_with_a_port_from_coming_back() {
    flooded("streamable-http");
}
