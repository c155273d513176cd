//! The Unix socket on which a proxy serves its user alone.
use super::{INITIALIZE, ask, part_of};
use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};
use wharf_tests::client::{Response, http_through, split};
use wharf_tests::host::{Host, built, demo_server, eventually, kill, runs};

/// The user id of `nobody`.
const ORDINARY_USER: u32 = 65534;

fn through(socket: &Path, path: &str, more: &[(&str, &str)]) -> std::io::Result<Response> {
    let usual = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
    let headers: Vec<_> =
        usual.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    http_through(socket, "POST", path, &headers, INITIALIZE)
}

fn socket_of(host: &Host, name: &str) -> PathBuf {
    PathBuf::from(host.ok(&["url", name, "--unix-socket"]).trim())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_own_socket_serves_its_user_without_a_secret_and_the_port_still_requires_it() {
    for auth in ["path", "bearer", "none"] {
        let host = Host::new();
        for (name, options) in [("stdio", vec![]), ("port", vec!["--transport", "streamable-http"])] {
            let options = [&["--name", name, "--unix-socket", "--auth", auth], &options[..]].concat();
            let url = host.run(&[&options[..], &[&demo_server()]].concat());
            let socket = socket_of(&host, name);
            assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0o600, 0o700));
            assert_eq!(through(&socket, "/mcp", &[]).unwrap().status, 200, "{auth}");
            assert_eq!(through(&socket, "/mcp", &[("Host", "any.name")]).unwrap().status, 200);
            assert_eq!(through(&socket, "/other", &[]).unwrap().status, 404);
            assert_eq!(through(&socket, "/mcp", &[("Origin", "https://x.example")]).unwrap().status, 403);
            let (address, path) = split(&url);
            let port = ask(address, "/mcp", &[]).status;
            match auth {
                "path" => {
                    part_of(&url);
                    assert_eq!(port, 404);
                    assert_eq!(through(&socket, path, &[]).unwrap().status, 404, "it has one path");
                }
                "bearer" => assert_eq!(port, 401),
                _ => assert_eq!(port, 200),
            }
            let shown = socket.display().to_string();
            assert_eq!(host.row(name).unwrap()["unix_socket"], shown.as_str());
            assert!(host.ok(&["url", name, "--format", "json"]).contains(&shown));
            assert!(host.ok(&["status", name]).contains(&shown));
            assert_eq!(host.ok(&["url", name]).trim(), url);
        }
    }
}

#[test]
fn a_workload_without_the_option_has_no_own_socket() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let said = host.wharf(&["url", "demo", "--unix-socket"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("has no Unix socket"), "{said:?}");
    assert!(host.row("demo").unwrap().get("unix_socket").is_none());
    assert!(!host.path("state/sockets").exists());
}

#[test]
fn the_own_socket_keeps_its_path_over_restarts_and_kills_and_is_removed_with_its_workload() {
    let host = Host::new();
    host.run(&["--name", "demo", "--unix-socket", &demo_server()]);
    let socket = socket_of(&host, "demo");
    host.ok(&["restart", "demo"]);
    assert_eq!(through(&socket, "/mcp", &[]).unwrap().status, 200);
    let supervisor =
        |host: &Host| i32::try_from(host.record("demo")["process_id"].as_i64().unwrap()).unwrap();
    let killed = |host: &Host| {
        let pid = supervisor(host);
        kill(pid, "KILL");
        eventually("it has ended", || !runs(pid));
        assert!(socket.exists() && through(&socket, "/mcp", &[]).is_err(), "a dead one's");
    };
    killed(&host);
    host.ok(&["reconcile"]);
    assert_eq!(socket_of(&host, "demo"), socket);
    assert_eq!(through(&socket, "/mcp", &[]).unwrap().status, 200);
    host.ok(&["stop", "demo"]);
    assert!(!socket.exists());
    host.ok(&["start", "demo"]);
    assert_eq!(through(&socket, "/mcp", &[]).unwrap().status, 200);
    killed(&host);
    host.ok(&["rm", "demo"]);
    assert!(!socket.exists());
    assert_eq!(fs::read_dir(socket.parent().unwrap()).unwrap().count(), 0);
}

#[test]
fn an_own_socket_with_a_path_too_long_for_clients_is_refused_before_anything_is_made() {
    let host = Host::new();
    let state = host.path(&"deep/".repeat(20));
    let state = state.display().to_string();
    let said = host.wharf(&["--state-dir", &state, "run", "--name", "demo", "--unix-socket", &demo_server()]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.stderr.contains("107") && said.stderr.contains("state folder with a shorter path"),
        "{said:?}"
    );
    assert!(!Path::new(&state).join("runconfigs").exists());
    host.ok(&["--state-dir", &state, "run", "--name", "demo", &demo_server()]);
    host.ok(&["--state-dir", &state, "rm", "demo"]);
}

/// A workload cannot connect to its own socket or a neighbour's, whatever its profile opens to it.
#[test]
fn no_workload_reaches_an_own_socket() {
    let host = Host::new();
    host.run(&["--name", "demo", "--unix-socket", &demo_server()]);
    let socket = socket_of(&host, "demo").display().to_string();
    let escape = built("wharf-escape").display().to_string();
    let text = format!("{escape} ask-unix '{socket}' list '{socket}/..' >&2\nexec {}", demo_server());
    let server = host.script("tries", &text);
    let tried = |host: &Host| {
        host.run(&["--name", "tries", &server]);
        let said = host.ok(&["logs", "tries"]);
        assert!(said.contains(&format!("ask-unix {socket}: held (")), "{said}");
        assert!(said.contains(&format!("list {socket}/..: held (")), "{said}");
        host.ok(&["rm", "tries"]);
    };
    tried(&host);
    tried(&host.without_namespaces());
}

/// The same if somebody has opened the folder and the file: the kernel tells the user at the other end.
#[test]
#[expect(clippy::print_stderr, reason = "a part that is skipped says so")]
fn an_own_socket_serves_no_other_user() {
    let host = Host::new();
    host.run(&["--name", "demo", "--unix-socket", &demo_server()]);
    let socket = socket_of(&host, "demo");
    let asked_by = |user: u32| {
        let mut command = Command::new(built("wharf-escape"));
        command.uid(user).gid(user).args([Path::new("ask-unix"), &socket]);
        command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let own = asked_by(rustix::process::geteuid().as_raw()).unwrap();
    assert!(own.contains("got through"), "{own}");
    let Ok(said) = asked_by(ORDINARY_USER) else {
        eprintln!("skipped: only root can become another user, who must reach what was built");
        return;
    };
    assert!(said.contains("held ("), "{said}");
    // The host's own folder is the test's.
    let (state, own) = (host.path("state"), host.path("state").parent().unwrap().to_owned());
    for folder in [own.as_path(), &state, socket.parent().unwrap()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).unwrap();
    }
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    let said = asked_by(ORDINARY_USER).unwrap();
    assert!(said.contains("held (") && !said.contains("ermission"), "it connects, and is not served: {said}");
    let own = asked_by(rustix::process::geteuid().as_raw()).unwrap();
    assert!(own.contains("got through"), "{own}");
}
