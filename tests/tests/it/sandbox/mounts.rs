//! What is opened with `-v`, and what stays closed below it.
use super::{
    assert_all, attempts, file, hosts,
    paths::{all_hosts, assert_refused, exchange, folder},
    try_to_run,
};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::{fs, fs::File};
use wharf_tests::host::{Host, Said, built, demo_server};

#[test]
fn a_mounted_path_is_written_and_one_that_is_read_only_is_not() {
    for host in all_hosts() {
        let (paper, other) = (file(&host, "home/docs/paper"), file(&host, "home/other/paper"));
        let docs = host.path("home/docs").display().to_string();
        let (new, read_only) = (format!("{docs}/new"), format!("{docs}:ro"));
        let said = attempts(&host, &["-v", &docs], &["read", &paper, "create", &new, "read", &other]);
        assert_all(&said, true, &["read", &paper, "create", &new]);
        assert_all(&said, false, &["read", &other]);
        assert!(fs::exists(&new).unwrap(), "it is not in the folder itself");
        let newer = format!("{docs}/newer");
        let changes = ["create", &new, "cut", &paper, "create", &newer];
        let said = attempts(&host, &["-v", &read_only], &[&["read", &paper][..], &changes].concat());
        assert_all(&said, true, &["read", &paper]);
        assert_all(&said, false, &changes);
        assert_eq!(fs::read_to_string(&paper).unwrap(), "the contents of a file");
        assert!(!fs::exists(&newer).unwrap());
        // A profile does not take it away.
        let options = ["--permission-profile", "network", "--allow-weaker", "-v", &read_only];
        assert_all(&attempts(&host, &options, &["read", &paper]), true, &["read", &paper]);
    }
}

#[test]
fn a_mount_is_recorded_shown_edited_and_exported_as_that_of_a_container_is() {
    let host = Host::new();
    file(&host, "home/docs/paper");
    let docs = host.path("home/docs").display().to_string();
    // A shell that is not there has put no home in.
    host.run(&["--name", "files", "-v", "~/docs:ro", &demo_server()]);
    let recorded = |name: &str| host.run_config(name)["volumes"].clone();
    assert_eq!(recorded("files"), serde_json::json!([format!("{docs}:{docs}:ro")]));
    let opened = |list: &str| {
        let status = host.ok(&["status", "files", "--format", "json"]);
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        status["confinement"]["paths"][list].to_string()
    };
    assert!(opened("read").contains(&docs) && !opened("write").contains(&docs));
    host.ok(&["edit", "files", "-v", &docs]);
    assert_eq!(recorded("files"), serde_json::json!([format!("{docs}:{docs}")]));
    assert!(opened("write").contains(&docs));
    let exported = host.path("files.json");
    File::create(&exported).unwrap().write_all(host.ok(&["export", "files"]).as_bytes()).unwrap();
    host.run(&["--from-config", &exported.display().to_string(), "--name", "copy"]);
    assert_eq!(recorded("copy"), recorded("files"));
}

#[test]
fn a_mount_at_another_place_is_seen_there_or_refused_by_name() {
    for host in hosts() {
        let paper = file(&host, "home/docs/paper");
        let docs = host.path("home/docs").display().to_string();
        for place in ["/tmp/shown".to_owned(), host.path("home/shown").display().to_string()] {
            let (there, new) = (format!("{place}/paper"), format!("{place}/new"));
            let volume = format!("{docs}:{place}");
            let said = attempts(&host, &["-v", &volume], &["read", &there, "create", &new, "read", &paper]);
            assert_all(&said, true, &["read", &there, "create", &new]);
            assert_all(&said, false, &["read", &paper]);
            assert!(!fs::exists(&place).unwrap(), "nothing is made on this machine");
            fs::remove_file(host.path("home/docs/new")).unwrap();
            let said = attempts(&host, &["-v", &format!("{volume}:ro")], &["read", &there, "create", &new]);
            assert_all(&said, true, &["read", &there]);
            assert_all(&said, false, &["create", &new]);
            assert!(!fs::exists(host.path("home/docs/new")).unwrap());
        }
        let said = host.wharf(&["run", "-v", &format!("{docs}:/no-such-place-for-wharf"), &demo_server()]);
        assert!(said.code != 0 && said.stderr.contains("mount of PATH alone"), "{said:?}");
        assert!(!fs::exists("/no-such-place-for-wharf").unwrap());
    }
    for host in hosts().into_iter().map(Host::without_namespaces) {
        let docs = folder(&host, "home/docs");
        let said = host.wharf(&["run", "-v", &format!("{docs}:/tmp/shown"), &demo_server()]);
        assert!(said.code != 0 && said.stderr.contains("mount of PATH alone"), "{said:?}");
    }
}

#[test]
fn nothing_is_made_below_a_place_where_a_mount_shows_something_else() {
    for host in hosts() {
        let (fake, docs) = (folder(&host, "fake"), folder(&host, "home/docs"));
        let home = host.path("home").display().to_string();
        let above = host.work().parent().unwrap().display().to_string();
        for options in [
            ["-v", &format!("{fake}:{home}"), "-v", &docs],
            ["-v", &format!("{fake}:{home}:ro"), "-v", &docs],
            ["-v", &format!("{fake}:{above}"), "-v", &format!("{docs}:ro")],
            ["-v", &format!("{fake}:/tmp/x"), "-v", &format!("{docs}:/tmp/x/y")],
        ] {
            let said = host.wharf(&[&["run"][..], &options, &[&demo_server()]].concat());
            assert!(said.code != 0 && said.stderr.contains("choose another place"), "{options:?}: {said:?}");
            assert_eq!(fs::read_dir(&fake).unwrap().count(), 0, "{options:?}");
        }
    }
}

#[test]
fn a_mount_that_makes_no_sense_is_refused_before_anything_is_made() {
    let host = Host::new();
    let state = host.path("state").display().to_string();
    let socket = host.path("home/socket").display().to_string();
    let _listener = UnixListener::bind(&socket).unwrap();
    for (volume, named) in [
        ("/no/such/folder:ro", "does not exist"),
        ("data:/data", "a plain process has no volumes; for a folder of the current one write ./data"),
        ("data", "write ./data"),
        ("data/sub:ro", "write ./data/sub"),
        ("/usr:/etc/../x", "without links and dots"),
        (&state, "files of wharf's own"),
        ("/", "files of wharf's own"),
        ("/usr:ro,rw", "both 'ro' and 'rw'"),
        (&socket, "is a socket"),
    ] {
        let said = host.wharf(&["run", "-v", volume, &demo_server()]);
        assert!(said.code != 0 && said.stderr.contains(named), "{volume}: {said:?}");
    }
    let said = host.wharf(&["run", "-v", "/usr:ro", "-v", "/usr", &demo_server()]);
    assert!(said.code != 0 && said.stderr.contains("two mounts are at '/usr'"), "{said:?}");
    assert_eq!(host.list(), Vec::<serde_json::Value>::new());
}

#[test]
fn a_path_that_its_user_cannot_reach_is_told_so() {
    for host in hosts().into_iter().filter(|host| host.user().is_some()) {
        let hidden = file(&host, "hidden/docs/paper");
        fs::set_permissions(host.path("hidden"), fs::Permissions::from_mode(0o000)).unwrap();
        let said = host.wharf(&["run", "-v", &hidden, &demo_server()]);
        assert!(said.code != 0 && said.stderr.contains("cannot be reached"), "{said:?}");
        assert!(!said.stderr.contains("does not exist"), "{said:?}");
    }
}

#[test]
fn a_mounted_folder_that_became_a_link_is_not_opened() {
    for host in all_hosts() {
        let secret = file(&host, "home/secrets/paper");
        let docs = folder(&host, "home/docs");
        let said = try_to_run(&host, "reader", &["-v", &docs], &["read", &secret]);
        assert_eq!(said.code, 0, "{said:?}");
        assert_all(&host.ok(&["logs", "reader"]), false, &["read", &secret]);
        host.ok(&["stop", "reader"]);
        exchange(&docs, &host.path("home/secrets"));
        assert_refused(&host, "reader", &docs);
        // The same for a folder of which only parts are opened.
        let home = host.path("place").display().to_string();
        symlink("home", &home).unwrap();
        host.own();
        let said = try_to_run(&host, "parts", &["-v", &home], &["read", &format!("{home}/secrets/paper")]);
        assert_eq!(said.code, 0, "{said:?}");
        assert_all(&host.ok(&["logs", "parts"]), true, &["read", &format!("{home}/secrets/paper")]);
        host.ok(&["stop", "parts"]);
        exchange(&home, &host.path("home/secrets"));
        assert_refused(&host, "parts", &home);
    }
}

#[test]
fn keys_below_a_mount_stay_closed_unless_they_are_mounted_themselves() {
    let bare = hosts().into_iter().map(|host| (host.without_namespaces(), false));
    for (host, has_namespaces) in hosts().into_iter().map(|host| (host, true)).chain(bare) {
        let key = file(&host, "home/.ssh/id_ed25519");
        let settings = file(&host, "home/.profile");
        let paper = file(&host, "home/docs/paper");
        let home = host.path("home").display().to_string();
        let new = format!("{home}/docs/new");
        let planted =
            [".netrc", ".bashrc", "plain", ".ssh/authorized_keys"].map(|name| format!("{home}/{name}"));
        let renamed = format!("{paper}:{}", planted[1]);
        let (over, moved) = (format!("{paper}:{settings}"), format!("{home}/docs:{home}/.config"));
        let read = ["read", &key, "read", &settings];
        let renames = ["rename", &renamed, "link", &renamed, "rename", &over, "rename", &moved];
        let creates = planted.each_ref().map(|path| ["create", path]).concat();
        let closed = [&read[..], &creates, &renames].concat();
        let open = ["read", &paper, "create", &new];
        let said = attempts(&host, &["-v", &home], &[&closed[..], &open, &["list", &home]].concat());
        assert_all(&said, false, &closed);
        assert_all(&said, true, &open);
        assert_all(&said, has_namespaces, &["list", &home]);
        assert!(planted.iter().all(|path| !fs::exists(path).unwrap()), "it was planted");
        assert_eq!(fs::read_to_string(&settings).unwrap(), "the contents of a file");
        assert!(fs::exists(&new).unwrap() && fs::exists(&paper).unwrap(), "it is not in the home itself");
        let keys = format!("{home}/.ssh:ro");
        let said = attempts(&host, &["-v", &home, "-v", &keys], &["read", &key, "create", &key]);
        assert_all(&said, true, &["read", &key]);
        assert_all(&said, false, &["create", &key]);
        assert_eq!(fs::read_to_string(&key).unwrap(), "the contents of a file");
        // What another mount says of a part counts for that part.
        let kept = format!("{home}/docs:ro");
        let newer = format!("{home}/docs/newer");
        let said = attempts(&host, &["-v", &home, "-v", &kept], &["read", &paper, "create", &newer]);
        assert_all(&said, true, &["read", &paper]);
        assert_all(&said, false, &["create", &newer]);
        assert!(!fs::exists(&newer).unwrap());
    }
}

#[test]
fn programs_that_a_user_runs_are_not_made_below_a_mounted_home_whatever_path_the_workload_has() {
    for host in all_hosts() {
        let (tool, paper) = (file(&host, "home/bin/tool"), file(&host, "home/docs/paper"));
        let later = folder(&host, "home/later");
        let home = host.path("home").display().to_string();
        let (planted, new) = (format!("{later}/bin"), format!("{home}/docs/new"));
        let text = format!(
            "{} cut '{tool}' create '{planted}' create '{new}' >&2\nexec {}",
            built("wharf-escape").display(),
            demo_server()
        );
        let server = host.script("tries", &text);
        // What it tries with lies in a folder of its usual PATH.
        let tools = format!("{}:ro", built("wharf-escape").parent().unwrap().display());
        let mut command = host.command(&["run", "--name", "tries", "-e", "PATH=/usr/bin:/bin", "-v", &home]);
        command.args(["-v", &tools, &server]);
        let known = command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, path)| path).unwrap();
        let path = format!("{}:{home}/bin:{planted}", known.to_str().unwrap());
        let said = Said::of(&command.env("PATH", path).output().unwrap());
        assert_eq!(said.code, 0, "{said:?}");
        let logs = host.ok(&["logs", "tries"]);
        assert_all(&logs, false, &["cut", &tool, "create", &planted]);
        assert_all(&logs, true, &["create", &new]);
        assert_eq!(fs::read_to_string(&tool).unwrap(), "the contents of a file");
        assert!(!fs::exists(&planted).unwrap() && fs::exists(&new).unwrap() && fs::exists(&paper).unwrap());
    }
}

#[test]
fn what_a_shell_runs_is_not_written_below_a_mounted_home_where_a_link_leads_to_it() {
    for host in all_hosts() {
        let (settings, paper) = (file(&host, "home/dotfiles/bashrc"), file(&host, "home/docs/paper"));
        let later = folder(&host, "home/later");
        let home = host.path("home").display().to_string();
        symlink("dotfiles/bashrc", host.path("home/.bashrc")).unwrap();
        symlink("later/profile", host.path("home/.profile")).unwrap();
        host.own();
        let (planted, new) = (format!("{later}/profile"), format!("{home}/docs/new"));
        let over = format!("{paper}:{settings}");
        let closed = ["cut", &settings, "create", &settings, "rename", &over, "create", &planted];
        let open = ["read", &settings, "create", &new];
        let said = attempts(&host, &["-v", &home], &[&closed[..], &open].concat());
        assert_all(&said, false, &closed);
        assert_all(&said, true, &open);
        assert_eq!(fs::read_to_string(&settings).unwrap(), "the contents of a file");
        assert!(!fs::exists(&planted).unwrap() && fs::exists(&new).unwrap());
        // Named itself it is.
        let dotfiles = format!("{home}/dotfiles");
        let said = attempts(&host, &["-v", &home, "-v", &dotfiles], &["cut", &settings]);
        assert_all(&said, true, &["cut", &settings]);
    }
}

#[test]
fn a_folder_that_holds_wharfs_own_folders_is_mounted_without_them() {
    for host in all_hosts() {
        let (token, paper) = (file(&host, "config/secrets/token"), file(&host, "home/docs/paper"));
        let folder = host.work().parent().unwrap().display().to_string();
        let record = format!("{folder}/state/runconfigs/tries.json");
        let planted = ["state/runconfigs/other.json", "config/config.json", "data/planted", "planted"];
        let planted = planted.map(|name| format!("{folder}/{name}"));
        let new = format!("{folder}/home/docs/new");
        let creates = planted.each_ref().map(|path| ["create", path]).concat();
        let closed = [&["read", &token, "read", &record][..], &creates].concat();
        let open = ["read", &paper, "create", &new];
        let said = attempts(&host, &["-v", &folder], &[&closed[..], &open].concat());
        assert_all(&said, false, &closed);
        assert_all(&said, true, &open);
        assert!(planted.iter().all(|path| !fs::exists(path).unwrap()), "it was planted");
        assert!(fs::exists(&new).unwrap(), "it is not in the folder itself");
        // A folder in it that is opened in parts as well is opened as it is named.
        let (read_only, newer) = (format!("{folder}/home:ro"), format!("{folder}/home/docs/newer"));
        let said = attempts(&host, &["-v", &folder, "-v", &read_only], &["read", &paper, "create", &newer]);
        assert_all(&said, true, &["read", &paper]);
        assert_all(&said, false, &["create", &newer]);
        assert!(!fs::exists(&newer).unwrap());
    }
}

#[test]
fn a_folder_of_keys_that_holds_wharfs_own_folder_is_refused_even_by_its_name() {
    let host = Host::new();
    let token = file(&host, "home/.config/wharf/secrets/token");
    file(&host, "home/.config/editor/init");
    let (config, editor) = (host.path("home/.config"), host.path("home/.config/editor"));
    for volume in [config.display().to_string(), format!("{}:ro", config.display())] {
        let mut command = host.command(&["run", "--name", "config", "-v", &volume, &demo_server()]);
        command.env("WHARF_CONFIG_DIR", config.join("wharf"));
        let said = Said::of(&command.output().unwrap());
        assert!(said.code != 0 && said.stderr.contains("files of wharf's own"), "{volume}: {said:?}");
    }
    let init = editor.join("init").display().to_string();
    let tried = ["read", &token, "read", &init].map(|part| format!("'{part}'")).join(" ");
    let text = format!("{} {tried} >&2\nexec {}", built("wharf-escape").display(), demo_server());
    let server = host.script("tries", &text);
    let volume = format!("{}:ro", editor.display());
    let mut command = host.command(&["run", "--name", "editor", "-v", &volume, &server]);
    let said = Said::of(&command.env("WHARF_CONFIG_DIR", config.join("wharf")).output().unwrap());
    assert_eq!(said.code, 0, "{said:?}");
    let logs = host.ok(&["logs", "editor"]);
    assert_all(&logs, false, &["read", &token]);
    assert_all(&logs, true, &["read", &init]);
}
