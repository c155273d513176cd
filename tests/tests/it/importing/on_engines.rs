//! ToolHive's containers on real engines, made as it makes them by the engine's own client.
use serde_json::{Value, json};
use std::path::Path;
use wharf_tests::client::Client;
use wharf_tests::engines::{DEMO_IMAGE, Engine, Kind};
use wharf_tests::host::Host;
use wharf_tests::toolhive::{ToolHive, about};

/// A host that finds these engines, and no other.
fn host(engines: &[&Engine]) -> Host {
    let host = Host::new();
    host.add_plugin("docker");
    let endpoints = engines
        .iter()
        .map(|engine| (engine.kind().runtime().to_owned(), json!({ "endpoint": engine.endpoint() })));
    host.configure(&json!({ "runtimes": endpoints.collect::<serde_json::Map<_, _>>() }));
    host
}

/// The command that makes a container as ToolHive labels it.
fn labelled<'a>(name: &'a str, labels: &'a [String; 3], more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["create", "--name", name];
    labels.iter().for_each(|label| args.extend(["--label", label]));
    args.extend(more);
    args.push(DEMO_IMAGE);
    args
}

fn make(engine: &Engine, name: &str, runs: bool, more: &[&str]) -> String {
    let labels =
        ["toolhive=true".to_owned(), format!("toolhive-name={name}"), format!("toolhive-basename={name}")];
    let id = engine.client(&labelled(name, &labels, more)).trim().to_owned();
    if runs {
        engine.client(&["start", name]);
    }
    id
}

fn running(engine: &Engine) -> Vec<String> {
    let listed = engine.client(&["ps", "--quiet", "--no-trunc"]);
    listed.lines().map(str::to_owned).collect()
}

fn all(engine: &Engine) -> Vec<String> {
    let listed = engine.client(&["ps", "--all", "--quiet", "--no-trunc"]);
    listed.lines().map(str::to_owned).collect()
}

fn add(url: &str) -> String {
    Client::open(url).unwrap().call_tool("add", json!({ "a": 2, "b": 3 })).unwrap()
}

fn url(host: &Host, name: &str) -> String {
    host.row(name).unwrap()["url"].as_str().unwrap().to_owned()
}

fn http(port: u16) -> Value {
    json!({
        "transport": "streamable-http", "target_port": 8080, "port": port,
        "env_vars": {"MCP_TRANSPORT": "streamable-http", "MCP_PORT": "8080", "MCP_HOST": "0.0.0.0"},
    })
}

const PUBLISHED: [&str; 6] =
    ["--env", "MCP_PORT=8080", "--env", "MCP_HOST=0.0.0.0", "--publish", "127.0.0.1::8080"];

/// The same on both engines.
fn copied(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    // Every engine that leaves a trace on this machine is asked too.
    let Some(other) = Engine::start(kind.other()) else { return };
    let host = host(&[&engine, &other]);
    let toolhive = ToolHive::of(&host);
    make(&engine, "web", true, &PUBLISHED);
    make(&engine, "time", true, &["--interactive"]);
    make(&engine, "rests", false, &PUBLISHED);
    toolhive.workload("web", DEMO_IMAGE, &http(0));
    toolhive.workload("time", DEMO_IMAGE, &json!({}));
    toolhive.workload("rests", DEMO_IMAGE, &http(0));
    let before = (toolhive.digest(), all(&engine), running(&engine));
    let reports = toolhive.reports(&[]);
    for name in ["web", "time", "rests"] {
        let report = about(&reports, name);
        assert_eq!(
            (&report["result"], &report["runtime_name"]),
            (&json!("imported"), &json!(kind.runtime())),
            "{report}"
        );
        let row = host.row(name).unwrap();
        assert_eq!((&row["status"], row.get("stale")), (&json!("stopped"), None), "{row}");
    }
    assert_eq!((toolhive.digest(), all(&engine), running(&engine)), before);
    // The copies run beside their originals, in containers of their own.
    for name in ["web", "time", "rests"] {
        host.ok(&["start", name]);
        assert_eq!(add(&url(&host, name)), "5", "{name}");
        let row = host.row(name).unwrap();
        assert!(row["status"] == "running" && row.get("stale").is_none(), "{row}");
    }
    assert!(host.ok(&["logs", "web"]).contains("serving MCP"));
    assert_eq!(all(&engine).len(), before.1.len() + 3);
    assert!(before.2.iter().all(|original| running(&engine).contains(original)));
    host.ok(&["rm", "--all"]);
    let mut left = (toolhive.digest(), all(&engine), running(&engine));
    let mut expected = before;
    for ids in [&mut left.1, &mut left.2, &mut expected.1, &mut expected.2] {
        ids.sort();
    }
    assert_eq!(left, expected);
}

#[test]
fn r09_docker_originals_stay_as_they_are_beside_their_copies() {
    copied(Kind::Docker);
}

#[test]
fn r09_podman_originals_stay_as_they_are_beside_their_copies() {
    copied(Kind::Podman);
}

#[test]
fn r07_of_two_engines_none_is_believed_while_both_claim_or_one_is_down() {
    let Some(mut docker) = Engine::start(Kind::Docker) else { return };
    let Some(podman) = Engine::start(Kind::Podman) else { return };
    let host = host(&[&docker, &podman]);
    let toolhive = ToolHive::of(&host);
    toolhive.workload("both", DEMO_IMAGE, &json!({}));
    toolhive.workload("one", DEMO_IMAGE, &json!({}));
    make(&docker, "both", false, &[]);
    make(&podman, "both", false, &[]);
    make(&podman, "one", false, &[]);
    docker.stop();
    let reports = toolhive.reports(&[]);
    for name in ["both", "one"] {
        let report = about(&reports, name);
        assert_eq!(report["result"], "owner_unknown", "{report}");
        assert!(report["reason"].as_str().unwrap().contains("docker"), "{report}");
    }
    assert!(host.list().is_empty());
    docker.resume();
    let reports = toolhive.reports(&[]);
    let both = about(&reports, "both");
    assert_eq!(both["result"], "ambiguous", "{both}");
    let reason = both["reason"].as_str().unwrap();
    assert!(reason.contains("'docker'") && reason.contains("'podman'"), "{reason}");
    let one = about(&reports, "one");
    assert_eq!((&one["result"], &one["runtime_name"]), (&json!("imported"), &json!("podman")), "{one}");
    assert_eq!(host.list().len(), 1);
}

/// Each of the files that ToolHive 0.44.0 wrote is imported and started. Its home folder is one of the test's.
fn written_by_toolhive(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let Some(other) = Engine::start(kind.other()) else { return };
    let host = host(&[&engine, &other]);
    let toolhive = ToolHive::of(&host);
    let home = host.path("user");
    for folder in ["docs", "out"] {
        std::fs::create_dir_all(home.join(folder)).unwrap();
    }
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/toolhive");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(fixtures.join("runconfigs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("bench:latest", DEMO_IMAGE).replace("/home/user", home.to_str().unwrap());
        let mut config: Value = serde_json::from_str(&text).unwrap();
        // The ports of the machine that they were written on; and arguments that the image knows.
        config["port"] = json!(0);
        if config.get("cmd_args").is_some() {
            config["cmd_args"] = json!(["--linger", "0"]);
        }
        toolhive.write(&name, config.to_string().as_bytes());
        let status = std::fs::read(fixtures.join(format!("statuses/{name}.json"))).unwrap();
        toolhive.status(&name, &status);
        let is_http = config["transport"] == "streamable-http";
        make(&engine, &name, false, if is_http { &PUBLISHED } else { &["--interactive"] });
        names.push(name);
    }
    assert_eq!(names.len(), 5);
    // As nearly every entry of ToolHive's registry is: isolated, with the hosts that it may reach.
    let outbound = json!({ "allow_host": ["example.com"], "allow_port": [443] });
    let listed = json!({ "network": { "outbound": outbound } });
    toolhive.workload(
        "listed",
        DEMO_IMAGE,
        &json!({ "isolate_network": true, "permission_profile": listed }),
    );
    make(&engine, "listed", false, &["--interactive"]);
    let reports = toolhive.reports(&[]);
    let report = about(&reports, "listed");
    let why = report["would_not_start"].as_str().unwrap();
    assert!(why.contains("allow_host") && report["would_start_weaker"] == true, "{report}");
    let said = host.wharf(&["start", "listed"]);
    assert!(said.code != 0 && said.stderr.contains("allow_host"), "{said:?}");
    host.ok(&["start", "--allow-weaker", "listed"]);
    assert_eq!(add(&url(&host, "listed")), "5");
    assert!(host.ok(&["status", "listed"]).contains("allow_host"), "what is not enforced is told");
    // The other way on is a profile that can be enforced.
    let profile = host.path("open.json");
    std::io::Write::write_all(
        &mut std::fs::File::create(&profile).unwrap(),
        br#"{"network":{"outbound":{"insecure_allow_all":true}}}"#,
    )
    .unwrap();
    host.ok(&["edit", "listed", "--permission-profile", profile.to_str().unwrap()]);
    assert_eq!(add(&url(&host, "listed")), "5");
    let status = host.ok(&["status", "listed"]);
    assert!(!status.contains("allow_host"), "nothing is left out any more: {status}");
    for name in &names {
        let report = about(&reports, name);
        assert!(report["result"] == "imported" && report.get("would_not_start").is_none(), "{report}");
        host.ok(&["start", name]);
        assert_eq!(add(&url(&host, name)), "5", "{name}");
    }
}

#[test]
fn what_a_real_toolhive_wrote_is_imported_and_started_on_docker() {
    written_by_toolhive(Kind::Docker);
}

#[test]
fn what_a_real_toolhive_wrote_is_imported_and_started_on_podman() {
    written_by_toolhive(Kind::Podman);
}
