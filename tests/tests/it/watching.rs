//! `list --watch` notices changes by other processes, and leaves no trace.
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Instant,
};
use wharf_tests::host::{EVENT_WAIT, Host, demo_server, eventually, kill};
use wharf_tests::json_forms::assert_form;

/// A watcher; ended when it is dropped.
struct Watcher {
    process: Child,
    lists: Receiver<Vec<Value>>,
}

impl Watcher {
    fn start(host: &Host) -> Self {
        let mut command = host.command(&["list", "--all", "--watch", "--format", "json"]);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (tell, lists) = channel();
        std::thread::spawn(move || {
            for line in lines {
                let list: Value = serde_json::from_str(&line.unwrap()).expect("one JSON array a line");
                assert_form("list", &list);
                if tell.send(list.as_array().cloned().unwrap_or_default()).is_err() {
                    // Nobody reads any more: the pipe is closed.
                    return;
                }
            }
        });
        Self { process, lists }
    }

    /// Waits for a list; those before it are passed over.
    fn wait_for(&self, what: &str, is_it: impl Fn(&[Value]) -> bool) {
        let deadline = Instant::now() + EVENT_WAIT;
        let mut last = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(list) = self.lists.recv_timeout(left) else {
                panic!("never seen: {what}; last: {last:?}")
            };
            if is_it(&list) {
                return;
            }
            last = Some(list);
        }
    }

    fn wait_for_status(&self, status: &str) {
        self.wait_for(status, |list| list.iter().any(|row| row["name"] == "demo" && row["status"] == status));
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn r05_a_watcher_sees_a_workload_come_and_go_and_makes_nothing() {
    let host = Host::new();
    let watcher = Watcher::start(&host);
    watcher.wait_for("an empty list", <[Value]>::is_empty);
    assert!(!host.path("state").exists(), "it is older than the state directory");
    host.run(&["--name", "demo", &demo_server()]);
    watcher.wait_for_status("running");
    host.ok(&["stop", "demo"]);
    watcher.wait_for_status("stopped");
    host.ok(&["start", "demo"]);
    watcher.wait_for_status("running");
    host.ok(&["rm", "demo"]);
    watcher.wait_for("an empty list again", <[Value]>::is_empty);
}

#[test]
fn a_watcher_sees_what_no_record_tells() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let watcher = Watcher::start(&host);
    watcher.wait_for_status("running");
    let before = host.record("demo");
    let supervisor = i32::try_from(before["process_id"].as_i64().unwrap()).unwrap();
    kill(supervisor, "KILL");
    watcher.wait_for_status("unhealthy");
    assert_eq!(host.record("demo"), before);
}

#[test]
fn a_watcher_prints_changes_alone() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let watcher = Watcher::start(&host);
    watcher.wait_for_status("running");
    // A record that is written again and says the same.
    let path = host.path("state/statuses/demo.json");
    std::fs::copy(&path, host.path("copy")).unwrap();
    std::fs::rename(host.path("copy"), &path).unwrap();
    host.run(&["--name", "other", &demo_server()]);
    let first = watcher.lists.recv_timeout(EVENT_WAIT).unwrap();
    assert!(first.iter().any(|row| row["name"] == json!("other")), "{first:?}");
}

#[test]
fn a_watcher_ends_with_its_reader_and_by_a_signal() {
    let host = Host::new();
    let mut read = Watcher::start(&host);
    read.wait_for("an empty list", <[Value]>::is_empty);
    kill(i32::try_from(read.process.id()).unwrap(), "INT");
    assert_eq!(read.process.wait().unwrap().signal(), Some(2));
    let mut command = host.command(&["list", "--watch"]);
    let mut unread = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(unread.stdout.take());
    eventually("it ends without a word to say", || unread.try_wait().unwrap().is_some());
    assert!(unread.wait().unwrap().success());
}
