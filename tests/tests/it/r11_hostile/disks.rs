//! Disks that are full or read-only: the state directory's, and the data directory's.
use super::tools::{Mounted, contents, fill, limited, remove_filler, status};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use wharf_tests::client::http_through;
use wharf_tests::host::{Host, Said, demo_server, eventually, runs};

#[test]
fn r11_a_full_disk_keeps_nobody_from_listing_and_stopping() {
    let host = Host::new();
    let state = host.path("state");
    fs::create_dir(&state).unwrap();
    let size = ["-t", "tmpfs", "-o", "size=512k", "tmpfs"];
    let Some(_mounted) = Mounted::new(&state, &[&size]) else { return };
    host.run(&["--name", "demo", &demo_server()]);
    let supervisor = i32::try_from(host.record("demo")["process_id"].as_i64().unwrap()).unwrap();
    fill(&state);
    let before = fs::read(state.join("statuses/demo.json")).unwrap();
    assert_eq!(status(&host, "demo"), "running");
    let said = host.wharf(&["run", "--name", "other", &demo_server()]);
    assert_ne!(said.code, 0);
    assert!(said.stderr.contains("No space left"), "{said:?}");
    assert_eq!(said.stderr.matches("hint: make room on that disk").count(), 1, "{said:?}");
    assert!(host.row("other").is_none(), "nothing is left of it");
    let said = host.wharf(&["stop", "demo"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("was stopped, which could not be recorded"), "{said:?}");
    assert!(said.stderr.contains("No space left"), "{said:?}");
    assert_eq!(said.stderr.matches("hint: make room on that disk").count(), 1, "{said:?}");
    eventually("it was stopped", || !runs(supervisor));
    assert_eq!(fs::read(state.join("statuses/demo.json")).unwrap(), before, "the record is the old one");
    host.list();
    remove_filler(&state);
    host.ok(&["stop", "demo"]);
    assert_eq!(status(&host, "demo"), "stopped");
    host.ok(&["start", "demo"]);
    host.ok(&["rm", "demo"]);
    host.assert_nothing_runs();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn r05_a_read_only_state_directory_can_be_read_and_is_not_changed() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let state = host.path("state");
    let Some(mounted) = Mounted::read_only(&state) else { return };
    let before = contents(&state.join("statuses"));
    assert_eq!(status(&host, "demo"), "running");
    host.ok(&["status", "demo"]);
    host.ok(&["logs", "demo"]);
    for args in [&["stop", "demo"][..], &["rm", "demo"], &["run", "--name", "other", &demo_server()]] {
        let said = host.wharf(args);
        assert_ne!(said.code, 0, "{said:?}");
        assert!(said.stderr.contains("Read-only file system"), "{said:?}");
        assert_eq!(said.stderr.matches("mount that disk writable").count(), 1, "{said:?}");
    }
    let said = host.wharf(&["stop", "demo"]);
    let supervisor = i32::try_from(host.record("demo")["process_id"].as_i64().unwrap()).unwrap();
    assert!(said.stderr.contains("cannot open for writing"), "{said:?}");
    assert!(said.stderr.contains("writable, and try again"), "{said:?}");
    // A signal to the supervisor would be no stop: a server with a port outlives it, and every other one stays wanted.
    assert!(!said.stderr.contains("kill"), "{said:?}");
    assert!(status(&host, "demo") == "running" && runs(supervisor));
    assert_eq!(contents(&state.join("statuses")), before);
    drop(mounted);
    host.ok(&["stop", "demo"]);
    host.ok(&["rm", "demo"]);
    host.assert_nothing_runs();
}

#[test]
fn r05_a_read_only_state_directory_is_served_to_who_reads() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let Some(mounted) = Mounted::read_only(&host.path("state")) else { return };
    let refused = host.wharf(&["serve", "--no-reconcile"]);
    assert!(refused.code == 1 && refused.stderr.contains("choose a path for it"), "{refused:?}");
    let socket = host.path("elsewhere.sock");
    let place = socket.display().to_string();
    let mut serving = host
        .command(&["serve", "--no-reconcile", "--socket", &place])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(serving.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ask =
        |method: &str, path: &str| http_through(&socket, method, &format!("/api/v1beta{path}"), &[], "");
    let paths = [
        "/workloads?all=true",
        "/workloads/demo",
        "/workloads/demo/status",
        "/workloads/demo/url",
        "/workloads/demo/export",
        "/workloads/demo/logs",
        "/workloads/demo/proxy-logs",
        "/operations",
        "/groups",
        "/groups/default",
        "/runtimes",
        "/runtimes/process",
        "/version",
    ];
    let read: Vec<_> = paths.iter().map(|path| (path, ask("GET", path))).collect();
    let stop = ask("POST", "/workloads/demo/stop?wait=true");
    serving.kill().unwrap();
    serving.wait().unwrap();
    for (path, answer) in read {
        assert!(answer.as_ref().is_ok_and(|answer| answer.status == 200), "{path}: {answer:?}");
    }
    let stop = stop.unwrap();
    assert!(stop.status == 500 && stop.body.contains("Read-only file system"), "{stop:?}");
    assert_eq!(line.trim(), format!("unix:{place}"));
    drop(mounted);
    assert_eq!(status(&host, "demo"), "running");
    host.ok(&["rm", "demo"]);
}

#[test]
fn r11_a_full_disk_of_the_runtimes_data_keeps_nobody_from_listing_and_stopping() {
    let host = Host::new();
    let data = host.path("data");
    fs::create_dir(&data).unwrap();
    let size = ["-t", "tmpfs", "-o", "size=512k", "tmpfs"];
    let Some(_mounted) = Mounted::new(&data, &[&size]) else { return };
    host.run(&["--name", "demo", &demo_server()]);
    fill(&data);
    assert_eq!(status(&host, "demo"), "running");
    let said = host.wharf(&["run", "--name", "other", &demo_server()]);
    assert_ne!(said.code, 0, "{said:?}");
    assert!(said.stderr.contains("No space left"), "{said:?}");
    assert!(host.row("other").is_none(), "nothing is left of it");
    host.ok(&["stop", "demo"]);
    assert_eq!(status(&host, "demo"), "stopped");
    let said = host.wharf(&["start", "demo"]);
    assert!(said.code != 0 && said.stderr.contains("No space left"), "{said:?}");
    assert_eq!(said.stderr.matches("make room on that disk").count(), 1, "{said:?}");
    host.list();
    remove_filler(&data);
    host.ok(&["start", "demo"]);
    assert_eq!(status(&host, "demo"), "running");
    host.ok(&["rm", "demo"]);
    host.assert_nothing_runs();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn r11_read_only_data_of_the_runtime_are_no_evidence_and_take_no_record_along() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let Some(mounted) = Mounted::read_only(&host.path("data")) else { return };
    assert_eq!(status(&host, "demo"), "running");
    host.ok(&["status", "demo"]);
    let said = host.wharf(&["run", "--name", "other", &demo_server()]);
    assert!(said.code != 0 && said.stderr.contains("Read-only file system"), "{said:?}");
    assert_eq!(said.stderr.matches("mount that disk writable").count(), 1, "{said:?}");
    assert!(host.row("other").is_none(), "nothing is left of it");
    // A removal needs the runtime's data: it fails, and the workload stays on record.
    let said = host.wharf(&["rm", "demo"]);
    assert!(said.code != 0 && said.stderr.contains("Read-only file system"), "{said:?}");
    assert!(host.row("demo").is_some());
    drop(mounted);
    host.ok(&["rm", "demo"]);
    host.assert_nothing_runs();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn r11_a_disk_that_fails_keeps_nobody_from_stopping() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let points = [
        "command/write-file.before:1=error=EIO",
        "command/write-file.before:1=error=EMFILE",
        "command/write-file.after:1=error=EIO",
        "command/create-file.before:2=error=EMFILE",
        "command/rename.before:1=error=EIO",
        "command/sync-file.before:1=error=EIO",
        "command/sync-folder.before:1=error=EIO",
    ];
    for point in points {
        let server = host.server("demo");
        let output = host.command(&["stop", "demo"]).env("WHARF_FAILPOINT", point).output().unwrap();
        // A write that failed once may succeed at the end.
        assert_eq!(output.status.code(), Some(0), "{point}: {output:?}");
        assert!(!runs(server), "{point}: {output:?}");
        let record = host.record("demo");
        assert_eq!(
            (&record["status"], &record["desired"]),
            (&"stopped".into(), &"stopped".into()),
            "{point}"
        );
        host.ok(&["start", "demo"]);
    }
    host.ok(&["rm", "demo"]);
    host.assert_nothing_runs();
}

#[test]
fn r11_a_file_size_limit_of_zero_keeps_nobody_from_stopping_and_is_reported() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let server = host.server("demo");
    let said: Said = limited(&host, "ulimit -f 0", &["stop", "demo"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("was stopped, which could not be recorded"), "{said:?}");
    assert!(said.stderr.contains("File too large"), "{said:?}");
    assert!(said.stderr.contains("can be written\nhint: run: wharf stop demo"), "{said:?}");
    eventually("it was stopped", || !runs(server));
    host.ok(&["stop", "demo"]);
    assert_eq!(status(&host, "demo"), "stopped");
    host.ok(&["rm", "demo"]);
    host.assert_nothing_runs();
}

/// The first finding of `doctor` about a folder that is not as it should be: its result, its message and its remedy.
fn trouble(host: &Host, folder: &str) -> Option<[String; 3]> {
    let diagnosis: Value = serde_json::from_str(&host.wharf(&["doctor", "--format", "json"]).stdout).unwrap();
    let checks = diagnosis["checks"].as_array().unwrap().clone();
    let mut found = checks.iter().filter(|check| check["check"] == folder && check["result"] != "ok");
    let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    found.next().map(|check| ["result", "message", "remedy"].map(|key| text(check, key)))
}

#[test]
fn doctor_tries_to_write_to_each_folder_and_says_why_one_takes_nothing() {
    let host = Host::new();
    for (folder, result) in [("state", "failed"), ("data", "failed"), ("cache", "warning")] {
        let path = host.path(folder);
        fs::create_dir_all(&path).unwrap();
        let assert_told = |why: &str, remedy: &str| {
            let found = trouble(&host, folder).expect("it is told");
            assert!(found[0] == result && found[1].contains(why), "{found:?}");
            let shown = path.display().to_string();
            assert!(found[1].contains(&shown) && found[2].starts_with(remedy), "{found:?}");
            assert!(found[2].ends_with(&format!("or name another one: --{folder}-dir")), "{found:?}");
        };
        let size = ["-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs"];
        let Some(mounted) = Mounted::new(&path, &[&size]) else { return };
        assert_eq!(trouble(&host, folder), None);
        fill(&path);
        let before = contents(&path);
        assert_told("No space left on device", "make room on that disk (df -h ");
        assert_eq!(contents(&path), before, "nothing is left");
        remove_filler(&path);
        assert_eq!(trouble(&host, folder), None);
        drop(mounted);
        let few = ["-t", "tmpfs", "-o", "size=4m,mode=700,nr_inodes=16", "tmpfs"];
        let mounted = Mounted::new(&path, &[&few]).unwrap();
        let made = (0..16).take_while(|n| fs::File::create(path.join(n.to_string())).is_ok());
        assert!(made.count() < 16);
        assert_told("no inode left", "remove files from that disk (df -i ");
        drop(mounted);
        let mounted = Mounted::read_only(&path).unwrap();
        assert_told("Read-only file system", "mount it writable");
        drop(mounted);
    }
}
