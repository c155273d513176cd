//! `rm --forget`: drops the records, whatever they are, and reports the resources that are left.
use crate::harness::{TestHost, UID, run_config, status};
use insta::assert_snapshot;
use std::fs;

#[test]
fn r08_a_workload_whose_runtime_is_missing_is_forgotten_and_what_stays_is_said() {
    let host = TestHost::new();
    host.record("time");
    host.record("fetch");
    assert_snapshot!(host.wharf(&["rm", "--forget", "time"]), @r#"
    exit code 0
    -- stdout --
    time: forgotten; left behind: whatever the runtime 'absent' (here) has with the uid 0123456789abcdef0123456789abcdef, which cannot be told now (no plugin provides a runtime named 'absent'; no plugin was found at all); to remove it: wharf rm --orphan absent/0123456789abcdef0123456789abcdef
    "#);
    assert_snapshot!(host.wharf(&["rm", "--forget", "fetch", "--format", "json"]), @r#"
    exit code 0
    -- stdout --
    [
      {
        "name": "fetch",
        "result": "forgotten",
        "left_behind": "whatever the runtime 'absent' (here) has with the uid 0123456789abcdef0123456789abcdef, which cannot be told now (no plugin provides a runtime named 'absent'; no plugin was found at all)",
        "advice": [
          {
            "do": "remove_orphan",
            "runtime": "absent",
            "uid": "0123456789abcdef0123456789abcdef"
          }
        ]
      }
    ]
    "#);
    for folder in ["state/runconfigs", "state/statuses"] {
        assert_eq!(fs::read_dir(host.path(folder)).unwrap().count(), 0, "{folder}");
    }
    assert_snapshot!(host.wharf(&["rm", "--forget", "time"]), @r#"
    exit code 3
    -- stderr --
    error: there is no workload named 'time'
    hint: see: wharf list --all
    "#);
}

#[test]
fn a_status_record_without_a_runconfig_is_reported_and_forgotten() {
    let host = TestHost::new();
    host.write("state/statuses/time.json", &status(r#""running""#, r#""running""#));
    assert_snapshot!(host.wharf(&["list"]), @r#"
    exit code 0
    -- stdout --
    NAME   RUNTIME   PACKAGE   STATUS    URL   PORT   GROUP   CREATED
    time   -         -         unknown   -     -      -       -
    -- stderr --
    time: unknown: a status record without a RunConfig: $ROOT/state/statuses/time.json; to drop its records: wharf rm --forget time
    "#);
    assert_snapshot!(host.wharf(&["rm", "--forget", "time"]), @r#"
    exit code 0
    -- stdout --
    time: forgotten; left behind: whatever any runtime has of it with the uid 0123456789abcdef0123456789abcdef: nothing on record says which one made it
    "#);
    assert!(!host.path("state/statuses/time.json").exists());
}

#[test]
fn r11_corrupt_records_are_forgotten_and_keep_their_bytes() {
    let host = TestHost::new();
    host.write("state/runconfigs/time.json", r#"{"name": "time", "uid"#);
    host.write("state/statuses/time.json", "{ half a reco");
    assert_snapshot!(host.wharf(&["rm", "--forget", "time"]), @r#"
    exit code 0
    -- stdout --
    time: forgotten; left behind: whatever any runtime has of it: nothing on record says which one made it; a corrupt record is kept as $ROOT/state/statuses/time.json.corrupt-1; a corrupt record is kept as $ROOT/state/runconfigs/time.json.corrupt-1
    "#);
    let kept = |path: &str| fs::read_to_string(host.path(path)).unwrap();
    assert_eq!(kept("state/runconfigs/time.json.corrupt-1"), r#"{"name": "time", "uid"#);
    assert_eq!(kept("state/statuses/time.json.corrupt-1"), "{ half a reco");
    assert_snapshot!(host.wharf(&["list", "--all"]), @r#"
    exit code 0
    -- stderr --
    there are no workloads
    hint: start one: wharf run uvx://mcp-server-time
    "#);
}

#[test]
fn r11_a_corrupt_status_alone_is_reported_and_forgotten() {
    let host = TestHost::new();
    host.write("state/statuses/time.json", "{ half a reco");
    assert!(host.wharf(&["list"]).contains("wharf rm --forget time"));
    assert!(host.wharf(&["rm", "--forget", "time"]).starts_with("exit code 0\n"));
    assert!(host.path("state/statuses/time.json.corrupt-1").exists());
}

#[test]
fn r11_records_of_a_newer_version_are_not_forgotten() {
    let host = TestHost::new();
    let newer = run_config("time", "").replace("v0.1.0", "v9.0.0");
    host.write("state/runconfigs/time.json", &newer);
    host.write("state/statuses/time.json", &status(r#""stopped""#, r#""stopped""#));
    let before = host.path("state/statuses/time.json");
    assert_snapshot!(host.wharf(&["rm", "--forget", "time"]), @r#"
    exit code 1
    -- stderr --
    error: 'time': its record was written by a newer wharf, which alone can remove it
    "#);
    assert!(before.exists());
    assert_eq!(fs::read_to_string(host.path("state/runconfigs/time.json")).unwrap(), newer);
}

#[test]
fn r01_records_of_two_creations_of_a_name_are_both_forgotten() {
    let host = TestHost::new();
    let other = UID.replace('0', "f");
    host.write("state/runconfigs/time.json", &run_config("time", ""));
    host.write("state/statuses/time.json", &status(r#""stopped""#, r#""stopped""#).replace(UID, &other));
    assert!(host.wharf(&["rm", "--forget", "time"]).starts_with("exit code 0\n"));
    assert!(host.wharf(&["list", "--all"]).contains("there are no workloads"));
}

#[test]
fn r09_an_orphan_is_named_by_its_uid_and_excludes_the_other_ways_to_choose() {
    let host = TestHost::new();
    host.record("time");
    assert_snapshot!(host.wharf(&["rm", "--orphan", "process/time"]), @r#"
    exit code 2
    -- stderr --
    error: invalid value 'process/time' for '--orphan <[RUNTIME/]UID>': an id has 32 lowercase hexadecimal digits, this text of 4 characters is none

    For more information, try '--help'.
    "#);
    assert_snapshot!(host.wharf(&["rm", "--orphan", UID, "time"]), @r#"
    exit code 2
    -- stderr --
    error: the argument '--orphan <[RUNTIME/]UID>' cannot be used with '[NAME]...'

    Usage: wharf rm <NAME|--all|--group <GROUP>|--orphan <[RUNTIME/]UID>>

    For more information, try '--help'.
    "#);
    assert_snapshot!(host.wharf(&["rm", "--orphan", UID, "--format", "json"]), @r#"
    exit code 4
    -- stdout --
    [
      {
        "name": "0123456789abcdef0123456789abcdef",
        "result": "failed",
        "error": {
          "kind": "conflict",
          "message": "'0123456789abcdef0123456789abcdef' is no orphan: it is the workload 'time'",
          "advice": [
            {
              "do": "remove",
              "name": "time"
            }
          ]
        }
      }
    ]
    "#);
    assert_snapshot!(host.wharf(&["rm", "--orphan", &UID.replace('0', "f")]), @r#"
    exit code 5
    -- stderr --
    error: whether there is a resource 'f123456789abcdeff123456789abcdef' is not known: no plugin provides a runtime named 'absent'; no plugin was found at all
    "#);
}
