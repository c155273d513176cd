//! Logs over REST.
use super::rig::Served;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use wharf_tests::host::{EVENT_WAIT, Host, demo_server};

#[test]
fn a_log_is_followed_over_a_restart_and_ends_with_its_workload() {
    let host = Host::new();
    let _served = Served::start(&host);
    let server = host.script("talks", &format!("echo begun >&2; exec {}", demo_server()));
    host.run(&["--name", "talks", &server]);
    let mut socket = UnixStream::connect(host.path("state/api/wharf.sock")).unwrap();
    socket.set_read_timeout(Some(EVENT_WAIT)).unwrap();
    let path = "/api/v1beta/workloads/talks/logs?follow=true";
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut lines = BufReader::new(socket).lines();
    let mut until = |wanted: &str| lines.any(|line| line.unwrap() == wanted);
    assert!(until("begun"));
    host.ok(&["restart", "talks"]);
    assert!(until("begun"), "it goes on with what the next server writes");
    host.ok(&["stop", "talks"]);
    // The last piece of the body, which has no bytes: it did not break off.
    assert!(until("0"));
}
