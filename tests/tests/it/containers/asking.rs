//! The requests that engines get, and their cost.
use super::{containers, host, run};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::Write,
    time::{Duration, Instant},
};
use wharf_tests::engines::{Engine, Kind};
use wharf_tests::host::eventually;
use wharf_tests::tap::Tap;

/// True if each of these containers is watched by a supervisor, which is the last that it asks before the end.
fn all_watched(kind: Kind, asked: &[String], count: usize) -> bool {
    let (last, times) = match kind {
        Kind::Docker => ("wait", 1),
        // For Podman, the kernel reports the end: the start looks at the container, and then the wait does.
        Kind::Podman => ("json", 2),
    };
    let started = |request: &String| Some(request.strip_prefix("POST ")?.strip_suffix("/start")?.to_owned());
    let is_watched = |(at, container): (usize, String)| {
        let id = container.rsplit('/').next().unwrap_or_default();
        asked[at..].iter().filter(|later| later.contains(&format!("{id}/{last}"))).count() >= times
    };
    let starts = asked.iter().enumerate().filter_map(|(at, request)| Some((at, started(request)?)));
    starts.filter(|start| is_watched(start.clone())).count() == count
}

fn one_list(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let tap = Tap::before(&engine.socket());
    let host = host(&[(kind, format!("unix://{}", tap.socket().display()))]);
    run(&host, kind, "one", &[]);
    run(&host, kind, "two", &[]);
    // Supervisors ask nothing more once each waits for its container's end.
    let mut before = Vec::new();
    eventually("both are watched", || {
        before.extend(tap.requests());
        all_watched(kind, &before, 2)
    });
    assert_eq!(host.list().len(), 2);
    let path = |request: String| request.split('?').next().unwrap_or_default().to_owned();
    let asked: Vec<String> = tap.requests().into_iter().map(path).collect();
    // The rows say which instance made them, so it need not be asked.
    assert_eq!(asked, ["GET /_ping", "GET /containers/json", "GET /images/json"]);
    // For a command on one of them, the engine looks for that one alone.
    host.ok(&["stop", "one"]);
    let uid = host.record("one")["uid"].as_str().unwrap().to_owned();
    let mut asked = tap.requests();
    asked.retain(|request| request.contains("/containers/json") || request.contains("/images/json"));
    assert!(!asked.is_empty() && asked.iter().all(|request| request.contains(&uid)), "{asked:?}");
    host.ok(&["rm", "--all"]);
}

#[test]
fn r10_one_list_makes_3_requests_to_docker() {
    one_list(Kind::Docker);
}

#[test]
fn r10_one_list_makes_3_requests_to_podman() {
    one_list(Kind::Podman);
}

/// A row shows by its label whose it is. That one is missing, and a change of one, take the engine's own word.
fn what_a_row_proves(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let tap = Tap::before(&engine.socket());
    let host = host(&[(kind, format!("unix://{}", tap.socket().display()))]);
    for name in ["one", "two"] {
        run(&host, kind, name, &["--restart", "no"]);
    }
    let asks_who_answers = || {
        tap.requests().iter().any(|request| request.split('?').next().unwrap_or_default().ends_with("/info"))
    };
    let of_one = containers(&engine).into_iter().find(|name| name.starts_with("one-")).unwrap();
    engine.client(&["rm", "--force", &of_one]);
    eventually("its end is recorded", || host.record("one")["status"] != "running");
    eventually("its supervisor asks nothing more", || {
        tap.requests();
        std::thread::sleep(Duration::from_millis(300));
        tap.requests().is_empty()
    });
    assert!(host.row("two").is_some_and(|row| row["stale"].is_null()));
    assert!(asks_who_answers(), "one of both is missing");
    host.ok(&["rm", "one"]);
    tap.requests();
    assert!(host.row("two").is_some_and(|row| row["stale"].is_null()));
    assert!(!asks_who_answers(), "what is there shows whose it is");
    host.ok(&["stop", "two"]);
    assert!(asks_who_answers(), "a command wants to know");
    host.ok(&["rm", "--all"]);
}

#[test]
fn r04_what_a_row_proves_and_what_is_asked_of_docker() {
    what_a_row_proves(Kind::Docker);
}

#[test]
fn r04_what_a_row_proves_and_what_is_asked_of_podman() {
    what_a_row_proves(Kind::Podman);
}

/// Podman answers a wait by looking at the container again and again, which slows all other requests down.
fn asked_once_ended(transport: &str) {
    const QUIET: Duration = Duration::from_secs(1);
    let Some(podman) = Engine::start(Kind::Podman) else { return };
    let tap = Tap::before(&podman.socket());
    let host = host(&[(Kind::Podman, format!("unix://{}", tap.socket().display()))]);
    run(&host, Kind::Podman, "watched", &["--restart", "no", "--transport", transport]);
    let (mut asked, mut last) = (Vec::new(), Instant::now());
    eventually("its supervisor has nothing more to ask", || {
        let now = tap.requests();
        if !now.is_empty() {
            last = Instant::now();
        }
        asked.extend(now);
        last.elapsed() > QUIET
    });
    // The wait of the presence looks only once a year, so it does not count.
    let is_looked_for = |request: &&String| request.contains("/wait") && !request.contains("interval=8760h");
    let waits = |asked: &[String]| asked.iter().filter(is_looked_for).count();
    assert_eq!(host.list().len(), 1);
    asked.extend(tap.requests());
    assert_eq!(waits(&asked), 0, "{asked:?}");
    podman.client(&["kill", "--all"]);
    eventually("its end is recorded", || host.record("watched")["last_exit"]["code"] == json!(137));
    assert_ne!(waits(&tap.requests()), 0);
    host.ok(&["rm", "watched"]);
}

#[test]
fn podman_is_asked_for_the_end_of_a_server_with_a_port_only_when_there_is_one() {
    asked_once_ended("streamable-http");
}

#[test]
fn podman_is_asked_for_the_end_of_a_server_on_stdio_only_when_there_is_one() {
    asked_once_ended("stdio");
}

/// Podman asks the machine's package manager before it says which one it is.
fn one_run(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let tap = Tap::before(&engine.socket());
    let host = host(&[(kind, format!("unix://{}", tap.socket().display()))]);
    run(&host, kind, "one", &[]);
    let asked = tap.requests();
    let count = |what: &str| asked.iter().filter(|request| request.ends_with(what)).count();
    // `run` asks before it records anything, the supervisor before it begins. What each of them asks afterwards, it asks on
    // the same connection.
    assert_eq!((count("/info"), count("/version")), (2, 0), "{asked:?}");
    host.ok(&["rm", "one"]);
}

#[test]
fn r10_a_start_asks_docker_twice_who_it_is() {
    one_run(Kind::Docker);
}

#[test]
fn r10_a_start_asks_podman_twice_who_it_is() {
    one_run(Kind::Podman);
}

/// Podman takes longer to introduce itself than half of a container's start.
#[test]
fn r04_a_podman_that_listens_itself_is_asked_once_who_it_is_and_another_process_anew() {
    let Some(engine) = Engine::start(Kind::Podman) else { return };
    let host = host(&[(Kind::Podman, engine.endpoint())]);
    let file = host.path("data/runtimes/podman/engine.json");
    let read = || serde_json::from_slice::<Value>(&std::fs::read(&file).unwrap()).unwrap();
    let write = |known: &Value| File::create(&file).unwrap().write_all(known.to_string().as_bytes()).unwrap();
    let instance_of_a_new_one = || {
        run(&host, Kind::Podman, "one", &[]);
        let instance = host.run_config("one")["runtime_instance"].clone();
        assert_eq!(host.row("one").unwrap()["status"], "running");
        host.ok(&["rm", "one"]);
        instance
    };
    let instance = instance_of_a_new_one();
    assert_eq!(read()["identity"]["instance"], instance);
    // A process that is remembered is not asked.
    let mut known = read();
    known["identity"]["instance"] = json!("as it was told");
    write(&known);
    assert_eq!(instance_of_a_new_one(), "as it was told");
    known["process"]["start_time"] = json!(1);
    write(&known);
    assert_eq!(instance_of_a_new_one(), instance, "another process");
    assert_eq!(read()["identity"]["instance"], instance);
}
