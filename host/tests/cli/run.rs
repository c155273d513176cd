//! `run`, as far as it comes without a runtime.
use crate::harness::{TestHost, run_config};
use insta::assert_snapshot;

#[test]
fn without_any_plugin_it_is_said_what_is_missing() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["run", "uvx://mcp-server-time"]), @r#"
    exit code 5
    -- stderr --
    error: no plugin that can be used was found, so nothing can be run
    hint: see: wharf doctor
    "#);
    assert_snapshot!(host.wharf(&["run", "ghcr.io/example/time:1"]), @r#"
    exit code 5
    -- stderr --
    error: no plugin that can be used was found, so nothing can be run
    hint: see: wharf doctor
    "#);
    assert!(!host.path("state/runconfigs").exists(), "nothing is created");
}

#[test]
fn an_unknown_runtime_is_named() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["run", "--runtime", "proces", "uvx://mcp-server-time"]), @r#"
    exit code 5
    -- stderr --
    error: no plugin provides a runtime named 'proces'; no plugin was found at all
    hint: see: wharf runtime list
    "#);
    let mut command = host.command(&["run", "uvx://mcp-server-time"]);
    let output = command.env("WHARF_RUNTIME", "docker").output().unwrap();
    assert_snapshot!(host.told(&output), @r#"
    exit code 5
    -- stderr --
    error: no plugin provides a runtime named 'docker'; no plugin was found at all
    hint: see: wharf runtime list
    "#);
}

#[test]
fn an_error_is_json_where_json_was_asked_for() {
    assert_snapshot!(TestHost::new().wharf(&["run", "--format", "json", "--runtime", "docker", "x"]), @r#"
    exit code 5
    -- stderr --
    {"error":{"kind":"owner","message":"no plugin provides a runtime named 'docker'; no plugin was found at all","advice":[{"do":"list_runtimes"}]}}
    "#);
}

#[test]
fn what_cannot_be_honoured_is_refused_by_name() {
    let host = TestHost::new();
    for (arguments, option) in
        [(&["--transport", "sse"][..], "--transport sse"), (&["--proxy-mode", "sse"], "--proxy-mode sse")]
    {
        let output = host.command(&[&["run"], arguments, &["./x"]].concat()).output().unwrap();
        let said = host.told(&output);
        let expected =
            format!("exit code 2\n-- stderr --\nerror: {option} is not supported by this version of wharf: ");
        assert!(said.starts_with(&expected) && said.contains("\nhint: "), "{said}");
    }
    assert_eq!(host.files().len(), 1, "only the folder itself");
}

#[test]
fn a_refused_option_says_what_to_do() {
    assert_snapshot!(TestHost::new().wharf(&["run", "--memory", "much", "./x"]), @r#"
    exit code 2
    -- stderr --
    error: invalid value 'much' for '--memory <SIZE>': it is no size, such as 512m or 2g

    For more information, try '--help'.
    "#);
    assert_snapshot!(TestHost::new().wharf(&["run", "--permission-profile", "nothing", "./x"]), @r#"
    exit code 2
    -- stderr --
    error: --permission-profile nothing cannot be read: No such file or directory (os error 2)
    hint: write none, network, or the path of a profile
    "#);
    assert_snapshot!(TestHost::new().wharf(&["run", "--transport", "sse", "./x"]), @r#"
    exit code 2
    -- stderr --
    error: --transport sse is not supported by this version of wharf: it is superseded since 2025-03-26
    hint: use --transport streamable-http
    "#);
}

#[test]
fn an_invalid_server_argument_is_refused() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["run", "https://example.com/mcp"]), @r#"
    exit code 2
    -- stderr --
    error: 'https://example.com/mcp' is a remote server, and this version of wharf runs local ones only
    "#);
    assert_snapshot!(host.wharf(&["run", "ftp://example.com"]), @r#"
    exit code 2
    -- stderr --
    error: 'ftp://' is not supported; SERVER is an npx:// or uvx:// package, or a command
    "#);
    assert_snapshot!(host.wharf(&["run", ""]), @r#"
    exit code 2
    -- stderr --
    error: SERVER is empty; it is an npx:// or uvx:// package, or a command
    "#);
    assert_snapshot!(host.wharf(&["run"]), @r#"
    exit code 2
    -- stderr --
    error: the following required arguments were not provided:
      <SERVER>

    Usage: wharf run [OPTIONS] SERVER [ARG]...

    For more information, try '--help'.
    "#);
    assert_snapshot!(host.wharf(&["run", "--host", "0.0.0.0", "./x"]), @r#"
    exit code 2
    -- stderr --
    error: 0.0.0.0 is not a loopback address: a proxy that others can reach needs a token
    hint: ask for it with --auth bearer
    hint: put a reverse proxy with TLS in front
    "#);
}

#[test]
fn a_variable_without_a_value_must_be_set() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["run", "-e", "NOT_SET", "./x"]), @r#"
    exit code 2
    -- stderr --
    error: --env: the variable NOT_SET is not set here
    hint: set it, or write NOT_SET=VALUE
    "#);
    host.write("variables", "# fine\nA=b\n\nALSO_NOT_SET\n");
    assert_snapshot!(host.wharf(&["run", "--env-file", "variables", "./x"]), @r#"
    exit code 2
    -- stderr --
    error: --env-file variables, line 4: the variable ALSO_NOT_SET is not set here
    hint: set it, or write ALSO_NOT_SET=VALUE
    "#);
    assert_snapshot!(host.wharf(&["run", "--env-file", "no-such-file", "./x"]), @r#"
    exit code 2
    -- stderr --
    error: --env-file no-such-file cannot be read: No such file or directory (os error 2)
    "#);
}

#[test]
fn a_runconfig_that_makes_no_sense_is_refused() {
    let host = TestHost::new();
    host.write("text.json", "no JSON");
    assert_snapshot!(host.wharf(&["run", "--from-config", "text.json"]), @r#"
    exit code 2
    -- stderr --
    error: --from-config: text.json: it is no RunConfig: expected ident at line 1 column 2
    "#);
    host.write("more.json", &run_config("time", r#","gpu_count":1"#));
    assert_snapshot!(host.wharf(&["run", "--from-config", "more.json"]), @r#"
    exit code 2
    -- stderr --
    error: --from-config: more.json: its field 'gpu_count' is not known to this version of wharf
    "#);
    assert_snapshot!(host.wharf(&["run", "--from-config", "more.json", "./x"]), @r#"
    exit code 2
    -- stderr --
    error: the argument '--from-config <FILE>' cannot be used with '[SERVER]'

    Usage: wharf run [OPTIONS] SERVER [ARG]...

    For more information, try '--help'.
    "#);
}

#[test]
fn a_runconfig_asks_for_its_runtime_by_name() {
    let host = TestHost::new();
    host.write("time.json", &run_config("time", ""));
    assert_snapshot!(host.wharf(&["run", "--from-config", "time.json"]), @r#"
    exit code 5
    -- stderr --
    error: no plugin provides a runtime named 'absent'; no plugin was found at all
    hint: see: wharf runtime list
    "#);
}
