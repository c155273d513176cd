//! Git in a sandbox.
use super::{file, hosts};
use std::{fs, io::Write};
use wharf_tests::host::{Host, demo_server, has_tool};

/// Git ends at once if it sees a file of settings, the machine's or its user's, that it cannot read.
#[test]
fn git_works_whatever_settings_its_user_and_the_machine_have() {
    if !has_tool("git", "git") {
        return;
    }
    for host in hosts().into_iter().chain(hosts().into_iter().map(Host::without_namespaces)) {
        for name in ["home/.gitconfig", "home/.config/git/config"] {
            let mut file = fs::File::create(file(&host, name)).unwrap();
            file.write_all(b"[user]\n\tname = From The Settings\n").unwrap();
        }
        host.own();
        let text = format!(
            "{{ git init --quiet repo && git -C repo config user.name && echo 'git works'; }} >&2\nexec {}",
            demo_server()
        );
        let server = host.script("git", &text);
        host.run(&["--name", "git", &server]);
        let logs = host.ok(&["logs", "git"]);
        assert!(logs.contains("From The Settings") && logs.contains("git works"), "{logs}");
    }
}
