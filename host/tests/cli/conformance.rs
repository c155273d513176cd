//! `runtime test` in the hands of somebody who meets it for the first time.
use crate::harness::TestHost;
use crate::terminal::shown;
use insta::assert_snapshot;

#[test]
fn runtime_test_of_a_missing_file_says_where_libraries_are_found() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["runtime", "test", "process"]), @r#"
    exit code 2
    -- stderr --
    error: 'process' is no library: No such file or directory (os error 2)
    hint: name the file of a plugin; see where yours lie: wharf runtime list
    "#);
    assert_snapshot!(host.wharf(&["runtime", "test", "/"]), @r#"
    exit code 2
    -- stderr --
    error: '/' is no library: it is no file
    hint: name the file of a plugin; see where yours lie: wharf runtime list
    "#);
}

#[test]
fn a_file_that_is_no_plugin_is_told() {
    let host = TestHost::new();
    host.write("text.so", "just text");
    host.set_mode("text.so", 0o644);
    assert_snapshot!(host.wharf(&["runtime", "test", "text.so"]), @r#"
    exit code 5
    -- stderr --
    error: $ROOT/text.so is not a wharf plugin: it is not a 64-bit ELF library
    "#);
}

#[test]
fn a_filter_that_chooses_nothing_is_named_also_beside_others() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["runtime", "test", "--list", "--filter", "core.", "--filter", "prots"]), @r#"
    exit code 2
    -- stderr --
    error: no case has an id that contains 'prots'
    hint: see: wharf runtime test --list
    "#);
}

#[test]
fn the_cases_are_aligned_and_their_sentences_are_whole_on_a_narrow_terminal() {
    let host = TestHost::new();
    let list = ["runtime", "test", "--list", "--filter", "limits.", "--filter", "ports.closed"];
    assert_snapshot!(host.wharf(&list), @r#"
    exit code 0
    -- stdout --
    CASE            SENTENCE
    ports.closed    Stop ends the workload, all of it: nobody listens any more
    limits.memory   A workload has at most so much memory as its specification says
    limits.pids     A workload has at most as many processes as its specification says
    limits.cpus     A workload has at most so much of the processors as its specification says
    "#);
    assert_snapshot!(shown(host.command(&list[..5]), 80), @r#"
    limits.memory
        A workload has at most so much memory as its specification says
    limits.pids
        A workload has at most as many processes as its specification says
    limits.cpus
        A workload has at most so much of the processors as its specification says
    "#);
}

#[test]
fn a_list_of_cases_cannot_be_written_as_junit() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["runtime", "test", "--list", "--format", "junit"]), @r#"
    exit code 2
    -- stderr --
    error: JUnit tells what came of cases, and --list runs none
    hint: for programs: wharf runtime test --list --format json
    "#);
}
