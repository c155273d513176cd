//! ToolHive's issue 4432, reproduced: workloads of several runtimes, while another one is the active one. There every
//! listing under Podman wrote `unhealthy` into the status files of workloads on Docker, for good.
use super::{host, is_running_and_fresh, run, stale_of_three};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use wharf_tests::client::Client;
use wharf_tests::engine::records;
use wharf_tests::engines::{DEMO_IMAGE, Engine, Kind};
use wharf_tests::host::{Host, demo_server, eventually};

/// Commands that look at all workloads or reconcile them.
const COMMANDS: [&[&str]; 3] = [&["list", "--all"], &["status", "in-docker"], &["reconcile"]];
const NAMES: [&str; 3] = ["in-docker", "in-podman", "plain"];

/// Runs every command with this runtime as the default. `reconcile` has an exit code of its own where an owner is gone.
fn all_commands_under(host: &Host, runtime: &str, reconciled: i32) {
    for command in COMMANDS {
        let output = host.command(command).env("WHARF_RUNTIME", runtime).output().unwrap();
        let expected = if command == ["reconcile"] { reconciled } else { 0 };
        assert_eq!(output.status.code(), Some(expected), "{command:?} under {runtime}: {output:?}");
    }
}

#[test]
fn r02_issue_4432_under_another_runtime_no_record_changes_and_nothing_becomes_unhealthy() {
    let Some(docker) = Engine::start(Kind::Docker) else { return };
    let Some(podman) = Engine::start(Kind::Podman) else { return };
    let host = host(&[(Kind::Docker, docker.endpoint()), (Kind::Podman, podman.endpoint())]);
    let urls =
        [Kind::Docker, Kind::Podman].map(|kind| run(&host, kind, &format!("in-{}", kind.runtime()), &[]));
    host.run(&["--name", "plain", &demo_server()]);
    let mut before = records(&host);
    for runtime in ["docker", "podman", "process"] {
        all_commands_under(&host, runtime, 0);
        assert_eq!(records(&host), before, "under {runtime}");
        assert_eq!(stale_of_three(&host.list()), Vec::<String>::new(), "under {runtime}");
    }
    // As reported: one engine is down, and every search for an engine finds the other one.
    let mut engines = [docker, podman];
    for one in [0, 1] {
        engines[one].stop();
        let mine = format!("in-{}", engines[one].kind().runtime());
        for runtime in [engines[1 - one].kind().runtime(), "process"] {
            all_commands_under(&host, runtime, 5);
            assert_eq!(records(&host), before, "under {runtime}");
            assert_eq!(stale_of_three(&host.list()), [mine.as_str()], "under {runtime}");
        }
        engines[one].resume();
        eventually("it runs again, with no command", || {
            Client::open(&urls[one]).is_ok() && is_running_and_fresh(&host, &mine)
        });
        // The supervisor brought it back, and may have recorded the new container.
        before = records(&host);
    }
    for name in NAMES {
        host.ok(&["stop", name]);
        assert_eq!(host.row(name).unwrap()["status"], "stopped", "what is asked for is done nevertheless");
    }
    host.ok(&["rm", "--all"]);
}

/// The number of processes that look at the same time, again and again.
const LOOKERS: usize = 2;
/// The status of a workload that is not in the list.
const NONE: &str = "";

/// A workload that others look at while something is done with it.
struct Watched<'a> {
    host: &'a Host,
    /// The file in which every effect of a listing on files or locks would be traced.
    trace: &'a Path,
}

impl Watched<'_> {
    /// While the command is at work, everybody sees these in this order, whichever they are in time for; afterwards the
    /// last one.
    fn during(&self, command: &[&str], course: &[&str]) {
        let ends = AtomicBool::new(false);
        let look = || {
            let mut seen = vec![self.shown()];
            while !ends.load(Ordering::Relaxed) {
                seen.push(self.shown());
            }
            seen
        };
        std::thread::scope(|scope| {
            let lookers: Vec<_> = (0..LOOKERS).map(|_| scope.spawn(look)).collect();
            let said = self.host.wharf(command);
            ends.store(true, Ordering::Relaxed);
            assert_eq!(said.code, 0, "{command:?}: {said:?}");
            for seen in lookers.into_iter().map(|looker| looker.join().unwrap()) {
                let places: Option<Vec<_>> =
                    seen.iter().map(|shown| course.iter().position(|known| known == shown)).collect();
                assert!(places.is_some_and(|places| places.is_sorted()), "{command:?}: {seen:?}");
            }
        });
        assert_eq!(Some(&self.shown().as_str()), course.last(), "after {command:?}");
    }

    /// The status that a list shows, which has evidence for it, or says why not.
    fn shown(&self) -> String {
        let mut command = self.host.command(&["list", "--all", "--format", "json"]);
        let output = command.env("WHARF_FAILPOINT_TRACE", self.trace).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        let Some(row) = rows.first() else { return NONE.to_owned() };
        // A row may be stale: two records changed between two looks, or an engine was slow.
        row["status"].as_str().unwrap().to_owned()
    }
}

/// A workload comes, stops and starts so many times, and goes.
fn watched(kind: Kind, rounds: usize) {
    let Some(engine) = Engine::start(kind) else { return };
    let host = host(&[(kind, engine.endpoint())]);
    // From here on the host has its folders, so that a listing need not make any.
    run(&host, kind, "before", &[]);
    host.ok(&["rm", "before"]);
    let trace = host.path("trace");
    let watched = Watched { host: &host, trace: &trace };
    let run = ["run", "--runtime", kind.runtime(), "--name", "watched", DEMO_IMAGE];
    watched.during(&run, &[NONE, "starting", "running"]);
    for _ in 0..rounds {
        watched.during(&["stop", "watched"], &["running", "stopping", "stopped"]);
        watched.during(&["start", "watched"], &["stopped", "starting", "running"]);
    }
    watched.during(&["rm", "watched"], &["running", "stopping", "stopped", "removing", NONE]);
    let written = std::fs::read_to_string(&trace).unwrap_or_default();
    assert_eq!(written, "", "a list has written something, or taken a lock");
    // A command that writes leaves a trace, so the trace works.
    host.command(&["run", &demo_server()]).env("WHARF_FAILPOINT_TRACE", &trace).output().unwrap();
    assert!(std::fs::read_to_string(&trace).unwrap().contains("rename.after"));
}

#[test]
fn r04_issue_4432_docker_a_list_beside_a_start_or_a_stop_shows_nothing_worse_and_writes_nothing() {
    watched(Kind::Docker, 12);
}

#[test]
fn r04_issue_4432_podman_a_list_beside_a_start_or_a_stop_shows_nothing_worse_and_writes_nothing() {
    watched(Kind::Podman, 4);
}
