//! Completion scripts, which the shells themselves parse.
use crate::harness::TestHost;
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn each_script_can_be_parsed_by_its_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let script = TestHost::new().command(&["completion", shell]).output().unwrap();
        assert!(script.status.success() && script.stdout.len() > 1000, "{shell}");
        let checker = Command::new(shell).arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let Ok(mut checker) = checker else {
            eprintln!("skipped: {shell} is not installed here");
            continue;
        };
        checker.stdin.take().unwrap().write_all(&script.stdout).unwrap();
        let checked = checker.wait_with_output().unwrap();
        assert!(checked.status.success(), "{shell}: {}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn the_scripts_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = TestHost::new().command(&["completion", shell]).output().unwrap();
        let script = String::from_utf8(script.stdout).unwrap();
        for command in ["run", "list", "restart", "doctor"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}
