//! The conditions that must hold once all is quiet.
use super::setup::{Setup, server};
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};
use wharf_tests::engine::{Object, State};
use wharf_tests::host::{EVENT_WAIT, Host, program_of, runs};

/// Makes the RunConfig look as if an older version had written it: without an owner.
pub(super) fn strip_owner(host: &Host, name: &str) {
    host.change_run_config(name, |config| {
        let fields = config.as_object_mut().unwrap();
        for field in ["runtime_name", "runtime_instance", "runtime_endpoint"] {
            fields.remove(field);
        }
    });
}

/// The rows that are workloads, and those that are orphans.
fn rows(host: &Host) -> (Vec<Value>, Vec<Value>) {
    host.list().into_iter().partition(|row| row["orphan"] != true)
}

/// No command is at work, and none was interrupted.
pub(super) fn is_quiet(host: &Host) -> bool {
    let settled = ["running", "stopped", "error"];
    rows(host).0.iter().all(|row| {
        let unowned =
            row["status"] == "unknown" && row["runtime_name"].as_str().unwrap_or_default().is_empty();
        unowned || settled.contains(&row["status"].as_str().unwrap())
    })
}

/// Adopts those of the workloads that began without an owner and that no process has adopted.
pub(super) fn adopt_the_rest(host: &Host) {
    for row in rows(host).0.iter().filter(|row| row["status"] == "unknown") {
        host.ok(&["adopt", row["name"].as_str().unwrap()]);
    }
}

/// A runtime of which no workload is left is asked by no listing, which then has none of its orphans.
pub(super) fn let_all_be_asked(setup: &Setup) {
    for runtime in setup.runtimes {
        setup.host.ok(&["run", "--runtime", runtime, "--name", &format!("asks-{runtime}"), &server(runtime)]);
    }
}

/// There are no ghost records, nothing runs without a record, and each record agrees with its runtime.
pub(super) fn check(setup: &Setup) {
    let host = &setup.host;
    let (rows, orphans) = rows(host);
    let files = |folder: &str| {
        let entries = fs::read_dir(host.path(folder)).into_iter().flatten().filter_map(Result::ok);
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    };
    let mut expected: Vec<_> =
        rows.iter().map(|row| format!("{}.json", row["name"].as_str().unwrap())).collect();
    expected.sort_unstable();
    assert_eq!(files("state/runconfigs"), expected);
    assert_eq!(files("state/statuses"), expected);
    let objects: Vec<_> = rows.iter().filter_map(|row| check_one(setup, row)).collect();
    no_ghosts(host);
    // The leftovers of `rm --forget` are orphans, and nothing else is.
    for (_, object) in setup.objects().into_iter().filter(|(_, object)| !objects.contains(&object.id)) {
        assert!(orphans.iter().any(|row| row["uid"] == object.uid), "nobody knows {object:?}: {orphans:?}");
    }
}

/// No process runs without a record, unless it was forgotten. What a supervisor that was told to end had begun may be ending
/// just now.
fn no_ghosts(host: &Host) {
    let until = Instant::now() + EVENT_WAIT;
    loop {
        let (rows, orphans) = rows(host);
        if orphans.iter().any(|row| row["runtime_name"] == "process") {
            return;
        }
        let running = rows.iter().filter(|row| row["status"] == "running");
        let recorded = running.flat_map(|row| processes_of(&host.record(row["name"].as_str().unwrap())));
        let known: Vec<i32> = recorded.flat_map(|pid| [pid, program_of(pid)]).collect();
        let ghosts: Vec<_> = host.processes().into_iter().filter(|pid| !known.contains(pid)).collect();
        if ghosts.is_empty() {
            return;
        }
        let command =
            |pid: &i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).map(|it| it.replace('\0', " "));
        let told: Vec<_> = ghosts.iter().map(|pid| (pid, command(pid))).collect();
        assert!(Instant::now() < until, "no record knows {told:?}; {rows:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A record agrees with its row, its RunConfig and its runtime; its object.
fn check_one(setup: &Setup, row: &Value) -> Option<String> {
    let name = row["name"].as_str().unwrap();
    let (record, config) = (setup.host.record(name), setup.host.run_config(name));
    assert_eq!((&record["status"], &record["uid"]), (&row["status"], &config["uid"]), "{row} {record}");
    let runtime = config["runtime_name"].as_str().unwrap();
    let pids = processes_of(&record);
    let object = object_of(setup, runtime, config["uid"].as_str().unwrap());
    let is_running = record["status"] == "running";
    if is_running {
        assert_eq!(record["desired"], "running", "{record}");
        assert_eq!(pids.len(), if runtime == "process" { 3 } else { 1 }, "{record}");
        assert!(pids.iter().all(|pid| runs(*pid)), "{record}");
    } else {
        assert!(record["process_id"].is_null(), "{record}");
    }
    if runtime != "process" {
        let runs = object.as_ref().is_some_and(|object| object.state == State::Running);
        assert_eq!(runs, is_running, "{record} {object:?}");
    }
    object.map(|object| object.id)
}

/// The supervisor, and of a process the launcher and the workload, of a record.
fn processes_of(record: &Value) -> Vec<i32> {
    let handle = &record["handle"]["data"];
    [&record["process_id"], &handle["launcher"]["pid"], &handle["workload"]["pid"]]
        .into_iter()
        .filter_map(|pid| i32::try_from(pid.as_i64()?).ok())
        .collect()
}

/// The owner's object with this uid; no other engine may have one.
fn object_of(setup: &Setup, runtime: &str, uid: &str) -> Option<Object> {
    let mut found = setup.objects();
    found.retain(|(_, object)| object.uid == uid);
    assert!(found.len() < 2 && found.iter().all(|(name, _)| *name == runtime), "{runtime} {found:?}");
    found.pop().map(|(_, object)| object)
}

/// Removes everything, whatever its state: the commands must succeed, and leave nothing.
pub(super) fn remove_everything(setup: &Setup) {
    let host = &setup.host;
    for row in rows(host).0 {
        let name = row["name"].as_str().unwrap();
        host.ok(&["start", name]);
        assert_eq!(host.row(name).unwrap()["status"], "running");
        host.ok(&["rm", name]);
    }
    let doctor: Value = serde_json::from_str(&host.wharf(&["doctor", "--format", "json"]).stdout).unwrap();
    let checks = doctor["checks"].as_array().unwrap().iter();
    for check in checks.filter(|check| check["check"] == json!("orphan")) {
        let id = check["message"].as_str().unwrap().split(' ').next().unwrap();
        host.ok(&["rm", "--orphan", id]);
    }
    host.assert_nothing_runs();
    assert_eq!(host.leftovers(), Vec::<String>::new());
    assert_eq!(setup.objects(), []);
}
