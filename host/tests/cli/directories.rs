//! How the command line finds its directories, and what it does without them.
use crate::harness::{TestHost, run_config};
use insta::assert_snapshot;

#[test]
fn without_home_it_is_said_what_to_set() {
    let host = TestHost::new();
    let output = host.bare_command(&["list"]).output().unwrap();
    assert_snapshot!(host.told(&output), @r#"
    exit code 1
    -- stderr --
    error: HOME is not set, so there is no place for wharf's files
    hint: set HOME, or name the directories: --state-dir, --config-dir and --data-dir
    "#);
}

#[test]
fn commands_that_need_no_directories_work_without_home() {
    let host = TestHost::new();
    for arguments in [&["version"][..], &["completion", "bash"], &["--help"]] {
        assert!(host.bare_command(arguments).output().unwrap().status.success(), "{arguments:?}");
    }
}

#[test]
fn home_and_the_xdg_variables_are_followed() {
    let host = TestHost::new();
    host.write("home/.local/state/wharf/runconfigs/home.json", &run_config("home", ""));
    host.write("xdg/wharf/runconfigs/xdg.json", &run_config("xdg", ""));
    let listed = |variable: &str, value: &str| {
        let mut command = host.bare_command(&["list", "--all"]);
        let output = command.env("HOME", host.path("home")).env(variable, value).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(listed("XDG_STATE_HOME", host.path("xdg").to_str().unwrap()).contains("xdg "));
    assert!(listed("XDG_STATE_HOME", "xdg").contains("home "), "a relative path is ignored");
    assert!(listed("XDG_STATE_HOME", "").contains("home "));
    assert!(listed("WHARF_STATE_DIR", "xdg/wharf").contains("xdg "), "our own may be relative");
}

#[test]
fn an_option_wins_over_its_variable() {
    let host = TestHost::new();
    host.write("other/runconfigs/other.json", &run_config("other", ""));
    let said = host.wharf(&["list", "--all", "--state-dir", "other"]);
    assert!(said.contains("other "), "{said}");
}

#[test]
fn root_does_not_use_the_home_of_another_user() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can be root with another user's HOME");
        return;
    }
    let host = TestHost::new();
    host.write("home/x", "");
    std::os::unix::fs::chown(host.path("home"), Some(1234), None).unwrap();
    let output = host.bare_command(&["list"]).env("HOME", host.path("home")).output().unwrap();
    assert_snapshot!(host.told(&output), @r#"
    exit code 1
    -- stderr --
    error: you are root, and HOME ($ROOT/home) belongs to user 1234
    hint: run it as that user, or with root's own HOME (sudo -H), or name the directories: --state-dir, --config-dir and --data-dir
    "#);
    let output = host.command(&["list"]).env("HOME", host.path("home")).output().unwrap();
    assert!(output.status.success(), "directories that are named are used");
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let host = TestHost::new();
    host.write("config/config.json", r#"{"default_runtme": "docker"}"#);
    assert_snapshot!(host.wharf(&["list"]), @r#"
    exit code 1
    -- stderr --
    error: $ROOT/config/config.json is not valid: unknown field `default_runtme`, expected one of `default_runtime`, `plugin_dirs`, `runtimes`, `start_timeout_ms`, `list_timeout_ms`, `proxy`, `mcp` at line 1 column 17
    hint: mend the file, or remove it
    "#);
    assert_snapshot!(host.wharf(&["doctor"]), @r#"
    exit code 1
    -- stdout --
    FAILED   configuration  $ROOT/config/config.json is not valid: unknown field `default_runtme`, expected one of `default_runtime`, `plugin_dirs`, `runtimes`, `start_timeout_ms`, `list_timeout_ms`, `proxy`, `mcp` at line 1 column 17
                              to do: mend the file, or remove it
    workloads cannot be run
    "#);
}

#[test]
fn settings_with_values_that_make_no_sense_are_refused_by_their_paths() {
    let host = TestHost::new();
    host.write("config/config.json", r#"{"start_timeout_ms": 0}"#);
    assert_snapshot!(host.wharf(&["list"]), @r#"
    exit code 1
    -- stderr --
    error: $ROOT/config/config.json: start_timeout_ms is 0, and must be from 100 to 86400000
    hint: mend the file, or remove it
    hint: for example: "start_timeout_ms": 120000
    "#);
    assert_snapshot!(host.wharf(&["doctor"]), @r#"
    exit code 1
    -- stdout --
    FAILED   configuration  $ROOT/config/config.json: start_timeout_ms is 0, and must be from 100 to 86400000
                              to do: mend the file, or remove it; for example: "start_timeout_ms": 120000
    workloads cannot be run
    "#);
    host.write("config/config.json", "[]");
    let said = host.wharf(&["list"]);
    assert!(said.contains("config.json: the document must be an object: { … }"), "{said}");
    host.write("config/config.json", r#"{"proxy": {"memory_bytes": -1}}"#);
    let said = host.wharf(&["list"]);
    assert!(said.contains("is not valid: proxy.memory_bytes: invalid value: integer `-1`"), "{said}");
    assert!(said.contains(r#"hint: for example: "proxy": { "memory_bytes": 67108864 }"#), "{said}");
}

#[test]
fn a_time_to_wait_for_a_list_that_makes_no_sense_is_refused() {
    let host = TestHost::new();
    let output = host.command(&["list"]).env("WHARF_LIST_TIMEOUT_MS", "0").output().unwrap();
    assert_snapshot!(host.told(&output), @r#"
    exit code 2
    -- stderr --
    error: WHARF_LIST_TIMEOUT_MS is '0', and must be from 100 to 3600000
    "#);
}

#[test]
fn a_log_level_that_is_none_is_refused() {
    let host = TestHost::new();
    let output = host.command(&["list"]).env("WHARF_LOG", "loud").output().unwrap();
    assert_snapshot!(host.told(&output), @r#"
    exit code 2
    -- stderr --
    error: WHARF_LOG is 'loud', and that is no level of a log
    hint: it is one of error, warn, info, debug, trace
    "#);
}
