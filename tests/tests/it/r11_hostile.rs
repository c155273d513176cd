//! Surroundings that are against it: a full disk, a read-only one, careless umasks, records that are none.
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::Write,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use wharf_tests::host::{Host, Said, built, demo_server, eventually, kill, runs};

/// Something mounted, until this is dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// None where this process may not mount anything, which is said.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn new(at: &Path, args: &[&[&str]]) -> Option<Self> {
        let mount = |args: &[&str]| {
            let said = Command::new("mount").args(args).arg(at).stderr(Stdio::null()).status();
            said.is_ok_and(|status| status.success())
        };
        if !mount(args[0]) {
            eprintln!("skipped: nothing can be mounted here; this needs root");
            return None;
        }
        let mounted = Self(at.to_owned());
        assert!(args[1..].iter().all(|args| mount(args)));
        Some(mounted)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// The paths and bytes of all files below a folder.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(contents(&entry.path()));
        } else if kind.is_file() {
            found.push((entry.path(), fs::read(entry.path()).unwrap()));
        }
    }
    found.sort();
    found
}

fn write(path: &Path, text: &[u8]) {
    File::create(path).unwrap().write_all(text).unwrap();
}

fn status(host: &Host, name: &str) -> String {
    host.row(name).unwrap()["status"].as_str().unwrap().to_owned()
}

#[test]
fn r11_a_full_disk_keeps_nobody_from_listing_and_stopping() {
    let host = Host::new();
    let state = host.path("state");
    fs::create_dir(&state).unwrap();
    let size = ["-t", "tmpfs", "-o", "size=512k", "tmpfs"];
    let Some(_mounted) = Mounted::new(&state, &[&size]) else { return };
    host.run(&["--name", "demo", &demo_server()]);
    let supervisor = i32::try_from(host.record("demo")["process_id"].as_i64().unwrap()).unwrap();
    let filler = state.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    while file.write_all(&[0]).is_ok() {}
    let before = fs::read(state.join("statuses/demo.json")).unwrap();
    assert_eq!(status(&host, "demo"), "running");
    let said = host.wharf(&["run", "--name", "other", &demo_server()]);
    assert_ne!(said.code, 0);
    assert!(said.stderr.contains("No space left"), "{said:?}");
    assert!(host.row("other").is_none(), "nothing is left of it");
    let said = host.wharf(&["stop", "demo"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("was stopped, which could not be recorded"), "{said:?}");
    assert!(said.stderr.contains("No space left"), "{said:?}");
    eventually("it was stopped", || !runs(supervisor));
    assert_eq!(fs::read(state.join("statuses/demo.json")).unwrap(), before, "the record is the old one");
    host.list();
    drop(file);
    fs::remove_file(&filler).unwrap();
    host.ok(&["stop", "demo"]);
    assert_eq!(status(&host, "demo"), "stopped");
    host.ok(&["start", "demo"]);
    host.ok(&["rm", "demo"]);
    host.assert_nothing_runs();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn r05_a_read_only_state_directory_can_be_read_and_is_not_changed() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let state = host.path("state");
    let source = state.display().to_string();
    let Some(mounted) = Mounted::new(&state, &[&["--bind", &source], &["-o", "remount,ro,bind"]]) else {
        return;
    };
    let before = contents(&state.join("statuses"));
    assert_eq!(status(&host, "demo"), "running");
    host.ok(&["status", "demo"]);
    host.ok(&["logs", "demo"]);
    for args in [&["stop", "demo"][..], &["rm", "demo"], &["run", "--name", "other", &demo_server()]] {
        let said = host.wharf(args);
        assert_ne!(said.code, 0, "{said:?}");
        assert!(said.stderr.contains("Read-only file system"), "{said:?}");
    }
    assert_eq!(status(&host, "demo"), "running");
    assert_eq!(contents(&state.join("statuses")), before);
    drop(mounted);
    host.ok(&["rm", "demo"]);
    host.assert_nothing_runs();
}

/// A command as an ordinary user, whatever the test's own user is: permissions say nothing to root. The binary is
/// where that user can execute it, the host's folder where it can be entered.
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

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn r11_an_ordinary_user_without_the_right_to_write_lists_and_is_told_what_a_stop_did_not_record() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: this test becomes another user, which needs root");
        return;
    }
    let host = Host::new();
    fs::copy(built("wharf"), host.path("wharf")).unwrap();
    fs::copy(demo_server(), host.path("server")).unwrap();
    set_mode(&host.path(""), 0o755);
    let server = host.path("server").display().to_string();
    for folder in ["state", "data", "config"] {
        fs::create_dir(host.path(folder)).unwrap();
    }
    give_away(&host.path(""));
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
fn r04_a_clock_that_is_stepped_back_and_forth_decides_nothing() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let path = host.path("state/statuses/demo.json");
    // The machine's clock is everybody's; so the records are moved beside it.
    for moment in ["1970-01-01T00:00:00Z", "2999-12-31T23:59:59Z"] {
        let mut record = host.record("demo");
        for field in ["created_at", "updated_at", "started_at"] {
            record[field] = json!(moment);
        }
        write(&path, record.to_string().as_bytes());
        let row = host.row("demo").unwrap();
        assert_eq!((&row["status"], &row["stale"]), (&json!("running"), &Value::Null), "{row}");
        host.ok(&["status", "demo"]);
        let said = host.ok(&["reconcile", "--format", "json"]);
        assert!(said.contains("in_order"), "{said}");
        assert_eq!(host.record("demo"), record, "nothing was done");
        host.ok(&["restart", "demo"]);
        assert_eq!(status(&host, "demo"), "running");
    }
    host.ok(&["stop", "demo"]);
    assert_eq!(status(&host, "demo"), "stopped");
}

#[test]
fn records_are_their_owners_alone_whatever_the_umask_is() {
    for umask in ["000", "077"] {
        let host = Host::new();
        let text = format!("umask {umask}; exec {} \"$@\"", built("wharf").display());
        let caller = host.script("caller", &text);
        let like = host.command(&[]);
        let environment = like.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut command = Command::new(caller);
        command.env_clear().envs(environment).args(["run", "--name", "demo", &demo_server()]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for folder in ["state", "data"] {
            assert_eq!(mode(&host.path(folder)), 0o700, "umask {umask}: {folder}");
            for (path, _) in contents(&host.path(folder)) {
                assert_eq!(mode(&path), 0o600, "umask {umask}: {}", path.display());
            }
        }
        host.ok(&["rm", "demo"]);
    }
}

#[test]
fn r11_a_record_that_is_none_harms_no_other_workload_and_is_not_written_over() {
    let huge = format!("{{\"uid\": \"{}\"}}", "x".repeat(4 << 20));
    let newer = json!({ "schema_version": "v99.0.0", "uid": "0".repeat(32), "news": true }).to_string();
    let cases: [(&str, Option<&str>); 4] = [
        ("truncated", Some("{ \"uid\": \"")),
        ("newer", Some(&newer)),
        ("huge", Some(&huge)),
        ("folder", None),
    ];
    for folder in ["statuses", "runconfigs"] {
        for (what, text) in cases {
            let host = Host::new();
            host.run(&["--name", "sound", &demo_server()]);
            host.run(&["--name", "hurt", &demo_server()]);
            let path = host.path(&format!("state/{folder}/hurt.json"));
            let kept = fs::read(&path).unwrap();
            match text {
                Some(text) => write(&path, text.as_bytes()),
                None => {
                    fs::remove_file(&path).unwrap();
                    fs::create_dir(&path).unwrap();
                }
            }
            assert_eq!(status(&host, "sound"), "running", "{folder} {what}");
            assert!(host.row("hurt").is_some(), "{folder} {what}: it is reported");
            let said = host.wharf(&["run", "--name", "hurt", &demo_server()]);
            assert_eq!(said.code, 4, "{folder} {what}: its name is reserved: {said:?}");
            if folder == "runconfigs" {
                assert_ne!(host.wharf(&["stop", "hurt"]).code, 0, "{what}: it cannot be known what to stop");
            }
            match text {
                Some(text) => assert_eq!(fs::read(&path).unwrap(), text.as_bytes(), "{folder} {what}"),
                None => {
                    assert!(path.is_dir(), "{folder} {what}");
                    fs::remove_dir(&path).unwrap();
                }
            }
            host.ok(&["stop", "sound"]);
            write(&path, &kept);
            host.ok(&["rm", "hurt"]);
        }
    }
}

#[test]
fn after_a_reboot_a_workload_is_stopped_and_can_be_started() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let supervisor = i32::try_from(host.record("demo")["process_id"].as_i64().unwrap()).unwrap();
    kill(supervisor, "KILL");
    host.assert_nothing_runs();
    assert_eq!(status(&host, "demo"), "unhealthy");
    // As if the machine had been restarted since: everything on record is of another boot.
    let mut record = host.record("demo");
    let other = json!("00000000-0000-4000-8000-000000000000");
    record["supervisor"]["boot_id"] = other.clone();
    for process in ["launcher", "workload"] {
        record["handle"]["data"][process]["boot_id"] = other.clone();
    }
    write(&host.path("state/statuses/demo.json"), record.to_string().as_bytes());
    assert_eq!(status(&host, "demo"), "stopped");
    host.ok(&["start", "demo"]);
    let record: Value = host.record("demo");
    assert_eq!(record["status"], "running");
    assert_ne!(record["supervisor"]["boot_id"], other);
    host.ok(&["rm", "demo"]);
    host.assert_nothing_runs();
}
