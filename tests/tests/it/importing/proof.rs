//! The owner of an imported workload: the one engine that shows it, while no other runtime is silent.
use super::{IMAGE, IMAGES, OLD, has_records, host};
use serde_json::json;
use std::process::Stdio;
use wharf_tests::client::Client;
use wharf_tests::engine::{Act, ScriptedEngine, State, foreign, records, toolhives};
use wharf_tests::host::Host;
use wharf_tests::toolhive::{ToolHive, about, digest};

#[test]
fn r07_what_one_engine_alone_has_is_copied_and_stays_as_it_is() {
    let (host, engine) = host();
    let toolhive = ToolHive::of(&host);
    for (name, state) in [("runs", State::Running), ("rests", State::Stopped)] {
        engine.put(&toolhives(name, state, engine.first_name()));
        toolhive.workload(name, IMAGE, &json!({}));
    }
    let before = (toolhive.digest(), engine.objects());
    let reports = toolhive.reports(&[]);
    for (name, state) in [("runs", "running"), ("rests", "stopped")] {
        let report = about(&reports, name);
        assert_eq!(
            (&report["result"], &report["runtime_name"]),
            (&json!("imported"), &json!(IMAGES)),
            "{report}"
        );
        assert_eq!((&report["state"], &report["name"]), (&json!(state), &json!(name)), "{report}");
        let stays = report["stays"].to_string();
        assert_eq!(stays.contains(&format!("thv stop {name}")), state == "running", "{report}");
        assert!(stays.contains("what was written inside"), "{report}");
        let record = host.record(name);
        assert_eq!(
            (&record["status"], &record["desired"]),
            (&json!("stopped"), &json!("stopped")),
            "{record}"
        );
        let config = host.run_config(name);
        assert_eq!(
            (&config["runtime_name"], &config["runtime_instance"]),
            (&json!(IMAGES), &json!(engine.first_name()))
        );
        assert_eq!(config["imported"], json!({ "from": "toolhive", "name": name }));
        assert_eq!(config["created_at"], "2026-03-01T09:00:00.1Z");
        let row = host.row(name).unwrap();
        assert_eq!((&row["status"], row.get("stale")), (&json!("stopped"), None), "{row}");
    }
    let again = toolhive.reports(&[]);
    assert!(again.iter().all(|report| report["result"] == "skipped"), "{again:#?}");
    assert!(host.ok(&["reconcile"]).contains("in order"));
    host.ok(&["rm", "--all"]);
    assert_eq!(
        (toolhive.digest(), engine.objects()),
        before,
        "nothing was started, stopped, removed or written there"
    );
}

#[test]
fn r09_a_copy_is_wharfs_own_and_its_original_is_left_alone() {
    let (host, engine) = host();
    let toolhive = ToolHive::of(&host);
    engine.put(&toolhives("time", State::Running, engine.first_name()));
    toolhive.workload("time", IMAGE, &json!({}));
    toolhive.reports(&[]);
    let [original] = engine.objects().try_into().unwrap();
    host.ok(&["start", "time"]);
    let row = host.row("time").unwrap();
    assert_eq!(row["status"], "running", "{row}");
    assert!(Client::open(row["url"].as_str().unwrap()).is_ok());
    let (theirs, ours): (Vec<_>, Vec<_>) = engine.objects().into_iter().partition(|it| it.uid.is_empty());
    assert_eq!(theirs, std::slice::from_ref(&original));
    let [own] = ours.try_into().unwrap();
    assert_eq!((own.uid.as_str(), own.labels.len()), (row["uid"].as_str().unwrap(), 0), "{own:?}");
    assert_eq!(about(&toolhive.reports(&[]), "time")["result"], "skipped");
    host.ok(&["rm", "time"]);
    assert_eq!(engine.objects(), [original]);
}

#[test]
fn a_record_of_an_earlier_import_is_shown_with_the_way_on() {
    let (host, engine) = host();
    let toolhive = ToolHive::of(&host);
    toolhive.workload("time", IMAGE, &json!({}));
    engine.put(&toolhives("time", State::Running, engine.first_name()));
    toolhive.reports(&[]);
    let [original] = engine.objects().try_into().unwrap();
    // An earlier version left it like this: the original's handle is in both files, and the workload is to run.
    let uid = host.run_config("time")["uid"].clone();
    let handle = json!({ "uid": uid, "version": 2, "data": original.id });
    host.change_run_config("time", |config| config["imported"]["handle"] = handle.clone());
    host.change_record("time", |record| {
        record["handle"] = handle;
        record["status"] = json!("running");
        record["desired"] = json!("running");
    });
    let row = host.row("time").unwrap();
    assert_eq!(row["status"], "unknown", "{row}");
    let way_on = json!([{ "do": "remove", "name": "time" }, { "do": "import_toolhive" }]);
    assert_eq!(row["advice"], way_on, "{row}");
    let before = records(&host);
    let started = host.wharf(&["start", "time"]);
    assert_eq!(started.code, 4, "{started:?}");
    assert!(started.stderr.contains("wharf rm time"), "{started:?}");
    assert!(started.stderr.contains("wharf import toolhive"), "{started:?}");
    assert!(host.ok(&["reconcile"]).contains("left alone"));
    let skipped = about(&toolhive.reports(&[]), "time").clone();
    assert_eq!((&skipped["result"], &skipped["advice"]), (&json!("skipped"), &way_on), "{skipped}");
    assert_eq!(records(&host), before);
    host.ok(&["rm", "time"]);
    assert_eq!(engine.objects(), [original], "it is ToolHive's");
    assert_eq!(about(&toolhive.reports(&[]), "time")["result"], "imported");
    host.ok(&["start", "time"]);
}

#[test]
fn r07_two_claimants_are_ambiguous_and_both_are_named() {
    let (host, engine) = host();
    let toolhive = ToolHive::of(&host);
    toolhive.workload("time", IMAGE, &json!({}));
    let one = toolhives("time", State::Running, engine.first_name());
    engine.put(&one);
    engine.put(&wharf_tests::engine::Object {
        id: "another".to_owned(),
        state: State::Stopped,
        ..one.clone()
    });
    let report = about(&toolhive.reports(&[]), "time").clone();
    assert_eq!(report["result"], "ambiguous", "{report}");
    let reason = report["reason"].as_str().unwrap();
    assert!(reason.contains("another") && reason.contains(&one.id), "{reason}");
    assert!(!has_records(&host));
}

#[test]
fn r07_no_owner_is_recorded_while_another_may_have_it() {
    let (host, engine) = host();
    let toolhive = ToolHive::of(&host);
    toolhive.workload("time", IMAGE, &json!({}));
    engine.put(&toolhives("time", State::Running, engine.first_name()));
    // A runtime of an SDK that cannot search for foreign resources counts as silent, even if it works otherwise.
    let old = ScriptedEngine::new(&host, OLD);
    let report = about(&toolhive.reports(&[]), "time").clone();
    assert_eq!(report["result"], "owner_unknown", "{report}");
    assert!(report["reason"].as_str().unwrap().contains(OLD), "{report}");
    assert!(!has_records(&host));
    old.down();
    assert_eq!(about(&toolhive.reports(&[]), "time")["result"], "owner_unknown");
    old.up();
}

#[test]
fn r07_an_engine_that_is_down_or_tells_half_proves_nothing() {
    let (host, engine) = host();
    let toolhive = ToolHive::of(&host);
    toolhive.workload("time", IMAGE, &json!({}));
    engine.put(&toolhives("time", State::Running, engine.first_name()));
    engine.down();
    assert_eq!(about(&toolhive.reports(&[]), "time")["result"], "owner_unknown");
    engine.up();
    engine.order("discover", Act::Incomplete);
    assert_eq!(about(&toolhive.reports(&[]), "time")["result"], "owner_unknown");
    engine.behave();
    assert!(!has_records(&host));
    assert_eq!(about(&toolhive.reports(&[]), "time")["result"], "imported");
}

#[test]
fn r07_what_no_engine_has_is_left() {
    let (host, engine) = host();
    let toolhive = ToolHive::of(&host);
    toolhive.workload("time", IMAGE, &json!({}));
    // A helper container, and one without a record: neither is a workload.
    let mut helper = toolhives("time", State::Running, engine.first_name());
    helper.labels.insert("toolhive-auxiliary-workload".to_owned(), "true".to_owned());
    engine.put(&helper);
    engine.put(&toolhives("gone", State::Running, engine.first_name()));
    let reports = toolhive.reports(&[]);
    assert_eq!(about(&reports, "time")["result"], "owner_unknown", "{reports:#?}");
    assert_eq!(about(&reports, "gone")["result"], "left_alone", "{reports:#?}");
    assert!(!has_records(&host));
}

#[test]
fn r09_what_a_host_of_wharf_has_labelled_is_not_imported() {
    let (host, engine) = host();
    let toolhive = ToolHive::of(&host);
    toolhive.workload("time", IMAGE, &json!({}));
    let ours = foreign("time", &"1".repeat(32), "another host", engine.first_name());
    engine.put(&wharf_tests::engine::Object { labels: toolhives("time", State::Running, "").labels, ..ours });
    assert_eq!(about(&toolhive.reports(&[]), "time")["result"], "owner_unknown");
}

#[test]
fn r05_a_rehearsal_writes_nothing() {
    let (host, engine) = host();
    let toolhive = ToolHive::of(&host);
    toolhive.workload("time", IMAGE, &json!({}));
    engine.put(&toolhives("time", State::Running, engine.first_name()));
    let folders = [host.path("state"), host.path("config"), host.path("xdg-state"), host.path("xdg-data")];
    let before = digest(&folders);
    let report = about(&toolhive.reports(&["--dry-run"]), "time").clone();
    assert_eq!((&report["result"], &report["name"]), (&json!("would_import"), &json!("time")), "{report}");
    assert_eq!(digest(&folders), before);
    assert!(!host.path("state/host-id").exists());
}

#[test]
fn r01_of_several_imports_at_once_one_takes_each_workload() {
    let (host, engine) = host();
    let toolhive = ToolHive::of(&host);
    for name in ["time", "Time.Server", "web"] {
        toolhive.workload(name, IMAGE, &json!({}));
        engine.put(&toolhives(name, State::Running, engine.first_name()));
    }
    let racing: Vec<_> = (0..8)
        .map(|_| {
            let mut command = host.command(&["import", "toolhive", "--format", "json"]);
            let command = ToolHive::shown_to(&host, &mut command);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut imported = 0;
    for child in racing {
        let output = child.wait_with_output().unwrap();
        let reports: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        imported += reports.iter().filter(|report| report["result"] == "imported").count();
    }
    assert_eq!(imported, 3);
    let mut names: Vec<_> = host.list().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["time", "time-server", "web"]);
}

#[test]
fn a_port_that_the_original_holds_is_told_with_the_way_to_free_it() {
    let (host, engine) = host();
    let toolhive = ToolHive::of(&host);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    toolhive.workload("time", IMAGE, &json!({ "port": port }));
    engine.put(&toolhives("time", State::Running, engine.first_name()));
    toolhive.reports(&[]);
    let before = engine.objects();
    let said = host.wharf(&["start", "time"]);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.stderr.contains("thv stop time") && said.stderr.contains(&port.to_string()), "{said:?}");
    assert_eq!(engine.objects(), before);
    drop(taken);
    host.ok(&["start", "time"]);
    assert!(Client::open(&format!("http://127.0.0.1:{port}/mcp")).is_ok());
}

#[test]
fn a_copy_that_its_runtime_refuses_leaves_the_original_alone() {
    let (host, engine) = host();
    let toolhive = ToolHive::of(&host);
    toolhive.workload("time", IMAGE, &json!({ "volumes": ["/tmp:/data"] }));
    engine.put(&toolhives("time", State::Running, engine.first_name()));
    let report = about(&toolhive.reports(&[]), "time").clone();
    assert!(report["changed"].to_string().contains("volumes: "), "{report}");
    let before = engine.objects();
    let said = host.wharf(&["start", "time"]);
    assert!(said.code != 0 && said.stderr.contains("mounts"), "{said:?}");
    assert_eq!(engine.objects(), before);
}

#[test]
fn an_old_plugin_is_not_asked_for_what_it_does_not_know() {
    let host = Host::new();
    let old = ScriptedEngine::new(&host, OLD);
    host.run(&["--runtime", OLD, "--name", "kept", IMAGE]);
    assert_eq!(host.row("kept").unwrap()["status"], "running");
    host.ok(&["stop", "kept"]);
    assert_eq!(old.count("discover"), 0);
}
