//! `adopt`, and workloads without a known owner.
use crate::harness::{TestHost, run_config, status};
use insta::assert_snapshot;

/// A workload with this in place of its runtime's name.
fn ownerless(host: &TestHost, name: &str, runtime: &str) {
    let config = run_config(name, "").replace(r#""absent""#, runtime);
    host.write(&format!("state/runconfigs/{name}.json"), &config);
    host.write(&format!("state/statuses/{name}.json"), &status(r#""running""#, r#""running""#));
}

#[test]
fn r07_a_workload_without_an_owner_is_unknown() {
    let host = TestHost::new();
    for (name, runtime) in [("empty", r#""""#), ("blank", r#""  ""#), ("number", "7"), ("null", "null")] {
        ownerless(&host, name, runtime);
    }
    let before = host.files();
    assert_snapshot!(host.wharf(&["list"]), @r#"
    exit code 0
    -- stdout --
    NAME     RUNTIME   PACKAGE                   STATUS    URL   PORT   GROUP   CREATED
    blank    -         uvx://mcp-server-blank    unknown   -     4100   tools   -
    empty    -         uvx://mcp-server-empty    unknown   -     4100   tools   -
    null     -         uvx://mcp-server-null     unknown   -     4100   tools   -
    number   -         uvx://mcp-server-number   unknown   -     4100   tools   -
    -- stderr --
    blank: unknown: owner unknown: no runtime has anything of it; to decide by hand: wharf adopt blank --runtime RUNTIME
    empty: unknown: owner unknown: no runtime has anything of it; to decide by hand: wharf adopt empty --runtime RUNTIME
    null: unknown: owner unknown: no runtime has anything of it; to decide by hand: wharf adopt null --runtime RUNTIME
    number: unknown: owner unknown: no runtime has anything of it; to decide by hand: wharf adopt number --runtime RUNTIME
    "#);
    assert_snapshot!(host.wharf(&["reconcile", "blank"]), @r#"
    exit code 0
    -- stdout --
    blank: owner unknown: no runtime has anything of it
    "#);
    assert_snapshot!(host.wharf(&["adopt", "blank"]), @r#"
    exit code 3
    -- stderr --
    error: the owner of 'blank' is unknown: no runtime has anything of it
    hint: to decide by hand: wharf adopt blank --runtime RUNTIME
    "#);
    assert_snapshot!(host.wharf(&["adopt", "blank", "--runtime", "docker"]), @r#"
    exit code 5
    -- stderr --
    error: no plugin provides a runtime named 'docker'; no plugin was found at all
    hint: see: wharf runtime list
    "#);
    assert_eq!(host.files(), before);
    assert_snapshot!(host.wharf(&["stop", "blank"]), @r#"
    exit code 5
    -- stderr --
    error: 'blank' has no owner: no runtime is recorded for it
    hint: to record its owner: wharf adopt blank
    "#);
}

#[test]
fn r07_nothing_is_adopted_while_a_runtime_that_was_used_here_cannot_be_asked() {
    let host = TestHost::new();
    host.record("time");
    ownerless(&host, "blank", r#""""#);
    let before = host.files();
    assert_snapshot!(host.wharf(&["adopt", "blank"]), @r#"
    exit code 5
    -- stderr --
    error: the owner of 'blank' is unknown: it may be of a runtime that cannot be asked: 'absent' (no plugin provides a runtime named 'absent'; no plugin was found at all)
    hint: to decide by hand: wharf adopt blank --runtime RUNTIME
    "#);
    assert_snapshot!(host.wharf(&["adopt", "blank", "--format", "json"]), @r#"
    exit code 5
    -- stderr --
    {"error":{"kind":"owner","message":"the owner of 'blank' is unknown: it may be of a runtime that cannot be asked: 'absent' (no plugin provides a runtime named 'absent'; no plugin was found at all)","advice":[{"do":"adopt_by_hand","name":"blank"}]}}
    "#);
    assert_eq!(host.files(), before);
}

#[test]
fn r07_an_owner_is_not_replaced_by_accident() {
    let host = TestHost::new();
    host.record("time");
    host.write(
        "state/runconfigs/far.json",
        &run_config("far", r#","remote_url":"https://x""#).replace("absent", ""),
    );
    let before = host.files();
    assert_snapshot!(host.wharf(&["adopt", "time"]), @r#"
    exit code 4
    -- stderr --
    error: 'time' has an owner: the runtime 'absent' at here
    hint: to move it to another instance: wharf adopt time --runtime absent --rebind
    "#);
    assert_snapshot!(host.wharf(&["adopt", "time", "--runtime", "process", "--rebind"]), @r#"
    exit code 4
    -- stderr --
    error: 'time' belongs to the runtime 'absent'
    hint: an owner can be moved to another instance of the same runtime alone
    "#);
    assert_snapshot!(host.wharf(&["adopt", "far"]), @r#"
    exit code 4
    -- stderr --
    error: 'far' is a remote server, which has no owner
    "#);
    assert_eq!(host.files(), before);
}
