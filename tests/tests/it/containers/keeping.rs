//! The identity of a workload's container: it is kept as long as the specification is the same, and a user's container is
//! never taken for it.
use super::{add, containers, host, is_running_and_fresh, run};
use wharf_tests::client::Client;
use wharf_tests::engines::{DEMO_IMAGE, Engine, Kind};
use wharf_tests::host::{Host, eventually};

fn id_of(engine: &Engine, uid: &str) -> String {
    let filter = format!("label=wharf.uid={uid}");
    engine.client(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]).trim().to_owned()
}

/// An unchanged specification keeps its container, even if the name of its image leads elsewhere.
fn keeps(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let host = host(&[(kind, engine.endpoint())]);
    for (name, more) in [("piped", &[][..]), ("web", &["--transport", "streamable-http"])] {
        let url = run(&host, kind, name, more);
        let uid = host.row(name).unwrap()["uid"].as_str().unwrap().to_owned();
        let first = id_of(&engine, &uid);
        host.ok(&["stop", name]);
        host.ok(&["start", name]);
        assert_eq!((id_of(&engine, &uid), add(&url).as_str()), (first.clone(), "5"), "{name}");
        host.ok(&["stop", name]);
        // Another image under the same name, which a container that ends by itself is not exchanged for either.
        let changed = engine.client(&["create", DEMO_IMAGE]);
        engine.client(&["commit", changed.trim(), DEMO_IMAGE]);
        engine.client(&["rm", changed.trim()]);
        host.ok(&["start", name]);
        assert_eq!((id_of(&engine, &uid), add(&url).as_str()), (first.clone(), "5"), "{name}");
        engine.client(&["kill", &first]);
        eventually("it is back", || {
            let status = host.ok(&["status", name, "--format", "json"]);
            let status: serde_json::Value = serde_json::from_str(&status).unwrap();
            status["supervisor"]["restarts"] == 1 && Client::open(&url).is_ok()
        });
        assert_eq!((id_of(&engine, &uid), add(&url).as_str()), (first.clone(), "5"), "{name}");
        host.ok(&["stop", name]);
        // No image of that name at all.
        engine.client(&["tag", DEMO_IMAGE, "localhost/aside:test"]);
        engine.client(&["rmi", DEMO_IMAGE]);
        host.ok(&["start", name]);
        assert_eq!((id_of(&engine, &uid), add(&url).as_str()), (first, "5"), "{name}");
        engine.client(&["tag", "localhost/aside:test", DEMO_IMAGE]);
        host.ok(&["rm", name]);
    }
    assert_eq!(containers(&engine), Vec::<String>::new());
}

#[test]
fn docker_keeps_the_container_of_an_unchanged_specification() {
    keeps(Kind::Docker);
}

#[test]
fn podman_keeps_the_container_of_an_unchanged_specification() {
    keeps(Kind::Podman);
}

/// The points that a supervisor reaches while a command starts its workload, from one on to another.
fn reached(host: &Host, command: &[&str], from: &str, to: &str) -> Vec<String> {
    let trace = host.path("trace");
    let output = host.command(command).env("WHARF_FAILPOINT_TRACE", &trace).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(&trace).unwrap();
    std::fs::remove_file(&trace).unwrap();
    let points = text.lines().filter_map(|line| line.strip_prefix("supervisor ")?.split(' ').nth(1));
    let after = points.skip_while(|point| *point != from);
    let between: Vec<_> = after.take_while(|point| *point != to).map(str::to_owned).collect();
    assert!(!between.is_empty(), "{text}");
    between
}

/// A container that is started again is on record already, with the same id.
fn is_on_record(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let host = host(&[(kind, engine.endpoint())]);
    let writes = |command: &[&str]| {
        let between = reached(&host, command, "deploy.after", "handle.recorded");
        between.iter().filter(|point| *point == "rename.after").count()
    };
    assert_eq!(writes(&["run", "--runtime", kind.runtime(), "--name", "kept", DEMO_IMAGE]), 1);
    host.ok(&["stop", "kept"]);
    let handle = host.record("kept")["handle"].clone();
    assert_eq!(writes(&["start", "kept"]), 0);
    assert_eq!(host.record("kept")["handle"], handle);
    host.ok(&["rm", "kept"]);
}

#[test]
fn docker_starts_what_it_has_kept_without_writing_its_handle_again() {
    is_on_record(Kind::Docker);
}

#[test]
fn podman_starts_what_it_has_kept_without_writing_its_handle_again() {
    is_on_record(Kind::Podman);
}

/// A supervisor dies after it has attached to a kept container, and before it starts it: Docker has closed the container's
/// stdin by then.
fn starts_what_was_attached(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let host = host(&[(kind, engine.endpoint())]);
    let url = run(&host, kind, "kept", &[]);
    host.ok(&["stop", "kept"]);
    let before = containers(&engine);
    let mut start = host.command(&["start", "kept"]);
    let output = start.env("WHARF_FAILPOINT", "supervisor/start-call.before=kill").output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    host.ok(&["start", "kept"]);
    assert_eq!((containers(&engine), add(&url).as_str()), (before, "5"));
    host.ok(&["rm", "kept"]);
}

#[test]
fn r11_docker_what_was_attached_and_not_started_is_started_by_the_next_command() {
    starts_what_was_attached(Kind::Docker);
}

#[test]
fn r11_podman_what_was_attached_and_not_started_is_started_by_the_next_command() {
    starts_what_was_attached(Kind::Podman);
}

/// An image and containers that a user makes of our container carry our labels, and belong to the user.
fn spares_copies(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let host = host(&[(kind, engine.endpoint())]);
    run(&host, kind, "mine", &[]);
    let original = engine.client(&["ps", "--quiet", "--no-trunc"]);
    engine.client(&["commit", original.trim(), "localhost/copy:1"]);
    engine.client(&["run", "--detach", "--interactive", "--name", "running-copy", "localhost/copy:1"]);
    engine.client(&["create", "--name", "created-copy", "localhost/copy:1"]);
    assert!(is_running_and_fresh(&host, "mine"));
    for command in ["stop", "start", "restart", "rm"] {
        host.ok(&[command, "mine"]);
    }
    let mut rest = containers(&engine);
    rest.sort();
    assert_eq!(rest, ["created-copy", "running-copy"]);
    assert!(!host.ok(&["doctor"]).contains("orphan"), "nor are they orphans");
}

#[test]
fn r09_docker_copies_that_the_user_made_are_spared() {
    spares_copies(Kind::Docker);
}

#[test]
fn r09_podman_copies_that_the_user_made_are_spared() {
    spares_copies(Kind::Podman);
}

/// Labels and names that others wrote.
fn is_not_confused(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let host = host(&[(kind, engine.endpoint())]);
    run(&host, kind, "mine", &[]);
    let uid = host.row("mine").unwrap()["uid"].as_str().unwrap().to_owned();
    let label = format!("{{{{index .Config.Labels \"{}\"}}}}", "wharf.host-id");
    let id = engine.client(&["inspect", "--format", &label, &id_of(&engine, &uid)]);
    let label = format!("wharf.host-id={}", id.trim());
    engine.client(&["create", "--name", "no-uid", "--label", &label, DEMO_IMAGE]);
    assert!(is_running_and_fresh(&host, "mine"), "one without a uid spoils no listing");
    host.ok(&["stop", "mine"]);
    let twin = format!("wharf.uid={uid}");
    engine.client(&["create", "--name", "twin", "--label", &label, "--label", &twin, DEMO_IMAGE]);
    let before = containers(&engine);
    let refused = host.wharf(&["start", "mine"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert_eq!(containers(&engine), before, "nobody chooses one of two");
    engine.client(&["rm", "twin"]);
    host.ok(&["start", "mine"]);
    host.ok(&["stop", "mine"]);
    // A container that is not ours takes the name of its own.
    let name = engine.client(&["inspect", "--format", "{{.Name}}", &id_of(&engine, &uid)]);
    let name = name.trim().trim_start_matches('/');
    engine.client(&["rm", name]);
    engine.client(&["create", "--name", name, DEMO_IMAGE]);
    host.ok(&["start", "mine"]);
    assert!(containers(&engine).contains(&format!("{name}-2")), "{:?}", containers(&engine));
    host.ok(&["rm", "mine"]);
    let mut rest = containers(&engine);
    rest.sort();
    assert_eq!(rest, [name, "no-uid"]);
}

#[test]
fn r09_docker_labels_and_names_of_others_confuse_nobody() {
    is_not_confused(Kind::Docker);
}

#[test]
fn r09_podman_labels_and_names_of_others_confuse_nobody() {
    is_not_confused(Kind::Podman);
}
