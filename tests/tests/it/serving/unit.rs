//! `serve --install-unit`. Systemd itself is not here: its own parser is asked where it is at hand.
use std::fs;
use std::process::Command;
use wharf_tests::host::Host;

#[test]
fn the_unit_of_a_user_says_where_everything_is() {
    let host = Host::new();
    let printed = host.ok(&["serve", "--install-unit", "--listen", "127.0.0.1:8080"]);
    let path = host.path("home/.config/systemd/user/wharf.service");
    assert_eq!(printed.trim(), path.display().to_string());
    let text = fs::read_to_string(&path).unwrap();
    let command = text.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
    for part in [
        format!("\"--state-dir\" \"{}\"", host.path("state").display()),
        format!("\"--plugin-dir\" \"{}\" \"serve\"", host.path("plugins").display()),
        "\"serve\" \"--listen=127.0.0.1:8080\"".to_owned(),
    ] {
        assert!(command.contains(&part), "{part} is not in {command}");
    }
    assert!(text.contains("\nKillMode=process\n"), "its end is not that of the workloads");
    // Once more changes nothing.
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    host.ok(&["serve", "--install-unit", "--listen", "127.0.0.1:8080"]);
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    match Command::new("systemd-analyze").args(["verify", "--user"]).arg(&path).output() {
        Ok(verified) => {
            let said = String::from_utf8_lossy(&verified.stderr).into_owned();
            assert!(!said.contains("wharf.service"), "{said}");
        }
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
    }
}

#[test]
fn a_unit_keeps_the_variables_that_change_what_wharf_does_and_names_those_that_hold_a_secret() {
    let host = Host::new();
    let mut command = host.command(&["serve", "--install-unit"]);
    command.env("DOCKER_HOST", "unix:///somewhere/docker.sock").env("WHARF_RUNTIME", "process");
    command.env("HTTPS_PROXY", "http://me:hidden@proxy:3128");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = fs::read_to_string(host.path("home/.config/systemd/user/wharf.service")).unwrap();
    for line in
        ["Environment=\"DOCKER_HOST=unix:///somewhere/docker.sock\"", "Environment=\"WHARF_RUNTIME=process\""]
    {
        assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
    }
    assert!(!text.contains("hidden"), "{text}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("HTTPS_PROXY is not kept, since its URL holds a secret"), "{said}");
}
