//! `reconcile` without evidence: it does nothing, and says so.
use crate::harness::{TestHost, status};
use insta::assert_snapshot;

#[test]
fn r04_a_workload_whose_runtime_is_missing_is_left_alone_with_the_reason() {
    let host = TestHost::new();
    host.record("time");
    host.record("fetch");
    host.write("state/statuses/time.json", &status(r#""running""#, r#""running""#));
    let before = host.files();
    assert_snapshot!(host.wharf(&["reconcile"]), @r#"
    exit code 5
    -- stdout --
    fetch: left alone: no plugin provides a runtime named 'absent'; no plugin was found at all
    time: left alone: no plugin provides a runtime named 'absent'; no plugin was found at all
    "#);
    assert_snapshot!(host.wharf(&["reconcile", "time", "--format", "json"]), @r#"
    exit code 5
    -- stdout --
    [
      {
        "name": "time",
        "result": "left_alone",
        "reason": "no plugin provides a runtime named 'absent'; no plugin was found at all",
        "unasked": true
      }
    ]
    "#);
    assert_eq!(host.files(), before);
}

#[test]
fn r11_what_cannot_be_read_is_left_alone() {
    let host = TestHost::new();
    host.record("time");
    host.record("fetch");
    host.write("state/runconfigs/time.json", "{ half a reco");
    host.write("state/statuses/fetch.json", "{ half a reco");
    let before = host.files();
    assert_snapshot!(host.wharf(&["reconcile"]), @r#"
    exit code 0
    -- stdout --
    fetch: left alone: $ROOT/state/statuses/fetch.json is corrupt: not a record of this kind: key must be a string at line 1 column 3
    time: left alone: $ROOT/state/runconfigs/time.json is corrupt: not a record of this kind: key must be a string at line 1 column 3
    "#);
    assert_eq!(host.files(), before);
}

#[test]
fn a_workload_that_does_not_exist_is_told_and_nothing_is_a_success() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["reconcile"]), @r#"
    exit code 0
    -- stderr --
    there are no workloads
    "#);
    assert_snapshot!(host.wharf(&["reconcile", "time"]), @r#"
    exit code 3
    -- stderr --
    error: there is no workload named 'time'
    hint: see: wharf list --all
    "#);
}
