//! Somebody pauses a container: that is told, and every command works on it.
use super::behind::{container, report, status};
use super::{add, containers, host, run};
use serde_json::{Value, json};
use wharf_tests::engines::{Engine, Kind};
use wharf_tests::host::{eventually, runs};

fn is_paused(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let host = host(&[(kind, engine.endpoint())]);
    for (name, more) in [("piped", &[][..]), ("web", &["--transport", "streamable-http"][..])] {
        let url = run(&host, kind, name, more);
        let pause = || engine.client(&["pause", &container(&engine, name)]);
        pause();
        let row = host.row(name).unwrap();
        assert_eq!(row["status"], "paused", "{row}");
        assert_eq!(row["advice"][0]["do"], "start", "{row}");
        assert_eq!(report(&host, name)["workload"]["status"], "paused");
        let reconciled = host.ok(&["reconcile", name]);
        assert!(reconciled.contains("left alone") && reconciled.contains("paused"), "{reconciled}");
        let called = host.wharf(&["call", name, "add", "a=2", "b=3"]);
        assert_eq!((called.code, called.stdout.as_str()), (4, ""), "{called:?}");
        for words in ["somebody has paused it", "nothing was done", &format!("wharf start {name}")] {
            assert!(called.stderr.contains(words), "{words}: {called:?}");
        }
        host.ok(&["start", name]);
        assert_eq!((status(&host, name), add(&url).as_str()), (json!("running"), "5"));
        pause();
        host.ok(&["stop", name, "--timeout", "2"]);
        assert_eq!(status(&host, name), "stopped", "stop ends it");
        host.ok(&["start", name]);
        assert_eq!(add(&url), "5");
        pause();
        host.ok(&["restart", name, "--timeout", "2"]);
        assert_eq!(add(&url), "5", "a restart lets it go on");
        pause();
        host.ok(&["rm", name, "--timeout", "1"]);
    }
    assert_eq!(containers(&engine), Vec::<String>::new());
}

#[test]
fn a_paused_container_of_docker_is_told_and_every_command_works_on_it() {
    is_paused(Kind::Docker);
}

#[test]
fn a_paused_container_of_podman_is_told_and_every_command_works_on_it() {
    is_paused(Kind::Podman);
}

/// Nobody but a person undoes a pause: where its supervisor is gone, a new one would start the container anew.
fn stays_paused(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let host = host(&[(kind, engine.endpoint())]);
    for (name, more) in [("piped", &[][..]), ("web", &["--transport", "streamable-http"][..])] {
        let url = run(&host, kind, name, more);
        let state = || {
            let format = "{{.State.Status}} {{.State.StartedAt}}";
            engine.client(&["inspect", "--format", format, &container(&engine, name)])
        };
        engine.client(&["pause", &container(&engine, name)]);
        let paused = state();
        assert!(paused.starts_with("paused "), "{paused}");
        let supervisor = host.record(name)["process_id"].as_i64().unwrap();
        let supervisor = i32::try_from(supervisor).unwrap();
        host.kill_own(supervisor);
        eventually("the supervisor is dead", || !runs(supervisor));
        for args in [&["reconcile", name][..], &["reconcile"]] {
            let told: Value =
                serde_json::from_str(&host.ok(&[args, &["--format", "json"]].concat())).unwrap();
            let told = &told[0];
            assert_eq!((&told["result"], &told["advice"][0]["do"]), (&json!("left_alone"), &json!("start")));
            assert!(told["reason"].as_str().unwrap().contains("paused"), "{told}");
        }
        assert_eq!(state(), paused, "nothing was started");
        let row = host.row(name).unwrap();
        assert!(row["status_context"].as_str().unwrap().contains("paused"), "{row}");
        host.ok(&["start", name]);
        assert_eq!((status(&host, name), add(&url).as_str()), (json!("running"), "5"));
        host.ok(&["rm", name]);
    }
}

#[test]
fn r06_a_paused_container_of_docker_stays_so_without_its_supervisor() {
    stays_paused(Kind::Docker);
}

#[test]
fn r06_a_paused_container_of_podman_stays_so_without_its_supervisor() {
    stays_paused(Kind::Podman);
}
