//! Processes that die, records that are damaged, callers that are careless: nothing is lost, and nothing left behind.
use serde_json::json;
use std::{
    fs,
    io::Write,
    net::TcpListener,
    os::unix::process::CommandExt,
    process::Stdio,
    time::{Duration, Instant},
};
use wharf_tests::client::Client;
use wharf_tests::host::{Host, Said, demo_server, eventually, kill, runs};

fn supervisor(host: &Host, name: &str) -> i32 {
    i32::try_from(host.record(name)["process_id"].as_i64().unwrap()).unwrap()
}

fn overwrite(path: &std::path::Path, text: &str) {
    let mut file = fs::OpenOptions::new().write(true).truncate(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A server that never answers, so that its start lasts.
fn slow(host: &Host) -> String {
    host.script("slow", "exec sleep 1000")
}

#[test]
fn a_workload_is_asked_to_end_before_it_is_killed() {
    let host = Host::new();
    let asked = host.work().join("asked");
    let text = format!(
        "trap 'echo asked > {}; exit 0' TERM; {} & wait; while :; do sleep 0.1; done",
        asked.display(),
        demo_server()
    );
    let server = host.script("polite", &format!("exec 3<&0; {}", text.replace(" & wait", " <&3 & wait")));
    host.run(&["--name", "polite", &server]);
    host.ok(&["stop", "polite"]);
    assert!(asked.exists(), "SIGTERM arrived");
    host.assert_nothing_runs();
}

#[test]
fn a_start_that_nobody_waits_for_any_more_is_given_up() {
    let host = Host::new();
    let server = slow(&host);
    let mut run = host.command(&["run", "--name", "slow", &server]).stderr(Stdio::null()).spawn().unwrap();
    eventually("it is starting", || host.row("slow").is_some_and(|row| row["status"] == "starting"));
    eventually("its process exists", || host.processes().len() >= 3);
    run.kill().unwrap();
    run.wait().unwrap();
    host.assert_nothing_runs();
    eventually("its name is free", || host.leftovers().is_empty());
}

#[test]
fn a_start_that_is_interrupted_is_given_up_and_says_so() {
    for signal in ["INT", "TERM", "HUP", "QUIT"] {
        let host = Host::new();
        let server = slow(&host);
        let run = host.command(&["run", "--name", "slow", &server]).stderr(Stdio::piped()).spawn().unwrap();
        eventually("its process exists", || host.processes().len() >= 3);
        kill(run.id().cast_signed(), signal);
        let said = Said::of(&run.wait_with_output().unwrap());
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.stderr.contains("was interrupted by a signal"), "{said:?}");
        host.assert_nothing_runs();
        eventually("its name is free", || host.leftovers().is_empty());
    }
}

#[test]
fn a_start_that_is_under_way_can_be_stopped_and_removed() {
    for command in ["stop", "rm"] {
        let host = Host::new();
        let server = slow(&host);
        let mut run =
            host.command(&["run", "--name", "slow", &server]).stderr(Stdio::piped()).spawn().unwrap();
        eventually("it is starting", || host.row("slow").is_some_and(|row| row["status"] == "starting"));
        let before = Instant::now();
        host.ok(&[command, "slow"]);
        assert!(before.elapsed() < Duration::from_secs(30), "it did not wait for the start");
        assert!(!run.wait().unwrap().success());
        host.assert_nothing_runs();
        assert_eq!(host.leftovers(), Vec::<String>::new());
    }
}

#[test]
fn a_supervisor_that_dies_while_it_starts_leaves_nothing() {
    let host = Host::new();
    let server = slow(&host);
    let mut run = host.command(&["run", "--name", "slow", &server]).stderr(Stdio::piped()).spawn().unwrap();
    eventually("its supervisor is on record", || {
        host.path("state/statuses/slow.json").exists() && host.record("slow")["process_id"].is_number()
    });
    kill(supervisor(&host, "slow"), "KILL");
    assert!(!run.wait().unwrap().success());
    host.assert_nothing_runs();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn r02_a_workload_whose_record_lost_its_handle_is_found_by_its_labels() {
    let host = Host::new();
    let url = host.run(&["--name", "web", "--transport", "streamable-http", &demo_server()]);
    assert!(Client::open(&url).is_ok());
    let pid = host.server("web");
    kill(supervisor(&host, "web"), "KILL");
    fs::remove_file(host.path("state/statuses/web.json")).unwrap();
    eventually("its supervisor is gone", || host.row("web").unwrap()["status"] == "unhealthy");
    assert!(runs(pid));
    host.ok(&["rm", "web"]);
    assert!(!runs(pid), "it was not forgotten");
    host.assert_nothing_runs();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn r11_a_corrupt_status_is_set_aside_by_the_next_command_and_its_bytes_are_kept() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    overwrite(&host.path("state/statuses/demo.json"), "{ half a reco");
    assert_eq!(host.row("demo").unwrap()["status"], "unknown");
    host.ok(&["stop", "demo"]);
    host.assert_nothing_runs();
    let aside = fs::read_to_string(host.path("state/statuses/demo.json.corrupt-1")).unwrap();
    assert_eq!(aside, "{ half a reco");
    host.ok(&["start", "demo"]);
    assert_eq!(host.row("demo").unwrap()["status"], "running");
}

#[test]
fn a_target_port_that_somebody_else_listens_on_is_a_conflict() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let host = Host::new();
    let said = host.wharf(&["run", "--transport", "streamable-http", "--target-port", &port, &demo_server()]);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.stderr.contains("is taken"), "{said:?}");
    host.assert_nothing_runs();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn descriptors_and_signals_of_the_caller_reach_nobody() {
    let host = Host::new();
    // A caller that ignores SIGCHLD, as service managers do, and left a descriptor open.
    let text = format!(
        "exec 7</dev/null; exec python3 -c 'import os,signal,sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); \
         os.execv(sys.argv[1], sys.argv[1:])' {} run --name demo {}",
        wharf_tests::host::built("wharf").display(),
        demo_server()
    );
    let caller = host.script("caller", &text);
    let mut command = host.command(&[]);
    let environment: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.unwrap().to_owned())).collect();
    let output = std::process::Command::new(caller).env_clear().envs(environment).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let _ = command.arg0("unused");
    let url = String::from_utf8(output.stdout).unwrap();
    let mut client = Client::open(url.trim()).unwrap();
    let pid = host.server("demo");
    for process in host.processes() {
        assert!(
            !fs::exists(format!("/proc/{process}/fd/7")).unwrap() || {
                let target = fs::read_link(format!("/proc/{process}/fd/7")).unwrap();
                target != std::path::Path::new("/dev/null")
            }
        );
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mask =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(mask("SigBlk:"), "0000000000000000");
    // Its end is noticed all the same.
    kill(pid, "KILL");
    eventually("it is back", || client.call_tool("whoami", json!({})).is_ok() && host.server("demo") != pid);
}

#[test]
fn a_server_that_cannot_be_brought_back_is_given_up() {
    let host = Host::new();
    let broken = host.work().join("broken");
    let text = format!("[ -e {} ] && exit 9; exec {}", broken.display(), demo_server());
    let server = host.script("fragile", &text);
    let url = host.run(&["--name", "fragile", "--restart", "on-failure", &server]);
    assert!(Client::open(&url).is_ok());
    let pid = host.server("fragile");
    fs::File::create(&broken).unwrap();
    kill(pid, "KILL");
    eventually("starting it says that it does not run", || {
        let said = host.wharf(&["start", "fragile"]);
        said.code == 4 && said.stderr.contains("does not run just now")
    });
    host.ok(&["stop", "fragile"]);
    host.assert_nothing_runs();
    assert_eq!(host.row("fragile").unwrap()["status"], "stopped");
}

#[test]
fn r04_a_list_beside_commands_shows_no_false_verdict() {
    let host = Host::new();
    for round in 0..4 {
        let name = format!("demo{round}");
        std::thread::scope(|scope| {
            let commands = scope.spawn(|| {
                host.run(&["--name", &name, &demo_server()]);
                host.ok(&["stop", &name]);
                host.ok(&["start", &name]);
                host.ok(&["rm", &name]);
            });
            while !commands.is_finished() {
                for row in host.list() {
                    let status = row["status"].as_str().unwrap();
                    assert!(!["unhealthy", "interrupted", "unknown", "error"].contains(&status), "{row}");
                }
            }
        });
    }
}

#[test]
fn a_launcher_that_is_killed_leaves_not_even_a_child_that_hid() {
    let host = Host::new();
    let children = host.work().join("children");
    let text = format!(
        "env -i setsid sh -c 'echo $$ > {}; exec sleep 1000' & exec {}",
        children.display(),
        demo_server()
    );
    let server = host.script("hides", &text);
    host.run(&["--name", "hides", &server]);
    eventually("the child is there", || fs::read_to_string(&children).is_ok_and(|text| text.ends_with('\n')));
    let child = host.process_of("hides", fs::read_to_string(&children).unwrap().trim().parse().unwrap());
    let launcher = host.record("hides")["handle"]["data"]["launcher"]["pid"].as_i64().unwrap();
    kill(i32::try_from(launcher).unwrap(), "KILL");
    eventually("the child is gone", || !runs(child));
    host.ok(&["rm", "hides"]);
    host.assert_nothing_runs();
}

/// A command that died has not changed its mind.
#[test]
fn r06_a_restart_whose_command_died_is_finished_by_the_next_one() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let mut restart = host.command(&["restart", "demo"]);
    restart.env("WHARF_FAILPOINT", "command/task.written=kill");
    assert_eq!(Said::of(&restart.output().unwrap()).code, -1);
    eventually("the start is given up", || host.row("demo").unwrap()["status"] == "interrupted");
    host.ok(&["reconcile"]);
    assert_eq!(host.row("demo").unwrap()["status"], "running");
}
