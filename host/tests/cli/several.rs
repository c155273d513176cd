//! One command for several workloads.
use crate::harness::TestHost;
use insta::assert_snapshot;

#[test]
fn each_result_is_reported_and_each_name_done_once() {
    let host = TestHost::new();
    host.record("time");
    assert_snapshot!(host.wharf(&["stop", "aa", "time", "aa"]), @r#"
    exit code 5
    -- stderr --
    error: there is no workload named 'aa'
    hint: see: wharf list --all
    error: 'time' belongs to the runtime 'absent', which cannot be asked: no plugin provides a runtime named 'absent'; no plugin was found at all
    hint: see: wharf runtime list
    "#);
    assert_snapshot!(host.wharf(&["stop", "--format", "json", "aa", "time"]), @r#"
    exit code 5
    -- stdout --
    [
      {
        "name": "aa",
        "result": "failed",
        "error": {
          "kind": "not_found",
          "message": "there is no workload named 'aa'",
          "advice": [
            {
              "do": "list_workloads"
            }
          ]
        }
      },
      {
        "name": "time",
        "result": "failed",
        "error": {
          "kind": "owner",
          "message": "'time' belongs to the runtime 'absent', which cannot be asked: no plugin provides a runtime named 'absent'; no plugin was found at all",
          "advice": [
            {
              "do": "list_runtimes"
            }
          ]
        }
      }
    ]
    "#);
}

#[test]
fn stop_all_and_rm_all_succeed_where_there_is_no_workload() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["rm", "--all"]), @r#"
    exit code 0
    -- stderr --
    there are no workloads
    "#);
    assert_snapshot!(host.wharf(&["stop", "--group", "tools"]), @r#"
    exit code 0
    -- stderr --
    there are no workloads in the group 'tools'
    "#);
    assert_snapshot!(host.wharf(&["stop", "--all", "--format", "json"]), @r#"
    exit code 0
    -- stdout --
    []
    "#);
}

#[test]
fn a_group_is_its_own_members() {
    let host = TestHost::new();
    host.record("time");
    assert!(host.wharf(&["stop", "--group", "tools"]).starts_with("exit code 5\n"));
    assert!(host.wharf(&["stop", "--group", "others"]).starts_with("exit code 0\n"));
}
