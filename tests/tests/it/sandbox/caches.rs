//! One package tries to spoil the files of another: with a tool that does what an evil package would do.
use super::{assert_all, file, hosts};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command};
use wharf_tests::host::{Host, Said, built, demo_server};

/// Stands for npx and uvx: writes to its caches, makes its attempts, and serves.
pub(super) fn evil_tool(host: &Host, name: &str) {
    let text = format!(
        "#!/bin/sh\n\
         for cache in $npm_config_cache $UV_CACHE_DIR $UV_PYTHON_INSTALL_DIR $UV_TOOL_DIR; do\n\
         echo mine >\"$cache/kept\" && echo \"kept in $cache\" >&2\n\
         [ -z \"$TARGET\" ] || {{ rm -rf \"$cache\"; ln -s \"$TARGET\" \"$cache\"; }}\n\
         done\n\
         {escape} $ATTEMPTS >&2\n\
         exec {server}\n",
        escape = built("wharf-escape").display(),
        server = demo_server()
    );
    fs::create_dir_all(host.path("tools")).unwrap();
    let path = host.path("tools").join(name);
    std::io::Write::write_all(&mut fs::File::create(&path).unwrap(), text.as_bytes()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    host.own();
}

/// Runs this as a workload, where the tool is the first in PATH.
fn try_to_run(host: &Host, args: &[&str]) -> Said {
    let command = host.command(&[&["run", "--name", "package"][..], args].concat());
    Said::of(&with_tools(host, command).output().unwrap())
}

/// A command with the tools first in its PATH.
pub(super) fn with_tools(host: &Host, mut command: Command) -> Command {
    let usual = command.get_envs().find_map(|(name, value)| (name == "PATH").then_some(value?.to_owned()));
    let mut path = host.path("tools").into_os_string();
    path.push(":");
    path.push(usual.unwrap());
    command.env("PATH", path);
    command
}

/// Runs a package with the tool; returns its report and its caches.
fn run(host: &Host, package: &str, options: &[&str]) -> (String, Vec<PathBuf>) {
    let said = try_to_run(host, &[options, &[package]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    let logs = host.ok(&["logs", "package"]);
    host.ok(&["rm", "package"]);
    let kept = logs.lines().filter_map(|line| line.split_once("kept in ")).map(|(_, path)| path.into());
    let kept = kept.collect();
    (logs, kept)
}

#[test]
fn a_package_cannot_reach_what_another_one_will_run() {
    let bare = hosts().into_iter().map(Host::without_namespaces);
    for host in hosts().into_iter().chain(bare) {
        evil_tool(&host, "npx");
        evil_tool(&host, "uvx");
        for (victim, evil) in [
            ("npx://victim", "npx://evil"),
            ("uvx://victim", "uvx://evil"),
            ("uvx://victim", "npx://victim"),
            ("npx://victim", "npx://victim@1.0.0"),
        ] {
            let (_, caches) = run(&host, victim, &[]);
            assert!(!caches.is_empty());
            for cache in &caches {
                let (folder, kept) = (cache.display().to_string(), cache.join("kept").display().to_string());
                let fresh = cache.join("fresh").display().to_string();
                let held = ["read", &kept, "create", &kept, "create", &fresh, "cut", &kept, "list", &folder];
                let attempts = format!("ATTEMPTS={}", held.join(" "));
                let target = format!("TARGET={folder}");
                // The second time through a link in the place of its own cache, if it could make one.
                for _ in 0..2 {
                    let (said, own) = run(&host, evil, &["-e", &attempts, "-e", &target]);
                    assert_all(&said, false, &held);
                    assert!(own.iter().all(|own| own.is_dir() && !own.is_symlink()), "{own:?}");
                    assert!(own.iter().all(|own| !caches.contains(own)), "{own:?}");
                }
                assert_eq!(fs::read_to_string(&kept).unwrap(), "mine\n");
                assert!(!fs::exists(&fresh).unwrap());
            }
        }
        // The user's own caches are nobody's.
        let users = file(&host, "home/.npm/_cacache/kept");
        let (said, _) = run(&host, "npx://evil", &["-e", &format!("ATTEMPTS=create {users}")]);
        assert_all(&said, false, &["create", &users]);
    }
}

#[test]
fn settings_of_a_tool_that_have_no_end_hold_up_no_package() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    for host in hosts() {
        evil_tool(&host, "npx");
        let home = host.path("home");
        fs::create_dir_all(&home).unwrap();
        // A fifo that nobody writes to.
        mknodat(CWD, home.join(".npmrc"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        host.own();
        let (_, caches) = run(&host, "npx://any", &[]);
        assert!(!caches.is_empty(), "it ran");
    }
}

#[test]
fn a_command_that_is_the_tool_itself_has_caches_of_its_own() {
    for host in hosts() {
        evil_tool(&host, "uvx");
        let (_, packaged) = run(&host, "uvx://server", &[]);
        let mut seen = packaged;
        for args in [&["uvx", "server"][..], &["uvx", "--from", "server[extra]", "other"]] {
            let said = try_to_run(&host, args);
            assert_eq!(said.code, 0, "{said:?}");
            let logs = host.ok(&["logs", "package"]);
            host.ok(&["rm", "package"]);
            let kept: Vec<PathBuf> =
                logs.lines().filter_map(|line| Some(line.split_once("kept in ")?.1.into())).collect();
            assert!(!kept.is_empty() && kept.iter().all(|cache| !seen.contains(cache)), "{logs}");
            seen.extend(kept);
        }
    }
}

#[test]
fn a_package_whose_registry_needs_a_token_is_refused_before_anything_is_fetched() {
    for host in hosts() {
        evil_tool(&host, "npx");
        let settings = "@corp:registry=https://npm.corp.example/\n//npm.corp.example/:_authToken=t0ken\n";
        let path = file(&host, "home/.npmrc");
        let mut npmrc = fs::File::create(&path).unwrap();
        std::io::Write::write_all(&mut npmrc, settings.as_bytes()).unwrap();
        host.own();
        for args in [&["npx://@corp/server"][..], &["npx", "-y", "@corp/server"]] {
            let said = try_to_run(&host, args);
            assert!(said.code != 0 && said.stderr.contains("'@corp:registry'"), "{said:?}");
            assert!(!said.stderr.contains("t0ken") && host.row("package").is_none(), "{said:?}");
        }
        let (_, caches) = run(&host, "npx://@other/server", &[]);
        assert!(!caches.is_empty(), "a package of another scope runs");
    }
}
