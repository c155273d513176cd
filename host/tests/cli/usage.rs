//! Arguments that make no sense.
use crate::harness::TestHost;
use insta::assert_snapshot;

#[test]
fn an_unknown_command_is_told_what_is_like_it() {
    assert_snapshot!(TestHost::new().wharf(&["lsit"]), @r#"
    exit code 2
    -- stderr --
    error: unrecognized subcommand 'lsit'

      tip: some similar subcommands exist: 'ls', 'list'

    Usage: wharf [OPTIONS] <COMMAND>

    For more information, try '--help'.
    "#);
}

#[test]
fn a_bad_name_is_refused_with_the_reason() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["stop", "../x"]), @r#"
    exit code 2
    -- stderr --
    error: invalid value '../x' for '[NAME]...': a workload name has only lowercase letters, digits and dashes, not '.' (character 1)

    For more information, try '--help'.
    "#);
    assert_snapshot!(host.wharf(&["stop", &"x".repeat(60)]), @r#"
    exit code 2
    -- stderr --
    error: invalid value 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' for '[NAME]...': a workload name has at most 52 characters, this one has 60

    For more information, try '--help'.
    "#);
    assert_snapshot!(host.wharf(&["stop", ""]), @r#"
    exit code 2
    -- stderr --
    error: invalid value '' for '[NAME]...': a workload name cannot be empty

    For more information, try '--help'.
    "#);
    assert_snapshot!(host.wharf(&["stop", "Time"]), @r#"
    exit code 2
    -- stderr --
    error: invalid value 'Time' for '[NAME]...': a workload name has only lowercase letters, digits and dashes, not 'T' (character 1)

    For more information, try '--help'.
    "#);
}

#[test]
fn every_command_with_a_name_refuses_a_bad_one_and_makes_nothing() {
    let host = TestHost::new();
    for arguments in [
        &["status", "../x"][..],
        &["start", "../x"],
        &["restart", "../x"],
        &["rm", "../x"],
        &["logs", "../x"],
        &["export", "../x"],
        &["run", "--name", "../x", "uvx://mcp-server-time"],
    ] {
        let output = host.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(host.normal(&output.stderr).contains("not '.' (character 1)"), "{arguments:?}");
    }
    assert_eq!(host.files().len(), 1, "only the folder itself");
}

#[test]
fn wrong_arguments_are_reported_as_json_where_json_was_asked_for() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["stop", "--format", "json", "../x"]), @r#"
    exit code 2
    -- stderr --
    {"error":{"kind":"usage","message":"invalid value '../x' for '[NAME]...': a workload name has only lowercase letters, digits and dashes, not '.' (character 1)"}}
    "#);
    assert_snapshot!(host.wharf(&["list", "--format=json", "--grup", "x"]), @r#"
    exit code 2
    -- stderr --
    {"error":{"kind":"usage","message":"unexpected argument '--grup' found","advice":[{"do":"note","text":"a similar argument exists: '--group'"},{"do":"note","text":"Usage: wharf list --format <FORMAT> --group <GROUP>"}]}}
    "#);
}

#[test]
fn names_and_all_exclude_each_other_and_one_of_them_is_needed() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["stop"]), @r#"
    exit code 2
    -- stderr --
    error: the following required arguments were not provided:
      <NAME|--all|--group <GROUP>>

    Usage: wharf stop <NAME|--all|--group <GROUP>>

    For more information, try '--help'.
    "#);
    assert_snapshot!(host.wharf(&["rm", "--all", "time"]), @r#"
    exit code 2
    -- stderr --
    error: the argument '--all' cannot be used with '[NAME]...'

    Usage: wharf rm <NAME|--all|--group <GROUP>|--orphan <[RUNTIME/]UID>>

    For more information, try '--help'.
    "#);
}

#[test]
fn a_timeout_is_a_number_of_seconds() {
    assert_snapshot!(TestHost::new().wharf(&["stop", "--timeout", "-1", "time"]), @r#"
    exit code 2
    -- stderr --
    error: invalid value '-1' for '--timeout <SECONDS>': it is from 0 to 86400 seconds

    For more information, try '--help'.
    "#);
}
