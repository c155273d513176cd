//! Workloads as containers of real engines, beside plain processes.
mod asked_for;
mod asking;
mod behind;
mod busy;
mod cleaned;
mod demonstrated;
mod doctoring;
mod given_up;
mod issue_4432;
mod keeping;
mod logging;
mod losing;
mod options;
mod paused;
mod published;
mod pulling;
mod refusing;
mod served;
mod sessions;

pub(crate) use behind::HANDSHAKE;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use wharf_tests::client::Client;
use wharf_tests::engines::{DEMO_IMAGE, Engine, Kind};
use wharf_tests::host::{Host, built, demo_server, eventually};

/// A host that finds these engines, and no other.
fn host(engines: &[(Kind, String)]) -> Host {
    let host = Host::new();
    host.add_plugin("docker");
    let endpoints =
        engines.iter().map(|(kind, endpoint)| (kind.runtime().to_owned(), json!({ "endpoint": endpoint })));
    host.configure(&json!({ "runtimes": endpoints.collect::<serde_json::Map<_, _>>() }));
    host
}

/// A command of a binary that has no plugins beside it.
fn alone(host: &Host, args: &[&str]) -> Command {
    let (like, binary) = (host.command(args), host.path("wharf"));
    if !binary.exists() {
        std::fs::copy(built("wharf"), &binary).unwrap();
    }
    let mut command = Command::new(binary);
    command.args(args).env_clear().envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(host.work()).stdin(Stdio::null());
    command
}

fn run(host: &Host, kind: Kind, name: &str, more: &[&str]) -> String {
    host.run(&[&["--runtime", kind.runtime(), "--name", name], more, &[DEMO_IMAGE]].concat())
}

pub(crate) fn add(url: &str) -> String {
    Client::open(url).unwrap().call_tool("add", json!({ "a": 2, "b": 3 })).unwrap()
}

/// The containers of an engine, by name.
fn containers(engine: &Engine) -> Vec<String> {
    let listed = engine.client(&["ps", "--all", "--format", "{{.Names}}"]);
    listed.lines().map(str::to_owned).collect()
}

/// The records of a workload, as a digest of their bytes.
pub(crate) fn digest(host: &Host, name: &str) -> String {
    let files =
        ["state/runconfigs", "state/statuses"].map(|folder| host.path(&format!("{folder}/{name}.json")));
    let bytes = files.map(|file| std::fs::read(file).unwrap());
    Sha256::digest(bytes.concat()).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn is_running_and_fresh(host: &Host, name: &str) -> bool {
    host.row(name).is_some_and(|row| row["status"] == "running" && row.get("stale").is_none())
}

/// The workload runs on this runtime, its row is fresh, its server answers, and its log has no message of the protocol.
pub(crate) fn assert_serves_on(runtime: &str, host: &Host, name: &str, url: &str) {
    let row = host.row(name).unwrap();
    assert_eq!((&row["runtime_name"], &row["status"]), (&json!(runtime), &json!("running")), "{row}");
    assert!(row.get("stale").is_none(), "{row}");
    assert_eq!(add(url), "5", "{name}");
    let logs = host.ok(&["logs", name]);
    assert!(logs.contains("serving MCP on standard input and output"), "{name}: {logs}");
    assert!(!logs.contains("jsonrpc"), "stdout is the protocol: {logs}");
}

/// The names of three workloads whose rows are stale; every row says that its workload runs.
fn stale_of_three(rows: &[serde_json::Value]) -> Vec<String> {
    assert!(rows.len() == 3 && rows.iter().all(|row| row["status"] == "running"), "{rows:#?}");
    let stale = rows.iter().filter(|row| row["stale"] == true);
    stale.map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn r02_docker_podman_and_processes_run_side_by_side() {
    let Some(docker) = Engine::start(Kind::Docker) else { return };
    let Some(podman) = Engine::start(Kind::Podman) else { return };
    let host = host(&[(Kind::Docker, docker.endpoint()), (Kind::Podman, podman.endpoint())]);
    let urls = [
        ("in-docker", "docker", run(&host, Kind::Docker, "in-docker", &[])),
        ("in-podman", "podman", run(&host, Kind::Podman, "in-podman", &[])),
        ("plain", "process", host.run(&["--name", "plain", &demo_server()])),
    ];
    for (name, runtime, url) in &urls {
        assert_serves_on(runtime, &host, name, url);
    }
    for (name, _, url) in &urls {
        host.ok(&["stop", name]);
        assert_eq!(host.row(name).unwrap()["status"], "stopped");
        host.ok(&["start", name]);
        assert_eq!(add(url), "5", "{name}");
    }
    let refused = host.wharf(&["run", "--ulimit", "nofile=64", &demo_server()]);
    assert!(refused.code != 0 && refused.stderr.contains("ulimits"), "a plain process has none: {refused:?}");
    host.ok(&["rm", "--all"]);
    assert_eq!((containers(&docker), containers(&podman)), (vec![], vec![]));
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn r04_a_docker_that_is_stopped_makes_its_rows_stale_and_heals_them_when_it_is_back() {
    let Some(mut docker) = Engine::start(Kind::Docker) else { return };
    let host = host(&[(Kind::Docker, docker.endpoint())]);
    let url = run(&host, Kind::Docker, "contained", &[]);
    host.run(&["--name", "plain", &demo_server()]);
    let before = digest(&host, "contained");
    docker.stop();
    let row = host.row("contained").unwrap();
    assert_eq!((&row["status"], &row["stale"]), (&json!("running"), &json!(true)), "{row}");
    assert!(row["stale_reason"].as_str().unwrap().contains("Docker cannot be reached"), "{row}");
    assert!(is_running_and_fresh(&host, "plain"));
    for command in ["stop", "rm", "restart"] {
        let said = host.wharf(&[command, "contained"]);
        assert_eq!(said.code, 5, "{command}: {said:?}");
    }
    assert_eq!(digest(&host, "contained"), before);
    docker.resume();
    eventually("it is running again", || {
        is_running_and_fresh(&host, "contained") && Client::open(&url).is_ok()
    });
    assert_eq!(add(&url), "5");
    assert_eq!(containers(&docker).len(), 1, "the earlier container is gone");
}

#[test]
fn r08_another_engine_behind_the_endpoint_is_not_believed_and_not_told() {
    let Some(first) = Engine::start(Kind::Docker) else { return };
    let Some(other) = Engine::start(Kind::Docker) else { return };
    let place = Host::new();
    let socket = place.path("engine.sock");
    symlink(first.socket(), &socket).unwrap();
    let host = host(&[(Kind::Docker, format!("unix://{}", socket.display()))]);
    let url = run(&host, Kind::Docker, "contained", &[]);
    let before = digest(&host, "contained");
    std::fs::remove_file(&socket).unwrap();
    symlink(other.socket(), &socket).unwrap();
    let row = host.row("contained").unwrap();
    assert_eq!((&row["status"], &row["stale"]), (&json!("running"), &json!(true)), "{row}");
    let said = host.wharf(&["stop", "contained"]);
    let data_root = |engine: &Engine| engine.socket().with_file_name("data").display().to_string();
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.stderr.contains(&data_root(&first)) && said.stderr.contains(&data_root(&other)), "{said:?}");
    assert_eq!(containers(&other), Vec::<String>::new());
    std::fs::remove_file(&socket).unwrap();
    symlink(first.socket(), &socket).unwrap();
    assert!(is_running_and_fresh(&host, "contained"));
    assert_eq!((digest(&host, "contained"), add(&url).as_str()), (before, "5"));
    let elsewhere = host.command(&["list", "--format", "json"]).env("DOCKER_HOST", other.endpoint()).output();
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&elsewhere.unwrap().stdout).unwrap();
    assert!(
        rows[0]["status"] == "running" && rows[0].get("stale").is_none(),
        "the endpoint is recorded: {rows:?}"
    );
}

#[test]
fn r09_one_name_in_two_hosts_and_as_a_foreign_container() {
    let Some(docker) = Engine::start(Kind::Docker) else { return };
    let endpoint = || [(Kind::Docker, docker.endpoint())];
    let (one, two) = (host(&endpoint()), host(&endpoint()));
    docker.client(&["run", "--detach", "--interactive", "--name", "demo", DEMO_IMAGE]);
    let urls = [&one, &two].map(|host| run(host, Kind::Docker, "demo", &[]));
    assert!(urls.iter().all(|url| add(url) == "5"));
    assert_eq!(containers(&docker).len(), 3);
    one.ok(&["rm", "demo"]);
    assert!(is_running_and_fresh(&two, "demo") && one.list().is_empty());
    two.ok(&["rm", "demo"]);
    assert_eq!(containers(&docker), ["demo"], "the foreign one is not touched");
}

/// The behaviour that both engines share, tested on one of them.
fn behaves(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let host = host(&[(kind, engine.endpoint())]);
    served_over_a_port(&host, kind, &engine);
    comes_back(&host, kind, &engine);
    leaves_nothing_behind(&host, kind, &engine);
}

fn served_over_a_port(host: &Host, kind: Kind, engine: &Engine) {
    let limits = ["--cpus", "0.5", "--memory", "128m", "--pids-limit", "64"];
    let volume = format!("{}:/data:ro", host.path("plugins").display());
    let asked = [&["--transport", "streamable-http", "--volume", &volume], &limits[..]].concat();
    let url = run(host, kind, "web", &asked);
    assert_eq!(add(&url), "5");
    let id = engine.client(&["ps", "--quiet", "--no-trunc"]);
    let settings = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}";
    let seen = engine.client(&["inspect", "--format", settings, id.trim()]);
    assert_eq!(seen.trim(), format!("{} 500000000 64", 128 << 20));
    let mounts = "{{range .Mounts}}{{.Source}} {{.Destination}} {{.RW}}{{end}}";
    let seen = engine.client(&["inspect", "--format", mounts, id.trim()]);
    assert_eq!(seen.trim(), format!("{} /data false", host.path("plugins").display()));
    let published = engine.client(&["port", id.trim()]);
    assert!(published.lines().all(|line| line.contains("-> 127.0.0.1:")), "{published}");
    // A server with a port outlives its supervisor, and is taken over.
    let supervisor = i32::try_from(host.record("web")["process_id"].as_i64().unwrap()).unwrap();
    host.kill_own(supervisor);
    eventually("its supervisor is gone", || host.row("web").unwrap()["status"] == "unhealthy");
    host.ok(&["start", "web"]);
    assert_eq!(add(&url), "5");
    assert_eq!(engine.client(&["ps", "--quiet", "--no-trunc"]), id, "it is the same container");
    host.ok(&["rm", "web"]);
}

fn comes_back(host: &Host, kind: Kind, engine: &Engine) {
    let url = run(host, kind, "again", &[]);
    let first = engine.client(&["ps", "--quiet"]);
    let started = || engine.client(&["inspect", "--format", "{{.State.StartedAt}}", first.trim()]);
    let before = started();
    engine.client(&["kill", first.trim()]);
    eventually("the same container answers again", || started() != before && Client::open(&url).is_ok());
    assert_eq!(engine.client(&["ps", "--quiet"]), first);
    host.ok(&["rm", "again"]);
    // Its port may be another one afterwards.
    let url = run(host, kind, "web-again", &["--transport", "streamable-http"]);
    engine.client(&["kill", engine.client(&["ps", "--quiet"]).trim()]);
    eventually("it is reached where it is now", || {
        Client::open(&url).is_ok_and(|mut client| {
            client.call_tool("add", json!({ "a": 2, "b": 3 })).is_ok_and(|sum| sum == "5")
        }) && engine.client(&["ps", "--quiet"]).lines().count() == 1
    });
    host.ok(&["rm", "web-again"]);
    run(host, kind, "once", &["--restart", "no"]);
    let container = engine.client(&["ps", "--quiet"]);
    engine.client(&["kill", container.trim()]);
    eventually("its end is recorded", || host.record("once")["status"] == "error");
    assert_eq!(host.record("once")["last_exit"]["code"], 137, "{}", host.record("once"));
    host.ok(&["rm", "once"]);
}

fn leaves_nothing_behind(host: &Host, kind: Kind, engine: &Engine) {
    let missing = host.wharf(&["run", "--runtime", kind.runtime(), "localhost/no-such-image:1"]);
    assert_ne!(missing.code, 0, "{missing:?}");
    assert!(missing.stderr.contains("no-such-image"), "{missing:?}");
    let broken =
        ["run", "--runtime", kind.runtime(), "--name", "broken", DEMO_IMAGE, "--", "--no-such-option"];
    let broken = host.wharf(&broken);
    assert_ne!(broken.code, 0, "{broken:?}");
    assert!(broken.stderr.contains("--no-such-option"), "its last words are shown: {broken:?}");
    assert_eq!((containers(engine), host.list()), (vec![], vec![]));
}

#[test]
fn docker_runs_limits_restarts_and_clears_up() {
    behaves(Kind::Docker);
}

#[test]
fn podman_runs_limits_restarts_and_clears_up() {
    behaves(Kind::Podman);
}
