//! `reconcile` with real processes.
use serde_json::{Value, json};
use std::{fs, io::Write, path::Path, process::Stdio};
use wharf_tests::client::Client;
use wharf_tests::host::{Host, demo_server, eventually, kill, runs};

fn overwrite(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().write(true).truncate(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Changes a record behind the back of its host, as a crash or a reboot would.
fn rewrite(host: &Host, name: &str, change: impl FnOnce(&mut Value)) {
    let mut record = host.record(name);
    change(&mut record);
    overwrite(&host.path(&format!("state/statuses/{name}.json")), &record.to_string());
}

fn change_config(host: &Host, name: &str, key: &str, value: &str) {
    host.change_run_config(name, |config| config[key] = json!(value));
}

fn reconcile(host: &Host) -> Vec<(String, String)> {
    let reports: Vec<Value> = serde_json::from_str(&host.ok(&["reconcile", "--format", "json"])).unwrap();
    let text = |report: &Value, key: &str| report[key].as_str().unwrap().to_owned();
    reports.iter().map(|report| (text(report, "name"), text(report, "result"))).collect()
}

fn done(name: &str, result: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), result.to_owned())]
}

fn supervisor(host: &Host, name: &str) -> i32 {
    i32::try_from(host.record(name)["process_id"].as_i64().unwrap()).unwrap()
}

/// The server that answers there.
fn whoami(host: &Host, name: &str, url: &str) -> i32 {
    assert!(Client::open(url).unwrap().call_tool("whoami", json!({})).is_ok());
    host.server(name)
}

/// Kills the supervisor of a server on a pipe, which ends both.
fn kill_supervisor(host: &Host, name: &str) {
    kill(supervisor(host, name), "KILL");
    host.assert_nothing_runs();
}

#[test]
fn r06_what_should_run_and_does_not_is_started_and_what_is_in_order_stays() {
    let host = Host::new();
    let url = host.run(&["--name", "demo", &demo_server()]);
    assert_eq!(reconcile(&host), done("demo", "in_order"));
    kill_supervisor(&host, "demo");
    assert_eq!(reconcile(&host), done("demo", "started"));
    assert_eq!(host.row("demo").unwrap()["status"], "running");
    assert!(Client::open(&url).is_ok());
    let before = host.record("demo");
    assert_eq!(reconcile(&host), done("demo", "in_order"));
    assert_eq!(host.record("demo"), before, "what is in order is not written");
    host.ok(&["stop", "demo"]);
    assert_eq!(reconcile(&host), done("demo", "in_order"));
    assert_eq!(host.row("demo").unwrap()["status"], "stopped");
}

#[test]
fn r06_a_server_with_a_port_gets_its_proxy_back_and_goes_on() {
    let host = Host::new();
    let arguments = ["--name", "web", "--restart", "no", "--transport", "streamable-http"];
    let url = host.run(&[&arguments[..], &[&demo_server()]].concat());
    let pid = whoami(&host, "web", &url);
    let supervisor = supervisor(&host, "web");
    kill(supervisor, "KILL");
    eventually("the supervisor is gone", || !runs(supervisor));
    assert_eq!(reconcile(&host), done("web", "started"));
    assert_eq!(whoami(&host, "web", &url), pid, "it is the same process");
}

#[test]
fn r06_an_exit_that_nobody_saw_is_recorded_where_the_policy_is_not_to_restart() {
    let host = Host::new();
    host.run(&["--name", "once", "--restart", "no", &demo_server()]);
    kill_supervisor(&host, "once");
    assert_eq!(host.record("once")["status"], "running", "nobody recorded it");
    assert_eq!(reconcile(&host), done("once", "recorded"));
    let record = host.record("once");
    assert!(record["last_exit"].is_object() && record.get("process_id").is_none(), "{record}");
    assert!(["error", "stopped"].contains(&record["status"].as_str().unwrap()), "{record}");
    host.assert_nothing_runs();
}

#[test]
fn r06_after_a_reboot_what_is_wanted_is_brought_back() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    kill_supervisor(&host, "demo");
    rewrite(&host, "demo", |record| record["supervisor"]["boot_id"] = json!("an earlier boot"));
    assert_eq!(host.row("demo").unwrap()["status"], "stopped");
    let said = host.ok(&["reconcile", "demo"]);
    assert!(said.starts_with("demo: started: "), "{said}");
    assert_eq!(host.row("demo").unwrap()["status"], "running");
}

#[test]
fn r11_interrupted_commands_are_finished() {
    for (phase, desired, result) in [
        ("starting", "running", "started"),
        ("starting", "stopped", "stopped"),
        ("stopping", "stopped", "stopped"),
        ("removing", "stopped", "removed"),
    ] {
        let host = Host::new();
        host.run(&["--name", "demo", &demo_server()]);
        kill_supervisor(&host, "demo");
        rewrite(&host, "demo", |record| {
            record["status"] = json!(phase);
            record["desired"] = json!(desired);
        });
        assert_eq!(host.row("demo").unwrap()["status"], "interrupted");
        assert_eq!(reconcile(&host), done("demo", result), "{phase}");
        match result {
            "started" => assert_eq!(host.row("demo").unwrap()["status"], "running"),
            "stopped" => assert_eq!(host.row("demo").unwrap()["status"], "stopped"),
            _ => assert_eq!(host.leftovers(), Vec::<String>::new()),
        }
    }
}

#[test]
fn r06_what_runs_and_should_not_is_ended() {
    let host = Host::new();
    let url = host.run(&["--name", "web", "--transport", "streamable-http", &demo_server()]);
    let (pid, supervisor) = (whoami(&host, "web", &url), supervisor(&host, "web"));
    kill(supervisor, "KILL");
    eventually("the supervisor is gone", || !runs(supervisor));
    rewrite(&host, "web", |record| {
        record["status"] = json!("stopped");
        record["desired"] = json!("stopped");
    });
    assert_eq!(reconcile(&host), done("web", "stopped"));
    assert!(!runs(pid));
    host.assert_nothing_runs();
}

#[test]
fn r04_without_its_plugin_a_workload_is_left_as_it_is() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    kill_supervisor(&host, "demo");
    let before = host.record("demo");
    change_config(&host, "demo", "runtime_name", "absent");
    let said = host.reconcile(&[]);
    assert!(said.starts_with("demo: left alone: no plugin provides"), "{said}");
    assert_eq!(host.record("demo"), before);
    host.ok(&["rm", "--forget", "demo"]);
}

#[test]
fn r04_another_instance_at_the_endpoint_is_no_evidence() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    kill_supervisor(&host, "demo");
    change_config(&host, "demo", "runtime_instance", "another machine");
    let before = host.record("demo");
    let said = host.reconcile(&[]);
    assert!(said.contains("left alone: another instance") && said.contains("another machine"), "{said}");
    assert_eq!(host.record("demo"), before);
    host.ok(&["rm", "--forget", "demo"]);
}

#[test]
fn r06_a_workload_that_is_being_started_is_left_to_its_command() {
    let host = Host::new();
    let server = host.script("slow", "exec sleep 1000");
    let mut run = host.command(&["run", "--name", "slow", &server]).stderr(Stdio::null()).spawn().unwrap();
    eventually("it is starting", || host.row("slow").is_some_and(|row| row["status"] == "starting"));
    assert_eq!(reconcile(&host), done("slow", "left_alone"));
    run.kill().unwrap();
    run.wait().unwrap();
    host.assert_nothing_runs();
}

#[test]
fn r06_a_start_that_fails_is_told_and_the_gravest_failure_decides() {
    let host = Host::new();
    let broken = host.work().join("broken");
    let text = format!("[ -e {} ] && exit 9; exec {}", broken.display(), demo_server());
    let server = host.script("fragile", &text);
    host.run(&["--name", "fragile", &server]);
    kill_supervisor(&host, "fragile");
    fs::File::create(&broken).unwrap();
    let said = host.wharf(&["reconcile"]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.stderr.contains("'fragile'") && said.stderr.contains("code 9"), "{said:?}");
    assert_eq!(host.record("fragile")["status"], "error");
    assert_eq!(reconcile(&host), done("fragile", "left_alone"), "only a command starts it again");
}
