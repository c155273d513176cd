//! A user without the right to read or write.
use super::tools::contents;
use serde_json::Value;
use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};
use wharf_tests::host::{Host, Said, built, demo_server};

/// A command as an ordinary user, whatever the test's own user is, since permissions do not restrict root. That user can
/// execute the binary, and enter the host's folder.
fn as_ordinary_user(host: &Host, args: &[&str]) -> Said {
    const NOBODY: u32 = 65534;
    let like = host.command(args);
    let mut command = Command::new(host.path("wharf"));
    command.args(like.get_args()).env_clear().current_dir(host.path("")).stdin(Stdio::null());
    command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?)))).uid(NOBODY).gid(NOBODY);
    let output = command.output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Gives everything below a folder to the ordinary user.
fn give_away(folder: &Path) {
    let given = Command::new("chown").args(["-R", "65534:65534"]).arg(folder).status().unwrap();
    assert!(given.success());
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A host that belongs to the ordinary user, with the binary, and its server's path. None, and the test is skipped, where
/// this process cannot become another user.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn host_of_ordinary_user() -> Option<(Host, String)> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: this test becomes another user, which needs root");
        return None;
    }
    let host = Host::new();
    fs::copy(built("wharf"), host.path("wharf")).unwrap();
    fs::copy(demo_server(), host.path("server")).unwrap();
    set_mode(&host.path(""), 0o755);
    for folder in ["state", "data", "config"] {
        fs::create_dir(host.path(folder)).unwrap();
    }
    give_away(&host.path(""));
    let server = host.path("server").display().to_string();
    Some((host, server))
}

#[test]
fn r11_an_ordinary_user_without_the_right_to_write_lists_and_is_told_what_a_stop_did_not_record() {
    let Some((host, server)) = host_of_ordinary_user() else { return };
    let said = as_ordinary_user(&host, &["run", "--name", "demo", &server]);
    assert_eq!(said.code, 0, "{said:?}");
    let statuses = host.path("state/statuses");
    let before = contents(&host.path("state"));
    for folder in ["state", "state/statuses", "state/runconfigs"] {
        set_mode(&host.path(folder), 0o500);
    }
    let listed = as_ordinary_user(&host, &["list", "--all", "--format", "json"]);
    let rows: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(rows[0]["status"], "running", "{listed:?}");
    assert_eq!(as_ordinary_user(&host, &["status", "demo"]).code, 0);
    let stopped = as_ordinary_user(&host, &["stop", "demo"]);
    assert_ne!(stopped.code, 0, "{stopped:?}");
    assert!(stopped.stderr.contains("Permission denied"), "{stopped:?}");
    assert!(stopped.stderr.contains("/state/statuses/"), "what could not be written is named: {stopped:?}");
    assert_eq!(contents(&host.path("state")), before, "nothing was changed");
    // An unreadable record is a fault of its own row, and is not corrupt: nothing sets it aside.
    set_mode(&statuses, 0o700);
    set_mode(&statuses.join("demo.json"), 0o000);
    let listed = as_ordinary_user(&host, &["list", "--all", "--format", "json"]);
    let rows: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(rows[0]["status"], "unknown", "{listed:?}");
    assert_ne!(as_ordinary_user(&host, &["stop", "demo"]).code, 0);
    set_mode(&statuses.join("demo.json"), 0o600);
    for folder in ["state", "state/runconfigs"] {
        set_mode(&host.path(folder), 0o700);
    }
    let said = as_ordinary_user(&host, &["rm", "demo"]);
    assert_eq!(said.code, 0, "{said:?}");
    host.assert_nothing_runs();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn r11_a_runconfig_that_cannot_be_read_is_not_corrupt_and_harms_no_other_workload() {
    let Some((host, server)) = host_of_ordinary_user() else { return };
    for name in ["hidden", "sound"] {
        assert_eq!(as_ordinary_user(&host, &["run", "--name", name, &server]).code, 0);
    }
    let path = host.path("state/runconfigs/hidden.json");
    set_mode(&path, 0o000);
    let before = contents(&host.path("state"));
    let listed = as_ordinary_user(&host, &["list", "--all", "--format", "json"]);
    let rows: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
    let shown = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap()["status"].clone();
    assert_eq!((shown("hidden"), shown("sound")), ("unknown".into(), "running".into()), "{listed:?}");
    for args in
        [&["stop", "hidden"][..], &["rm", "hidden"], &["rm", "--forget", "hidden"], &["start", "hidden"]]
    {
        let said = as_ordinary_user(&host, args);
        assert!(said.code != 0 && said.stderr.contains("Permission denied"), "{args:?}: {said:?}");
    }
    let said = as_ordinary_user(&host, &["run", "--name", "hidden", &server]);
    assert_eq!(said.code, 4, "its name is reserved: {said:?}");
    as_ordinary_user(&host, &["reconcile"]);
    assert_eq!(contents(&host.path("state")), before, "nothing was changed, and nothing set aside");
    set_mode(&path, 0o600);
    for name in ["hidden", "sound"] {
        let said = as_ordinary_user(&host, &["rm", name]);
        assert_eq!(said.code, 0, "{said:?}");
    }
    host.assert_nothing_runs();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}
