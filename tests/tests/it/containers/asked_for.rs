//! Options are honoured, or refused by name.
use super::{add, containers, host, run};
use serde_json::json;
use std::io::Write;
use wharf_tests::engines::{DEMO_IMAGE, Engine, Kind, SHELL_IMAGE};
use wharf_tests::host::{Host, Said, demo_server};

fn inspected(engine: &Engine, format: &str) -> String {
    let id = engine.client(&["ps", "--quiet", "--no-trunc"]);
    engine.client(&["inspect", "--format", format, id.trim()]).trim().to_owned()
}

fn refused(host: &Host, kind: Kind, more: &[&str]) -> Said {
    let said = host.wharf(&[&["run", "--runtime", kind.runtime(), "--name", "refused"], more].concat());
    assert_ne!(said.code, 0, "{more:?}: {said:?}");
    said
}

fn is_done(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let host = host(&[(kind, engine.endpoint())]);
    std::fs::create_dir(host.work().join("data")).unwrap();
    let asked = ["--user", "1234:5678", "--group", "web", "-e", "LEVEL=debug", "-v", "./data:/data"];
    let url = run(&host, kind, "asked", &asked);
    assert_eq!(add(&url), "5");
    assert_eq!(inspected(&engine, "{{.Config.User}}"), "1234:5678");
    assert_eq!(inspected(&engine, r#"{{index .Config.Labels "wharf.group"}}"#), "web");
    assert!(inspected(&engine, "{{.Config.Env}}").contains("LEVEL=debug"));
    let data = host.work().join("data");
    let mounts = inspected(&engine, "{{range .Mounts}}{{.Source}}:{{.Destination}} {{end}}");
    assert!(mounts.contains(&format!("{}:/data", data.display())), "{mounts}");
    host.ok(&["rm", "asked"]);
    profiles(&host, kind, &engine);
    refusals(&host, kind);
    assert_eq!(containers(&engine), Vec::<String>::new());
}

fn profiles(host: &Host, kind: Kind, engine: &Engine) {
    let url = run(host, kind, "alone", &["--permission-profile", "none"]);
    assert_eq!(add(&url), "5");
    let settings = "{{.HostConfig.NetworkMode}} {{.HostConfig.ReadonlyRootfs}}";
    assert_eq!(inspected(engine, settings), "none true");
    let status = host.ok(&["status", "alone", "--format", "json"]);
    assert!(status.contains("a network namespace without any"), "{status}");
    host.ok(&["rm", "alone"]);
    let url = run(host, kind, "out", &["--permission-profile", "network", "--transport", "streamable-http"]);
    assert_eq!(add(&url), "5");
    assert_eq!(inspected(engine, "{{.HostConfig.ReadonlyRootfs}}"), "true");
    host.ok(&["rm", "out"]);
    let listed = host.path("listed.json");
    let profile = json!({ "network": { "outbound": { "allow_host": ["a.example"] } } });
    std::fs::File::create(&listed).unwrap().write_all(profile.to_string().as_bytes()).unwrap();
    let listed = listed.display().to_string();
    let said = refused(host, kind, &["--permission-profile", &listed, DEMO_IMAGE]);
    assert!(said.code == 2 && said.stderr.contains("allow_host"), "{said:?}");
    run(host, kind, "weaker", &["--permission-profile", &listed, "--allow-weaker"]);
    let status = host.ok(&["status", "weaker", "--format", "json"]);
    assert!(status.contains("permission_profile.network.outbound.allow_host"), "{status}");
    host.ok(&["rm", "weaker"]);
}

fn refusals(host: &Host, kind: Kind) {
    let missing = host.work().join("missing");
    let said = refused(host, kind, &["-v", "./missing:/data", DEMO_IMAGE]);
    assert!(said.stderr.contains("missing") && !missing.exists(), "nothing is made of it: {said:?}");
    let said = refused(host, kind, &["localhost/Wrong"]);
    assert!(said.code == 2 && said.stderr.contains("lowercase"), "{said:?}");
    let said = refused(host, kind, &["--pull", "never", "localhost/not-there:1"]);
    assert!(said.stderr.contains("never to be pulled"), "{said:?}");
    let state = format!("{}:/state", host.path("state").display());
    let said = refused(host, kind, &["-v", &state, DEMO_IMAGE]);
    assert!(said.stderr.contains("wharf's own"), "{said:?}");
    let none = ["--permission-profile", "none", "--transport", "streamable-http", DEMO_IMAGE];
    let said = refused(host, kind, &none);
    assert!(said.code == 2 && said.stderr.contains("permission_profile.network"), "{said:?}");
}

#[test]
fn docker_does_what_is_asked_for_or_refuses_it_by_name() {
    is_done(Kind::Docker);
}

#[test]
fn podman_does_what_is_asked_for_or_refuses_it_by_name() {
    is_done(Kind::Podman);
}

#[test]
fn plain_processes_refuse_by_name_what_containers_have() {
    let host = Host::new();
    for (option, value, field) in [("--user", "1000", "user"), ("--pull", "always", "pull")] {
        let said = host.wharf(&["run", option, value, &demo_server()]);
        assert!(said.code == 2 && said.stderr.contains(field), "{said:?}");
    }
}

/// Answers the handshake, and is deaf to all else.
const DEAF: &str = r#"trap '' TERM
read -r line
id=${line##*\"id\":}
id=${id%%[,\}]*}
echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"deaf","version":"1"}}}'
echo one >&2
echo two >&2
while :; do sleep 1; done"#;

fn is_killed_and_read(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    if !engine.import_shell() {
        return;
    }
    let host = host(&[(kind, engine.endpoint())]);
    let command = ["run", "--runtime", kind.runtime(), "--name", "deaf", SHELL_IMAGE, "--", "sh", "-c", DEAF];
    host.ok(&command);
    wharf_tests::host::eventually("it has said all", || host.ok(&["logs", "deaf"]) == "one\ntwo\n");
    assert_eq!(host.ok(&["logs", "deaf", "--tail", "1"]), "two\n");
    host.ok(&["stop", "deaf", "--timeout", "1"]);
    assert_eq!(host.row("deaf").unwrap()["status"], "stopped");
    assert_eq!(host.record("deaf")["last_exit"]["code"], 137, "{}", host.record("deaf"));
    host.ok(&["rm", "deaf"]);
}

#[test]
fn docker_kills_what_does_not_end() {
    is_killed_and_read(Kind::Docker);
}

#[test]
fn podman_kills_what_does_not_end() {
    is_killed_and_read(Kind::Podman);
}
