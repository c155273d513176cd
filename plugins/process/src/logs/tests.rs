use super::*;
use serde_json::json;
use std::{fs, io::Write, time::Duration};
use tokio::io::AsyncReadExt;

/// A folder with a log and the state file of its workload.
struct TestLog(tempfile::TempDir);

impl TestLog {
    fn new() -> Self {
        let log = Self(tempfile::tempdir().unwrap());
        fs::File::create(log.state()).unwrap();
        log
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("a.log")
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("state.json")
    }

    /// Appends like the launcher.
    fn append(&self, suffix: &str, second: u8, text: &str) {
        let path = self.0.path().join(format!("a.log{suffix}"));
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(file, "2026-01-02T03:04:{second:02}.000Z {text}").unwrap();
    }

    /// Rotates like the launcher.
    fn rotate(&self) {
        for (from, to) in [("a.log.1", "a.log.2"), ("a.log", "a.log.1")] {
            let _ = fs::rename(self.0.path().join(from), self.0.path().join(to));
        }
    }

    /// Records the workload, or its end, as the launcher does: by rename.
    fn record(&self, code: Option<i32>) {
        let identity = json!({ "pid": 1, "start_time": 1, "boot_id": "b" });
        let mut state =
            json!({ "uid": "u", "host_id": "h", "name": "a", "launcher": identity, "workload": identity });
        if let Some(code) = code {
            state["exit"] = json!({ "code": code });
        }
        let made = self.0.path().join("state.tmp");
        fs::File::create(&made).unwrap().write_all(state.to_string().as_bytes()).unwrap();
        fs::rename(made, self.state()).unwrap();
    }

    fn read(&self, options: LogOptions) -> LogReader {
        LogReader::open(&self.log(), self.state(), options).unwrap()
    }

    async fn all(&self, options: LogOptions) -> String {
        let mut text = String::new();
        within(self.read(options).read_to_string(&mut text)).await.unwrap();
        text
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it took longer than a minute")
}

async fn expect(reader: &mut LogReader, text: &str) {
    let mut found = vec![0; text.len()];
    within(reader.read_exact(&mut found)).await.unwrap();
    assert_eq!(String::from_utf8(found).unwrap(), text);
}

#[tokio::test]
async fn rotated_files_are_read_oldest_first_without_the_times() {
    let log = TestLog::new();
    log.append(".2", 1, "one");
    log.append(".1", 2, "two");
    log.append("", 3, "three");
    assert_eq!(log.all(LogOptions::default()).await, "one\ntwo\nthree\n");
}

#[tokio::test]
async fn a_log_that_does_not_exist_yet_is_empty() {
    assert_eq!(TestLog::new().all(LogOptions::default()).await, "");
}

#[tokio::test]
async fn the_last_lines_are_counted_over_files_and_blocks() {
    let log = TestLog::new();
    let long = "x".repeat(3_000);
    for number in 0..60 {
        log.append(".1", 1, &format!("{number} {long}"));
    }
    log.append("", 2, "a");
    log.append("", 3, "b");
    for (tail, first) in [(0, ""), (1, "b"), (2, "a"), (3, "59 "), (40, "22 "), (62, "0 "), (99, "0 ")] {
        let text = log.all(LogOptions { tail: Some(tail), ..LogOptions::default() }).await;
        assert_eq!(text.lines().count() as u64, tail.min(62), "{tail}");
        assert!(text.starts_with(first), "{tail}");
    }
}

#[tokio::test]
async fn since_reads_only_lines_written_from_that_time_on() {
    let log = TestLog::new();
    log.append(".1", 1, "one");
    log.append("", 2, "two");
    log.append("", 3, "three");
    let since_ms = Some(1_767_323_042_000); // 2026-01-02T03:04:02Z
    assert_eq!(log.all(LogOptions { since_ms, ..LogOptions::default() }).await, "two\nthree\n");
    let options = LogOptions { since_ms, tail: Some(1), ..LogOptions::default() };
    assert_eq!(log.all(options).await, "three\n");
}

#[tokio::test]
async fn times_stay_where_they_are_wanted() {
    let log = TestLog::new();
    log.append(".1", 1, "one");
    log.append("", 2, "two");
    let options = LogOptions { timestamps: true, tail: Some(2), ..LogOptions::default() };
    assert_eq!(log.all(options).await, "2026-01-02T03:04:01.000Z one\n2026-01-02T03:04:02.000Z two\n");
}

#[tokio::test]
async fn a_followed_log_goes_on_over_rotations_and_ends_with_the_workload() {
    let log = TestLog::new();
    let mut reader = log.read(LogOptions { follow: true, ..LogOptions::default() });
    log.append("", 1, "one");
    expect(&mut reader, "one\n").await;
    log.append("", 2, "two");
    log.rotate();
    log.append("", 3, "three");
    expect(&mut reader, "two\nthree\n").await;
    for number in 0..20 {
        log.append("", 4, &format!("line {number}"));
        log.rotate();
        expect(&mut reader, &format!("line {number}\n")).await;
    }
    log.append("", 5, "last");
    fs::remove_file(log.state()).unwrap();
    let mut rest = String::new();
    within(reader.read_to_string(&mut rest)).await.unwrap();
    assert_eq!(rest, "last\n");
}

#[tokio::test]
async fn a_followed_log_ends_when_the_end_of_its_workload_is_recorded() {
    let log = TestLog::new();
    let mut reader = log.read(LogOptions { follow: true, ..LogOptions::default() });
    log.append("", 1, "one");
    expect(&mut reader, "one\n").await;
    log.append("", 2, "last");
    log.record(None);
    expect(&mut reader, "last\n").await;
    log.record(Some(0));
    let mut rest = String::new();
    within(reader.read_to_string(&mut rest)).await.unwrap();
    assert_eq!(rest, "");
    assert_eq!(log.all(LogOptions { follow: true, ..LogOptions::default() }).await, "one\nlast\n");
}

#[tokio::test]
async fn a_log_that_is_followed_before_its_workload_is_there_ends_with_it() {
    let log = TestLog::new();
    fs::remove_file(log.state()).unwrap();
    let mut reader = log.read(LogOptions { follow: true, ..LogOptions::default() });
    log.append("", 1, "one");
    expect(&mut reader, "one\n").await;
    log.record(None);
    log.append("", 2, "two");
    expect(&mut reader, "two\n").await;
    log.record(Some(0));
    let mut rest = String::new();
    within(reader.read_to_string(&mut rest)).await.unwrap();
    assert_eq!(rest, "");
}

#[tokio::test]
async fn following_begins_after_the_last_lines() {
    let log = TestLog::new();
    log.append("", 1, "one");
    log.append("", 2, "two");
    let mut reader = log.read(LogOptions { follow: true, tail: Some(1), ..LogOptions::default() });
    expect(&mut reader, "two\n").await;
    log.append("", 3, "three");
    expect(&mut reader, "three\n").await;
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_reading() {
    let log = TestLog::new();
    let mut reader = log.read(LogOptions { follow: true, ..LogOptions::default() });
    log.append("", 1, "one");
    expect(&mut reader, "one\n").await;
    let task = reader.task.clone();
    drop(reader);
    within(async {
        while !task.is_finished() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
