//! Plain processes end whole, and are found again.
use serde_json::json;
use std::fs;
use wharf_tests::client::Client;
use wharf_tests::host::{Host, Said, demo_server, eventually, has_tool, kill, runs};

#[test]
fn children_that_detached_themselves_end_with_their_workload() {
    let host = Host::new();
    let children = host.work().join("children");
    let text = format!(
        "setsid sleep 1000 & echo $! >> {0}; (setsid sh -c 'echo $$ >> {0}; exec sleep 1000' &) ; sleep 1000 & echo $! >> {0}; exec {1}",
        children.display(),
        demo_server()
    );
    let server = host.script("family", &text);
    host.run(&["--name", "family", &server]);
    let read = || fs::read_to_string(&children).unwrap_or_default();
    // One of the processes writes its own pid, whenever it comes to run.
    eventually("all three are there", || read().ends_with('\n') && read().lines().count() == 3);
    let inside = read();
    let pids: Vec<i32> =
        inside.lines().map(|line| host.process_of("family", line.trim().parse().unwrap())).collect();
    assert_eq!(pids.len(), 3);
    assert!(pids.iter().all(|pid| runs(*pid)));
    host.ok(&["stop", "family"]);
    host.assert_nothing_runs();
    assert!(!pids.iter().any(|pid| runs(*pid)));
}

#[test]
fn a_workload_that_ignores_requests_to_end_is_killed() {
    let host = Host::new();
    let text = format!("trap '' TERM; {} ; while :; do sleep 1; done", demo_server());
    let server = host.script("stubborn", &text);
    host.run(&["--name", "stubborn", &server]);
    host.ok(&["stop", "--timeout", "0.5", "stubborn"]);
    host.assert_nothing_runs();
    assert_eq!(host.row("stubborn").unwrap()["status"], "stopped");
}

/// Its supervisor may be at its end when it is asked.
#[test]
fn what_has_just_ended_by_itself_can_be_removed() {
    let host = Host::new();
    for _ in 0..8 {
        host.run(&["--name", "brief", "--restart", "no", &demo_server()]);
        kill(host.server("brief"), "KILL");
        host.ok(&["rm", "brief"]);
    }
    host.assert_nothing_runs();
    assert!(host.list().is_empty());
}

#[test]
fn a_launcher_that_is_killed_leaves_nothing_of_its_workload() {
    let host = Host::new();
    let children = host.work().join("children");
    let text = format!("setsid sleep 1000 & echo $! > {}; exec {}", children.display(), demo_server());
    let server = host.script("family", &text);
    host.run(&["--name", "family", "--restart", "no", &server]);
    let child = host.process_of("family", fs::read_to_string(&children).unwrap().trim().parse().unwrap());
    let launcher = host.record("family")["handle"]["data"]["launcher"]["pid"].as_i64().unwrap();
    kill(i32::try_from(launcher).unwrap(), "KILL");
    eventually("the end is recorded", || host.record("family")["status"] == "error");
    host.assert_nothing_runs();
    eventually("its child is gone", || !runs(child));
}

#[test]
fn r12_a_pid_that_belongs_to_another_process_is_never_signalled() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    host.ok(&["stop", "demo"]);
    let mut bystander = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    // The record of a workload whose pids were used again: those of a process that is none of ours.
    let path = host.path("state/statuses/demo.json");
    let mut record = host.record("demo");
    for process in ["launcher", "workload"] {
        record["handle"]["data"][process]["pid"] = json!(bystander.id());
    }
    record["status"] = json!("running");
    record["desired"] = json!("running");
    fs::OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    std::io::Write::write_all(
        &mut fs::OpenOptions::new().write(true).open(&path).unwrap(),
        record.to_string().as_bytes(),
    )
    .unwrap();
    host.ok(&["stop", "demo"]);
    host.ok(&["rm", "demo"]);
    assert!(bystander.try_wait().unwrap().is_none(), "the bystander lives");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

/// After `unshare --pid` alone, wharf would look up pids of its own namespace in the /proc of another one.
#[test]
fn r12_where_proc_is_of_another_pid_namespace_nothing_is_started_stopped_or_called_gone() {
    if !has_tool("unshare", "unshare") {
        return;
    }
    let host = Host::new();
    host.run(&["--name", "outer", "--transport", "streamable-http", &demo_server()]);
    let server = host.server("outer");
    kill(i32::try_from(host.record("outer")["process_id"].as_i64().unwrap()).unwrap(), "KILL");
    let inside = |words: &[&str]| {
        let command = host.command(words);
        let mut around = std::process::Command::new("unshare");
        around
            .args(["--map-root-user", "--pid", "--fork"])
            .arg(command.get_program())
            .args(command.get_args());
        around.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Said::of(&around.current_dir(host.work()).output().unwrap())
    };
    for words in [&["run", "--name", "inner", &demo_server()][..], &["stop", "outer"], &["start", "outer"]] {
        let said = inside(words);
        assert_ne!(said.code, 0, "{said:?}");
        assert!(said.stderr.contains("/proc is not that of this pid namespace"), "{words:?}: {said:?}");
    }
    let row: serde_json::Value =
        serde_json::from_str(&inside(&["list", "--all", "--format", "json"]).stdout).unwrap();
    assert_eq!(row[0]["stale"], true, "{row}");
    assert!(runs(server));
    host.ok(&["stop", "outer"]);
    host.assert_nothing_runs();
}

#[test]
fn a_server_with_a_port_outlives_its_supervisor_and_is_taken_over() {
    let host = Host::new();
    let url = host.run(&["--name", "web", "--transport", "streamable-http", &demo_server()]);
    let pid = host.server("web");
    let supervisor = i32::try_from(host.record("web")["process_id"].as_i64().unwrap()).unwrap();
    kill(supervisor, "KILL");
    eventually("its lock is free", || host.row("web").unwrap()["status"] == "unhealthy");
    assert!(!runs(supervisor));
    host.ok(&["start", "web"]);
    assert!(Client::open(&url).unwrap().call_tool("whoami", json!({})).is_ok());
    assert_eq!(host.server("web"), pid, "it is the same process");
    host.ok(&["rm", "web"]);
    host.assert_nothing_runs();
}

#[test]
fn r06_an_exit_that_is_not_restarted_is_recorded() {
    let host = Host::new();
    host.run(&["--name", "once", "--restart", "no", &demo_server()]);
    let pid = host.server("once");
    kill(pid, "KILL");
    eventually("the exit is recorded", || host.record("once")["last_exit"]["signal"] == 9);
    assert_eq!(host.record("once")["status"], "error");
    host.assert_nothing_runs();
}

#[test]
fn the_environment_is_cleared() {
    let host = Host::new();
    let output = {
        let mut command = host.command(&["run", "--name", "env", "-e", "WANTED=yes", &demo_server()]);
        command.env("AWS_SECRET_ACCESS_KEY", "leaked").output().unwrap()
    };
    assert!(output.status.success());
    let url = String::from_utf8(output.stdout).unwrap();
    let mut client = Client::open(url.trim()).unwrap();
    assert_eq!(client.call_tool("environment", json!({ "name": "WANTED" })).unwrap(), "yes");
    let leaked = client.request(
        "tools/call",
        json!({ "name": "environment", "arguments": { "name": "AWS_SECRET_ACCESS_KEY" } }),
    );
    assert_eq!(leaked.unwrap()["isError"], true);
}

#[test]
fn a_secret_is_in_the_environment_and_in_no_file() {
    let host = Host::new();
    fs::create_dir_all(host.path("config/secrets")).unwrap();
    let path = host.path("config/secrets/token");
    let mut file =
        std::os::unix::fs::OpenOptionsExt::mode(fs::OpenOptions::new().write(true).create(true), 0o600)
            .open(&path)
            .unwrap();
    std::io::Write::write_all(&mut file, b"very-secret-value\n").unwrap();
    let url = host.run(&["--name", "secret", "--secret", "token,target=API_TOKEN", &demo_server()]);
    let mut client = Client::open(&url).unwrap();
    let told = client.call_tool("environment", json!({ "name": "API_TOKEN" })).unwrap();
    assert_eq!(told, "very-secret-value");
    for folder in ["state", "data"] {
        let found = std::process::Command::new("grep")
            .args(["-r", "very-secret-value"])
            .arg(host.path(folder))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    }
}

#[test]
fn logs_are_shown_and_followed() {
    let host = Host::new();
    let text = format!("echo one >&2; echo two >&2; (sleep 1; echo three >&2) & exec {}", demo_server());
    let server = host.script("talks", &text);
    host.run(&["--name", "talks", &server]);
    let logs = host.ok(&["logs", "talks"]);
    assert!(logs.starts_with("one\ntwo\n"), "{logs}");
    assert_eq!(host.ok(&["logs", "--tail", "0", "talks"]), "");
    let stamped = host.ok(&["logs", "--timestamps", "talks"]);
    let (time, first) = stamped.lines().next().unwrap().split_once(' ').unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok() && time.ends_with('Z') && first == "one", "{stamped}");
    let mut follow =
        host.command(&["logs", "--follow", "talks"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(follow.stdout.take().unwrap()));
    assert!(lines.any(|line| line.unwrap() == "three"));
    follow.kill().unwrap();
    follow.wait().unwrap();
    assert!(host.ok(&["logs", "--proxy", "talks"]).len() < 1_000_000);
}

#[test]
fn a_server_that_ends_itself_where_its_parent_is_0_or_1_runs() {
    let host = Host::new();
    let text = format!("case $PPID in 0|1) exit 0 ;; esac; exec {}", demo_server());
    let url = host.run(&["--name", "watchful", &host.script("watchful", &text)]);
    assert_eq!(Client::open(&url).unwrap().call_tool("add", json!({ "a": 2, "b": 3 })).unwrap(), "5");
}

#[test]
fn a_server_that_ends_with_0_before_it_is_ready_is_told_as_one_that_ends_by_itself() {
    let host = Host::new();
    let said = host.wharf(&["run", "--name", "gone", &host.script("gone", "exit 0")]);
    assert_ne!(said.code, 0, "{said:?}");
    assert!(said.stderr.contains("exited with code 0 before it was ready"), "{said:?}");
    assert!(said.stderr.contains("takes its parent process or its input for gone"), "{said:?}");
    let said = host.wharf(&["run", "--name", "broken", &host.script("broken", "exit 3")]);
    assert!(!said.stderr.contains("parent process"), "{said:?}");
}

#[test]
fn a_workload_that_ends_again_and_again_is_unhealthy_with_the_count_and_the_next_try() {
    let host = Host::new();
    let ends = host.work().join("ends");
    let text = format!("if [ -e {} ]; then exit 0; fi; exec {}", ends.display(), demo_server());
    let server = host.script("flaps", &text);
    let url = host.run(&["--name", "flaps", &server]);
    let whoami = Client::open(&url).unwrap().call_tool("whoami", json!({})).unwrap();
    fs::File::create(&ends).unwrap();
    kill(host.process_of("flaps", whoami.parse().unwrap()), "KILL");
    let mut said = String::new();
    eventually("it has failed twice and is between two attempts", || {
        let row = host.row("flaps").unwrap();
        said = row["status_context"].as_str().unwrap_or_default().to_owned();
        row["status"] == "unhealthy"
            && said.contains("it has ended or failed to start ")
            && said.contains(" times, the next try is in ")
            && said.contains(" times in a row it ended with exit code 0")
            && said.contains("; the last try failed: ")
    });
    eventually("reconcile leaves it to its supervisor", || {
        let done = host.ok(&["reconcile", "flaps"]);
        done.contains("left alone: its supervisor is bringing it back")
            && done.contains("; the last try failed: ")
    });
    let list = host.wharf(&["list"]);
    assert!(
        list.stderr.contains("flaps: unhealthy: ") && list.stderr.contains("the next try"),
        "{said} {list:?}"
    );
}
