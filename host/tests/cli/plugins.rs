//! Plugins that cannot be used, and a machine without any.
use crate::harness::TestHost;
use insta::assert_snapshot;

#[test]
fn no_plugins_at_all_is_said() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["runtime", "list"]), @r#"
    exit code 0
    -- stderr --
    no plugins were found
    hint: they are searched for beside wharf, and with --plugin-dir and WHARF_PLUGIN_PATH
    "#);
    assert_snapshot!(host.wharf(&["runtime", "list", "--format", "json"]), @r#"
    exit code 0
    -- stdout --
    []
    "#);
    assert_snapshot!(host.wharf(&["runtime", "info", "process"]), @r#"
    exit code 5
    -- stderr --
    error: no plugin provides a runtime named 'process'; no plugin was found at all
    hint: see: wharf runtime list
    "#);
    assert_snapshot!(host.wharf(&["runtime", "check"]), @r#"
    exit code 5
    -- stderr --
    no plugins were found
    "#);
    assert_snapshot!(host.wharf(&["runtime", "check", "process"]), @r#"
    exit code 5
    -- stderr --
    error: no plugin provides a runtime named 'process'; no plugin was found at all
    hint: see: wharf runtime list
    "#);
}

#[test]
fn a_file_that_is_no_plugin_is_listed_with_the_reason() {
    let host = TestHost::new();
    host.write("data/plugins/text.so", "just text");
    host.write("more/open.so", "anything");
    host.set_mode("data/plugins", 0o755);
    host.set_mode("data", 0o755);
    host.set_mode("data/plugins/text.so", 0o644);
    host.set_mode("more", 0o755);
    host.set_mode("more/open.so", 0o666);
    assert_snapshot!(host.wharf(&["--plugin-dir", "more", "runtime", "list"]), @r#"
    exit code 0
    -- stdout --
    NAME   VERSION   ABI   STATUS    FILE
    -      -         -     refused   $ROOT/more/open.so
    -      -         -     refused   $ROOT/data/plugins/text.so
    -- stderr --
    refused: $ROOT/more/open.so is not trusted: $ROOT/more/open.so can be written by others (mode 0666); run: chmod go-w $ROOT/more/open.so
    refused: $ROOT/data/plugins/text.so is not a wharf plugin: it is not a 64-bit ELF library
    "#);
    assert_snapshot!(host.wharf(&["runtime", "list", "--format", "json"]), @r#"
    exit code 0
    -- stdout --
    [
      {
        "status": "refused",
        "reason": "$ROOT/data/plugins/text.so is not a wharf plugin: it is not a 64-bit ELF library",
        "file": "$ROOT/data/plugins/text.so"
      }
    ]
    "#);
}

#[test]
fn a_folder_that_others_write_is_named() {
    let host = TestHost::new();
    host.write("more/x.so", "anything");
    host.set_mode("more/x.so", 0o644);
    host.set_mode("more", 0o777);
    let output =
        host.command(&["runtime", "list"]).env("WHARF_PLUGIN_PATH", host.path("more")).output().unwrap();
    assert_snapshot!(host.told(&output), @r#"
    exit code 0
    -- stdout --
    NAME   VERSION   ABI   STATUS    FILE
    -      -         -     refused   $ROOT/more/x.so
    -- stderr --
    refused: $ROOT/more/x.so is not trusted: $ROOT/more can be written by others (mode 0777); run: chmod go-w $ROOT/more
    "#);
}

#[test]
fn the_doctor_says_what_to_do_and_leaves_nothing_behind() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["doctor"]), @r#"
    exit code 1
    -- stdout --
    ok       configuration  $ROOT/config
    ok       state          $ROOT/state, made at the first use
    ok       locks          they work in $ROOT
    FAILED   plugins        none were found
                              to do: put plugins beside wharf, or name their folder: --plugin-dir, WHARF_PLUGIN_PATH
    warning  tool           npx is not in PATH: npx:// packages cannot be run
                              to do: install Node.js, which brings npx
    warning  tool           uvx is not in PATH: uvx:// packages cannot be run
                              to do: install uv, which brings uvx
    workloads cannot be run
    "#);
    assert_eq!(host.files().len(), 1, "only the folder itself");
}

#[test]
fn the_doctor_finds_a_state_directory_that_is_none() {
    let host = TestHost::new();
    host.write("state", "a file");
    let said = host.wharf(&["doctor", "--format", "json"]);
    assert!(said.contains(r#""message": "$ROOT/state is no directory""#), "{said}");
    assert!(said.starts_with("exit code 1\n"), "{said}");
}
