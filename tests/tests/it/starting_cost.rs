//! The cost of a start, counted from outside: executions and waits for the disk. These counts are the same on every machine.
use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};
use wharf_tests::host::{Host, demo_server, has_tool};

/// The system calls that `run` and all that it starts have made once the workload is ready.
fn until_ready(host: &Host) -> Vec<String> {
    let trace = host.path("trace");
    let mut command = host.traced(
        &["--trace=fsync,fdatasync,sync,syncfs,execve"],
        &trace,
        &["run", "--name", "demo", &demo_server()],
    );
    let mut traced = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(traced.stdout.take().unwrap()).read_line(&mut url).unwrap();
    assert!(url.starts_with("http"), "{url:?}");
    let text = fs::read_to_string(&trace).unwrap();
    // strace goes on until the supervisor has ended, too.
    host.ok(&["rm", "demo"]);
    assert!(traced.wait().unwrap().success());
    // Two at a time are shown as begun, and ended later.
    text.lines()
        .filter(|line| !line.contains("resumed>") && !line.contains("= -1 "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn r10_a_start_waits_for_the_disk_14_times_and_executes_6_programs() {
    if !has_tool("strace", "strace") {
        return;
    }
    let host = Host::new();
    // The first start also makes folders, and tries and copies the library. It is not counted.
    host.run(&["--name", "demo", &demo_server()]);
    host.ok(&["rm", "demo"]);
    let calls = until_ready(&host);
    let count = |what: &str| calls.iter().filter(|line| line.contains(what)).count();
    // The command, its supervisor, the launcher, the first process of the namespaces, the exec helper, the server.
    assert_eq!(count("execve("), 6, "{calls:#?}");
    // File and folder are synced for the RunConfig, the secret and the first status record before anything is begun; for the
    // launcher's state before the server runs; for the handle before it is started; and for the record that it is ready.
    // The supervisor's identity and the time of the start mean nothing after a crash of the machine: only the file is synced.
    let of = |path: &str| calls.iter().filter(|line| line.contains("sync(") && line.contains(path)).count();
    let found = ["/runconfigs", "/proxy-secrets", "/statuses", "/runtimes/process"].map(of);
    assert_eq!(found, [2, 2, 7, 3], "{calls:#?}");
    assert_eq!(count("sync("), 14, "{calls:#?}");
}
