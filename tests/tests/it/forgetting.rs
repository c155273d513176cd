//! `rm --forget` and `rm --orphan`: records that are dropped, and resources that are found again in a runtime.
use serde_json::{Value, json};
use std::{fs, io::Write};
use wharf_tests::client::Client;
use wharf_tests::host::{Host, demo_server, eventually, kill, runs};

/// The server that answers there.
fn whoami(host: &Host, name: &str, url: &str) -> i32 {
    assert!(Client::open(url).unwrap().call_tool("whoami", json!({})).is_ok());
    host.server(name)
}

/// Records an owner that no plugin provides, as if its plugin had been removed.
fn rename_runtime(host: &Host, name: &str, runtime: &str) {
    host.change_run_config(name, |config| config["runtime_name"] = json!(runtime));
}

#[test]
fn r08_forgetting_ends_the_supervisor_alone_and_says_what_stays() {
    let host = Host::new();
    let url = host.run(&["--name", "web", "--transport", "streamable-http", &demo_server()]);
    let pid = whoami(&host, "web", &url);
    let (uid, supervisor) =
        (host.record("web")["uid"].clone(), host.record("web")["process_id"].as_i64().unwrap());
    let said: Value = serde_json::from_str(&host.ok(&["rm", "--forget", "web", "--format", "json"])).unwrap();
    assert_eq!(said[0]["result"], "forgotten");
    let left = said[0]["left_behind"].as_str().unwrap();
    assert!(left.contains("(running)"), "{left}");
    let remove = json!([{ "do": "remove_orphan", "runtime": "process", "uid": uid }]);
    assert_eq!(said[0]["advice"], remove, "{said}");
    assert!(!runs(i32::try_from(supervisor).unwrap()), "the supervisor has ended");
    assert!(runs(pid), "the workload was not touched");
    assert!(!host.leftovers().iter().any(|path| path.starts_with("state/")), "{:?}", host.leftovers());
    // The orphan is found wherever its runtime is asked anyway.
    let doctor = host.wharf(&["doctor"]).stdout;
    assert!(doctor.contains(&format!("wharf rm --orphan process/{}", uid.as_str().unwrap())), "{doctor}");
    // The name is free for another workload.
    host.run(&["--name", "web", "--transport", "streamable-http", &demo_server()]);
    assert!(runs(pid));
    kill(pid, "KILL");
}

#[test]
fn r08_forgetting_needs_no_plugin() {
    let host = Host::new();
    let url = host.run(&["--name", "demo", &demo_server()]);
    let pid = whoami(&host, "demo", &url);
    rename_runtime(&host, "demo", "absent");
    assert_eq!(host.wharf(&["rm", "demo"]).code, 5);
    let said = host.ok(&["rm", "--forget", "demo"]);
    assert!(said.contains("cannot be told now"), "{said}");
    // A server on a pipe ends with its supervisor.
    eventually("the server has ended", || !runs(pid));
    host.assert_nothing_runs();
}

#[test]
fn r12_a_supervisor_that_does_not_answer_is_killed_by_its_recorded_identity() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let supervisor = i32::try_from(host.record("demo")["process_id"].as_i64().unwrap()).unwrap();
    kill(supervisor, "STOP");
    host.ok(&["rm", "--forget", "demo"]);
    assert!(!runs(supervisor));
    host.assert_nothing_runs();
}

/// A server with a port that was forgotten: its pid, and `RUNTIME/UID`.
fn orphan(host: &Host) -> (i32, String) {
    let url = host.run(&["--name", "web", "--transport", "streamable-http", &demo_server()]);
    let pid = whoami(host, "web", &url);
    let id = format!("process/{}", host.record("web")["uid"].as_str().unwrap());
    host.ok(&["rm", "--forget", "web"]);
    (pid, id)
}

#[test]
fn r09_an_orphan_is_listed_beside_the_workloads_of_its_runtime_and_removed() {
    let host = Host::new();
    let (pid, id) = orphan(&host);
    let alone = host.row(&id).expect("where no workload names a runtime, all are asked");
    assert_eq!(alone["orphan"], true, "{alone}");
    host.run(&["--name", "demo", &demo_server()]);
    let row = host.row(&id).unwrap();
    assert_eq!((&row["orphan"], &row["status"]), (&json!(true), &json!("unknown")), "{row}");
    assert!(!host.ok(&["list"]).contains(&id), "only with --all");
    assert!(runs(pid));
    assert_eq!(host.ok(&["rm", "--orphan", &id]), format!("{id}: removed\n"));
    assert!(!runs(pid));
    assert!(host.row(&id).is_none());
    assert_eq!(host.row("demo").unwrap()["status"], "running");
    let said = host.wharf(&["rm", "--orphan", &id]);
    assert_eq!(said.code, 3, "{said:?}");
}

#[test]
fn r09_an_orphan_is_found_by_its_uid_alone() {
    let host = Host::new();
    let (pid, id) = orphan(&host);
    host.ok(&["rm", "--orphan", id.strip_prefix("process/").unwrap()]);
    assert!(!runs(pid));
    host.assert_nothing_runs();
}

#[test]
fn r09_what_has_a_runconfig_or_may_have_one_is_no_orphan() {
    let host = Host::new();
    let url = host.run(&["--name", "web", "--transport", "streamable-http", &demo_server()]);
    let pid = whoami(&host, "web", &url);
    let id = format!("process/{}", host.record("web")["uid"].as_str().unwrap());
    let said = host.wharf(&["rm", "--orphan", &id]);
    assert!(said.code == 4 && said.stderr.contains("it is the workload 'web'"), "{said:?}");
    let path = host.path("state/runconfigs/web.json");
    let whole = fs::read(&path).unwrap();
    let overwrite = |bytes: &[u8]| {
        let mut file = fs::OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        file.write_all(bytes).unwrap();
    };
    overwrite(b"{ half a reco");
    let said = host.wharf(&["rm", "--orphan", &id]);
    assert!(said.code == 4 && said.stderr.contains("whose RunConfig cannot be read"), "{said:?}");
    assert!(runs(pid));
    overwrite(&whole);
    assert!(host.list().iter().all(|row| row.get("orphan").is_none()));
}

#[test]
fn r09_a_resource_of_another_host_is_no_orphan_of_ours() {
    let (ours, theirs) = (Host::new(), Host::new());
    ours.run(&["--name", "demo", &demo_server()]);
    let (pid, id) = orphan(&theirs);
    assert!(ours.list().iter().all(|row| row.get("orphan").is_none()));
    assert_eq!(ours.wharf(&["rm", "--orphan", &id]).code, 3);
    assert!(runs(pid));
    theirs.ok(&["rm", "--orphan", &id]);
}
