//! Logs and output that cannot be written: no process ends by that, and no change is left half done.
use super::tools::{Mounted, fill, limited, remove_filler};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{OpenOptionsExt, symlink},
    path::PathBuf,
    process::{Command, Stdio},
};
use wharf_tests::host::{Host, demo_server, eventually, has_tool, kill, runs};

fn supervisor(host: &Host) -> i32 {
    i32::try_from(host.record("demo")["process_id"].as_i64().unwrap()).unwrap()
}

/// The server is killed, comes back, and its supervisor is the same: it has logged the end and the restart.
fn comes_back(host: &Host) {
    let (before, server) = (supervisor(host), host.server("demo"));
    kill(server, "KILL");
    eventually("it answers again", || {
        let told = host.wharf(&["status", "demo", "--format", "json"]).stdout;
        let told: Value = serde_json::from_str(&told).unwrap_or_default();
        told["supervisor"]["ping_us"].is_u64() && host.server("demo") != server
    });
    assert!(runs(before) && supervisor(host) == before, "its supervisor is the same");
}

fn run_demo(host: &Host) {
    host.run(&["--name", "demo", "--restart", "always", &demo_server()]);
}

fn log(host: &Host, name: &str) -> PathBuf {
    host.path("state/logs").join(name)
}

#[test]
fn r11_a_log_on_a_full_disk_ends_no_supervisor_and_tells_of_the_loss_later() {
    let host = Host::new();
    let logs = host.path("state/logs");
    fs::create_dir_all(&logs).unwrap();
    let Some(_mounted) = Mounted::new(&logs, &[&["-t", "tmpfs", "-o", "size=128k", "tmpfs"]]) else { return };
    run_demo(&host);
    // The last page of the log too.
    fill(&logs);
    let mut log_file = OpenOptions::new().append(true).open(log(&host, "demo.proxy.log")).unwrap();
    while log_file.write_all(b"\n").is_ok() {}
    comes_back(&host);
    comes_back(&host);
    remove_filler(&logs);
    comes_back(&host);
    let text = fs::read_to_string(log(&host, "demo.proxy.log")).unwrap();
    assert!(text.contains("records are lost"), "{text}");
    assert!(text.lines().all(|line| line.is_empty() || line.starts_with("20")), "no line is a half: {text}");
    host.ok(&["rm", "demo"]);
    host.assert_nothing_runs();
}

#[test]
fn r11_a_log_that_takes_nothing_ends_no_supervisor() {
    let host = Host::new();
    run_demo(&host);
    host.ok(&["stop", "demo"]);
    fs::remove_file(log(&host, "demo.proxy.log")).unwrap();
    symlink("/dev/full", log(&host, "demo.proxy.log")).unwrap();
    host.ok(&["start", "demo"]);
    comes_back(&host);
    // A log that cannot even be opened.
    host.ok(&["stop", "demo"]);
    fs::remove_file(log(&host, "demo.proxy.log")).unwrap();
    fs::create_dir(log(&host, "demo.proxy.log")).unwrap();
    host.ok(&["start", "demo"]);
    comes_back(&host);
    host.ok(&["rm", "demo"]);
    host.assert_nothing_runs();
}

#[test]
fn r11_a_log_on_a_disk_that_fails_ends_no_supervisor_and_tells_of_the_loss_later() {
    if !has_tool("strace", "strace") {
        return;
    }
    let host = Host::new();
    run_demo(&host);
    let (pid, trace) = (supervisor(&host), host.path("trace"));
    let mut failing = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=write,writev", "-e", "inject=write,writev:error=EIO", "-P"])
        .arg(log(&host, "demo.proxy.log"))
        .arg("-o")
        .arg(&trace)
        .args(["-p", &pid.to_string()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let is_traced = |task: fs::DirEntry| {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        !status.lines().any(|line| line == "TracerPid:\t0")
    };
    eventually("every thread of it is traced", || {
        fs::read_dir(format!("/proc/{pid}/task")).unwrap().all(|task| is_traced(task.unwrap()))
    });
    comes_back(&host);
    comes_back(&host);
    kill(failing.id().cast_signed(), "TERM");
    failing.wait().unwrap();
    assert!(fs::read_to_string(&trace).unwrap().contains("EIO"), "nothing failed");
    comes_back(&host);
    let text = fs::read_to_string(log(&host, "demo.proxy.log")).unwrap();
    assert!(text.contains("records are lost"), "{text}");
    host.ok(&["rm", "demo"]);
    host.assert_nothing_runs();
}

/// SIGXFSZ kills a process that writes beyond RLIMIT_FSIZE, unless it has a handler.
#[test]
fn r11_logs_at_the_limit_of_a_files_size_end_nobody() {
    let host = Host::new();
    run_demo(&host);
    host.ok(&["stop", "demo"]);
    for name in ["demo.log", "demo.proxy.log"] {
        let mut file = OpenOptions::new().append(true).create(true).open(log(&host, name)).unwrap();
        file.write_all(&vec![b'\n'; 100 * 1024]).unwrap();
    }
    // In units of 512 bytes: larger than a record, and smaller than the logs.
    let said = limited(&host, "ulimit -f 64", &["start", "demo"]);
    assert_eq!(said.code, 0, "{said:?}");
    let launcher = i32::try_from(host.state_of("demo")["launcher"]["pid"].as_i64().unwrap()).unwrap();
    comes_back(&host);
    eventually("the first launcher has ended", || !runs(launcher));
    assert_eq!(host.state_of("demo")["exit"], Value::Null);
    host.ok(&["rm", "demo"]);
    host.assert_nothing_runs();
}

/// Files that a command may get as stderr, each of which fails in another way.
fn bad_places() -> Vec<(&'static str, Stdio)> {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let terminal = OpenOptions::new()
        .write(true)
        .custom_flags(rustix::fs::OFlags::NOCTTY.bits().cast_signed())
        .open(name.to_str().unwrap())
        .unwrap();
    drop(master);
    vec![("ENOSPC", full.into()), ("EPIPE", writer.into()), ("EIO", terminal.into())]
}

#[test]
fn r11_a_stderr_that_cannot_be_written_ends_no_change() {
    let host = Host::new();
    let demo = demo_server();
    let all = [
        &["--log-level", "trace", "run", "--name", "demo", demo.as_str()][..],
        &["--log-level", "trace", "restart", "demo"],
        &["--log-level", "trace", "stop", "demo"],
        &["--log-level", "trace", "start", "demo"],
        &["--log-level", "trace", "reconcile"],
        &["--log-level", "trace", "rm", "demo"],
    ];
    for at in 0..bad_places().len() {
        for args in all {
            let (error, place) = bad_places().swap_remove(at);
            let output = host.command(args).stderr(place).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{error}: {args:?}");
        }
        assert_eq!(host.list(), Vec::<Value>::new());
    }
    host.assert_nothing_runs();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

/// The targets of a process's first three descriptors.
fn first_three(pid: i32) -> [String; 3] {
    [0, 1, 2].map(|number| {
        fs::read_link(format!("/proc/{pid}/fd/{number}"))
            .map_or_else(|error| error.to_string(), |to| to.display().to_string())
    })
}

#[test]
fn r11_a_command_without_the_first_three_descriptors_opens_nothing_of_its_own_as_one_of_them() {
    let host = Host::new();
    let args = ["--log-level", "trace", "run", "--name", "demo", &demo_server()];
    let like = host.command(&args);
    let environment = like.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" <&- >&- 2>&-", "sh"]).arg(like.get_program()).args(like.get_args());
    command.env_clear().envs(environment).current_dir(host.work());
    assert_eq!(command.status().unwrap().code(), Some(0));
    // Records that something was written into could not be read.
    assert_eq!(host.row("demo").unwrap()["status"], "running");
    let null = || "/dev/null".to_owned();
    let proxy_log = fs::canonicalize(log(&host, "demo.proxy.log")).unwrap().display().to_string();
    assert_eq!(first_three(supervisor(&host)), [null(), null(), proxy_log]);
    let launcher = i32::try_from(host.state_of("demo")["launcher"]["pid"].as_i64().unwrap()).unwrap();
    assert_eq!(first_three(launcher), [null(), null(), null()]);
    host.ok(&["rm", "demo"]);
    host.assert_nothing_runs();
}
