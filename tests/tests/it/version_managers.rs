//! Programs that version managers choose, and starts from places with another PATH than the creation's.
use std::path::Path;
use std::process::{Command, Stdio};
use wharf_tests::host::{Host, Said, demo_server, eventually, kill, runs};

/// An executable file, written by another process: one that is forked meanwhile would hold it open, and it could not run.
fn program(path: &Path, text: &str) {
    let mut install = Command::new("install");
    install.args(["-D", "-m", "755", "/dev/stdin"]).arg(path).stdin(Stdio::piped());
    let mut writer = install.spawn().unwrap();
    std::io::Write::write_all(&mut writer.stdin.take().unwrap(), text.as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
}

/// A program that says which one it is, and serves.
fn interpreter(host: &Host, path: &str, says: &str) {
    program(&host.path(path), &format!("#!/bin/sh\necho 'this is {says}' >&2\nexec {}\n", demo_server()));
}

/// A pyenv with two versions, whose user has chosen 3.11.7; later in PATH there is another python3.
fn pyenv(host: &Host) {
    let which = "#!/bin/sh\n[ \"$1\" = which ] || exit 64\nread -r version <\"$HOME/.pyenv/version\"\n\
                 file=\"$HOME/.pyenv/versions/$version/bin/$2\"\n[ -x \"$file\" ] && echo \"$file\"\n";
    program(&host.path("home/.pyenv/libexec/pyenv"), which);
    let shim =
        "#!/bin/sh\nprogram=\"${0##*/}\"\nexec \"$HOME/.pyenv/libexec/pyenv\" exec \"$program\" \"$@\"\n";
    program(&host.path("home/.pyenv/shims/python3"), shim);
    for version in ["3.11.7", "3.12.1"] {
        interpreter(host, &format!("home/.pyenv/versions/{version}/bin/python3"), version);
    }
    interpreter(host, "tools/python3", "another one");
    program(&host.path("home/.pyenv/version"), "3.11.7\n");
}

/// A command with these folders of the host first in PATH; or with no PATH at all, as from a timer.
fn with_path(host: &Host, folders: &[&str], args: &[&str]) -> Said {
    let mut command = host.command(args);
    let usual = command.get_envs().find_map(|(name, value)| (name == "PATH").then_some(value?.to_owned()));
    let mut path: Vec<_> = folders.iter().map(|folder| host.path(folder)).collect();
    path.extend(std::env::split_paths(&usual.unwrap()));
    match folders {
        [] => command.env_remove("PATH"),
        _ => command.env("PATH", std::env::join_paths(path).unwrap()),
    };
    Said::of(&command.output().unwrap())
}

#[test]
fn the_version_that_a_manager_chooses_runs_and_is_found_again_without_a_path() {
    let host = Host::new();
    pyenv(&host);
    let server = host.work().join("server.py");
    program(&server, "#!/usr/bin/env python3\n");
    let path = ["home/.pyenv/shims", "tools"];
    for (name, args) in [("script", vec![server.to_str().unwrap()]), ("command", vec!["python3"])] {
        let said = with_path(&host, &path, &[&["run", "--name", name][..], &args].concat());
        assert_eq!(said.code, 0, "{said:?}");
        // Nothing is asked again: what its user chooses later is for new workloads.
        program(&host.path("home/.pyenv/version"), "3.12.1\n");
        let said = with_path(&host, &[], &["restart", name]);
        assert_eq!(said.code, 0, "{said:?}");
        let logs = host.ok(&["logs", name]);
        assert!(logs.contains("this is 3.11.7"), "{logs}");
        assert!(!logs.contains("3.12.1") && !logs.contains("another one"), "{logs}");
        program(&host.path("home/.pyenv/version"), "3.11.7\n");
    }
    program(&host.path("home/.pyenv/version"), "2.7\n");
    let said = with_path(&host, &path, &["run", "--name", "none", "python3"]);
    assert!(said.code == 6 && said.stderr.contains("is a shim of pyenv"), "{said:?}");
    assert!(host.row("none").is_none());
}

#[test]
fn a_restart_stops_nothing_and_a_reconciliation_gives_nothing_up_where_the_program_is_missing() {
    let host = Host::new();
    interpreter(&host, "tools/served", "served");
    assert_eq!(with_path(&host, &["tools"], &["run", "--name", "kept", "served"]).code, 0);
    let (program, aside) = (host.path("tools/served"), host.path("tools/aside"));
    std::fs::rename(&program, &aside).unwrap();
    let said = host.wharf(&["restart", "kept"]);
    assert!(said.code == 6 && said.stderr.contains("'served' not found in PATH"), "{said:?}");
    assert_eq!(host.row("kept").unwrap()["status"], "running");
    let supervisor = i32::try_from(host.record("kept")["process_id"].as_i64().unwrap()).unwrap();
    kill(supervisor, "KILL");
    eventually("the supervisor is gone", || !runs(supervisor));
    host.assert_nothing_runs();
    let before = host.record("kept");
    let said = host.wharf(&["reconcile", "kept"]);
    assert!(said.code != 0, "{said:?}");
    assert_eq!(host.record("kept"), before, "the record still says that it should run");
    std::fs::rename(&aside, &program).unwrap();
    host.ok(&["reconcile", "kept"]);
    assert_eq!(host.row("kept").unwrap()["status"], "running");
}
