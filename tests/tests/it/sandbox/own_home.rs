//! A server that makes a folder in its home, which is closed to it; and one that has a home of its own.
use super::{
    assert_all, attempts, file,
    paths::{all_hosts, folder},
    try_to_run,
};
use std::fs;
use wharf_tests::host::{Host, demo_server};

/// A server that ends if it cannot write a folder of its own in its home.
fn server(host: &Host) -> String {
    let text =
        "[ -d \"$HOME/.own\" ] || mkdir \"$HOME/.own\" || exit 1\necho text >\"$HOME/.own/file\" || exit 1";
    host.script("own", &format!("{text}\nexec {}", demo_server()))
}

#[test]
fn a_server_that_ends_since_its_home_is_closed_is_told_so_with_the_ways_on() {
    for host in all_hosts() {
        let server = server(&host);
        let made = host.path("home/.own").display().to_string();
        let said = host.wharf(&["run", "--name", "own", "--restart", "no", &server]);
        assert_eq!(said.code, 6, "{said:?}");
        for told in [
            "-e HOME=FOLDER -v FOLDER",
            &format!("its home is closed to it, and '{made}' of its output lies there"),
            &format!("mkdir {made}, then run it with -v {made}"),
        ] {
            assert!(said.stderr.contains(told), "not '{told}': {said:?}");
        }
        folder(&host, "home/.own");
        host.run(&["--name", "own", "-v", &made, &server]);
        assert!(fs::exists(format!("{made}/file")).unwrap());
        host.ok(&["rm", "own"]);
        let own = folder(&host, "own");
        host.run(&["--name", "own", "-e", &format!("HOME={own}"), "-v", &own, &server]);
        assert!(fs::exists(format!("{own}/.own/file")).unwrap());
    }
}

#[test]
fn a_path_of_keys_in_the_output_is_not_advised_to_be_opened() {
    let host = Host::new();
    let server =
        host.script("lures", "echo \"EROFS: read-only file system, mkdir '$HOME/.ssh'\" >&2; exit 1");
    let said = host.wharf(&["run", "--restart", "no", &server]);
    assert!(said.code == 6 && said.stderr.contains("its home is closed to it"), "{said:?}");
    assert!(said.stderr.contains("-e HOME=FOLDER") && !said.stderr.contains("mkdir /"), "{said:?}");
    let server = host.script("fails", "echo \"no file $HOME/.own\" >&2; exit 1");
    let said = host.wharf(&["run", "--restart", "no", &server]);
    assert!(said.code == 6 && !said.stderr.contains("is closed to it"), "{said:?}");
}

#[test]
fn a_home_of_its_own_is_written_as_a_whole_at_each_start() {
    for host in all_hosts() {
        let key = file(&host, "home/.ssh/id_ed25519");
        let own = folder(&host, "own");
        let planted = host.path("home/.ssh/authorized_keys").display().to_string();
        // The first of them is a place of keys, which is no reason against it later.
        let made = [".netrc", ".bashrc", "plain"].map(|name| format!("{own}/{name}"));
        let creates = made.each_ref().map(|path| ["create", path]).concat();
        let closed = ["read", &key, "create", &planted];
        let options = ["-e", &format!("HOME={own}"), "-v", &own];
        let said = try_to_run(&host, "own", &options, &[&creates[..], &closed].concat());
        assert_eq!(said.code, 0, "{said:?}");
        let logs = host.ok(&["logs", "own"]);
        assert_all(&logs, true, &creates);
        assert_all(&logs, false, &closed);
        for command in ["restart", "edit"] {
            for path in &made[1..] {
                fs::remove_file(path).unwrap();
            }
            let options = if command == "edit" { &["-e", "OTHER=1"][..] } else { &[] };
            host.ok(&[&[command, "own"][..], options].concat());
            assert!(
                made.iter().all(|path| fs::exists(path).unwrap()),
                "it is opened in parts after {command}"
            );
        }
        assert!(!fs::exists(&planted).unwrap());
    }
}

#[test]
fn a_folder_with_keys_is_no_home_of_its_own() {
    for host in all_hosts() {
        let (key, paper) = (file(&host, "other/.ssh/id_ed25519"), file(&host, "other/docs/paper"));
        let other = host.path("other").display().to_string();
        let planted = [".ssh/authorized_keys", ".bashrc"].map(|name| format!("{other}/{name}"));
        let creates = planted.each_ref().map(|path| ["create", path]).concat();
        let closed = [&["read", &key][..], &creates].concat();
        let options = ["-e", &format!("HOME={other}"), "-v", &other];
        let said = attempts(&host, &options, &[&closed[..], &["read", &paper]].concat());
        assert_all(&said, false, &closed);
        assert_all(&said, true, &["read", &paper]);
        assert!(planted.iter().all(|path| !fs::exists(path).unwrap()), "it was planted");
    }
}
