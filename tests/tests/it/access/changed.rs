//! A change of access that fails, or whose outcome is unknown, does not happen later.
use super::part_of;
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
};
use wharf_tests::client::{http, split};
use wharf_tests::host::{Host, demo_server, kill};

/// Asks the supervisor as a command does that goes away, or waits.
fn ask_for(host: &Host, wanted: &Value) -> UnixStream {
    let mut socket = UnixStream::connect(host.path("state/control/demo.sock")).unwrap();
    let request = json!({ "version": 1, "body": { "change_access": wanted } });
    socket.write_all(format!("{request}\n").as_bytes()).unwrap();
    socket
}

fn supervisor(host: &Host) -> i32 {
    i32::try_from(host.record("demo")["process_id"].as_i64().unwrap()).unwrap()
}

fn secret(host: &Host) -> String {
    fs::read_to_string(host.path("state/proxy-secrets/demo.json")).unwrap()
}

/// Whether `/mcp` is served, which it is for everybody or not at all.
fn serves_everybody(url: &str) -> bool {
    http(split(url).0, "GET", "/mcp", &[], "").unwrap().status != 404
}

#[test]
fn a_change_that_its_command_gave_up_is_not_made_later() {
    let host = Host::new();
    let url = host.run(&["--name", "demo", &demo_server()]);
    let before = (secret(&host), host.run_config("demo"));
    let supervisor = supervisor(&host);
    kill(supervisor, "STOP");
    for wanted in [json!({ "auth": "none" }), json!({ "rotate": true }), json!({ "auth": "bearer" })] {
        drop(ask_for(&host, &wanted));
    }
    let said = host.wharf(&["url", "demo", "--rotate"]);
    kill(supervisor, "CONT");
    assert_eq!(said.code, 7, "{said:?}");
    assert!(said.stderr.contains("is not known"), "{said:?}");
    assert!(said.stderr.contains("see: wharf url demo"), "{said:?}");
    // A request that changes nothing comes after those, and its answer after theirs.
    for _ in 0..8 {
        assert_eq!(host.ok(&["url", "demo", "--auth", "path"]).trim(), url);
    }
    assert_eq!((secret(&host), host.run_config("demo")), before);
    assert!(!serves_everybody(&url));
}

#[test]
fn of_concurrent_access_changes_the_last_one_is_recorded_and_served() {
    let host = Host::new();
    let url = host.run(&["--name", "demo", &demo_server()]);
    for round in 0..40 {
        let asked = ["none", "path", "none", "path", "none", "path", "none", "path"]
            .map(|auth| ask_for(&host, &json!({ "auth": auth })));
        for socket in asked {
            let mut line = String::new();
            BufReader::new(socket).read_line(&mut line).unwrap();
            assert!(line.contains("access_changed"), "{line}");
        }
        let is_open = host.run_config("demo")["proxy_auth"] == "none";
        assert_eq!(serves_everybody(&url), is_open, "round {round}");
    }
}

#[test]
fn a_change_that_fails_leaves_the_secret() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    host.ok(&["stop", "demo"]);
    let mut failed = 0;
    for point in
        ["write-file.before", "sync-file.after", "rename.before", "rename.after", "sync-folder.after"]
    {
        for nth in 1.. {
            let before = (secret(&host), host.run_config("demo"));
            let mut command = host.command(&["url", "demo", "--auth", "bearer"]);
            let output =
                command.env("WHARF_FAILPOINT", format!("command/{point}:{nth}=error=EIO")).output().unwrap();
            if output.status.success() {
                break;
            }
            failed += 1;
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            assert_eq!((secret(&host), host.run_config("demo")), before, "{point}:{nth}: {output:?}");
        }
        part_of(host.ok(&["url", "demo", "--auth", "path"]).trim());
    }
    assert!(failed >= 10, "at the secret and at the record: {failed}");
}

#[test]
fn a_secret_that_cannot_be_written_back_is_told() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    host.ok(&["stop", "demo"]);
    let before = secret(&host);
    // The first file that is written is the new secret, the two others are the old one: at once, and once more.
    let mut command = host.command(&["url", "demo", "--rotate"]);
    let fault = "command/rename.after:1=error=EIO,command/write-file.before:2=error=EIO,\
                 command/write-file.before:3=error=EIO";
    let output = command.env("WHARF_FAILPOINT", fault).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("its secret is new\nhint: see: wharf url demo"), "{said}");
    assert_ne!(secret(&host), before);
    assert_eq!(host.run_config("demo")["proxy_auth"], "path");
}
