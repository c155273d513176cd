//! `logs --proxy`, which needs no runtime.
use crate::harness::TestHost;
use insta::assert_snapshot;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

const LOG: &str = "state/logs/time.proxy.log";

fn host() -> TestHost {
    let host = TestHost::new();
    host.record("time");
    host.write(
        LOG,
        "2026-01-01T08:00:00Z  INFO one\n2026-01-02T08:00:00Z  WARN two\n  more of two\n2026-01-03T08:00:00Z  INFO three\n",
    );
    host
}

#[test]
fn the_log_of_a_supervisor_is_shown() {
    assert_snapshot!(host().wharf(&["logs", "--proxy", "time"]), @r#"
    exit code 0
    -- stdout --
    2026-01-01T08:00:00Z  INFO one
    2026-01-02T08:00:00Z  WARN two
      more of two
    2026-01-03T08:00:00Z  INFO three
    "#);
}

#[test]
fn the_last_lines_and_those_since_a_time_can_be_asked_for() {
    let host = host();
    assert_snapshot!(host.wharf(&["logs", "--proxy", "--tail", "1", "time"]), @r#"
    exit code 0
    -- stdout --
    2026-01-03T08:00:00Z  INFO three
    "#);
    assert_snapshot!(host.wharf(&["logs", "--proxy", "--tail", "0", "time"]), @r#"
    exit code 0
    "#);
    assert_snapshot!(host.wharf(&["logs", "--proxy", "--since", "2026-01-02T00:00:00Z", "time"]), @r#"
    exit code 0
    -- stdout --
    2026-01-02T08:00:00Z  WARN two
      more of two
    2026-01-03T08:00:00Z  INFO three
    "#);
    assert_snapshot!(host.wharf(&["logs", "--proxy", "--since", "10m", "time"]), @r#"
    exit code 0
    "#);
    assert_snapshot!(host.wharf(&["logs", "--since", "yesterday", "time"]), @r#"
    exit code 2
    -- stderr --
    error: invalid value 'yesterday' for '--since <TIME>': it is a duration such as 10m, or a time in RFC 3339

    For more information, try '--help'.
    "#);
}

#[test]
fn a_log_that_does_not_exist_yet_is_said() {
    let host = TestHost::new();
    host.record("time");
    assert_snapshot!(host.wharf(&["logs", "--proxy", "time"]), @r#"
    exit code 3
    -- stderr --
    error: 'time' has no supervisor's log yet
    "#);
    assert_snapshot!(host.wharf(&["logs", "time"]), @r#"
    exit code 5
    -- stderr --
    error: 'time' belongs to the runtime 'absent', which cannot be asked: no plugin provides a runtime named 'absent'; no plugin was found at all
    hint: see: wharf runtime list
    "#);
}

#[test]
fn a_log_is_followed_through_its_rotation() {
    let host = host();
    let mut command = host.command(&["logs", "--proxy", "--follow", "--tail", "1", "time"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().ends_with("three"));
    OpenOptions::new().append(true).open(host.path(LOG)).unwrap().write_all(b"four\n").unwrap();
    assert_eq!(lines.next().unwrap(), "four");
    std::fs::rename(host.path(LOG), host.path("state/logs/time.proxy.log.1")).unwrap();
    File::create(host.path(LOG)).unwrap().write_all(b"five\n").unwrap();
    assert_eq!(lines.next().unwrap(), "five");
    child.kill().unwrap();
    child.wait().unwrap();
}
