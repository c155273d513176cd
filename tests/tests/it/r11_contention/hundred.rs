//! A hundred processes on the same few names at the same time: demonstration 7 of the ownership contract.
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    sync::Mutex,
    time::{Duration, Instant},
};
use wharf_tests::host::{Host, Said, demo_server, eventually, runs};

const PROCESSES: u64 = 100;
const NAMES: [&str; 5] = ["ant", "bee", "cat", "dog", "elk"];
/// How long new commands are begun, unless the variable gives another number. Those that wait for another one end later.
const CONTENTION_SECONDS: u64 = 20;
const CONTENTION_VARIABLE: &str = "WHARF_TEST_CONTENTION_SECONDS";

/// The commands of one of the hundred, from its number: a sequence that differs from everybody else's.
fn command(host: &Host, number: u64, round: u64) -> (Vec<&'static str>, Said) {
    let mixed = (number * 0x9E37_79B9 + round * 0x85EB_CA6B) >> 7;
    let name = NAMES[usize::try_from(mixed % 5).unwrap()];
    let args = match (mixed / 5) % 9 {
        0 => vec!["list", "--all", "--format", "json"],
        1 => vec!["status", name],
        2 => vec!["start", name],
        3 => vec!["stop", name],
        4 => vec!["rm", name],
        5 => vec!["restart", name],
        6 => vec!["reconcile"],
        _ => vec!["run", "--name", name],
    };
    let server = demo_server();
    let mut all = args.clone();
    if args[0] == "run" {
        all.push(&server);
    }
    let said = host.wharf(&all);
    (args, said)
}

/// What a command may say while others do what they want with the same workload: done, not found, or in conflict.
/// A start that another command gives up fails, and says by whom.
fn is_expected(args: &[&str], said: &Said) -> bool {
    match said.code {
        0 | 4 => true,
        3 => args[0] != "list" && args[0] != "run",
        1 => said.stderr.contains("while it was starting"),
        _ => false,
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "how much was tried is worth knowing")]
fn r07_a_hundred_processes_on_the_same_names_leave_records_that_are_true() {
    let host = Host::new();
    let told = std::env::var(CONTENTION_VARIABLE).ok().and_then(|text| text.parse().ok());
    let contention_time = Duration::from_secs(told.unwrap_or(CONTENTION_SECONDS));
    let began = Instant::now();
    let surprises = Mutex::new(Vec::new());
    let said_so_far = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for number in 0..PROCESSES {
            let (host, surprises, said_so_far) = (&host, &surprises, &said_so_far);
            scope.spawn(move || {
                let mut round = 0;
                while began.elapsed() < contention_time {
                    let (args, said) = command(host, number, round);
                    if !is_expected(&args, &said) {
                        surprises.lock().unwrap().push(format!("{args:?}: {said:?}"));
                    }
                    *said_so_far.lock().unwrap().entry((args[0], said.code)).or_insert(0) += 1;
                    round += 1;
                }
            });
        }
    });
    let said_so_far = said_so_far.into_inner().unwrap();
    eprintln!("commands and their codes: {said_so_far:?}");
    for done in ["list", "status", "start", "stop", "rm", "restart", "reconcile", "run"] {
        assert!(said_so_far.contains_key(&(done, 0)), "no {done} ever succeeded");
    }
    let surprises = surprises.into_inner().unwrap();
    assert!(surprises.is_empty(), "{} surprises:\n{}", surprises.len(), surprises.join("\n"));
    eventually("all is quiet", || host.list().iter().all(|row| is_settled(row["status"].as_str().unwrap())));
    check_records(&host);
    for name in NAMES {
        // Whatever it is, the next commands do what they say.
        if host.row(name).is_some() {
            host.ok(&["start", name]);
            assert_eq!(host.row(name).unwrap()["status"], "running");
            host.ok(&["rm", name]);
        }
    }
    host.assert_nothing_runs();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

fn is_settled(status: &str) -> bool {
    ["running", "stopped", "error"].contains(&status)
}

/// No ghost records, nothing that runs without one, and each record says what is so.
fn check_records(host: &Host) {
    let rows = host.list();
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
    let mut known = Vec::new();
    for row in &rows {
        let name = row["name"].as_str().unwrap();
        let record = host.record(name);
        assert_eq!(record["status"], row["status"], "{row} {record}");
        let pids = processes_of(&record);
        if record["status"] == "running" {
            assert_eq!(pids.len(), 3, "{record}");
            assert!(pids.iter().all(|pid| runs(*pid)), "{record}");
            known.extend(pids);
        } else {
            assert!(record["process_id"].is_null(), "{record}");
        }
    }
    let ghosts: Vec<_> = host.processes().into_iter().filter(|pid| !known.contains(pid)).collect();
    assert!(ghosts.is_empty(), "no record knows {ghosts:?}");
}

/// The supervisor, the launcher and the workload of a record.
fn processes_of(record: &Value) -> Vec<i32> {
    let handle = &record["handle"]["data"];
    [&record["process_id"], &handle["launcher"]["pid"], &handle["workload"]["pid"]]
        .into_iter()
        .filter_map(|pid| i32::try_from(pid.as_i64()?).ok())
        .collect()
}
