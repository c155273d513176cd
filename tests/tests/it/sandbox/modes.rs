//! No workload can make a program that runs as its user, and ordinary tools work all the same.
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

/// The launcher sets the bit that shares a folder with its group, for every call that can ask for it.
#[test]
fn folders_that_a_group_shares_are_made_as_everywhere() {
    if !has_tool("tar", "tar") || !has_tool("git", "git") {
        return;
    }
    for host in hosts().into_iter().chain(hosts().into_iter().map(Host::without_namespaces)) {
        let text = format!(
            "set -e\nexport GIT_CONFIG_NOSYSTEM=1 HOME=$PWD\ngit init -q --shared relative\n\
             git init -q --bare --shared=group \"$PWD/absolute\"\ninstall -d -m 2775 installed\nmkdir -m 2770 made\n\
             tar cf all.tar installed made\nmkdir out\ntar xpf all.tar -C out\ncp -a installed copied\n\
             ln -s made link\nchmod 2750 link\nmkdir deep\ncd deep\nchmod 2711 ../deep\nexec {}",
            demo_server()
        );
        let server = host.script("shares", &text);
        host.run(&["--name", "shares", &server]);
        let mode = |name: &str| {
            let found = fs::metadata(host.work().join(name)).unwrap();
            assert!(found.is_dir());
            found.permissions().mode() & 0o7777
        };
        for (name, expected) in [
            ("relative/.git/refs", 0o2775),
            ("absolute/refs", 0o2775),
            ("installed", 0o2775),
            ("made", 0o2750),
            ("out/installed", 0o2775),
            ("out/made", 0o2770),
            ("copied", 0o2775),
            ("deep", 0o2711),
        ] {
            assert_eq!(mode(name), expected, "{name}");
        }
        assert!(!any_has(&host.work(), 0o6000));
    }
}

/// A folder that the workload may not change stays as it is: the launcher looks names up in the workload's own view.
#[test]
fn a_folder_outside_is_shared_by_nobody() {
    for host in hosts() {
        let outside = Path::new(&file(&host, "home/documents/text")).parent().unwrap().to_owned();
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o755)).unwrap();
        let link = host.work().join("link");
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        let (outside_name, link) = (outside.display().to_string(), link.display().to_string());
        let held = ["set-group-id", &outside_name, "set-group-id", &link, "set-group-id", "/"];
        let said = attempts(&host, &[], &held);
        assert_all(&said, false, &held);
        assert_eq!(fs::metadata(&outside).unwrap().permissions().mode() & 0o7777, 0o755, "{said}");
    }
}

/// Many threads of many processes ask at once, some of them die meanwhile: nobody waits for ever.
#[test]
fn a_flood_of_shared_folders_holds_up_nobody() {
    let host = Host::new();
    let text = format!(
        "for i in $(seq 20); do mkdir d$i; (while :; do chmod 2775 d$i; chmod 0755 d$i; done) & done\n\
         for i in $(seq 20); do (chmod 2775 d$i) & kill -9 $! 2>/dev/null; done\nexec {}",
        demo_server()
    );
    let server = host.script("floods", &text);
    host.run(&["--name", "floods", &server]);
    host.ok(&["stop", "floods"]);
    host.assert_nothing_runs();
}
