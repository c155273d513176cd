//! A workload tries to get out, as root's and as an ordinary user's.
mod bare;
mod caches;
mod clearing;
mod closed_paths;
mod exchanged;
mod git;
mod kept;
mod limits;
mod modes;
mod mounts;
mod nesting;
mod paths;
mod told;

use std::{
    fs,
    io::Write,
    net::TcpListener,
    os::unix::{
        fs::{OpenOptionsExt, PermissionsExt},
        net::UnixListener,
        process::CommandExt,
    },
    process::{Child, Command, Stdio},
};
use wharf_tests::client::Client;
use wharf_tests::host::{Host, Said, built, demo_server, eventually, kill, runs};

/// The user id of `nobody`.
const ORDINARY_USER: u32 = 65534;

/// A host of this user, and one of an ordinary user, if this user may become one who can reach the built programs.
fn hosts() -> Vec<Host> {
    let mut hosts = vec![Host::new()];
    if let Some(host) = ordinary_host() {
        hosts.push(host);
    }
    hosts
}

#[expect(clippy::print_stderr, reason = "a part that is skipped says so")]
fn ordinary_host() -> Option<Host> {
    let reaches = |program| {
        let mut command = Command::new(program);
        command.uid(ORDINARY_USER).gid(ORDINARY_USER).arg("--version").stdout(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if rustix::process::geteuid().is_root() && reaches(built("wharf")) {
        return Some(Host::of_user(ORDINARY_USER));
    }
    eprintln!("skipped for an ordinary user: only root can become one, and it must reach what was built");
    None
}

/// Runs a workload that makes these attempts before it serves; returns its report on them.
fn attempts(host: &Host, options: &[&str], attempts: &[&str]) -> String {
    let name = "tries";
    let said = try_to_run(host, name, options, attempts);
    assert_eq!(said.code, 0, "{said:?}");
    let logs = host.ok(&["logs", name]);
    host.ok(&["rm", name]);
    logs
}

fn try_to_run(host: &Host, name: &str, options: &[&str], attempts: &[&str]) -> Said {
    let quoted: Vec<String> = attempts.iter().map(|part| format!("'{part}'")).collect();
    let text =
        format!("{} {} >&2\nexec {}", built("wharf-escape").display(), quoted.join(" "), demo_server());
    let server = host.script("tries", &text);
    host.wharf(&[&["run", "--name", name][..], options, &[&server]].concat())
}

/// Fails unless each attempt (pairs of an action and its object) was held, or got through if `through`.
fn assert_all(said: &str, through: bool, attempts: &[&str]) {
    let outcome = if through { "got through" } else { "held (" };
    for pair in attempts.chunks(2) {
        let wanted = format!("{} {}: {outcome}", pair[0], pair[1]);
        assert!(said.contains(&wanted), "not '{wanted}':\n{said}");
    }
}

/// A process of the host's user that has nothing to do with it; killed when dropped.
struct Neighbour(Child);

impl Neighbour {
    fn of(host: &Host) -> Self {
        let mut command = Command::new("sleep");
        if let Some(user) = host.user() {
            command.uid(user).gid(user);
        }
        Self(command.arg("1000").stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A file of the host's user.
fn file(host: &Host, path: &str) -> String {
    let path = host.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
    file.write_all(b"the contents of a file").unwrap();
    host.own();
    path.display().to_string()
}

#[test]
fn files_of_others_are_out_of_reach() {
    for host in hosts() {
        let key = file(&host, "home/.ssh/id_ed25519");
        let secret = file(&host, "config/secrets/token");
        let document = file(&host, "home/document");
        let own = file(&host, "work/data");
        let record = host.path("state/runconfigs/tries.json").display().to_string();
        let (home, outside) =
            (host.path("home").display().to_string(), host.path("new").display().to_string());
        let held = [
            ["read", &key],
            ["read", &secret],
            ["read", &document],
            ["read", &record],
            ["read", "/etc/shadow"],
            ["list", &home],
            ["list", "/"],
            ["create", "/usr/new"],
            ["cut", &document],
        ]
        .concat();
        let through = ["read", &own, "create", &own, "read", "/etc/passwd", "create", "/dev/null"];
        // It may be able to write to the common folders for temporary files, but nobody else sees its files there.
        let private =
            ["create", &outside, "create", "/tmp/wharf-escaped", "create", "/dev/shm/wharf-escaped"];
        let said = attempts(&host, &[], &[&held[..], &through, &private].concat());
        assert!(private.iter().all(|path| !path.starts_with('/') || !fs::exists(path).unwrap()), "{said}");
        assert_all(&said, false, &held);
        assert_all(&said, true, &through);
        assert_eq!(fs::read_to_string(&document).unwrap(), "the contents of a file");
        // With a profile, it cannot use even its working directory, unless the profile names it.
        let own = file(&host, "work/data");
        let said = attempts(&host, &["--permission-profile", "network"], &["read", &own, "create", &own]);
        assert_all(&said, false, &["read", &own]);
        assert_eq!(fs::read_to_string(&own).unwrap(), "the contents of a file");
        let profile = host.path("profile.json").display().to_string();
        let text = format!(r#"{{"read":["{document}"],"write":["{own}"]}}"#);
        fs::File::create(&profile).unwrap().write_all(text.as_bytes()).unwrap();
        let listed = ["read", &document, "create", &own];
        // A file that it may only read cannot be changed in any way.
        let changes = ["cut", &document, "mode", &document, "times", &document];
        let options = ["--permission-profile", &profile];
        let said = attempts(&host, &options, &[&listed[..], &changes].concat());
        assert_all(&said, true, &listed);
        assert_all(&said, false, &changes);
    }
}

#[test]
fn other_processes_are_out_of_reach() {
    for host in hosts() {
        let neighbour = Neighbour::of(&host);
        let pid = neighbour.0.id().to_string();
        let held =
            ["signal", &pid, "environment-of", &pid, "limit", &pid, "command-of", &pid, "priority", &pid];
        let through = ["signal-own-child", "-", "environment-of", "self", "limit", "0"];
        let said = attempts(&host, &[], &[&held[..], &through].concat());
        assert_all(&said, false, &held);
        assert_all(&said, true, &through);
    }
}

#[test]
fn the_network_is_what_the_profile_says() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let port = listener.local_addr().unwrap().port();
    for host in hosts() {
        let socket = host.path("work/agent.sock");
        let _agent = UnixListener::bind(&socket).unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
        let socket = socket.display().to_string();
        let all = ["tcp", &address, "udp", "127.0.0.1:0"];
        let said = attempts(&host, &[], &[&all[..], &["unix", &socket, "datagram-pair", "-"]].concat());
        assert_all(&said, true, &all);
        assert_all(&said, false, &["unix", &socket, "datagram-pair", "-"]);
        let said =
            attempts(&host, &["--permission-profile", "none"], &[&all[..], &["unix", &socket]].concat());
        assert_all(&said, false, &[&all[..], &["unix", &socket]].concat());
        for (allowed, through) in [(port, true), (port ^ 1, false)] {
            let profile = host.path("profile.json").display().to_string();
            let text = format!(r#"{{"network":{{"outbound":{{"allow_port":[{allowed}]}}}}}}"#);
            fs::File::create(&profile).unwrap().write_all(text.as_bytes()).unwrap();
            let said = attempts(&host, &["--permission-profile", &profile], &all);
            assert_all(&said, through, &all[..2]);
            assert_all(&said, false, &all[2..]);
        }
    }
}

#[test]
fn nothing_connects_or_listens_past_the_list_of_ports() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let ways = ["fast-open-sendto", "fast-open-sendmsg", "fast-open-sendmmsg"];
    let attempted: Vec<&str> = ways.iter().flat_map(|way| [*way, &address]).collect();
    for host in hosts() {
        let profile = host.path("profile.json").display().to_string();
        let text = r#"{"network":{"outbound":{"allow_port":[1]}}}"#;
        fs::File::create(&profile).unwrap().write_all(text.as_bytes()).unwrap();
        let attempted = [&attempted[..], &["listen", "-"]].concat();
        assert_all(&attempts(&host, &["--permission-profile", &profile], &attempted), false, &attempted);
        // A server on a port whose profile is no network but that.
        let http = ["--permission-profile", "none", "--transport", "streamable-http"];
        assert_all(&attempts(&host, &http, &attempted[..6]), false, &attempted[..6]);
        // Without the profile they get through, so the profile holds them.
        assert_all(&attempts(&host, &[], &attempted), true, &attempted);
    }
}

#[test]
fn a_server_with_a_port_and_no_network_is_reached_by_its_port_alone() {
    for host in hosts() {
        let options = ["--name", "port", "--permission-profile", "none", "--transport", "streamable-http"];
        let url = host.run(&[&options[..], &[&demo_server()]].concat());
        let calls = |url: &str| Client::open(url).unwrap().call_tool("whoami", serde_json::json!({})).is_ok();
        assert!(calls(&url));
        // The server may listen on any address: nobody else is in its network.
        let network = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        let server = host.server("port").to_string();
        assert_ne!(network(&server), network("self"));
        // The way to it stays when its supervisor does not, and goes when it does.
        let supervisor = host.record("port")["process_id"].as_i64().unwrap();
        kill(i32::try_from(supervisor).unwrap(), "KILL");
        host.ok(&["start", "port"]);
        assert_eq!(host.server("port").to_string(), server, "it was started anew");
        assert!(calls(&url));
        let port = host.state_of("port")["target_port"].as_u64().unwrap();
        let address = format!("127.0.0.1:{port}");
        assert!(std::net::TcpStream::connect(&address).is_ok());
        host.ok(&["stop", "port"]);
        assert!(std::net::TcpStream::connect(&address).is_err());
    }
}

#[test]
fn a_port_that_cannot_be_opened_is_no_reason_for_a_weaker_sandbox() {
    let Some(host) = ordinary_host() else { return };
    let port = ["--transport", "streamable-http", "--target-port", "80"];
    for weaker in [&[][..], &["--allow-weaker"]] {
        let options = [&["run", "--permission-profile", "none"][..], &port, weaker].concat();
        let said = host.wharf(&[&options[..], &[&demo_server()]].concat());
        assert_ne!(said.code, 0, "{said:?}");
        assert!(said.stderr.contains("the port 80 cannot be listened on"), "{said:?}");
    }
    host.assert_nothing_runs();
}

#[test]
fn no_privileges_are_gained() {
    for host in hosts() {
        // A program that runs as somebody else: as root, or, for root, as nobody.
        let program = host.work().join("id");
        fs::copy("/usr/bin/id", &program).unwrap();
        if rustix::process::geteuid().is_root() {
            let owner = if host.user().is_some() { 0 } else { ORDINARY_USER };
            std::os::unix::fs::chown(&program, Some(owner), None).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
        }
        let program = program.display().to_string();
        let held = ["run", &program, "namespace", "user"];
        assert_all(&attempts(&host, &[], &held), false, &held);
        host.run(&["--name", "demo", &demo_server()]);
        let pid = host.record("demo")["handle"]["data"]["workload"]["pid"].to_string();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert!(status.contains(&format!("{set}:\t0000000000000000")), "{status}");
        }
        assert!(host.user().is_some() || status.contains("CapBnd:\t0000000000000000"), "{status}");
        assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
    }
}

#[test]
fn no_process_of_a_workload_outlives_its_stop() {
    for host in hosts() {
        let child = host.work().join("child");
        let hidden = format!("echo $$ > {}; exec sleep 1000", child.display());
        let text = format!("(env -i setsid sh -c '{hidden}' &)\nexec {}", demo_server());
        let server = host.script("family", &text);
        host.run(&["--name", "family", &server]);
        let read = || fs::read_to_string(&child).unwrap_or_default();
        eventually("the child is there", || read().ends_with('\n'));
        let pid = host.process_of("family", read().trim().parse().unwrap());
        assert!(runs(pid));
        host.ok(&["stop", "family"]);
        assert!(!runs(pid), "the child lives");
    }
}

#[test]
fn no_process_of_a_workload_outlives_a_killed_supervisor_and_launcher() {
    for host in hosts() {
        let child = host.work().join("child");
        let hidden = format!("echo $$ > {}; exec sleep 1000", child.display());
        let server =
            host.script("family", &format!("(env -i setsid sh -c '{hidden}' &)\nexec {}", demo_server()));
        host.run(&["--name", "family", "--transport", "streamable-http", &server]);
        let read = || fs::read_to_string(&child).unwrap_or_default();
        eventually("the child is there", || read().ends_with('\n'));
        let pid = host.process_of("family", read().trim().parse().unwrap());
        let record = host.record("family");
        for killed in [&record["process_id"], &record["handle"]["data"]["launcher"]["pid"]] {
            kill(i32::try_from(killed.as_i64().unwrap()).unwrap(), "KILL");
        }
        eventually("the child is gone", || !runs(pid));
        host.ok(&["rm", "family"]);
    }
}

#[test]
fn a_profile_that_is_not_understood_is_refused_before_anything_is_made() {
    let host = Host::new();
    let profile = host.path("profile.json").display().to_string();
    for (text, named) in [
        (r#"{"devices":["/dev/kvm"]}"#, "devices"),
        (r#"{"read":["/no/such/file"]}"#, "/no/such/file"),
        (r#"{"network":{"outbound":{"allow_host":["a.example"]}}}"#, "allow_host"),
    ] {
        fs::File::create(&profile).unwrap().write_all(text.as_bytes()).unwrap();
        let said = host.wharf(&["run", "--permission-profile", &profile, &demo_server()]);
        assert!(said.code != 0 && said.stderr.contains(named), "{said:?}");
        assert!(host.leftovers().is_empty());
    }
    let state = host.path("state").display().to_string();
    fs::File::create(&profile).unwrap().write_all(format!(r#"{{"read":["{state}"]}}"#).as_bytes()).unwrap();
    let said = host.wharf(&["run", "--permission-profile", &profile, &demo_server()]);
    assert!(said.stderr.contains("wharf's own"), "{said:?}");
}
