//! `adopt`: owners are proven, or named by hand.
use serde_json::{Value, json};
use std::{fs, io::Write, path::Path, process::Stdio};
use wharf_tests::client::Client;
use wharf_tests::engine::{ScriptedEngine, SideBySide, foreign, records};
use wharf_tests::host::{Host, demo_server};

#[test]
fn r07_a_workload_that_one_runtime_alone_shows_is_adopted_and_nothing_else_in_its_file_changes() {
    for nothing in [None, Some(json!("")), Some(json!("  ")), Some(json!(7)), Some(Value::Null)] {
        let host = Host::new();
        let url = host.run(&["--name", "web", "--transport", "streamable-http", &demo_server()]);
        host.change_run_config("web", |config| config["of_a_later_version"] = json!([1, 2]));
        let before = host.run_config("web");
        host.change_run_config("web", |config| {
            let fields = config.as_object_mut().unwrap();
            for key in ["runtime_name", "runtime_instance", "runtime_endpoint"] {
                fields.remove(key);
            }
            fields.extend(nothing.clone().map(|nothing| ("runtime_name".to_owned(), nothing)));
        });
        let row = host.row("web").unwrap();
        assert_eq!(row["status"], "unknown", "{row}");
        assert!(row["status_context"].as_str().unwrap().contains("owner unknown"), "{row}");
        assert_eq!(host.wharf(&["stop", "web"]).code, 5);
        host.ok(&["adopt", "web"]);
        assert_eq!(host.run_config("web"), before);
        assert_eq!(host.row("web").unwrap()["status"], "running");
        assert!(Client::open(&url).is_ok());
    }
}

#[test]
fn r07_what_no_runtime_shows_is_not_adopted_on_proof_and_can_be_by_hand() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let owned = host.run_config("demo");
    host.ok(&["rm", "demo"]);
    let path = host.path("state/runconfigs/demo.json");
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path).unwrap();
    file.write_all(owned.to_string().as_bytes()).unwrap();
    host.change_run_config("demo", |config| config["runtime_name"] = json!(""));
    let said = host.wharf(&["adopt", "demo"]);
    assert!(said.code == 3 && said.stderr.contains("no runtime has anything of it"), "{said:?}");
    assert_eq!(host.run_config("demo")["runtime_name"], "");
    host.ok(&["adopt", "demo", "--runtime", "process"]);
    assert_eq!(host.run_config("demo"), owned);
}

/// Podman can have workloads without a running service: a program that is installed does not prove that there are none.
#[test]
fn r07_nothing_is_adopted_while_an_engine_is_installed_that_serves_nobody() {
    let host = Host::new();
    host.add_plugin("docker");
    host.run(&["--runtime", "process", "--name", "web", &demo_server()]);
    host.change_run_config("web", |config| config["runtime_name"] = json!(""));
    let before = host.run_config("web");
    host.install_engine("podman");
    for args in [&["adopt", "web"][..], &["reconcile"]] {
        let said = host.wharf(args);
        let told = format!("{}{}", said.stdout, said.stderr);
        assert!(told.contains("Podman is installed, but serves nobody"), "{args:?}: {said:?}");
        assert_eq!(host.run_config("web"), before, "{args:?}");
    }
    host.ok(&["adopt", "web", "--runtime", "process"]);
    assert_eq!(host.row("web").unwrap()["status"], "running");
}

#[test]
fn r07_an_owner_moves_to_another_instance_only_when_both_were_shown() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let before = host.run_config("demo");
    host.change_run_config("demo", |config| config["runtime_instance"] = json!("the engine before"));
    assert_eq!(host.wharf(&["stop", "demo"]).code, 5);
    let said = host.wharf(&["adopt", "demo", "--runtime", "process"]);
    let instance = before["runtime_instance"].as_str().unwrap();
    assert!(said.code == 4, "{said:?}");
    assert!(said.stderr.contains("the engine before") && said.stderr.contains(instance), "{said:?}");
    assert_eq!(host.run_config("demo")["runtime_instance"], "the engine before");
    let text = host.ok(&["adopt", "demo", "--runtime", "process", "--rebind", "--format", "json"]);
    let adopted: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(adopted["previous_instance"], "the engine before");
    assert_eq!(host.run_config("demo"), before);
    assert_eq!(host.row("demo").unwrap()["status"], "running");
}

/// Situation: an engine gets another endpoint, and the supervisor keeps its connection to the former one, at which nobody
/// answers. Conclusion: it is replaced; and if the command died before that, by the same command again.
#[test]
fn r07_a_supervisor_at_the_former_endpoint_is_replaced_when_the_owner_moves() {
    let host = Host::new();
    let engine = ScriptedEngine::new(&host, "scripted-one");
    let (former, present) = (host.path("former"), host.path("present"));
    let point_at = |endpoint: &Path| {
        let text = fs::read(host.path("config/config.json")).unwrap();
        let mut settings: Value = serde_json::from_slice(&text).unwrap();
        settings["runtimes"]["scripted-one"]["engine"] = json!(endpoint);
        host.configure(&settings);
    };
    std::os::unix::fs::symlink(host.path("engine-scripted-one"), &former).unwrap();
    point_at(&former);
    host.run(&["--runtime", "scripted-one", "--name", "one", "sh"]);
    let supervisor = || host.record("one")["process_id"].clone();
    let first = supervisor();
    fs::rename(&former, &present).unwrap();
    point_at(&present);
    assert_eq!(host.wharf(&["stop", "one"]).code, 5);
    let moves = ["adopt", "one", "--runtime", "scripted-one", "--rebind", "--format", "json"];
    let killed = "command/record-owner.after=kill";
    let died = host.command(&moves).env("WHARF_FAILPOINT", killed).output().unwrap();
    assert!(!died.status.success(), "{died:?}");
    assert_eq!(host.run_config("one")["runtime_endpoint"], json!(present));
    assert_eq!(supervisor(), first);
    let adopted: Value = serde_json::from_str(&host.ok(&moves)).unwrap();
    assert_eq!(adopted["restarted"], true, "{adopted}");
    assert_ne!(supervisor(), first);
    let row = host.row("one").unwrap();
    assert!(row["status"] == "running" && row["stale"] != true, "{row}");
    host.ok(&["restart", "one"]);
    host.ok(&["stop", "one"]);
    host.ok(&["rm", "one"]);
    assert!(engine.named("one").is_empty());
}

/// A workload of `scripted-one` whose RunConfig has lost its owner, and the file of before.
fn lost(side: &SideBySide) -> Value {
    let owned = side.host.run_config("one");
    side.host.change_run_config("one", |config| {
        let fields = config.as_object_mut().unwrap();
        fields.retain(|key, _| !key.starts_with("runtime_"));
        fields.insert("container_name".to_owned(), json!("of a later version"));
    });
    owned
}

/// The report of `reconcile` about `one`: the result and the reason.
fn reconciled(host: &Host) -> (String, String) {
    let reports: Vec<Value> = serde_json::from_str(&host.reconcile(&["one", "--format", "json"])).unwrap();
    let text = |key: &str| reports[0][key].as_str().unwrap_or_default().to_owned();
    (text("result"), text("reason"))
}

/// The object of another engine that claims to be of the same workload.
fn claim_by_the_other(side: &SideBySide) {
    let object = side.object();
    side.two.put(&foreign("one", &object.uid, &object.host_id, side.two.first_name()));
}

#[test]
fn r07_reconcile_adopts_what_runs_with_its_proxy_and_list_only_says_so() {
    let side = SideBySide::new();
    let mut expected = lost(&side);
    expected["container_name"] = json!("of a later version");
    let before = records(&side.host);
    let row = side.host.row("one").unwrap();
    let context = row["status_context"].as_str().unwrap();
    assert!(context.contains("'scripted-one'"), "{row}");
    assert_eq!(row["advice"], json!([{ "do": "adopt", "name": "one" }]), "{row}");
    assert_eq!(records(&side.host), before);
    assert_eq!(reconciled(&side.host).0, "adopted");
    assert_eq!(side.host.run_config("one"), expected);
    side.assert_heals();
    assert_eq!(reconciled(&side.host).0, "in_order");
}

#[test]
fn r07_two_claimants_are_ambiguous_and_nothing_is_stamped() {
    let side = SideBySide::new();
    let owned = lost(&side);
    claim_by_the_other(&side);
    let before = records(&side.host);
    let (result, reason) = reconciled(&side.host);
    assert_eq!(result, "ambiguous");
    assert!(reason.contains("'scripted-one'") && reason.contains("'scripted-two'"), "{reason}");
    assert_eq!(side.host.wharf(&["adopt", "one"]).code, 4);
    assert_eq!(records(&side.host), before);
    side.host.change_run_config("one", |config| *config = owned);
}

#[test]
fn r07_another_claimant_is_not_believed_while_the_true_owner_is_down() {
    let side = SideBySide::new();
    let owned = lost(&side);
    claim_by_the_other(&side);
    side.one.down();
    let before = records(&side.host);
    let (result, reason) = reconciled(&side.host);
    assert!(result == "owner_unknown" && reason.contains("'scripted-one'"), "{result}: {reason}");
    assert_eq!(side.host.wharf(&["adopt", "one"]).code, 5);
    assert_eq!(records(&side.host), before);
    side.one.up();
    side.host.change_run_config("one", |config| *config = owned);
}

#[test]
fn r07_another_instance_in_the_place_of_one_that_is_named_is_no_answer() {
    let side = SideBySide::new();
    let owned = lost(&side);
    side.two.instance("a second engine");
    let (result, reason) = reconciled(&side.host);
    assert!(result == "owner_unknown" && reason.contains(side.two.first_name()), "{result}: {reason}");
    side.two.first_instance();
    side.host.change_run_config("one", |config| *config = owned);
}

#[test]
fn r07_a_file_of_toolhive_is_shown_and_left_as_it_is_while_nobody_has_it() {
    let side = SideBySide::new();
    let put = |path: &str, text: Value| {
        fs::File::create_new(side.host.path(path)).unwrap().write_all(text.to_string().as_bytes()).unwrap();
    };
    for (name, transport) in [("time", "stdio"), ("board", "inspector"), ("old", "sse")] {
        put(
            &format!("state/runconfigs/{name}.json"),
            json!({"schema_version": "v0.1.0", "image": "example/time:1", "name": name, "port": 21396,
                "transport": transport, "host": "127.0.0.1", "permission_profile": {}, "base_name": name}),
        );
        put(
            &format!("state/statuses/{name}.json"),
            json!({"status": "unhealthy", "status_context": "it was", "process_id": 1,
                "created_at": "2026-03-01T10:00:00.1+01:00", "updated_at": "2026-03-01T10:00:09.4+01:00"}),
        );
    }
    let before = records(&side.host);
    for name in ["time", "board", "old"] {
        let row = side.host.row(name).unwrap();
        assert!(row["status_context"].as_str().unwrap().contains("no runtime has anything of it"), "{row}");
        let said = side.host.reconcile(&[name]);
        assert!(said.starts_with(&format!("{name}: owner unknown: ")), "{said}");
    }
    side.assert_fresh(&["one", "plain", "two"]);
    assert_eq!(records(&side.host), before);
    for name in ["time", "board", "old"] {
        side.host.ok(&["rm", "--forget", name]);
    }
}

#[test]
fn r07_of_twenty_racing_commands_one_records_the_owner() {
    let side = SideBySide::new();
    let mut expected = lost(&side);
    expected["container_name"] = json!("of a later version");
    let racing: Vec<_> = (0..20)
        .map(|number| {
            let arguments: &[&str] = if number % 2 == 0 { &["reconcile", "one"] } else { &["adopt", "one"] };
            let mut command = side.host.command(arguments);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let said = racing.into_iter().map(|child| child.wait_with_output().unwrap());
    let adopted = said.filter(|said| {
        let text = String::from_utf8_lossy(&said.stdout);
        text.starts_with("one: adopted") || text.starts_with("one: belongs to")
    });
    assert_eq!(adopted.count(), 1);
    assert_eq!(side.host.run_config("one"), expected);
    side.assert_heals();
}
