//! Names lead elsewhere than before: a workload replaces a file that it may write by a link, and is started again.
use super::{assert_all, attempts, file, hosts, try_to_run};
use std::{
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};
use wharf_tests::host::{Host, Said, built, demo_server, eventually, kill};

/// Hosts with namespaces and without, of this user and of an ordinary one.
pub(super) fn all_hosts() -> Vec<Host> {
    hosts().into_iter().chain(bare_hosts()).collect()
}

fn bare_hosts() -> Vec<Host> {
    hosts().into_iter().map(Host::without_namespaces).collect()
}

/// A folder of the host's user.
pub(super) fn folder(host: &Host, path: &str) -> String {
    let path = host.path(path);
    fs::create_dir_all(&path).unwrap();
    host.own();
    path.display().to_string()
}

/// Writes a profile, and returns the options that name it. Where there are no namespaces, less is enforced.
pub(super) fn profile(host: &Host, text: &str) -> Vec<String> {
    let path = host.path("profile.json");
    fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
    let options = ["--permission-profile", &path.display().to_string(), "--allow-weaker"];
    options.map(str::to_owned).to_vec()
}

/// Runs a workload that exchanges `name` for a link to `target`, before it serves, if it is none yet; then it attempts.
fn run_exchanger(host: &Host, options: &[String], name: &str, target: &str, attempts: &[&str]) -> Said {
    let text = format!(
        "[ -L '{name}' ] || {{ rm -r '{name}'; ln -s '{target}' '{name}'; }}\n{} {} >&2\nexec {}",
        built("wharf-escape").display(),
        attempts.join(" "),
        demo_server()
    );
    let server = host.script("exchanger", &text);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    host.wharf(&[&["run", "--name", "exchanger"], &options[..], &[&server]].concat())
}

/// Fails unless the start is refused because of this name.
pub(super) fn assert_refused(host: &Host, workload: &str, name: &str) {
    for command in ["restart", "start"] {
        let said = host.wharf(&[command, workload]);
        assert_eq!(said.code, 6, "{said:?}");
        let named = format!("'{name}' led to '");
        assert!(said.stderr.contains(&named) && said.stderr.contains("wharf export"), "{said:?}");
    }
}

/// Runs a command from this folder, which must succeed.
fn run_in(host: &Host, folder: &str, args: &[&str]) {
    let said = Said::of(&host.command(args).current_dir(folder).output().unwrap());
    assert_eq!(said.code, 0, "{said:?}");
}

pub(super) fn exchange(name: &str, target: &Path) {
    if Path::new(name).is_symlink() {
        fs::remove_file(name).unwrap();
    } else {
        fs::remove_dir_all(name).unwrap();
    }
    symlink(target, name).unwrap();
}

#[test]
fn a_written_folder_that_became_a_link_to_keys_is_not_opened() {
    for host in all_hosts() {
        let key = file(&host, "home/.ssh/id_ed25519");
        let data = folder(&host, "home/proj/data");
        let proj = host.path("home/proj").display().to_string();
        let options = profile(&host, &format!(r#"{{"write":["{proj}","{data}"]}}"#));
        let planted = format!("{data}/authorized_keys");
        let tried = ["create", &planted, "read", &key];
        let said = run_exchanger(&host, &options, &data, "../.ssh", &tried);
        assert_eq!(said.code, 0, "{said:?}");
        assert_all(&host.ok(&["logs", "exchanger"]), false, &tried);
        assert!(Path::new(&data).is_symlink(), "it could not even make the link");
        // Its supervisor brings it back by itself, and a command does.
        kill(host.server("exchanger"), "KILL");
        let refusal = format!("'{data}' led to '");
        eventually("its start is refused", || host.ok(&["logs", "--proxy", "exchanger"]).contains(&refusal));
        assert_refused(&host, "exchanger", &data);
        assert!(!host.path("home/.ssh/authorized_keys").exists());
        fs::remove_file(&data).unwrap();
        folder(&host, "home/proj/data");
        host.ok(&["start", "exchanger"]);
    }
}

#[test]
fn a_read_folder_that_became_a_link_is_not_opened() {
    for host in hosts() {
        let secret = file(&host, "home/docs/secret");
        let data = folder(&host, "home/proj/data");
        let proj = host.path("home/proj").display().to_string();
        let options = profile(&host, &format!(r#"{{"write":["{proj}"],"read":["{data}"]}}"#));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        assert_eq!(try_to_run(&host, "reader", &options, &["read", &secret]).code, 0);
        assert_all(&host.ok(&["logs", "reader"]), false, &["read", &secret]);
        host.ok(&["stop", "reader"]);
        // Another workload that may write to the project could do this.
        exchange(&data, &host.path("home/docs"));
        assert_refused(&host, "reader", &data);
    }
}

#[test]
fn a_folder_of_programs_that_became_a_link_is_not_opened() {
    for host in all_hosts() {
        let paper = file(&host, "home/docs/paper");
        let bin = folder(&host, "work/venv/bin");
        let path = format!("PATH={bin}:{}:/usr/bin:/bin", built("wharf").parent().unwrap().display());
        let options = ["-e".to_owned(), path];
        let docs = host.path("home/docs").display().to_string();
        let said = run_exchanger(&host, &options, &bin, &docs, &["read", &paper]);
        assert_eq!(said.code, 0, "{said:?}");
        assert_all(&host.ok(&["logs", "exchanger"]), false, &["read", &paper]);
        assert_refused(&host, "exchanger", &bin);
        // The same for a name that did not exist when the workload was created.
        fs::remove_file(&bin).unwrap();
        folder(&host, "work/venv/bin");
        host.ok(&["rm", "exchanger"]);
        let later = host.path("work/later/bin").display().to_string();
        let path = format!("PATH={later}:{}:/usr/bin:/bin", built("wharf").parent().unwrap().display());
        let text = format!(
            "mkdir -p later; ln -s '{docs}' later/bin\n{} read '{paper}' >&2\nexec {}",
            built("wharf-escape").display(),
            demo_server()
        );
        let server = host.script("later", &text);
        host.run(&["--name", "later", "-e", &path, &server]);
        host.ok(&["restart", "later"]);
        let logs = host.ok(&["logs", "later"]);
        assert!(!logs.contains("got through") && logs.contains("held ("), "{logs}");
    }
}

#[test]
fn a_working_folder_that_another_workload_exchanged_is_not_written() {
    for host in all_hosts() {
        file(&host, "home/docs/paper");
        let (sub, docs) = (folder(&host, "work/sub"), host.path("home/docs").display().to_string());
        let planted = format!("{docs}/planted");
        let text =
            format!("{} create '{planted}' >&2\nexec {}", built("wharf-escape").display(), demo_server());
        let server = host.script("inner", &text);
        run_in(&host, &sub, &["run", "--name", "inner", &server]);
        host.ok(&["stop", "inner"]);
        let said = run_exchanger(&host, &[], &sub, &docs, &[]);
        assert_eq!(said.code, 0, "{said:?}");
        assert_refused(&host, "inner", &sub);
        assert!(!Path::new(&planted).exists());
        // The record has where the name led at the creation, and keeps it until the workload is removed.
        let pinned = host.run_config("inner")["pinned"]["paths"][&sub].as_str().unwrap().to_owned();
        assert_eq!(Path::new(&pinned), fs::canonicalize(host.work()).unwrap().join("sub"));
    }
}

#[test]
fn a_record_without_pins_is_held_to_its_next_start() {
    for host in hosts() {
        let (sub, docs) = (folder(&host, "work/sub"), folder(&host, "home/docs"));
        run_in(&host, &sub, &["run", "--name", "old", &demo_server()]);
        host.ok(&["stop", "old"]);
        host.change_run_config("old", |config| drop(config.as_object_mut().unwrap().remove("pinned")));
        host.own();
        host.ok(&["start", "old"]);
        assert!(host.run_config("old")["pinned"]["paths"][&sub].is_string());
        host.ok(&["stop", "old"]);
        exchange(&sub, Path::new(&docs));
        assert_refused(&host, "old", &sub);
    }
}

#[test]
fn a_link_of_the_systems_that_an_upgrade_switches_breaks_nothing() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for host in hosts() {
        // Only root can write there.
        let system = tempfile::tempdir_in("/run").unwrap();
        fs::set_permissions(system.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for version in ["1", "2"] {
            fs::create_dir_all(system.path().join(version).join("bin")).unwrap();
            fs::File::create(system.path().join(version).join("bin/tool")).unwrap();
        }
        let current = system.path().join("current");
        symlink("1", &current).unwrap();
        let tool = current.join("bin/tool").display().to_string();
        let (bin, built) = (current.join("bin"), built("wharf"));
        let path = format!("PATH={}:{}:/usr/bin:/bin", bin.display(), built.parent().unwrap().display());
        assert_eq!(try_to_run(&host, "tool", &["-e", &path], &["read", &tool]).code, 0);
        fs::remove_file(&current).unwrap();
        symlink("2", &current).unwrap();
        host.ok(&["restart", "tool"]);
        let logs = host.ok(&["logs", "tool"]);
        assert_eq!(logs.matches("got through").count(), 2, "{logs}");
    }
}

#[test]
fn a_read_only_place_inside_a_writable_one_cannot_be_written() {
    for host in hosts() {
        let kept = file(&host, "home/proj/config/settings");
        let (proj, config) = (host.path("home/proj"), host.path("home/proj/config").display().to_string());
        let deeper = folder(&host, "home/proj/config/cache");
        let text = format!(r#"{{"write":["{}","{deeper}"],"read":["{config}"]}}"#, proj.display());
        let options = profile(&host, &text);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let (new, cached) = (proj.join("new").display().to_string(), format!("{deeper}/new"));
        let added = format!("{config}/added");
        let through = ["read", &kept, "create", &new, "create", &cached];
        let held = ["create", &added, "create", &kept, "cut", &kept, "mode", &kept];
        let said = attempts(&host, &options, &[&through[..], &held].concat());
        assert_all(&said, true, &through);
        assert_all(&said, false, &held);
        assert_eq!(fs::read_to_string(&kept).unwrap(), "the contents of a file");
        // Without mounts of its own, nothing could keep the workload from doing that.
        let host = host.without_namespaces();
        let text = format!(r#"{{"write":["{}"],"read":["{config}"]}}"#, proj.display());
        let options = profile(&host, &text);
        let said = host.wharf(&["run", &options[0], &options[1], &demo_server()]);
        assert_eq!(said.code, 6, "{said:?}");
        host.ok(&["run", "--name", "weaker", &options[0], &options[1], &options[2], &demo_server()]);
        assert!(host.ok(&["status", "weaker"]).contains("read inside write (only mounts"), "it is not told");
    }
}

#[test]
fn a_profile_opens_keys_by_their_own_name_alone() {
    for host in hosts() {
        let key = file(&host, "home/.ssh/id_ed25519");
        let document = file(&host, "home/document");
        let (home, ssh) =
            (host.path("home").display().to_string(), host.path("home/.ssh").display().to_string());
        symlink(".ssh", host.path("home/link")).unwrap();
        host.own();
        for named in [home.clone(), format!("{home}/link"), format!("{home}/link/id_ed25519")] {
            for list in ["read", "write"] {
                let options = profile(&host, &format!(r#"{{"{list}":["{named}"]}}"#));
                let said = host.wharf(&["run", &options[0], &options[1], &demo_server()]);
                assert_eq!(said.code, 2, "{said:?}");
                assert!(said.stderr.contains("where keys and tokens are"), "{said:?}");
                assert!(host.leftovers().is_empty());
            }
        }
        let options = profile(&host, &format!(r#"{{"read":["{home}","{ssh}"]}}"#));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let through = ["read", &key, "read", &document];
        assert_all(&attempts(&host, &options, &through), true, &through);
    }
}

#[test]
fn another_home_of_the_workload_does_not_open_the_users_keys() {
    for host in all_hosts() {
        let key = file(&host, "home/.ssh/id_ed25519");
        file(&host, "home/.ssh/other");
        let other = host.path("home/.ssh/other").display().to_string();
        let told = host.path("work").display().to_string();
        let tried = [
            built("wharf-escape").display().to_string(),
            "read".to_owned(),
            key.clone(),
            "read".to_owned(),
            other.clone(),
        ];
        let server = host.script("tries", &format!("{} >&2\nexec {}", tried.join(" "), demo_server()));
        for home in [&told, "/nowhere"] {
            host.run(&["--name", "tries", "-e", &format!("HOME={home}"), &server, "--", &key]);
            assert_all(&host.ok(&["logs", "tries"]), false, &["read", &key, "read", &other]);
            host.ok(&["rm", "tries"]);
        }
    }
}

#[test]
fn a_file_that_is_named_is_opened_alone_and_a_script_with_its_neighbours() {
    for host in all_hosts() {
        let (one, other) = (file(&host, "home/docs/one.txt"), file(&host, "home/docs/other"));
        let (script, module) = (file(&host, "home/server/main.py"), file(&host, "home/server/module/part"));
        let second = file(&host, "home/docs/second.py");
        let run = |named: &[&str], options: &[&str]| {
            let all = ["read", &one, "read", &other, "read", &script, "read", &module, "read", &second];
            let text =
                format!("{} {} >&2\nexec {}", built("wharf-escape").display(), all.join(" "), demo_server());
            let server = host.script("tries", &text);
            host.ok(&[&["run", "--name", "tries"], options, &[&server, "--"], named].concat());
            let said = host.ok(&["logs", "tries"]);
            let status = host.ok(&["status", "tries"]);
            host.ok(&["rm", "tries"]);
            (said, status)
        };
        let (said, status) = run(&[&one, &second], &[]);
        assert_all(&said, true, &["read", &one, "read", &second]);
        assert_all(&said, false, &["read", &other, "read", &script, "read", &module]);
        let reads = status.lines().find(|line| line.starts_with("Reads:")).unwrap();
        assert!(reads.contains(&one) && reads.contains("of the system's"), "{status}");
        assert!(status.lines().any(|line| line.starts_with("Writes:") && line.contains("/work")), "{status}");
        let (said, _) = run(&[&script], &[]);
        assert_all(&said, true, &["read", &script, "read", &module]);
        assert_all(&said, false, &["read", &one, "read", &other]);
        let (said, _) = run(&[&script], &["--permission-profile", "none", "--allow-weaker"]);
        assert_all(&said, false, &["read", &one, "read", &script, "read", &module]);
    }
}

#[test]
fn a_program_is_opened_alone_where_there_is_a_profile() {
    for host in all_hosts() {
        let neighbour = file(&host, "work/neighbour");
        let tried = ["read", &neighbour];
        assert_all(&attempts(&host, &[], &tried), true, &tried);
        let none = ["--permission-profile", "none", "--allow-weaker"];
        assert_all(&attempts(&host, &none, &tried), false, &tried);
        // A program that is no script needs none.
        let home = folder(&host, "home/programs");
        file(&host, "home/programs/neighbour");
        let program = format!("{home}/server");
        fs::copy(demo_server(), &program).unwrap();
        host.own();
        host.run(&["--name", "binary", &program]);
        let status: serde_json::Value =
            serde_json::from_str(&host.ok(&["status", "binary", "--format", "json"])).unwrap();
        let reads = status["confinement"]["paths"]["read"].as_array().unwrap();
        assert!(
            reads.iter().any(|path| path.as_str().unwrap().ends_with("home/programs/server")),
            "{reads:?}"
        );
        assert!(!reads.iter().any(|path| path.as_str().unwrap().ends_with("home/programs")), "{reads:?}");
    }
}

#[test]
fn writable_places_are_mounted_nodev_and_nosuid() {
    for host in hosts() {
        host.run(&["--name", "demo", &demo_server()]);
        let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", host.server("demo"))).unwrap();
        let work = fs::canonicalize(host.work()).unwrap().display().to_string();
        let mount = mounts.lines().find(|line| line.split(' ').nth(4) == Some(&work)).unwrap();
        let options: Vec<&str> = mount.split(' ').nth(5).unwrap().split(',').collect();
        assert!(["rw", "nosuid", "nodev"].iter().all(|option| options.contains(option)), "{mount}");
    }
}

/// Programs that will fail because a file is not open to them cause a warning before.
#[test]
fn a_warning_names_what_a_well_known_program_will_miss() {
    let host = Host::new();
    let text = format!("exec {}", demo_server());
    let (uv, node) = (host.script("uv", &text), host.script("node", &text));
    for folder in ["elsewhere/node_modules", "elsewhere/build", "work/node_modules", "work/build"] {
        fs::create_dir_all(host.path(folder)).unwrap();
    }
    for script in ["elsewhere/build/index.js", "work/build/index.js"] {
        file(&host, script);
    }
    let elsewhere = host.path("elsewhere/build/index.js").display().to_string();
    let said = |name: &str, program: &str, args: &[&str]| {
        let said = host.wharf(&[&["run", "--name", name, program, "--"], args].concat());
        assert_eq!(said.code, 0, "{said:?}");
        said.stderr
    };
    let warned = said("one", &uv, &["run", "server.py"]);
    assert!(
        warned.contains("'uv run' needs its cache") && warned.contains("--permission-profile"),
        "{warned}"
    );
    assert!(!said("two", &uv, &["--version"]).contains("cache"));
    let warned = said("three", &node, &[&elsewhere]);
    assert!(warned.contains("elsewhere/node_modules'"), "{warned}");
    assert!(!said("four", &node, &["build/index.js"]).contains("node_modules"));
}
