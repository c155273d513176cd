//! Records are shown, whatever they contain, and never harmed.
use crate::harness::{TestHost, run_config, status};
use insta::assert_snapshot;
use std::fs;

#[test]
fn an_empty_list_is_said_and_makes_nothing() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["list"]), @r#"
    exit code 0
    -- stderr --
    no workloads are running
    hint: see those that are stopped: wharf list --all; start one: wharf run uvx://mcp-server-time
    "#);
    assert_snapshot!(host.wharf(&["ls", "--all"]), @r#"
    exit code 0
    -- stderr --
    there are no workloads
    hint: start one: wharf run uvx://mcp-server-time
    "#);
    assert_snapshot!(host.wharf(&["list", "--group", "tools"]), @r#"
    exit code 0
    -- stderr --
    no workloads match
    hint: start one: wharf run uvx://mcp-server-time
    "#);
    assert_snapshot!(host.wharf(&["list", "--format", "json"]), @r#"
    exit code 0
    -- stdout --
    []
    "#);
    assert_snapshot!(host.wharf(&["list", "--format", "mcpservers"]), @r#"
    exit code 0
    -- stdout --
    {
      "mcpServers": {}
    }
    "#);
    assert_eq!(host.files().len(), 1, "only the folder itself");
}

#[test]
fn a_workload_whose_runtime_is_missing_is_stale_and_its_list_a_success() {
    let host = TestHost::new();
    host.record("time");
    host.record("fetch");
    let before = host.files();
    assert_snapshot!(host.wharf(&["list"]), @r#"
    exit code 0
    -- stderr --
    no workloads are running
    hint: see those that are stopped: wharf list --all; start one: wharf run uvx://mcp-server-time
    "#);
    assert_snapshot!(host.wharf(&["list", "--all"]), @r#"
    exit code 0
    -- stdout --
    NAME    RUNTIME   PACKAGE                  STATUS            URL   PORT   GROUP   CREATED
    fetch   absent    uvx://mcp-server-fetch   stopped (stale)   -     4100   tools   -
    time    absent    uvx://mcp-server-time    stopped (stale)   -     4100   tools   -
    -- stderr --
    stale: no plugin provides a runtime named 'absent'; no plugin was found at all
    "#);
    assert_snapshot!(host.wharf(&["list", "--all", "--format", "json", "--runtime", "absent"]), @r#"
    exit code 0
    -- stdout --
    [
      {
        "name": "fetch",
        "uid": "0123456789abcdef0123456789abcdef",
        "runtime_name": "absent",
        "runtime_instance": "here",
        "package": "uvx://mcp-server-fetch",
        "port": 4100,
        "transport_type": "stdio",
        "proxy_mode": "streamable-http",
        "status": "stopped",
        "stale": true,
        "stale_reason": "no plugin provides a runtime named 'absent'; no plugin was found at all",
        "group": "tools"
      },
      {
        "name": "time",
        "uid": "0123456789abcdef0123456789abcdef",
        "runtime_name": "absent",
        "runtime_instance": "here",
        "package": "uvx://mcp-server-time",
        "port": 4100,
        "transport_type": "stdio",
        "proxy_mode": "streamable-http",
        "status": "stopped",
        "stale": true,
        "stale_reason": "no plugin provides a runtime named 'absent'; no plugin was found at all",
        "group": "tools"
      }
    ]
    "#);
    assert_snapshot!(host.wharf(&["status", "time"]), @r#"
    exit code 0
    -- stdout --
    Name:           time
    Status:         stopped (stale)
    Stale because:  no plugin provides a runtime named 'absent'; no plugin was found at all
    Package:        uvx://mcp-server-time
    Runtime:        absent
    Instance:       here
    Group:          tools
    Recorded:       stopped, to be stopped
    Supervisor:     none
    Uid:            0123456789abcdef0123456789abcdef
    "#);
    assert_eq!(host.files(), before, "reading does not write");
}

#[test]
fn a_workload_whose_runtime_is_missing_is_not_touched() {
    let host = TestHost::new();
    host.record("time");
    for command in ["start", "stop", "restart", "rm"] {
        let output = host.command(&[command, "time"]).output().unwrap();
        let said = host.told(&output);
        assert!(
            said.starts_with("exit code 5\n-- stderr --\nerror: 'time' belongs to the runtime 'absent'"),
            "{said}"
        );
    }
    assert_snapshot!(host.wharf(&["rm", "time"]), @r#"
    exit code 5
    -- stderr --
    error: 'time' belongs to the runtime 'absent', which cannot be asked: no plugin provides a runtime named 'absent'; no plugin was found at all
    hint: see: wharf runtime list
    "#);
    assert!(
        host.path("state/runconfigs/time.json").exists() && host.path("state/statuses/time.json").exists()
    );
}

#[test]
fn a_workload_that_does_not_exist_is_told_what_is_like_it() {
    let host = TestHost::new();
    host.record("time");
    assert_snapshot!(host.wharf(&["status", "tmie"]), @r#"
    exit code 3
    -- stderr --
    error: there is no workload named 'tmie'
    hint: did you mean 'time'?
    "#);
    assert_snapshot!(host.wharf(&["export", "everything"]), @r#"
    exit code 3
    -- stderr --
    error: there is no workload named 'everything'
    hint: see: wharf list --all
    "#);
    assert_snapshot!(host.wharf(&["logs", "tmie"]), @r#"
    exit code 3
    -- stderr --
    error: there is no workload named 'tmie'
    hint: did you mean 'time'?
    "#);
    assert_snapshot!(host.wharf(&["status", "tmie", "--format", "json"]), @r#"
    exit code 3
    -- stderr --
    {"error":{"kind":"not_found","message":"there is no workload named 'tmie'","advice":[{"do":"ask_for","name":"time"}]}}
    "#);
}

#[test]
fn a_corrupt_runconfig_is_shown_and_keeps_its_bytes() {
    let host = TestHost::new();
    host.record("time");
    host.write("state/runconfigs/time.json", r#"{"name": "time", "uid"#);
    let before = fs::read(host.path("state/runconfigs/time.json")).unwrap();
    assert_snapshot!(host.wharf(&["list"]), @r#"
    exit code 0
    -- stdout --
    NAME   RUNTIME   PACKAGE   STATUS    URL   PORT   GROUP   CREATED
    time   -         -         unknown   -     -      -       -
    -- stderr --
    time: unknown: $ROOT/state/runconfigs/time.json is corrupt: not a record of this kind: EOF while parsing a string at line 1 column 21; to drop its records: wharf rm --forget time
    "#);
    assert_snapshot!(host.wharf(&["list", "--format", "json"]), @r#"
    exit code 0
    -- stdout --
    [
      {
        "name": "time",
        "status": "unknown",
        "status_context": "$ROOT/state/runconfigs/time.json is corrupt: not a record of this kind: EOF while parsing a string at line 1 column 21",
        "advice": [
          {
            "do": "forget",
            "name": "time"
          }
        ]
      }
    ]
    "#);
    assert_snapshot!(host.wharf(&["start", "time"]), @r#"
    exit code 1
    -- stderr --
    error: 'time': $ROOT/state/runconfigs/time.json is corrupt: not a record of this kind: EOF while parsing a string at line 1 column 21
    hint: its name stays reserved as long as the file is there
    hint: to drop its records: wharf rm --forget time
    "#);
    assert_eq!(fs::read(host.path("state/runconfigs/time.json")).unwrap(), before);
}

#[test]
fn a_record_of_a_newer_version_is_shown_and_not_written() {
    let host = TestHost::new();
    // A later version knows other transports.
    let newer = run_config("time", "").replace("v0.1.0", "v9.0.0").replace("stdio", "quic");
    host.write("state/runconfigs/time.json", &newer);
    assert_snapshot!(host.wharf(&["list"]), @r#"
    exit code 0
    -- stdout --
    NAME   RUNTIME   PACKAGE   STATUS    URL   PORT   GROUP   CREATED
    time   -         -         unknown   -     -      -       -
    -- stderr --
    time: unknown: $ROOT/state/runconfigs/time.json has schema v9.0.0, and this wharf knows v0.1.0: use a newer wharf
    "#);
    for command in ["start", "stop", "rm"] {
        let said = host.wharf(&[command, "time"]);
        assert!(said.starts_with("exit code 1\n") && said.contains("has schema v9.0.0"), "{said}");
    }
    assert_snapshot!(host.wharf(&["rm", "time"]), @r#"
    exit code 1
    -- stderr --
    error: 'time': $ROOT/state/runconfigs/time.json has schema v9.0.0, and this wharf knows v0.1.0: use a newer wharf
    "#);
    assert_eq!(fs::read_to_string(host.path("state/runconfigs/time.json")).unwrap(), newer);
}

#[test]
fn a_newer_record_that_can_still_be_read_is_listed() {
    let host = TestHost::new();
    host.write("state/runconfigs/time.json", &run_config("time", "").replace("v0.1.0", "v9.0.0"));
    host.write("state/statuses/time.json", &status(r#""stopped""#, r#""stopped""#));
    assert_snapshot!(host.wharf(&["list", "--all"]), @r#"
    exit code 0
    -- stdout --
    NAME   RUNTIME   PACKAGE                 STATUS            URL   PORT   GROUP   CREATED
    time   absent    uvx://mcp-server-time   stopped (stale)   -     4100   tools   -
    -- stderr --
    stale: no plugin provides a runtime named 'absent'; no plugin was found at all
    "#);
}

#[test]
fn a_status_record_alone_is_shown() {
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
}

#[test]
fn export_prints_the_runconfig() {
    let host = TestHost::new();
    host.write("state/runconfigs/time.json", &run_config("time", r#","secrets":["token,target=API_TOKEN"]"#));
    assert_snapshot!(host.wharf(&["export", "time"]), @r#"
    exit code 0
    -- stdout --
    {
      "schema_version": "v0.1.0",
      "uid": "0123456789abcdef0123456789abcdef",
      "name": "time",
      "runtime_name": "absent",
      "runtime_instance": "here",
      "server": "uvx://mcp-server-time",
      "transport": "stdio",
      "proxy_mode": "streamable-http",
      "host": "127.0.0.1",
      "port": 4100,
      "secrets": [
        "token,target=API_TOKEN"
      ],
      "group": "tools",
      "restart": "unless-stopped"
    }
    "#);
    assert_snapshot!(host.wharf(&["export", "time", "--output", "time.json"]), @r#"
    exit code 0
    "#);
    assert!(fs::read_to_string(host.path("time.json")).unwrap().contains("token,target=API_TOKEN"));
}

#[test]
fn what_a_terminal_would_obey_is_escaped_in_records() {
    let host = TestHost::new();
    let evil = run_config("time", "").replace("uvx://mcp-server-time", "\\u001b[2Jrun\\nme");
    host.write("state/runconfigs/time.json", &evil);
    let said = host.wharf(&["list"]);
    assert!(said.contains(r"\u{1b}[2Jrun\nme"), "{said}");
}

#[test]
fn a_list_of_a_runtime_that_nobody_provides_is_refused_unless_a_record_has_it() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["list", "--runtime", "dokcer"]), @r#"
    exit code 5
    -- stderr --
    error: no plugin provides a runtime named 'dokcer'; no plugin was found at all
    hint: see: wharf runtime list
    "#);
    host.record("time");
    assert!(host.wharf(&["list", "--runtime", "absent"]).contains("no workloads match"));
}
