//! Without namespaces: the parts that still hold, those that are refused by name, and those that are reported.
use super::{Neighbour, assert_all, attempts, file, hosts};
use std::{fs, os::unix::net::UnixListener};
use wharf_tests::host::{Host, built, demo_server, eventually, kill, runs};

fn bare_hosts() -> Vec<Host> {
    hosts().into_iter().map(Host::without_namespaces).collect()
}

fn not_enforced(host: &Host, name: &str) -> String {
    let status = host.ok(&["status", name]);
    status.lines().find(|line| line.starts_with("Not enforced:")).unwrap_or_default().to_owned()
}

#[test]
fn without_namespaces_files_processes_and_privileges_are_out_of_reach_all_the_same() {
    for host in bare_hosts() {
        let neighbour = Neighbour::of(&host);
        let pid = neighbour.0.id().to_string();
        let (key, document) = (file(&host, "home/.ssh/id_ed25519"), file(&host, "home/document"));
        let record = host.path("state/runconfigs/tries.json").display().to_string();
        let home = host.path("home").display().to_string();
        let socket = host.path("work/agent.sock");
        let _agent = UnixListener::bind(&socket).unwrap();
        let socket = socket.display().to_string();
        let files =
            ["read", &key, "read", &record, "list", &home, "cut", &document, "create", "/tmp/wharf-bare"];
        let processes = ["signal", &pid, "environment-of", &pid, "limit", &pid];
        let others = ["unix", &socket, "datagram-pair", "-", "namespace", "user"];
        let held = [&files[..], &processes, &others].concat();
        // These are reported as getting through, and they do.
        let mut through = vec!["command-of", &pid, "signal-own-child", "-"];
        if host.user().is_some() {
            // Root's other processes have privileges that the workload has not.
            through.extend(["priority", &pid]);
        }
        let said = attempts(&host, &[], &[&held[..], &through].concat());
        assert_all(&said, false, &held);
        assert_all(&said, true, &through);
    }
}

#[test]
fn without_namespaces_a_profile_is_refused_by_name_and_weaker_is_told() {
    for host in bare_hosts() {
        let profile = ["run", "--name", "demo", "--permission-profile", "none"];
        let said = host.wharf(&[&profile[..], &[&demo_server()]].concat());
        assert_eq!(said.code, 6, "{said:?}");
        assert!(said.stderr.contains("'namespaces' cannot be enforced on this machine"), "{said:?}");
        assert!(host.row("demo").is_none() && host.leftovers().is_empty());
        host.ok(&[&profile[..], &["--allow-weaker", &demo_server()]].concat());
        let told = not_enforced(&host, "demo");
        assert!(told.contains("namespaces") && told.contains("attributes of the user's files"), "{told}");
        host.ok(&["rm", "demo"]);
        // Without a profile nobody has asked for namespaces: their absence is only reported.
        host.run(&["--name", "demo", &demo_server()]);
        assert!(not_enforced(&host, "demo").contains("namespaces"));
    }
}

#[test]
fn without_namespaces_the_network_of_a_profile_is_none_all_the_same() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for host in bare_hosts() {
        let tried = ["tcp", &address, "udp", "127.0.0.1:0"];
        let options = ["--permission-profile", "none", "--allow-weaker"];
        assert_all(&attempts(&host, &options, &tried), false, &tried);
        assert_all(&attempts(&host, &[], &tried), true, &tried);
    }
}

#[test]
fn without_namespaces_nothing_that_left_a_trace_outlives_the_stop() {
    for host in bare_hosts() {
        let child = host.work().join("child");
        // A process is found in a control group without any mark in its environment.
        host.run(&["--name", "asked", &demo_server()]);
        let has_groups =
            host.state_of("asked")["cgroups"].as_array().is_some_and(|groups| !groups.is_empty());
        host.ok(&["rm", "asked"]);
        let scrubbed = if has_groups { "env -i" } else { "" };
        let hidden = format!("echo $$ > {}; exec sleep 1000", child.display());
        let text = format!("({scrubbed} setsid sh -c '{hidden}' &)\nexec {}", demo_server());
        let server = host.script("family", &text);
        for is_killed in [false, true] {
            let _: std::io::Result<()> = fs::remove_file(&child);
            host.run(&["--name", "family", "--transport", "streamable-http", &server]);
            let read = || fs::read_to_string(&child).unwrap_or_default();
            eventually("the child is there", || read().ends_with('\n'));
            let pid = read().trim().parse().unwrap();
            assert!(runs(pid));
            let groups = host.state_of("family")["cgroups"].as_array().cloned().unwrap_or_default();
            if is_killed {
                let record = host.record("family");
                for killed in [&record["process_id"], &record["handle"]["data"]["launcher"]["pid"]] {
                    kill(i32::try_from(killed.as_i64().unwrap()).unwrap(), "KILL");
                }
            } else {
                host.ok(&["stop", "family"]);
                assert!(!runs(pid), "the child outlives the stop");
            }
            host.ok(&["rm", "family"]);
            assert!(!runs(pid), "the child outlives its workload");
            for group in groups {
                assert!(!fs::exists(group.as_str().unwrap()).unwrap(), "{group} is left");
            }
        }
    }
}

/// The server undoes the tie to its launcher; then it is ended as a straggler.
#[test]
fn without_namespaces_a_server_that_untied_itself_ends_with_its_launcher() {
    for host in bare_hosts() {
        let text = format!("exec {} untie {}", built("wharf-escape").display(), demo_server());
        let server = host.script("untied", &text);
        host.run(&["--name", "untied", &server]);
        let pid = host.server("untied");
        kill(launcher_of(&host, "untied"), "KILL");
        eventually("it has ended", || !runs(pid));
        eventually("it is back", || host.server("untied") != pid && runs(host.server("untied")));
        // Without a supervisor, the next command ends it.
        let pid = host.server("untied");
        let supervisor = host.record("untied")["process_id"].as_i64().unwrap();
        for killed in [i32::try_from(supervisor).unwrap(), launcher_of(&host, "untied")] {
            kill(killed, "KILL");
        }
        host.ok(&["rm", "untied"]);
        assert!(!runs(pid), "it outlives its workload");
    }
}

fn launcher_of(host: &Host, name: &str) -> i32 {
    let pid = &host.record(name)["handle"]["data"]["launcher"]["pid"];
    pid.as_i64().and_then(|pid| i32::try_from(pid).ok()).unwrap()
}

#[test]
fn without_namespaces_the_check_says_so() {
    for host in bare_hosts() {
        let said = host.ok(&["runtime", "check", "process"]);
        let (enforced, weaker) = said.split_once("does not enforce here:").unwrap();
        assert!(!enforced.contains("namespaces:") && weaker.contains("namespaces:"), "{said}");
        assert!(enforced.contains("files: Landlock"), "{said}");
    }
}
