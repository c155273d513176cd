//! A plugin that ends the process in the middle of a call: the process reports it, and so does the process that waits for
//! it.
use serde_json::{Value, json};
use wharf_tests::host::{Host, Said};

/// A host with a runtime that does this when it is connected.
fn host_that_connects(order: &str) -> Host {
    let host = Host::new();
    host.add_test_plugin("alpha");
    host.configure(&json!({ "runtimes": { "alpha": { "connect": order } } }));
    host
}

fn check(host: &Host) -> Said {
    host.wharf(&["runtime", "check", "alpha", "process", "--format", "json"])
}

#[test]
fn a_plugin_that_exits_in_a_call_is_reported_and_is_no_success() {
    for code in ["0", "3"] {
        let host = host_that_connects(&format!("exit:{code}"));
        let said = check(&host);
        assert_eq!(said.code, 6, "{said:?}");
        assert_eq!(said.stdout, "");
        let told = "error: exit() ended wharf before its result was said; calls of plugins under way: ";
        assert!(said.stderr.contains(told), "{said:?}");
        assert!(said.stderr.contains("'connect' of the runtime 'alpha' ("), "{said:?}");
        assert_eq!(said.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{said:?}");
    }
}

#[test]
fn a_fatal_signal_in_a_call_is_reported_and_still_ends_the_process() {
    for (order, signal) in [
        ("abort", "SIGABRT"),
        ("overflow", "SIGSEGV"),
        ("signal:SEGV", "SIGSEGV"),
        ("signal:BUS", "SIGBUS"),
        ("signal:ILL", "SIGILL"),
        ("signal:FPE", "SIGFPE"),
        ("signal:ABRT", "SIGABRT"),
    ] {
        let said = check(&host_that_connects(order));
        assert_eq!((said.code, said.stdout.as_str()), (-1, ""), "{order}: by a signal: {said:?}");
        let told = format!("error: {signal} ended wharf; calls of plugins under way: ");
        assert!(said.stderr.contains(&told), "{order}: {said:?}");
        assert!(said.stderr.contains("'connect' of the runtime 'alpha' ("), "{order}: {said:?}");
        assert_eq!(said.stderr.matches("ended wharf").count(), 1, "{order}: {said:?}");
    }
}

#[test]
fn the_end_of_a_supervisor_is_told_by_the_command_that_waits_for_it() {
    let host = host_that_connects("");
    for (order, how, words) in [
        ("exit:0", "exited with code 6", "exit() ended wharf before its result was said"),
        ("abort", "was ended by signal 6", "SIGABRT ended wharf"),
        ("overflow", "was ended by signal 11", "SIGSEGV ended wharf"),
    ] {
        let order = format!("deploy={order}");
        let said = host.wharf(&["run", "--name", "told", "--runtime", "alpha", "-e", &order, "x"]);
        assert_eq!(said.code, 1, "{said:?}");
        let message = format!("error: the supervisor of 'told' {how} ({words}");
        assert!(said.stderr.contains(&message), "{order}: {said:?}");
        assert!(said.stderr.contains(") before the workload was ready\n"), "{order}: {said:?}");
        assert!(said.stderr.contains("'deploy' of the runtime 'alpha' ("), "{order}: {said:?}");
        assert_eq!(host.wharf(&["status", "told"]).code, 3, "nothing is left behind");
    }
}

#[test]
fn what_a_plugin_prints_is_in_no_result_and_what_it_reads_is_nobodys() {
    use std::io::Write;
    let host = host_that_connects("print:{ not JSON");
    let mut command = host.command(&["runtime", "check", "alpha", "--format", "json"]);
    command.stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Stdin is kept open, so that a plugin that reads it would wait.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"the command's").unwrap();
    let said = Said::of(&child.wait_with_output().unwrap());
    drop(stdin);
    assert_eq!(said.code, 0, "{said:?}");
    let rows: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    assert_eq!(rows[0]["state"], "healthy");
    assert!(said.stderr.contains("{ not JSON"), "{said:?}");
}

#[test]
fn a_result_that_was_said_is_not_spoilt_by_a_plugin_that_prints_on_the_way() {
    let host = host_that_connects("print:noise");
    std::fs::create_dir_all(host.path("state/runconfigs")).unwrap();
    host.write_run_config(
        "old",
        &json!({ "schema_version": "v0.1.0", "name": "old", "image": "x", "transport": "stdio", "port": 1 }),
    );
    let said = host.wharf(&["list", "--all", "--format", "json"]);
    let rows: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    assert_eq!(rows[0]["name"], "old");
    assert!(said.stderr.contains("noise"), "alpha was asked: {said:?}");
}

/// A library whose cases start processes that they lose, and exit.
fn test_a_library_that_exits(command: &mut std::process::Command) {
    let said = Said::of(&command.output().unwrap());
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stdout.contains("FAILED  core."), "{said:?}");
    assert!(said.stdout.contains("the process of the plugin ended: exit code 6"), "{said:?}");
    assert!(said.stdout.contains("exit() ended wharf before its result was said"), "{said:?}");
    assert!(said.stdout.contains("started what it loses"), "what this is about has happened: {said:?}");
}

#[test]
fn r12_processes_of_cases_whose_library_exits_are_ended() {
    let host = host_that_connects("lose-and-exit");
    let library = host.path("plugins/libwharf_test_plugin_alpha.so").display().to_string();
    let args = ["runtime", "test", &library, "--runtime", "alpha", "--filter", "core.healthy"];
    test_a_library_that_exits(&mut host.command(&args));
    assert_eq!(host.processes(), Vec::<i32>::new());
}

#[test]
fn r12_processes_that_a_shell_started_before_it_became_the_runner_are_left_alone() {
    use std::process::{Command, Stdio};
    let host = host_that_connects("lose-and-exit");
    let library = host.path("plugins/libwharf_test_plugin_alpha.so").display().to_string();
    let args = ["runtime", "test", &library, "--runtime", "alpha", "--filter", "core.healthy"];
    let wharf = host.command(&args);
    let mut shell = Command::new("sh");
    // It outlives the runner, as a child of its own, and so do the orphans that it makes meanwhile.
    let script =
        r#"(while :; do (sleep 7.77 &); sleep 0.2; done) >/dev/null 2>&1 & echo $! > "$0"; exec "$@""#;
    let pid_file = host.path("daemon");
    shell.args(["-c", script]).arg(&pid_file).arg(wharf.get_program()).args(wharf.get_args());
    shell.env_clear().envs(wharf.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(host.work()).stdin(Stdio::null());
    test_a_library_that_exits(&mut shell);
    let daemon: i32 = std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
    let lost = host.processes().into_iter().any(|pid| pid != daemon && commanded(pid).contains("7.77"));
    let lives = host.processes().contains(&daemon);
    let left = host.processes().into_iter().any(|pid| commanded(pid).contains("3599"));
    host.kill_own(daemon);
    assert!(lives && lost, "the daemon lives: {lives}, and what it lost: {lost}");
    assert!(!left, "what the case has lost is ended");
}

/// A process' command line.
fn commanded(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}
