//! Output that nobody reads, and output that cannot be written.
use crate::harness::TestHost;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::Stdio;

#[test]
fn a_closed_pipe_is_no_error() {
    let host = TestHost::new();
    host.record("time");
    for arguments in [
        &["list", "--all"][..],
        &["list", "--all", "--format", "json"],
        &["completion", "bash"],
        &["export", "time"],
        &["--help"],
        &["version"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = host.command(arguments);
        let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let said = host.told(&output);
        assert!(
            said.starts_with("exit code 0\n") && !said.contains("rror") && !said.contains("panic"),
            "{said}"
        );
    }
}

#[test]
fn a_closed_pipe_does_not_keep_a_command_from_its_work() {
    let host = TestHost::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = host.command(&["stop", "aa", "bb"]).stdout(writer).output().unwrap();
    assert_eq!(host.told(&output).matches("error: ").count(), 2);
}

#[test]
fn a_full_disk_is_an_error() {
    let host = TestHost::new();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = host.command(&["version"]).stdout(full).output().unwrap();
    insta::assert_snapshot!(host.told(&output), @r#"
    exit code 1
    -- stderr --
    error: the output cannot be written: No space left on device (os error 28)
    hint: make room on that disk, and try again
    "#);
}

#[test]
fn a_result_that_cannot_be_written_is_no_success() {
    let host = TestHost::new();
    host.record("time");
    std::fs::create_dir_all(host.path("state/logs")).unwrap();
    for name in ["time.log", "time.proxy.log"] {
        let log = OpenOptions::new().create(true).append(true).open(host.path("state/logs").join(name));
        log.and_then(|mut log| log.write_all(b"a line\n")).unwrap();
    }
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["--version"],
        &["list", "--all"],
        &["list", "--all", "--format", "json"],
        &["list", "--all", "--watch"],
        &["status", "time"],
        &["logs", "--proxy", "time"],
        &["logs", "--proxy", "--follow", "time"],
        &["export", "time"],
        &["completion", "bash"],
        &["runtime", "test", "--list"],
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = host.command(arguments).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let said = host.told(&output);
        assert!(said.starts_with("exit code 1\n") && said.contains("No space left"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_failure_has_its_exit_code_even_if_nobody_reads_stdout() {
    let host = TestHost::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = host.command(&["stop", "aa", "--format", "json"]).stdout(writer).output().unwrap();
    let said = host.told(&output);
    assert!(said.starts_with("exit code 3\n"), "{said}");
}
