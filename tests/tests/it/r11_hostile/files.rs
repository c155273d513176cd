//! Careless umasks, and corrupt records.
use super::tools::{contents, status, write};
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};
use wharf_tests::host::{Host, built, demo_server};

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
fn r11_an_unusable_record_harms_no_other_workload_and_is_not_written_over() {
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
