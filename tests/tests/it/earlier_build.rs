//! Files that an earlier build wrote (`tests/fixtures/earlier-build`) are read by this one: each workload is shown, refused
//! or healed as it should be, and reading changes no byte.
//!
//! To these records the machine was restarted, and their engines are gone: the sockets that they name do not exist.
use serde_json::{Value, json};
use std::{
    fs,
    hash::{BuildHasher, RandomState},
    io::Write,
    iter,
    net::TcpListener,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};
use wharf_tests::client::Client;
use wharf_tests::host::{Host, demo_server, eventually};
use wharf_tests::toolhive::digest;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/earlier-build");
/// Held by each test as long as its host is there. Workloads of the fixture have the same uids in each host, and control
/// groups are named by these: what one host starts, the end of another host, which removes all that it has, would end.
static TURN: Mutex<()> = Mutex::new(());

/// The words of a workload that is on record as running, with a supervisor of another boot.
const RESTARTED: &str = "the machine was restarted";

/// The words of a workload that was another product's container, which is served no more.
const IMPORTED: &str =
    "an earlier version imported it, to serve another product's container; this one makes copies instead";

/// How each workload is shown: name, status, context, group, and true if the row is stale.
const SHOWN: [(&str, &str, &str, &str, bool); 14] = [
    ("docker-failed", "error", "it exited with code 137", "default", true),
    ("docker-http", "stopped", RESTARTED, "engines", false),
    ("docker-running", "stopped", RESTARTED, "default", false),
    ("docker-stopped", "stopped", "", "default", true),
    ("imported-running", "unknown", IMPORTED, "default", false),
    ("imported-served", "stopped", RESTARTED, "default", false),
    ("imported-stopped", "unknown", IMPORTED, "default", false),
    ("podman-running", "stopped", RESTARTED, "engines", false),
    ("podman-stopped", "stopped", "", "default", true),
    ("process-failed", "error", "it was ended by signal 9", "default", false),
    ("process-http", "stopped", RESTARTED, "tools", false),
    ("process-killed", "stopped", RESTARTED, "default", false),
    ("process-running", "stopped", RESTARTED, "default", false),
    ("process-stopped", "stopped", "", "tools", false),
];

/// A host with the files of the fixture in their places, and the server that its processes are of.
fn host() -> Host {
    let host = Host::new();
    host.add_plugin("docker");
    fs::copy(demo_server(), host.work().join("server")).unwrap();
    let fixture = Path::new(FIXTURE);
    put(&host, &fixture.join("state/host-id"), "state/host-id");
    for (from, to) in [
        ("state/runconfigs", "state/runconfigs"),
        ("state/statuses", "state/statuses"),
        ("processes", "data/runtimes/process"),
    ] {
        for entry in fs::read_dir(fixture.join(from)).unwrap() {
            let file = entry.unwrap().path();
            put(&host, &file, &format!("{to}/{}", file.file_name().unwrap().to_str().unwrap()));
        }
    }
    host
}

/// Writes a file of the fixture as this machine and user would have it.
fn put(host: &Host, from: &Path, to: &str) {
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let mut text = fs::read_to_string(from).unwrap();
    for (placeholder, here) in [
        ("@ROOT@", host.path("").to_str().unwrap().trim_end_matches('/')),
        ("@MACHINE@", &wharf_sdk::machine_id()),
        ("@HOSTNAME@", hostname.trim()),
        ("@USER@", &rustix::process::geteuid().as_raw().to_string()),
    ] {
        text = text.replace(placeholder, here);
    }
    if to.starts_with("state/runconfigs/") {
        text = with_a_free_port(&text);
    }
    let path = host.path(to);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path.parent().unwrap()).unwrap();
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The port of a proxy as it might be on this machine: the recorded one may be taken, by a test beside this one too. One
/// that was never chosen stays so.
fn with_a_free_port(text: &str) -> String {
    let (before, rest) = text.split_once("\"port\": ").unwrap();
    let (port, after) = rest.split_once(',').unwrap();
    if port == "0" {
        return text.to_owned();
    }
    let free = iter::repeat_with(|| 12_000 + RandomState::new().hash_one(text) % 20_000)
        .find(|port| TcpListener::bind(format!("127.0.0.1:{port}")).is_ok());
    let free = free.unwrap();
    format!("{before}\"port\": {free},{after}")
}

/// The value of the secret that workloads of the fixture name.
fn give_the_secret(host: &Host) {
    let folder = host.path("config/secrets");
    fs::create_dir_all(&folder).unwrap();
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join("token")).unwrap();
    file.write_all(b"a word").unwrap();
}

fn records(host: &Host) -> Vec<PathBuf> {
    vec![host.path("state"), host.path("data/runtimes/process")]
}

fn is_of(runtime: &str) -> impl Fn(&&(&'static str, &'static str, &'static str, &'static str, bool)) -> bool {
    move |(name, ..)| name.starts_with(runtime)
}

/// Everything that an earlier build wrote about a workload is still there, with the same meaning.
fn assert_kept(before: &Value, after: &Value) {
    for (field, value) in before.as_object().unwrap() {
        assert_eq!(&after[field], value, "{field}: {after}");
    }
}

#[test]
fn r11_records_of_an_earlier_build_are_shown_as_they_are() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let host = host();
    let rows = host.list();
    let shown: Vec<_> = rows
        .iter()
        .map(|row| {
            let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
            (text("name"), text("status"), text("status_context"), text("group"), !row["stale"].is_null())
        })
        .collect();
    let expected = SHOWN.map(|(name, status, context, group, is_stale)| {
        (name.to_owned(), status.to_owned(), context.to_owned(), group.to_owned(), is_stale)
    });
    assert_eq!(shown, expected);
    for row in &rows {
        assert!(row["url"].is_null(), "nobody serves it: {row}");
        assert_eq!(row["uid"], host.record(row["name"].as_str().unwrap())["uid"]);
    }
}

#[test]
fn r05_reading_records_of_an_earlier_build_changes_no_byte_and_adds_no_file() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let host = host();
    let before = digest(&records(&host));
    host.list();
    host.ok(&["list", "--all", "--format", "mcpservers"]);
    for (name, ..) in SHOWN {
        host.ok(&["status", name]);
        let exported: Value = serde_json::from_str(&host.ok(&["export", name])).unwrap();
        assert_eq!(exported["name"], name);
        // An import that was never started has no port yet, and none is chosen by asking.
        let has_port = host.run_config(name)["port"] != 0;
        assert_eq!(host.wharf(&["url", name]).code, if has_port { 0 } else { 4 }, "{name}");
    }
    assert_eq!(digest(&records(&host)), before);
}

/// Records of that time have no `proxy_auth`: their proxies serve everybody on this machine, at the URL that clients have
/// in their configurations. They name no pins: a name means what it means at the first start by this build, and is held to
/// that from then on.
#[test]
fn processes_of_an_earlier_build_start_again_with_all_that_they_were_given_at_the_url_that_they_had() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let host = host();
    give_the_secret(&host);
    for (name, ..) in SHOWN.iter().filter(is_of("process-")) {
        let before = host.run_config(name);
        host.ok(&["start", name]);
        let row = host.row(name).unwrap();
        assert_eq!(row["status"], "running", "{row}");
        let after = host.run_config(name);
        assert_kept(&before, &after);
        assert!(after["pinned"].is_object(), "{after}");
        let url = format!("http://127.0.0.1:{}/mcp", before["port"]);
        assert_eq!(row["url"], url);
        assert!(Client::open(&url).is_ok());
        assert!(!host.path(&format!("state/proxy-secrets/{name}.json")).exists());
        // Its access can be closed, like that of any other workload.
        let secret = host.ok(&["url", name, "--auth", "path"]).trim().to_owned();
        assert_ne!(secret, url);
        assert!(Client::open(&secret).is_ok());
        assert!(Client::open(&url).is_err(), "the URL without the secret");
        host.ok(&["rm", name]);
        assert!(host.row(name).is_none());
    }
    host.assert_nothing_runs();
}

#[test]
fn r06_reconcile_brings_back_what_an_earlier_build_left_running_and_leaves_what_it_cannot_prove() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let host = host();
    give_the_secret(&host);
    let left: Vec<&str> =
        SHOWN.iter().map(|shown| shown.0).filter(|name| !name.starts_with("process-")).collect();
    let before: Vec<Value> = left.iter().map(|name| host.record(name)).collect();
    let said = host.wharf(&["reconcile"]);
    for name in ["process-running", "process-http"] {
        eventually("it runs", || host.row(name).is_some_and(|row| row["status"] == "running"));
    }
    // Its policy was not to restart it.
    let killed = host.record("process-killed");
    assert!(killed["supervisor"].is_null() && killed["last_exit"].is_object(), "{killed}");
    assert_eq!(host.row("process-stopped").unwrap()["status"], "stopped");
    assert_eq!(host.row("process-failed").unwrap()["status"], "error");
    let after: Vec<Value> = left.iter().map(|name| host.record(name)).collect();
    assert_eq!(after, before, "no engine answered: {said:?}");
    host.ok(&["rm", "process-running", "process-http"]);
}

#[test]
fn r08_containers_of_an_earlier_build_are_not_touched_without_their_engine_and_can_be_forgotten() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let host = host();
    for (name, ..) in SHOWN.iter().filter(|shown| !shown.0.starts_with("process-")) {
        let (config, record) = (host.run_config(name), host.record(name));
        for command in ["start", "rm"] {
            let said = host.wharf(&[command, name]);
            // A workload of an import is refused before its engine is asked.
            let is_refused = command == "start" && config["imported"]["handle"].is_object();
            assert_eq!(said.code, if is_refused { 4 } else { 5 }, "{command} {name}: {said:?}");
        }
        assert_eq!(host.run_config(name), config);
        assert_kept(&json!({"uid": record["uid"], "handle": record["handle"]}), &host.record(name));
        let said = host.wharf(&["rm", "--forget", name]);
        assert_eq!(said.code, 0, "{said:?}");
        let runtime = config["runtime_name"].as_str().unwrap();
        assert!(
            said.stdout.contains(runtime) || said.stderr.contains(runtime),
            "what stays is told: {said:?}"
        );
        assert!(host.row(name).is_none());
    }
}
