//! A server that has a home of its own.
use super::{
    assert_all, attempts, file,
    paths::{all_hosts, folder},
    try_to_run,
};
use std::fs;

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
