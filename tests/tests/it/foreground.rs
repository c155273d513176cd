//! `run --foreground`: the supervisor is a child of this process, which leaves its other children alone.
use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};
use wharf_tests::host::{Host, demo_server, eventually, kill, runs};

const NAME: &str = "stays";

/// A process that becomes `wharf run --foreground`, and its URL.
struct ForegroundRun {
    process: Child,
    url: String,
}

impl ForegroundRun {
    /// `before` are the shell's commands before it becomes wharf; `around` is a program that runs the shell.
    fn start(host: &Host, around: &[&str], before: &str) -> Self {
        let wharf = host.command(&["run", "--foreground", "--quiet", "--name", NAME, &demo_server()]);
        let arguments: Vec<_> =
            wharf.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
        let mut words: Vec<String> = around.iter().map(|word| (*word).to_owned()).collect();
        let script = format!("{before}\nexec \"$@\"");
        words.extend(["sh", "-c", &script, "-"].map(str::to_owned));
        words.push(wharf.get_program().to_string_lossy().into_owned());
        words.extend(arguments);
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .current_dir(host.work())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command.envs(wharf.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut process = command.spawn().unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http://"), "'{url}'");
        Self { process, url }
    }

    fn pid(&self) -> i32 {
        self.process.id().cast_signed()
    }

    fn code(mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }
}

fn supervisor(host: &Host) -> i32 {
    host.record(NAME)["process_id"].as_i64().and_then(|pid| i32::try_from(pid).ok()).unwrap()
}

/// Kills the server and waits until another one runs.
fn crash(host: &Host) {
    let pid = host.server(NAME);
    kill(pid, "KILL");
    eventually("it is back", || host.server(NAME) != pid && runs(host.server(NAME)));
    eventually("it is ready", || host.row(NAME).is_some_and(|row| row["status"] == "running"));
}

fn children_in(file: &std::path::Path, count: usize) -> Vec<i32> {
    let read = || fs::read_to_string(file).unwrap_or_default();
    eventually("they have told their numbers", || read().lines().count() == count && read().ends_with('\n'));
    read().lines().map(|line| line.trim().parse().unwrap()).collect()
}

#[test]
fn earlier_children_live_on_and_the_workload_is_stopped_by_a_signal() {
    for signal in ["INT", "TERM", "HUP"] {
        let host = Host::new();
        let file = host.work().join("children");
        let path = file.display();
        let before = format!(
            "sleep 1000 & echo $! >> {path}\nsetsid sleep 1000 & echo $! >> {path}\n\
             setsid sh -c 'echo $$ >> {path}; exec sleep 1000' &"
        );
        let run = ForegroundRun::start(&host, &[], &before);
        let children = children_in(&file, 3);
        assert!(run.url.contains("127.0.0.1"));
        assert_ne!(supervisor(&host), run.pid(), "the supervisor is a child");
        crash(&host);
        crash(&host);
        assert!(children.iter().all(|pid| runs(*pid)), "an earlier child was ended");
        let server = host.server(NAME);
        kill(run.pid(), signal);
        assert_eq!(run.code(), Some(0));
        let record = host.record(NAME);
        assert_eq!(
            (&record["status"], &record["desired"]),
            (&"stopped".into(), &"stopped".into()),
            "{record}"
        );
        assert!(!runs(server));
        assert!(children.iter().all(|pid| runs(*pid)), "an earlier child was ended");
        children.iter().for_each(|pid| kill(*pid, "KILL"));
        host.ok(&["rm", NAME]);
        host.assert_nothing_runs();
    }
}

/// `nohup` and `&` in a script start a program with signals ignored.
#[test]
fn signals_that_the_caller_had_ignored_end_no_foreground_workload() {
    let host = Host::new();
    let run = ForegroundRun::start(&host, &[], "trap '' HUP INT QUIT");
    for signal in ["HUP", "INT", "QUIT"] {
        kill(run.pid(), signal);
        crash(&host);
    }
    kill(run.pid(), "TERM");
    assert_eq!(run.code(), Some(0));
    assert_eq!(host.record(NAME)["status"], "stopped");
}

#[test]
fn earlier_children_that_end_are_reaped() {
    let host = Host::new();
    let file = host.work().join("children");
    let before = format!("sleep 1000 & echo $! >> {}", file.display());
    let run = ForegroundRun::start(&host, &[], &before);
    let child = children_in(&file, 1)[0];
    kill(child, "KILL");
    eventually("it was reaped", || !fs::exists(format!("/proc/{child}")).unwrap());
    kill(run.pid(), "TERM");
    assert_eq!(run.code(), Some(0));
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn process_1_reaps_and_kills_nobody() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root makes process 1 of a pid namespace here");
        return;
    }
    let host = Host::new();
    let file = host.work().join("daemons");
    let (path, daemon) = (file.display(), "echo $$ >> {}; exec sleep");
    let daemon =
        |seconds: &str| format!("(setsid sh -c '{} {seconds}' &)", daemon.replace("{}", &path.to_string()));
    let around = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let run = ForegroundRun::start(&host, &around, &format!("{}\n{}", daemon("1000"), daemon("1001")));
    let inside = children_in(&file, 2);
    let server = host.server(NAME);
    // Its numbers are those of the namespace; what can be found of it from here is in the same one.
    let neighbour = namespace_of(run.pid());
    let daemons: Vec<i32> = inside.iter().map(|pid| in_namespace(neighbour, *pid)).collect();
    kill_inside(neighbour, server, "KILL");
    eventually("it is back", || host.server(NAME) != server);
    assert!(daemons.iter().all(|pid| runs(*pid)), "a daemon was ended");
    kill(daemons[0], "KILL");
    eventually("it was reaped", || !fs::exists(format!("/proc/{}", daemons[0])).unwrap());
    assert!(runs(daemons[1]));
    kill_inside(neighbour, 1, "TERM");
    assert_eq!(run.code(), Some(0));
    eventually("all of the container is gone", || !runs(daemons[1]));
    assert_eq!(host.record(NAME)["status"], "stopped");
}

/// The pid namespace of the children of a process.
fn namespace_of(parent: i32) -> i32 {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    children.trim().parse().unwrap()
}

/// Sends a signal as a process of that namespace does: the server is in one further down.
fn kill_inside(neighbour: i32, pid: i32, signal: &str) {
    let target = neighbour.to_string();
    let words = ["--target", &target, "--pid", "--mount", "kill", &format!("-{signal}"), &pid.to_string()];
    assert!(Command::new("nsenter").args(words).status().unwrap().success());
}

fn in_namespace(neighbour: i32, inside: i32) -> i32 {
    wharf_tests::host::process_of(neighbour, inside).unwrap()
}

/// The user is gone, and with it the wish.
#[test]
fn a_foreground_workload_ends_with_its_killed_command() {
    let host = Host::new();
    let run = ForegroundRun::start(&host, &[], "");
    let (server, supervisor) = (host.server(NAME), supervisor(&host));
    kill(run.pid(), "KILL");
    assert_eq!(run.code(), None);
    eventually("both have ended", || !runs(server) && !runs(supervisor));
    eventually("it is recorded", || host.record(NAME)["status"] == "stopped");
}

#[test]
fn the_foreground_command_reports_a_supervisor_that_is_killed() {
    let host = Host::new();
    let run = ForegroundRun::start(&host, &[], "");
    kill(supervisor(&host), "KILL");
    assert_eq!(run.code(), Some(1));
    host.ok(&["start", NAME]);
    host.ok(&["rm", NAME]);
    host.assert_nothing_runs();
}

#[test]
fn a_foreground_command_succeeds_after_a_stop_from_elsewhere_and_fails_if_it_could_not_start() {
    let host = Host::new();
    let run = ForegroundRun::start(&host, &[], "");
    host.ok(&["stop", NAME]);
    assert_eq!(run.code(), Some(0));
    let mut failing =
        host.command(&["run", "--foreground", "--name", "no", "--restart", "no", "/no/such/program"]);
    assert_ne!(failing.output().unwrap().status.code(), Some(0));
    assert!(host.row("no").is_none());
}

/// Reads lines until the pipe is closed; true if one of them is this point.
fn tells(pipe: &std::path::Path, point: &str) -> bool {
    let text = fs::read_to_string(pipe).unwrap();
    text.lines().any(|line| line.split(' ').nth(2) == Some(point))
}

#[test]
fn a_signal_after_its_records_were_written_leaves_nothing_that_comes_to_life() {
    let ways = [&["--foreground"][..], &[]];
    let points = ["run-config.created", "start.recorded"].map(|point| ways.map(|way| (point, way)));
    for (point, way) in points.into_iter().flatten() {
        for signal in ["INT", "TERM", "HUP"] {
            let host = Host::new();
            let pipe = host.path("trace");
            rustix::fs::mknodat(
                rustix::fs::CWD,
                &pipe,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
                0,
            )
            .unwrap();
            let mut command = host.command(&[&["run"][..], way, &["--name", NAME, &demo_server()]].concat());
            command.env("WHARF_FAILPOINT_TRACE", &pipe).stdout(Stdio::piped()).stderr(Stdio::piped());
            let process = command.spawn().unwrap();
            // Each point waits for a reader of the pipe: after this one, the command stops at a point that comes soon.
            while !tells(&pipe, point) {}
            kill(process.id().cast_signed(), signal);
            let reader = {
                let pipe = pipe.clone();
                // Both ends: it meets no end, and nobody waits any more.
                let both = fs::File::options().read(true).write(true).open(&pipe).unwrap();
                std::thread::spawn(move || std::io::copy(&mut &both, &mut std::io::sink()))
            };
            let output = process.wait_with_output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{point} {way:?} {signal}: {output:?}");
            assert!(host.row(NAME).is_none(), "{point} {way:?} {signal}: {told}");
            host.ok(&["reconcile"]);
            assert!(host.row(NAME).is_none(), "{point} {way:?} {signal}: {told}");
            host.assert_nothing_runs();
            assert_eq!(host.leftovers(), Vec::<String>::new());
            // It ends with this process.
            drop(reader);
        }
    }
}
