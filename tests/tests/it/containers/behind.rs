//! What operators and machines do to an engine behind wharf's back: nothing untrue is said of it, and each command still
//! works.
use super::{add, containers, host, run};
use serde_json::{Value, json};
use std::{fs, io::Write, path::Path, time::Instant};
use wharf_tests::client::Client;
use wharf_tests::engines::{DEMO_IMAGE, Engine, Kind, SHELL_IMAGE};
use wharf_tests::host::{Host, eventually};
use wharf_tests::tap::Tap;

/// Answers the handshake, and goes on with the script behind it.
pub(crate) const HANDSHAKE: &str = r#"read -r line
id=${line##*\"id\":}
id=${id%%[,\}]*}
echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"shell","version":"1"}}}'
"#;

/// The container of a workload.
pub(super) fn container(engine: &Engine, name: &str) -> String {
    let own = containers(engine).into_iter().find(|container| container.starts_with(&format!("{name}-")));
    own.unwrap_or_else(|| panic!("{name} has no container: {:?}", containers(engine)))
}

pub(super) fn status(host: &Host, name: &str) -> Value {
    host.row(name).map_or(Value::Null, |row| row["status"].clone())
}

pub(super) fn report(host: &Host, name: &str) -> Value {
    serde_json::from_str(&host.ok(&["status", name, "--format", "json"])).unwrap()
}

/// Fills a disk up to its last byte.
fn fill(folder: &Path) -> std::path::PathBuf {
    let filler = folder.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    for size in [1 << 20, 1 << 12, 1] {
        let block = vec![b'x'; size];
        while file.write_all(&block).is_ok() {}
    }
    filler
}

/// Docker cannot write down that a container has ended: its listing says that it runs, until the engine is restarted.
#[test]
fn r08_a_docker_whose_disk_is_full_is_believed_by_id_and_every_command_works() {
    let Some(engine) = Engine::on_small_disk(Kind::Docker, 200) else { return };
    let host = host(&[(Kind::Docker, engine.endpoint())]);
    for name in ["stopped", "started", "restarted", "removed", "reconciled", "killed"] {
        run(&host, Kind::Docker, name, &[]);
    }
    run(&host, Kind::Docker, "forgotten", &["--restart", "no"]);
    let filler = fill(&engine.data());
    host.ok(&["stop", "stopped", "--timeout", "1"]);
    let listed = engine.client(&["ps", "--filter", "name=stopped", "--format", "{{.Status}}"]);
    assert!(listed.starts_with("Up "), "the listing is wrong, which is what this is about: {listed:?}");
    assert_eq!(status(&host, "stopped"), "stopped");
    let reconciled = host.ok(&["reconcile", "stopped"]);
    assert!(reconciled.contains("in order"), "{reconciled}");
    host.ok(&["stop", "started", "--timeout", "1"]);
    let full = host.wharf(&["start", "started"]);
    assert!(full.code != 0 && full.stderr.contains("the disk of Docker is full"), "{full:?}");
    // Nobody has stopped this one, and its supervisor cannot bring it back.
    engine.client(&["kill", &container(&engine, "killed")]);
    eventually("a list of all shows its end", || status(&host, "killed") == "unhealthy");
    assert_eq!(report(&host, "killed")["workload"]["status"], "unhealthy");
    let full = host.wharf(&["restart", "restarted", "--timeout", "1"]);
    assert!(full.code != 0 && full.stderr.contains("the disk of Docker is full"), "{full:?}");
    assert_eq!(status(&host, "restarted"), "error");
    host.ok(&["rm", "removed", "--timeout", "1"]);
    engine.client(&["kill", &container(&engine, "reconciled")]);
    host.ok(&["reconcile"]);
    engine.client(&["kill", &container(&engine, "forgotten")]);
    eventually("its end is recorded", || host.record("forgotten")["status"] == "error");
    let orphan = format!("docker/{}", host.record("forgotten")["uid"].as_str().unwrap());
    let forgotten = host.ok(&["rm", "--forget", "forgotten"]);
    assert!(forgotten.contains("left behind") && !forgotten.contains("running"), "{forgotten}");
    host.ok(&["rm", "--orphan", &orphan]);
    fs::remove_file(filler).unwrap();
    for name in ["stopped", "started", "restarted"] {
        host.ok(&["start", name]);
        assert_eq!(status(&host, name), "running", "{name}");
    }
    host.ok(&["rm", "--all"]);
    assert_eq!(containers(&engine), Vec::<String>::new());
}

/// An operator restarts the container: that is an end like another, and a new start.
fn is_restarted_from_outside(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let host = host(&[(kind, engine.endpoint())]);
    for (name, more) in [("piped", &[][..]), ("web", &["--transport", "streamable-http"][..])] {
        let url = run(&host, kind, name, more);
        let restarted = Instant::now();
        engine.client(&["restart", "--time", "1", &container(&engine, name)]);
        eventually("it counts", || report(&host, name)["supervisor"]["restarts"] == 1);
        eventually("it answers", || Client::open(&url).is_ok());
        assert_eq!(add(&url), "5", "{name}");
        let supervisor = report(&host, name)["supervisor"].clone();
        assert!(supervisor["last_end"].as_str().is_some_and(|end| !end.is_empty()), "{supervisor}");
        assert_eq!(status(&host, name), "running");
        let uptime = u128::from(supervisor["uptime_ms"].as_u64().unwrap());
        assert!(uptime <= restarted.elapsed().as_millis(), "it begins anew: {supervisor}");
    }
    host.ok(&["rm", "--all"]);
}

#[test]
fn a_restart_of_docker_from_outside_counts() {
    is_restarted_from_outside(Kind::Docker);
}

#[test]
fn a_restart_of_podman_from_outside_counts() {
    is_restarted_from_outside(Kind::Podman);
}

/// A log that is followed goes on where the container is started again, and says why it ends.
fn is_followed(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    if !engine.import_shell() {
        return;
    }
    let host = host(&[(kind, engine.endpoint())]);
    let script = format!("{HANDSHAKE}echo begun >&2\ncat >/dev/null");
    host.run(&["--runtime", kind.runtime(), "--name", "told", SHELL_IMAGE, "--", "sh", "-c", &script]);
    eventually("it has begun", || host.ok(&["logs", "told"]) == "begun\n");
    let output = host.path("followed");
    let mut follower = host
        .command(&["logs", "told", "--follow", "--tail", "1"])
        .stdout(fs::File::create(&output).unwrap())
        .stderr(fs::File::create(host.path("why")).unwrap())
        .spawn()
        .unwrap();
    let followed = || fs::read_to_string(&output).unwrap();
    eventually("it is followed", || followed() == "begun\n");
    engine.client(&["restart", "--time", "1", &container(&engine, "told")]);
    eventually("what it writes then is shown", || followed() == "begun\nbegun\n");
    host.ok(&["stop", "told", "--timeout", "1"]);
    assert!(follower.wait().unwrap().success());
    let why = fs::read_to_string(host.path("why")).unwrap();
    assert!(why.contains("the log of 'told' ends here") && why.contains("stopped"), "{why}");
    host.ok(&["rm", "told"]);
}

#[test]
fn a_log_of_docker_is_followed_over_a_restart_from_outside() {
    is_followed(Kind::Docker);
}

#[test]
fn a_log_of_podman_is_followed_over_a_restart_from_outside() {
    is_followed(Kind::Podman);
}

/// Podman's own log has no limit, and lines of a server on pipes are found at its end.
fn is_bounded_and_read_from_its_end(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    if !engine.import_shell() {
        return;
    }
    let host = host(&[(kind, engine.endpoint())]);
    const LINES: &str = r#"i=0
while [ $i -lt 5000 ]; do
  i=$((i+1))
  echo line $i >&2
  echo '{"jsonrpc":"2.0","method":"notifications/x"}'
done
cat >/dev/null"#;
    let script = format!("{HANDSHAKE}{LINES}");
    host.run(&["--runtime", kind.runtime(), "--name", "told", SHELL_IMAGE, "--", "sh", "-c", &script]);
    eventually("it has said all", || host.ok(&["logs", "told", "-n", "1"]) == "line 5000\n");
    assert_eq!(host.ok(&["logs", "told", "-n", "3"]), "line 4998\nline 4999\nline 5000\n");
    assert_eq!(host.ok(&["logs", "told", "-n", "4500"]).lines().count(), 4500);
    assert_eq!(host.ok(&["logs", "told", "-n", "9000"]).lines().count(), 5000);
    if kind == Kind::Podman {
        let limit = engine.client(&[
            "inspect",
            "--format",
            "{{.HostConfig.LogConfig.Size}}",
            &container(&engine, "told"),
        ]);
        assert!(limit.trim().to_lowercase().starts_with("30m"), "{limit}");
    }
    host.ok(&["rm", "told"]);
}

#[test]
fn the_end_of_a_log_of_docker_is_read_from_its_end() {
    is_bounded_and_read_from_its_end(Kind::Docker);
}

#[test]
fn a_log_of_podman_is_bounded_and_read_from_its_end() {
    is_bounded_and_read_from_its_end(Kind::Podman);
}

/// Podman 4 with runc shows code 137 alone, so this is read from the kernel.
#[test]
fn a_kill_for_want_of_memory_is_told_as_that() {
    for kind in [Kind::Docker, Kind::Podman] {
        let Some(engine) = Engine::start(kind) else { continue };
        if !engine.import_shell() {
            continue;
        }
        let host = host(&[(kind, engine.endpoint())]);
        let script = format!("{HANDSHAKE}sleep 1\nexec dd if=/dev/zero of=/dev/null bs=64M count=1");
        let options =
            ["--runtime", kind.runtime(), "--name", "big", "--memory", "24m", "--restart", "no", "--no-init"];
        host.run(&[&options[..], &[SHELL_IMAGE, "--", "sh", "-c", &script]].concat());
        eventually("its end is recorded", || host.record("big")["status"] == "error");
        let last = host.record("big")["last_exit"].clone();
        assert_eq!((&last["code"], &last["reason"]), (&json!(137), &json!("out of memory")), "{last}");
        let row = host.row("big").unwrap();
        assert!(row["status_context"].as_str().unwrap().contains("out of memory"), "{row}");
        // The code alone is no sign of it.
        let script = format!("{HANDSHAKE}sleep 1\nexit 137");
        let options = ["--runtime", kind.runtime(), "--name", "killed", "--restart", "no", "--no-init"];
        host.run(&[&options[..], &[SHELL_IMAGE, "--", "sh", "-c", &script]].concat());
        eventually("its end is recorded", || host.record("killed")["status"] == "error");
        let last = host.record("killed")["last_exit"].clone();
        assert_eq!(last["code"], 137, "{last}");
        assert!(!last["reason"].as_str().unwrap_or_default().contains("memory"), "{last}");
        host.ok(&["rm", "--all"]);
    }
}

/// The engine dies between two calls of a `run`: the text names it, and what stays on record is started once it is back.
fn dies_in_the_middle(kind: Kind) {
    let Some(mut engine) = Engine::start(kind) else { return };
    let tap = Tap::holding(&engine.socket(), "/start");
    let host = host(&[(kind, format!("unix://{}", tap.socket().display()))]);
    let mut command = host.command(&["run", "--runtime", kind.runtime(), "--name", "caught", DEMO_IMAGE]);
    let errors = host.path("errors");
    let mut running = command.stderr(fs::File::create(&errors).unwrap()).spawn().unwrap();
    eventually("it is about to be started", || {
        tap.requests().iter().any(|request| request.contains("/start"))
    });
    engine.die();
    tap.let_go();
    assert_eq!(running.wait().unwrap().code(), Some(5));
    let said = fs::read_to_string(&errors).unwrap();
    let title = if kind == Kind::Docker { "Docker" } else { "Podman" };
    assert!(said.contains(title) && said.contains("stays on record"), "{said}");
    let unasked = host.wharf(&["reconcile"]);
    assert_eq!(unasked.code, 5, "an owner could not be asked: {unasked:?}");
    assert!(unasked.stdout.contains("left alone") && unasked.stdout.contains(title), "{unasked:?}");
    engine.resume();
    let reconciled = host.ok(&["reconcile"]);
    assert!(reconciled.contains("started"), "{reconciled}");
    assert_eq!(status(&host, "caught"), "running");
    host.ok(&["rm", "caught"]);
}

#[test]
fn r06_what_failed_because_docker_died_is_started_once_it_is_back() {
    dies_in_the_middle(Kind::Docker);
}

#[test]
fn r06_what_failed_because_podman_died_is_started_once_it_is_back() {
    dies_in_the_middle(Kind::Podman);
}

/// Only the host's id is restored from a backup: its containers are shown.
#[test]
fn orphans_are_shown_where_no_workload_is_on_record() {
    let Some(docker) = Engine::start(Kind::Docker) else { return };
    let Some(podman) = Engine::start(Kind::Podman) else { return };
    let host = host(&[(Kind::Docker, docker.endpoint()), (Kind::Podman, podman.endpoint())]);
    for kind in [Kind::Docker, Kind::Podman] {
        run(&host, kind, kind.runtime(), &["--transport", "streamable-http"]);
    }
    let uids: Vec<String> = ["docker", "podman"]
        .iter()
        .map(|name| host.record(name)["uid"].as_str().unwrap().to_owned())
        .collect();
    for folder in ["state/runconfigs", "state/statuses"] {
        for file in fs::read_dir(host.path(folder)).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
    }
    let listed: Vec<Value> = serde_json::from_str(&host.ok(&["list", "--all", "--format", "json"])).unwrap();
    let shown = |uid: &String| listed.iter().any(|row| row["uid"] == **uid && row["orphan"] == true);
    assert!(uids.iter().all(shown), "{listed:?}");
    for (runtime, uid) in ["docker", "podman"].iter().zip(&uids) {
        host.ok(&["rm", "--orphan", &format!("{runtime}/{uid}")]);
    }
    assert_eq!(host.list(), Vec::<Value>::new());
}

/// The containers outlive their engine, but not its streams.
#[test]
fn a_docker_that_leaves_its_containers_running_is_attached_again_at_once() {
    let Some(mut docker) = Engine::docker_with(r#"{ "live-restore": true }"#) else { return };
    let host = host(&[(Kind::Docker, docker.endpoint())]);
    let url = run(&host, Kind::Docker, "kept", &[]);
    let pid = docker.client(&["inspect", "--format", "{{.State.Pid}}", &container(&docker, "kept")]);
    docker.stop();
    // Longer than a server may take to end after its output was closed.
    std::thread::sleep(std::time::Duration::from_secs(3));
    docker.resume();
    let back = Instant::now();
    eventually("it answers again", || Client::open(&url).is_ok());
    assert!(back.elapsed().as_secs() < 4, "{:?}", back.elapsed());
    assert_eq!(add(&url), "5");
    assert_eq!(docker.client(&["inspect", "--format", "{{.State.Pid}}", &container(&docker, "kept")]), pid);
    let log = host.ok(&["logs", "--proxy", "kept"]);
    assert!(!log.contains("it is ended"), "{log}");
    host.ok(&["rm", "kept"]);
}

/// A silent engine is waited for once, by the whole command.
#[test]
fn the_status_of_a_workload_whose_engine_is_frozen_has_one_deadline() {
    for kind in [Kind::Docker, Kind::Podman] {
        let Some(engine) = Engine::start(kind) else { continue };
        let host = host(&[(kind, engine.endpoint())]);
        run(&host, kind, "kept", &[]);
        engine.freeze();
        let began = Instant::now();
        let told = report(&host, "kept");
        let took = began.elapsed();
        let refused = host.wharf(&["stop", "kept"]);
        let run = host.wharf(&["run", "--runtime", kind.runtime(), DEMO_IMAGE]);
        let all_took = began.elapsed();
        engine.thaw();
        assert!(took.as_secs() < 14, "{took:?}");
        assert!(
            all_took.as_secs() < 3 * 14,
            "nobody waits for it as for one that has much to do: {all_took:?}"
        );
        assert_eq!(
            (&told["workload"]["status"], &told["workload"]["stale"]),
            (&json!("running"), &json!(true)),
            "{told}"
        );
        assert_eq!(refused.code, 5, "{refused:?}");
        assert!(run.code == 5 && run.stderr.contains(kind.runtime()), "it is the engine's refusal: {run:?}");
        host.ok(&["rm", "kept"]);
    }
}

/// The check of an image fails: that is told, and nothing is done about it.
#[test]
fn the_check_of_an_image_is_told() {
    let Some(docker) = Engine::start(Kind::Docker) else { return };
    let Some(image) = wharf_tests::images::Image::of_shell("docker") else { return };
    let check = r#"HEALTHCHECK --interval=1s --retries=1 CMD ["/bin/sh", "-c", "[ -e /fine ]"]"#;
    let image = image.changed("localhost/wharf-sick:test", &[check]);
    docker.add(&image);
    let host = host(&[(Kind::Docker, docker.endpoint())]);
    let script = format!("{HANDSHAKE}cat >/dev/null");
    host.run(&["--runtime", "docker", "--name", "sick", image.name(), "--", "sh", "-c", &script]);
    eventually("it is told", || status(&host, "sick") == "unhealthy");
    let row = host.row("sick").unwrap();
    assert!(row["status_context"].as_str().unwrap().contains("HEALTHCHECK"), "{row}");
    let reconciled = host.ok(&["reconcile", "sick"]);
    assert!(reconciled.contains("left alone") && reconciled.contains("HEALTHCHECK"), "{reconciled}");
    docker.client(&["exec", &container(&docker, "sick"), "/bin/sh", "-c", ": >/fine"]);
    eventually("it has recovered", || status(&host, "sick") == "running");
    host.ok(&["rm", "sick"]);
}
