//! Output that nobody reads, and output that cannot be written.
use crate::harness::World;
use std::fs::OpenOptions;
use std::process::Stdio;

#[test]
fn a_closed_pipe_is_no_error() {
    let world = World::new();
    world.record("time");
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
        let mut command = world.command(arguments);
        let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let said = world.told(&output);
        assert!(
            said.starts_with("exit code 0\n") && !said.contains("rror") && !said.contains("panic"),
            "{said}"
        );
    }
}

#[test]
fn a_closed_pipe_does_not_keep_a_command_from_its_work() {
    let world = World::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = world.command(&["stop", "aa", "bb"]).stdout(writer).output().unwrap();
    assert_eq!(world.told(&output).matches("error: ").count(), 2);
}

#[test]
fn a_full_disk_is_an_error() {
    let world = World::new();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = world.command(&["version"]).stdout(full).output().unwrap();
    insta::assert_snapshot!(world.told(&output), @r#"
    exit code 1
    -- stderr --
    error: the output cannot be written: No space left on device (os error 28)
    "#);
}
