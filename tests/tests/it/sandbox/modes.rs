//! No workload makes a program that runs as its user, and ordinary tools do not miss it.
use super::{assert_all, attempts, file, hosts};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};
use wharf_tests::host::{Host, demo_server, has_tool};

/// Whether any file below this folder has one of these bits.
fn any_has(folder: &Path, bits: u32) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        let mode = fs::symlink_metadata(&path).unwrap();
        mode.is_file() && mode.permissions().mode() & bits != 0 || mode.is_dir() && any_has(&path, bits)
    })
}

#[test]
fn no_call_makes_a_program_that_runs_as_its_user() {
    for host in hosts().into_iter().chain(hosts().into_iter().map(Host::without_namespaces)) {
        let own = file(&host, "work/data");
        let work = host.work().display().to_string();
        let new = |name: &str| host.path(&format!("work/{name}")).display().to_string();
        let (created, node, folder) = (new("created"), new("node"), new("folder"));
        let held = [
            ["set-user-id", &own],
            ["set-group-id", &own],
            ["set-user-id-by-descriptor", &own],
            ["create-set-user-id", &created],
            ["create-unnamed-set-user-id", &work],
            ["node-set-user-id", &node],
        ]
        .concat();
        let through = ["mode", &own, "create", &created, "folder-with-group", &folder];
        let said = attempts(&host, &[], &[&held[..], &through].concat());
        assert_all(&said, false, &held);
        assert_all(&said, true, &through);
        assert!(!any_has(&host.work(), 0o6000), "{said}");
    }
}

#[test]
fn archives_and_repositories_are_made_as_everywhere() {
    if !has_tool("tar", "tar") || !has_tool("git", "git") {
        return;
    }
    for host in hosts() {
        let text = format!(
            "set -e\nexport GIT_CONFIG_NOSYSTEM=1 HOME=$PWD\nmkdir -m 1777 sticky\ngit init -q one\ncd one\necho x > x\n\
             git add x\ngit -c user.name=a -c user.email=a@example.com commit -qm x\ncd ..\ngit clone -q one two\n\
             tar cf all.tar one sticky\nmkdir out\ntar xpf all.tar -C out\ncmp one/x out/one/x\nexec {}",
            demo_server()
        );
        let server = host.script("tools", &text);
        host.run(&["--name", "tools", &server]);
        assert_eq!(
            fs::metadata(host.work().join("out/sticky")).unwrap().permissions().mode() & 0o7777,
            0o1777
        );
    }
}

/// A folder that its group shares cannot be told from a program: it is refused, and says so, and nothing is half done.
#[test]
fn a_repository_that_a_group_shares_is_refused_in_words() {
    if !has_tool("git", "git") {
        return;
    }
    for host in hosts() {
        let server =
            host.script("shares", "export GIT_CONFIG_NOSYSTEM=1 HOME=$PWD\nexec git init -q --shared shared");
        let said = host.wharf(&["run", "--name", "shares", &server]);
        assert_eq!(said.code, 6, "{said:?}");
        assert!(said.stderr.contains("writable by group"), "{said:?}");
        assert!(!any_has(&host.work(), 0o6000));
    }
}
