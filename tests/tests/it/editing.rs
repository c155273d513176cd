//! `wharf edit`: what a workload is changes, or stays as it was.
use serde_json::{Value, json};
use wharf_tests::client::Client;
use wharf_tests::host::{Host, Said, demo_server, eventually};

/// The value of a variable of its server.
fn variable(host: &Host, name: &str, key: &str) -> String {
    let url = host.ok(&["url", name]);
    let mut client = Client::open(url.trim()).unwrap();
    client.call_tool("environment", json!({ "name": key })).unwrap()
}

/// What is each edit's own business to change.
fn described(host: &Host, name: &str) -> Value {
    let mut config = host.run_config(name);
    config.as_object_mut().unwrap().retain(|key, _| key != "pinned");
    config
}

fn edit(host: &Host, name: &str, options: &[&str]) -> Said {
    host.wharf(&[&["edit", name, "--format", "json"][..], options].concat())
}

fn result(said: &Said) -> String {
    assert_eq!(said.code, 0, "{said:?}");
    serde_json::from_str::<Value>(&said.stdout).unwrap()["result"].as_str().unwrap().to_owned()
}

#[test]
fn a_workload_is_changed_and_keeps_its_uid_its_url_and_everything_that_is_not_named() {
    let host = Host::new();
    let url =
        host.run(&["--name", "demo", "-e", "KEEP=1", "-e", "LEVEL=info", "-l", "team=a", &demo_server()]);
    let (before, server) = (described(&host, "demo"), host.server("demo"));
    let edited = edit(
        &host,
        "demo",
        &["-e", "LEVEL=debug", "-l", "team=b", "--group", "tools", "--", "--linger", "0"],
    );
    assert_eq!(result(&edited), "restarted");
    let mut expected = before.clone();
    expected["env_vars"]["LEVEL"] = json!("debug");
    expected["labels"]["team"] = json!("b");
    expected["group"] = json!("tools");
    expected["cmd_args"] = json!(["--linger", "0"]);
    assert_eq!(described(&host, "demo"), expected);
    assert_eq!((host.ok(&["url", "demo"]).trim(), host.server("demo") == server), (url.as_str(), false));
    assert_eq!(
        (variable(&host, "demo", "LEVEL").as_str(), variable(&host, "demo", "KEEP").as_str()),
        ("debug", "1")
    );
    // What it is already is no reason to restart it.
    let server = host.server("demo");
    assert_eq!(result(&edit(&host, "demo", &["-e", "LEVEL=debug"])), "unchanged");
    assert_eq!(host.server("demo"), server);
    assert_eq!(
        result(&edit(&host, "demo", &["--unset", "KEEP", "--clear", "args", "--clear", "labels"])),
        "restarted"
    );
    let config = host.run_config("demo");
    assert!(config.get("cmd_args").is_none() && config.get("labels").is_none(), "{config}");
    assert_eq!(config["env_vars"], json!({ "LEVEL": "debug" }));
}

#[test]
fn what_is_wrong_is_refused_while_the_workload_runs_on() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let (before, server) = (host.run_config("demo"), host.server("demo"));
    for (code, options) in [
        (2, &["--unset", "NOBODYS"][..]),
        (2, &["--host", "0.0.0.0"]),
        (2, &["--host", "nonsense"]),
        (2, &["--target-port", "9000"]),
        (2, &["--transport", "sse"]),
        (2, &["--permission-profile", "/nowhere"]),
        (2, &["--server", ""]),
        (2, &["--server", "https://example.org/mcp"]),
        (2, &["--secret", "nobodys,target=X"]),
    ] {
        let said = edit(&host, "demo", options);
        assert_eq!(said.code, code, "{options:?}: {said:?}");
        assert_eq!((host.run_config("demo"), host.server("demo")), (before.clone(), server), "{options:?}");
    }
    assert_eq!(edit(&host, "nobody", &["-e", "A=b"]).code, 3);
}

#[test]
fn options_of_containers_are_refused_by_name_where_a_runtime_has_none_and_the_workload_runs_on() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let (before, server) = (host.run_config("demo"), host.server("demo"));
    for option in [
        &["--ulimit", "nofile=10"][..],
        &["--cap-add", "SETUID"],
        &["--network", "none"],
        &["--add-host", "db:10.0.0.1"],
        &["--entrypoint", "/bin/sh"],
        &["--platform", "linux/amd64"],
        &["--shm-size", "1m"],
        &["--tmpfs", "/tmp"],
        &["--no-init"],
    ] {
        let said = edit(&host, "demo", option);
        assert!(said.code == 2 && said.stderr.contains(option[0]), "{option:?}: {said:?}");
        assert_eq!((host.run_config("demo"), host.server("demo")), (before.clone(), server), "{option:?}");
    }
    assert_eq!(result(&edit(&host, "demo", &["--stop-timeout", "1.5"])), "restarted");
    assert_eq!(host.run_config("demo")["stop_timeout_ms"], 1500);
    assert_eq!(result(&edit(&host, "demo", &["--clear", "stop-timeout"])), "restarted");
    assert_eq!(host.run_config("demo").get("stop_timeout_ms"), None);
}

#[test]
fn an_edit_whose_server_does_not_get_ready_is_undone() {
    let host = Host::new();
    let url = host.run(&["--name", "demo", "-e", "A=b", &demo_server()]);
    let before = host.run_config("demo");
    let broken = host.script("broken", "exit 3");
    let said = edit(&host, "demo", &["--server", &broken, "-e", "A=c"]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.stderr.contains("the edit of 'demo' is undone, and it runs as before"), "{said:?}");
    assert_eq!(host.run_config("demo"), before);
    assert_eq!(host.row("demo").unwrap()["status"], "running");
    assert_eq!(host.ok(&["url", "demo"]).trim(), url);
    assert_eq!(variable(&host, "demo", "A"), "b");
}

#[test]
fn a_workload_that_is_not_to_run_is_changed_and_stays_stopped() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    host.ok(&["stop", "demo"]);
    assert_eq!(result(&edit(&host, "demo", &["-e", "A=b"])), "recorded");
    assert_eq!(host.row("demo").unwrap()["status"], "stopped");
    assert!(host.run_config("demo").get("previous").is_none());
    host.ok(&["start", "demo"]);
    assert_eq!(variable(&host, "demo", "A"), "b");
}

#[test]
fn one_that_failed_is_mended_by_an_edit_and_one_that_cannot_be_stays_as_it_was_changed() {
    let host = Host::new();
    let script = host.script("server", "[ \"$MODE\" = good ] || exit 3\nexec wharf-demo-server");
    host.run(&["--name", "demo", "--restart", "no", "-e", "MODE=good", &script]);
    host.ok(&["stop", "demo"]);
    edit(&host, "demo", &["-e", "MODE=bad"]);
    assert_eq!(host.wharf(&["start", "demo"]).code, 6);
    assert_eq!(host.row("demo").unwrap()["status"], "error");
    // There is nothing to go back to.
    assert_eq!(edit(&host, "demo", &["-e", "MODE=worse"]).code, 6);
    assert_eq!(host.run_config("demo")["env_vars"]["MODE"], "worse");
    assert_eq!(result(&edit(&host, "demo", &["-e", "MODE=good"])), "restarted");
    assert_eq!(variable(&host, "demo", "MODE"), "good");
}

/// An edit whose process is killed there.
fn edit_killed_at(host: &Host, point: &str, options: &[&str]) {
    let mark = host.path("killed");
    let mut command = host.command(&[&["edit", "demo"][..], options].concat());
    command.env("WHARF_FAILPOINT", format!("{point}=kill:{}", mark.display()));
    let said = Said::of(&command.output().unwrap());
    assert!(mark.exists(), "{point}: nobody was there: {said:?}");
    std::fs::remove_file(mark).unwrap();
}

#[test]
fn r11_an_edit_that_is_cut_off_is_undone_by_the_next_start_and_by_reconciliation() {
    for next in [&["start", "demo"][..], &["reconcile"], &["restart", "demo"], &["edit", "demo", "-l", "a=b"]]
    {
        let host = Host::new();
        host.run(&["--name", "demo", "-e", "A=b", &demo_server()]);
        edit_killed_at(&host, "command/edit.recorded", &["-e", "A=c"]);
        let config = host.run_config("demo");
        assert_eq!(
            (&config["env_vars"]["A"], &config["previous"]["env_vars"]["A"]),
            (&json!("c"), &json!("b"))
        );
        assert!(!host.ok(&["export", "demo"]).contains("previous"), "what it was is no part of what it is");
        host.ok(next);
        assert!(host.run_config("demo").get("previous").is_none(), "{next:?}");
        assert_eq!(variable(&host, "demo", "A"), "b", "{next:?}");
    }
}

#[test]
fn r11_an_edit_that_was_ready_is_kept_whoever_dies() {
    for next in [&["reconcile"][..], &["restart", "demo"], &["stop", "demo"]] {
        let host = Host::new();
        host.run(&["--name", "demo", "-e", "A=b", &demo_server()]);
        edit_killed_at(&host, "supervisor/ready-record.after", &["-e", "A=c"]);
        host.wharf(next);
        let _ = host.wharf(&["start", "demo"]);
        eventually("it runs", || host.row("demo").is_some_and(|row| row["status"] == "running"));
        assert!(host.run_config("demo").get("previous").is_none(), "{next:?}");
        assert_eq!(variable(&host, "demo", "A"), "c", "{next:?}");
    }
}

#[test]
fn r11_an_http_server_of_an_edit_that_is_undone_is_not_taken_for_the_one_from_before() {
    let host = Host::new();
    host.run(&["--name", "demo", "--transport", "streamable-http", "-e", "A=b", &demo_server()]);
    // The new server runs, and nobody has said that it is ready.
    edit_killed_at(&host, "supervisor/ready-record.before", &["-e", "A=c"]);
    let _ = host.wharf(&["start", "demo"]);
    eventually("it runs", || host.row("demo").is_some_and(|row| row["status"] == "running"));
    assert_eq!(host.run_config("demo")["env_vars"]["A"], "b");
    assert_eq!(variable(&host, "demo", "A"), "b");
}

#[test]
fn r11_a_disk_that_takes_no_edit_leaves_the_workload_running_as_before() {
    let host = Host::new();
    host.run(&["--name", "demo", "-e", "A=b", &demo_server()]);
    let before = host.run_config("demo");
    let failed = |point: &str| {
        let mut command = host.command(&["edit", "demo", "-e", "A=c"]);
        command.env("WHARF_FAILPOINT", format!("command/{point}=error=ENOSPC"));
        Said::of(&command.output().unwrap())
    };
    // The first two renames record the stop, the third is the RunConfig's.
    let said = failed("rename.before:3");
    assert_ne!(said.code, 0, "{said:?}");
    assert_eq!(host.run_config("demo"), before);
    let _ = host.wharf(&["start", "demo"]);
    assert_eq!(variable(&host, "demo", "A"), "b");
}

#[test]
fn a_name_that_the_workload_has_exchanged_is_not_accepted_by_an_edit() {
    let host = Host::new();
    let profile = host.path("profile.json");
    let data = host.work().join("data");
    std::fs::create_dir(&data).unwrap();
    let text = json!({ "read": [data.display().to_string()] }).to_string();
    std::io::Write::write_all(&mut std::fs::File::create(&profile).unwrap(), text.as_bytes()).unwrap();
    let profile = profile.display().to_string();
    host.run(&["--name", "demo", "--permission-profile", &profile, "--allow-weaker", &demo_server()]);
    host.ok(&["stop", "demo"]);
    std::fs::rename(&data, host.work().join("moved")).unwrap();
    std::os::unix::fs::symlink("/etc", &data).unwrap();
    let before = host.run_config("demo");
    let said = edit(&host, "demo", &["-e", "A=b"]);
    assert_ne!(said.code, 0, "{said:?}");
    assert_eq!(host.run_config("demo"), before);
}
