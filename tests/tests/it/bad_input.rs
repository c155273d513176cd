//! Every mistake is reported: the fault, its cause and the remedy, with an exit code of its own, and nothing is left
//! behind.
use serde_json::json;
use std::{fs::File, io::Write, net::TcpListener};
use wharf_tests::host::{Host, Said, demo_server, eventually};

/// Runs a workload that cannot become ready, and looks that nothing of it is left.
fn refused(host: &Host, args: &[&str]) -> Said {
    let said = host.wharf(&[&["run"], args].concat());
    assert_ne!(said.code, 0, "{said:?}");
    assert_eq!(said.stdout, "", "{said:?}");
    assert_eq!(said.stderr.matches("error:").count(), 1, "told once: {said:?}");
    host.assert_nothing_runs();
    assert!(host.list().is_empty(), "{said:?}");
    assert_eq!(host.leftovers(), Vec::<String>::new(), "{said:?}");
    said
}

fn impatient() -> Host {
    let host = Host::new();
    host.configure(&json!({ "start_timeout_ms": 1500 }));
    host
}

#[test]
fn an_unknown_runtime_is_told_with_what_there_is() {
    let said = refused(&Host::new(), &["--runtime", "proces", &demo_server()]);
    assert_eq!(said.code, 5, "{said:?}");
    assert!(
        said.stderr.contains("there are: ") && said.stderr.contains("did you mean 'process'"),
        "{said:?}"
    );
}

#[test]
fn invalid_workload_names_are_refused() {
    for name in ["../x", &"n".repeat(60), "Upper", "-dash", ""] {
        let said = refused(&Host::new(), &["--name", name, &demo_server()]);
        assert_eq!(said.code, 2, "{name:?}: {said:?}");
    }
}

#[test]
fn a_taken_name_is_a_conflict_and_the_first_one_lives() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let said = host.wharf(&["run", "--name", "demo", &demo_server()]);
    assert_eq!(said.code, 4, "{said:?}");
    assert_eq!(host.row("demo").unwrap()["status"], "running");
}

#[test]
fn a_taken_port_is_a_conflict() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = refused(&Host::new(), &["--proxy-port", &port, &demo_server()]);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.stderr.contains(&port) && said.stderr.contains("the port is taken"), "{said:?}");
}

#[test]
fn a_run_of_a_missing_command_names_it() {
    let said = refused(&Host::new(), &["--runtime", "process", "no-such-command-at-all"]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.stderr.contains("'no-such-command-at-all' not found in PATH"), "{said:?}");
    let said = refused(&Host::new(), &["/no/such/file"]);
    assert!(said.stderr.contains("'/no/such/file' does not exist"), "{said:?}");
}

#[test]
fn a_server_that_exits_at_once_is_told_with_its_last_output() {
    let host = Host::new();
    let server = host.script("exits", "echo 'no configuration found' >&2; exit 3");
    let said = refused(&host, &[&server]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.stderr.contains("exited with code 3 before it was ready"), "{said:?}");
    assert!(said.stderr.contains("no configuration found"), "{said:?}");
}

#[test]
fn a_server_that_prints_garbage_is_told() {
    let host = impatient();
    let server = host.script("garbage", "while echo 'this is no protocol'; do sleep 0.1; done");
    let said = refused(&host, &[&server]);
    assert!([6, 7].contains(&said.code), "{said:?}");
}

#[test]
fn a_server_that_never_answers_meets_the_deadline() {
    let host = impatient();
    let server = host.script("silent", "exec sleep 1000");
    let said = refused(&host, &[&server]);
    assert_eq!(said.code, 7, "{said:?}");
    assert!(said.stderr.contains("did not answer the MCP handshake within 1.5 s"), "{said:?}");
}

#[test]
fn whoever_waits_for_a_silent_program_is_told_where_to_look() {
    let host = Host::new();
    host.configure(&json!({ "start_timeout_ms": 6000 }));
    let said = refused(&host, &["--name", "silent", "sleep", "--", "1000"]);
    assert!(
        said.code == 7 && said.stderr.contains("'silent'; its log tells what it has written"),
        "{said:?}"
    );
}

#[test]
fn a_server_that_floods_its_log_works_and_the_log_is_bounded() {
    let host = Host::new();
    let flood = format!("yes 'a line of the flood' | head -c 60000000 >&2; exec {}", demo_server());
    let server = host.script("floods", &flood);
    host.run(&["--name", "floods", &server]);
    let logs = std::fs::read_dir(host.path("state/logs")).unwrap();
    let bytes: u64 = logs.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 40_000_000, "{bytes} bytes of logs");
    assert_eq!(host.row("floods").unwrap()["status"], "running");
}

#[test]
fn a_program_that_cannot_be_executed_is_told() {
    let host = Host::new();
    let server = host.script("interpreter", "");
    std::fs::OpenOptions::new().write(true).truncate(true).open(&server).unwrap();
    std::io::Write::write_all(
        &mut std::fs::OpenOptions::new().write(true).open(&server).unwrap(),
        b"#!/no/such/interpreter\n",
    )
    .unwrap();
    let said = refused(&host, &[&server]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.stderr.contains("cannot be executed"), "{said:?}");
}

#[test]
fn what_a_plain_process_cannot_honour_is_refused_by_name() {
    let said = refused(&Host::new(), &["--ulimit", "nofile=64", &demo_server()]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("ulimits"), "{said:?}");
}

#[test]
fn commands_on_a_workload_that_does_not_exist_say_so() {
    let host = Host::new();
    for command in ["status", "start", "stop", "restart", "rm", "logs", "export"] {
        let said = host.wharf(&[command, "missing"]);
        assert_eq!(said.code, 3, "{command}: {said:?}");
        assert!(said.stderr.contains("there is no workload named 'missing'"), "{command}: {said:?}");
    }
}

/// Nobody waits for the outcome, so it is kept on record.
#[test]
fn a_failed_start_that_nobody_waited_for_stays_on_record_with_the_reason() {
    let host = Host::new();
    host.ok(&["run", "--no-wait", "--name", "failing", "sh", "--", "-c", "echo boo >&2; exit 3"]);
    eventually("its failure is recorded", || host.row("failing").is_some_and(|row| row["status"] == "error"));
    assert!(host.ok(&["status", "failing"]).contains("exited with code 3"));
    assert_eq!(host.ok(&["logs", "failing"]), "boo\n");
    let said = host.ok(&["reconcile", "failing"]);
    assert!(said.starts_with("failing: left alone: ") && said.contains("exited with code 3"), "{said}");
    host.ok(&["rm", "failing"]);
    // A stop does not remove it either.
    host.ok(&["run", "--no-wait", "--name", "slow", "sh", "--", "-c", "sleep 100"]);
    assert_eq!(host.ok(&["stop", "slow"]), "slow: stopped\n");
    assert_eq!(host.row("slow").unwrap()["status"], "stopped");
    host.ok(&["rm", "slow"]);
    host.assert_nothing_runs();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn a_line_that_names_no_variable_is_refused() {
    let host = Host::new();
    for line in ["export A=1", "A =1", "=1"] {
        let path = host.path("variables");
        writeln!(File::create(&path).unwrap(), "B=2\n{line}").unwrap();
        let said = refused(&host, &["--env-file", path.to_str().unwrap(), &demo_server()]);
        assert!(said.code == 2 && said.stderr.contains("line 2: "), "{line}: {said:?}");
    }
}

#[test]
fn a_default_that_no_plugin_provides_is_found_by_doctor() {
    let host = Host::new();
    host.configure(&json!({ "default_runtime": "proces" }));
    let said = host.wharf(&["doctor"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stdout.contains("default_runtime in config.json names 'proces'"), "{said:?}");
    assert!(said.stdout.trim_end().ends_with("workloads cannot be run"), "{said:?}");
}

#[test]
fn settings_of_no_runtime_and_those_that_a_runtime_does_not_have_are_told() {
    let host = Host::new();
    host.configure(&json!({ "runtimes": { "proces": { "x": 1 } } }));
    let told = host.ok(&["doctor"]);
    assert!(told.contains("runtimes.proces in config.json: no plugin provides 'proces'"), "{told}");
    host.configure(&json!({ "runtimes": { "process": { "most": 1 } } }));
    let why = "runtimes.process in config.json makes no sense: this runtime has no settings, and no 'most'";
    let said = host.wharf(&["run", "--runtime", "process", "--name", "x", &demo_server()]);
    assert!(said.code == 5 && said.stderr.contains(why), "{said:?}");
    let said = host.wharf(&["doctor"]);
    assert!(said.code == 1 && said.stdout.contains(why), "{said:?}");
    host.configure(&json!({ "runtimes": { "process": {} } }));
    host.ok(&["doctor"]);
}
