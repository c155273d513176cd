//! An engine of a test's own leaves no rule of iptables, and takes away none of anybody else's.
use super::{add, host, run};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use wharf_tests::engines::{Engine, Kind};

/// The rules of two Dockers, two Podmans and CNI, as iptables-save writes them. `ID` and `OTHER` are ids of containers.
const RULES: &str = r#"*filter
:DOCKER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o wh123 -j DOCKER
-A FORWARD -i wh123 ! -o wh123 -j ACCEPT
-A FORWARD -i wh1234 -o docker0 -j ACCEPT
-A DOCKER -d 172.30.7.2/32 ! -i wh123 -o wh123 -p tcp -j ACCEPT
COMMIT
*nat
:CNI-0af3 - [0:0]
-A POSTROUTING -s 172.30.7.0/24 ! -o wh123 -j MASQUERADE
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 10.88.0.5/32 -m comment --comment "name: \"podman\" id: \"ID\"" -j CNI-0af3
-A POSTROUTING -s 10.88.0.6/32 -m comment --comment "name: \"podman\" id: \"OTHER\"" -j CNI-0af4
-A CNI-0af3 -d 10.88.0.0/16 -m comment --comment "name: \"podman\" id: \"ID\"" -j ACCEPT
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \"podman\" id: \"ID\"" -j CNI-DN-0af3
-A NETAVARK-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: podman id: ID" -j NETAVARK-DN-1D87
COMMIT
*raw
-A PREROUTING -d 172.30.9.2/32 ! -i docker0 -j DROP
COMMIT
"#;

/// What removes the rules of the bridge `wh123` and of the container `ID`.
const REMOVED: &str = r#"*filter
-D FORWARD -o wh123 -j DOCKER
-D FORWARD -i wh123 ! -o wh123 -j ACCEPT
-D DOCKER -d 172.30.7.2/32 ! -i wh123 -o wh123 -p tcp -j ACCEPT
COMMIT
*nat
-D POSTROUTING -s 172.30.7.0/24 ! -o wh123 -j MASQUERADE
-D POSTROUTING -s 10.88.0.5/32 -m comment --comment "name: \"podman\" id: \"ID\"" -j CNI-0af3
-D CNI-0af3 -d 10.88.0.0/16 -m comment --comment "name: \"podman\" id: \"ID\"" -j ACCEPT
-D CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \"podman\" id: \"ID\"" -j CNI-DN-0af3
-D NETAVARK-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: podman id: ID" -j NETAVARK-DN-1D87
-F CNI-0af3
-X CNI-0af3
-F CNI-DN-0af3
-X CNI-DN-0af3
COMMIT
"#;

fn removed(arguments: &[&str], rules: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("engines/rules");
    let mut told = Command::new(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the script");
    told.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
    String::from_utf8(told.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn only_rules_that_are_surely_an_engines_own_are_removed() {
    let ids = |text: &str| text.replace("ID", &"a1".repeat(32)).replace("OTHER", &"b2".repeat(32));
    let rules = ids(RULES);
    assert_eq!(removed(&["wh123", &"a1".repeat(32)], &rules), ids(REMOVED));
    for of_nobody in [&["wh9"][..], &["", "a1"], &["", ""]] {
        assert_eq!(removed(of_nobody, &rules), "", "{of_nobody:?}");
    }
}

#[test]
fn a_docker_that_has_ended_leaves_no_rule_of_its_bridge() {
    let Some(engine) = Engine::start(Kind::Docker) else { return };
    let bridge = std::fs::read_to_string(engine.socket().with_file_name("bridge")).unwrap();
    let bridge = bridge.trim().to_owned();
    let rules_of_bridge = || {
        let all = Command::new("iptables-save").output().unwrap().stdout;
        let all = String::from_utf8_lossy(&all).into_owned();
        all.lines().filter(|rule| rule.contains(&format!(" {bridge} "))).count()
    };
    let host = host(&[(Kind::Docker, engine.endpoint())]);
    let url = run(&host, Kind::Docker, "web", &["--transport", "streamable-http"]);
    assert_eq!(add(&url), "5");
    assert!(rules_of_bridge() > 0);
    host.ok(&["rm", "web"]);
    drop(engine);
    assert_eq!(rules_of_bridge(), 0);
}
