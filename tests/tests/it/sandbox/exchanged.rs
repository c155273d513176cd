//! A name that leads elsewhere than before opens nothing, neither its target nor neighbours of it.
use super::{
    assert_all, file, hosts,
    paths::{all_hosts, assert_refused, exchange, folder, profile},
};
use std::{
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};
use wharf_tests::host::{Host, built, demo_server};

/// A script that does something first, then tries to read `path`, then serves.
fn script(host: &Host, path: &str, first: &str, read: &str) -> String {
    let escape = built("wharf-escape").display().to_string();
    let text = format!("#!/bin/sh\n{first}\n{escape} read '{read}' >&2\nexec {}\n", demo_server());
    let path = host.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    write(&path, &text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    host.own();
    path.display().to_string()
}

fn write(path: &Path, text: &str) {
    fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn path_with(folder: &str) -> String {
    format!("PATH={folder}:{}:/usr/bin:/bin", built("wharf").parent().unwrap().display())
}

#[test]
fn a_script_that_an_argument_names_and_that_became_a_link_opens_no_neighbours() {
    for host in all_hosts() {
        let paper = file(&host, "home/docs/paper");
        let target = file(&host, "home/docs/a.py");
        let server = file(&host, "work/server.py");
        let program = script(&host, "work/run.sh", &format!("ln -sf '{target}' '{server}'"), &paper);
        host.run(&["--name", "exchanger", &program, "--", &server]);
        assert_all(&host.ok(&["logs", "exchanger"]), false, &["read", &paper]);
        assert_refused(&host, "exchanger", &server);
        host.ok(&["rm", "exchanger"]);
        // The same for a name that did not exist when the workload was created.
        let late = host.path("work/late.py").display().to_string();
        let program = script(&host, "work/run.sh", &format!("ln -sf '{target}' '{late}'"), &paper);
        host.run(&["--name", "late", &program, "--", &late]);
        let said = host.wharf(&["restart", "late"]);
        let named = format!("'{late}' led nowhere when the workload was created");
        assert!(said.code == 6 && said.stderr.contains(&named), "{said:?}");
        // A file in the folder that it may write anyway is not refused.
        fs::remove_file(&late).unwrap();
        file(&host, "work/late.py");
        script(&host, "work/run.sh", "", &paper);
        host.ok(&["start", "late"]);
        assert!(!host.ok(&["logs", "late"]).contains("got through"));
    }
}

#[test]
fn a_program_that_became_a_link_opens_no_installation() {
    for host in all_hosts() {
        let secret = file(&host, "home/other/lib/secret");
        let target = script(&host, "home/other/bin/python3", "", &secret);
        let server = file(&host, "work/server.py");
        let python = host.path("work/venv/bin/python3").display().to_string();
        let first = format!("ln -sf '{target}' '{python}'");
        script(&host, "work/venv/bin/python3", &first, &secret);
        host.run(&["--name", "venv", &python, "--", &server]);
        assert_all(&host.ok(&["logs", "venv"]), false, &["read", &secret]);
        assert_refused(&host, "venv", &python);
        // The same where a profile opens the folder, and PATH leads to the program.
        let proj = folder(&host, "home/proj");
        let python = host.path("home/proj/tools/bin/python3").display().to_string();
        let first = format!("ln -sf '{target}' '{python}'");
        script(&host, "home/proj/tools/bin/python3", &first, &secret);
        let options = profile(&host, &format!(r#"{{"write":["{proj}"]}}"#));
        let path = path_with(&format!("{proj}/tools/bin"));
        let options: Vec<&str> = options.iter().map(String::as_str).chain(["-e", &path]).collect();
        host.run(&[&["--name", "path"], &options[..], &["python3"]].concat());
        assert_all(&host.ok(&["logs", "path"]), false, &["read", &secret]);
        assert_refused(&host, "path", &python);
    }
}

#[test]
fn a_first_argument_that_is_deleted_does_not_make_the_second_the_first() {
    for host in all_hosts() {
        let (paper, second) = (file(&host, "home/docs/paper"), file(&host, "home/docs/settings.py"));
        let first = file(&host, "work/conf.json");
        let program = script(&host, "work/run.sh", &format!("rm -rf '{first}'"), &paper);
        host.run(&["--name", "deleter", &program, "--", "--verbose", &first, &second]);
        host.ok(&["restart", "deleter"]);
        let logs = host.ok(&["logs", "deleter"]);
        assert_eq!(logs.matches("held (").count(), 2, "{logs}");
        // A folder in its place is no better.
        script(&host, "work/run.sh", &format!("mkdir -p '{first}'"), &paper);
        host.ok(&["restart", "deleter"]);
        host.ok(&["restart", "deleter"]);
        let logs = host.ok(&["logs", "deleter"]);
        assert_eq!(logs.matches("held (").count(), 4, "{logs}");
    }
}

#[test]
fn a_program_that_another_workload_put_before_it_in_path_is_not_run() {
    for host in all_hosts() {
        let path = path_with(&folder(&host, "work/venv/bin"));
        let planted = host.path("work/venv/bin/sh").display().to_string();
        let serve = format!("exec {}", demo_server());
        host.run(&["--name", "bb", "-e", &path, "sh", "--", "-c", &serve]);
        let first = format!("cp '{}' '{planted}'", host.path("work/planted").display());
        script(&host, "work/planted", "echo planted code runs >&2", "/etc/passwd");
        let program = script(&host, "work/run.sh", &first, "/etc/passwd");
        host.run(&["--name", "aa", &program]);
        assert!(Path::new(&planted).is_file());
        for command in ["restart", "start"] {
            let said = host.wharf(&[command, "bb"]);
            assert_eq!(said.code, 6, "{said:?}");
            let named = ["'sh'", "/bin/sh'", &format!("'{planted}'"), "wharf export"];
            assert!(named.iter().all(|named| said.stderr.contains(named)), "{said:?}");
        }
        assert!(!host.ok(&["logs", "bb"]).contains("planted code runs"));
        fs::remove_file(&planted).unwrap();
        host.ok(&["start", "bb"]);
    }
}

#[test]
fn a_recorded_name_counts_when_the_neighbour_that_could_exchange_it_is_gone() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // Only on root's hosts: other users' workloads cannot write there.
    for host in hosts().into_iter().filter(|host| host.user().is_none()) {
        let system = tempfile::tempdir_in("/run").unwrap();
        fs::set_permissions(system.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let named = system.path().join("settings.json");
        write(&named, "{}");
        let named = named.display().to_string();
        // No workload could have replaced the target either.
        let other = tempfile::tempdir_in("/run").unwrap();
        let paper = other.path().join("paper");
        write(&paper, "the contents of a file");
        let paper = paper.display().to_string();
        let text = format!(r#"{{"write":["{}"]}}"#, system.path().display());
        let options = profile(&host, &text);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let run_neighbour =
            || host.run(&[&["--name", "neighbour"], &options[..], &[&demo_server()]].concat());
        run_neighbour();
        let program = script(&host, "work/run.sh", "", &paper);
        host.run(&["--name", "reader", &program, "--", &named]);
        fs::remove_file(&named).unwrap();
        symlink(&paper, &named).unwrap();
        host.ok(&["rm", "neighbour"]);
        assert_refused(&host, "reader", &named);
        // A program that only root could exchange then is the same one when a neighbour comes, and may be upgraded.
        for version in ["1", "2"] {
            let path = system.path().join(version).join("bin/tool");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy(&program, path).unwrap();
        }
        let current = system.path().join("current");
        symlink("1", &current).unwrap();
        let tool = current.join("bin/tool").display().to_string();
        host.run(&["--name", "tool", &tool]);
        run_neighbour();
        host.ok(&["restart", "tool"]);
        host.ok(&["stop", "tool"]);
        let current = current.display().to_string();
        exchange(&current, Path::new("2"));
        assert_refused(&host, "tool", &tool);
        host.ok(&["rm", "neighbour"]);
        host.ok(&["start", "tool"]);
    }
}
