//! The loss of an engine's streams when it goes away.
use super::{add, containers, digest, host, is_running_and_fresh, run};
use serde_json::json;
use wharf_tests::client::Client;
use wharf_tests::engines::{DEMO_IMAGE, Engine, Kind};
use wharf_tests::host::eventually;
use wharf_tests::tap::Tap;

#[test]
fn a_server_that_loses_its_input_with_podman_has_not_completed() {
    let Some(mut podman) = Engine::start(Kind::Podman) else { return };
    let host = host(&[(Kind::Podman, podman.endpoint())]);
    let usual = run(&host, Kind::Podman, "usual", &[]);
    let careful = run(&host, Kind::Podman, "careful", &["--restart", "on-failure"]);
    run(&host, Kind::Podman, "once", &["--restart", "no"]);
    podman.stop();
    podman.resume();
    for (name, url) in [("usual", usual), ("careful", careful)] {
        eventually("it is back", || is_running_and_fresh(&host, name) && Client::open(&url).is_ok());
        assert_eq!(add(&url), "5", "{name}");
    }
    eventually("its end is recorded", || host.record("once")["status"] == "error");
    let record = host.record("once");
    assert!(record["status_context"].as_str().unwrap().contains("its engine went away"), "{record}");
    host.ok(&["rm", "--all"]);
    assert_eq!(containers(&podman), Vec::<String>::new());
}

/// The listener stays, as with socket activation, so that an engine answers at any time: not the one, though, through
/// which the server was spoken to.
fn is_cut_off(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let tap = Tap::before(&engine.socket());
    let host = host(&[(kind, format!("unix://{}", tap.socket().display()))]);
    for (name, linger) in [("prompt", "0"), ("lingering", "1")] {
        let options = ["--runtime", kind.runtime(), "--name", name, "--restart", "no"];
        host.run(&[&options[..], &[DEMO_IMAGE, "--", "--linger", linger]].concat());
        // At once: the workload is ready, and perhaps nobody waits for its end yet.
        tap.cut();
        eventually("its end is recorded", || host.record(name)["status"] != "running");
        let record = host.record(name);
        assert_eq!(record["status"], "error", "{record}");
        assert!(record["status_context"].as_str().unwrap().contains("its engine went away"), "{record}");
    }
    host.ok(&["rm", "--all"]);
}

#[test]
fn a_server_that_is_cut_off_from_docker_has_not_completed() {
    is_cut_off(Kind::Docker);
}

#[test]
fn a_server_that_is_cut_off_from_podman_has_not_completed() {
    is_cut_off(Kind::Podman);
}

#[test]
fn r04_a_podman_that_is_stopped_makes_its_rows_stale_and_heals_them_when_it_is_back() {
    let Some(mut podman) = Engine::start(Kind::Podman) else { return };
    let host = host(&[(Kind::Podman, podman.endpoint())]);
    let url = run(&host, Kind::Podman, "web", &["--transport", "streamable-http"]);
    let before = digest(&host, "web");
    podman.stop();
    let row = host.row("web").unwrap();
    assert_eq!((&row["status"], &row["stale"]), (&json!("running"), &json!(true)), "{row}");
    assert!(row["stale_reason"].as_str().unwrap().contains("Podman cannot be reached"), "{row}");
    for command in ["stop", "rm", "restart"] {
        let said = host.wharf(&[command, "web"]);
        assert_eq!(said.code, 5, "{command}: {said:?}");
    }
    podman.resume();
    eventually("it is fresh again", || is_running_and_fresh(&host, "web"));
    assert_eq!((digest(&host, "web"), add(&url).as_str()), (before, "5"), "its container went on");
    host.ok(&["rm", "web"]);
}
