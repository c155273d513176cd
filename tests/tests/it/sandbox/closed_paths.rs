//! What is told about paths that arguments name and that are closed, and about a home that a server is run from.
use super::{
    assert_all,
    caches::{evil_tool, with_tools},
    file, hosts,
    paths::folder,
};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use wharf_tests::host::{Host, Said, built, demo_server};

/// Runs a command in the home of the host's user.
fn run_at_home(host: &Host, args: &[&str]) -> Said {
    Said::of(&host.command(args).current_dir(host.path("home")).output().unwrap())
}

/// A server that takes any arguments.
fn any_arguments(host: &Host) -> String {
    host.script("server", &format!("exec {}", demo_server()))
}

/// Runs a command on a terminal, where its user types this answer; returns what the terminal shows, and whether it
/// succeeded. Its result goes elsewhere.
fn on_terminal(mut command: Command, answer: &str) -> (String, bool) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let path = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let flags = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
    let theirs = File::options().read(true).write(true).custom_flags(flags).open(path).unwrap();
    command.stdin(theirs.try_clone().unwrap()).stdout(Stdio::null()).stderr(theirs);
    let mut child = command.spawn().unwrap();
    // Its descriptors of the other end must be closed here for the reading to end.
    drop(command);
    let mut ours = File::from(ours);
    ours.write_all(answer.as_bytes()).unwrap();
    let mut text = Vec::new();
    // Linux reports the end of a terminal as EIO.
    let _ = ours.read_to_end(&mut text);
    (String::from_utf8_lossy(&text).into_owned(), child.wait().unwrap().success())
}

#[test]
fn a_path_in_an_argument_that_is_closed_is_told_before_the_start_with_the_option_that_opens_it() {
    let host = Host::new();
    file(&host, "home/docs/paper");
    let docs = host.path("home/docs").display().to_string();
    let option = format!("-v {docs}:ro");
    let server = any_arguments(&host);
    for argument in [docs.clone(), format!("--root={docs}"), "~/docs".to_owned(), "../home/docs".to_owned()] {
        let said = host.wharf(&["run", "--name", "told", &server, &argument]);
        assert!(said.code == 0 && said.stderr.contains(&option), "{argument}: {said:?}");
        host.ok(&["rm", "told"]);
    }
    let said = host.wharf(&["run", "--name", "open", "-v", &docs, &server, &docs]);
    assert!(said.code == 0 && !said.stderr.contains("closed"), "{said:?}");
    let said = host.wharf(&["run", "--name", "here", &server, ".", "/usr", "/no/such/path", "docs"]);
    assert!(said.code == 0 && !said.stderr.contains("closed"), "{said:?}");
    // If the server does not get ready, this may be why.
    let server = host.script("fails", "echo no such folder >&2; exit 1");
    let said = host.wharf(&["run", "--restart", "no", &server, &docs]);
    let hint = format!("hint: '{docs}' is closed to the server; to open it: {option}");
    assert!(said.code != 0 && said.stderr.contains(&hint), "{said:?}");
}

#[test]
fn on_a_terminal_a_closed_path_is_asked_for_and_opened_as_its_user_says() {
    let host = Host::new();
    file(&host, "home/docs/paper");
    let docs = host.path("home/docs").display().to_string();
    let server = any_arguments(&host);
    let volumes = |options: &str| serde_json::json!([format!("{docs}:{docs}{options}")]);
    for (answer, recorded) in [
        ("r\n", volumes(":ro")),
        ("w\n", volumes("")),
        ("n\n", serde_json::Value::Null),
        ("\n", serde_json::Value::Null),
    ] {
        let command = host.command(&["run", "--name", "asked", &server, &docs]);
        let (said, succeeded) = on_terminal(command, answer);
        assert!(succeeded && said.contains("Open it to read [r]"), "{answer:?}: {said}");
        assert!(!said.contains("to open it: -v"), "it was asked: {said}");
        assert_eq!(host.run_config("asked")["volumes"], recorded, "{answer:?}");
        host.ok(&["rm", "asked"]);
    }
    // Nobody is asked for keys, or for what would be refused.
    let (keys, state) = (folder(&host, "home/.ssh"), host.path("state").display().to_string());
    for (argument, told) in [(&keys, "where keys and tokens are"), (&state, "is wharf's own")] {
        let command = host.command(&["run", "--name", "asked", &server, argument]);
        let (said, succeeded) = on_terminal(command, "w\n");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(succeeded && said.contains(told) && !said.contains("Open it to read [r]"), "{said}");
        assert!(host.run_config("asked")["volumes"].is_null());
        host.ok(&["rm", "asked"]);
    }
    // What is told besides is told once.
    let elsewhere = folder(&host, "elsewhere");
    let mut command = host.command(&["run", "--name", "asked", &server, &elsewhere]);
    command.current_dir(host.path("home"));
    let (said, _) = on_terminal(command, "n\n");
    assert!(said.contains("Open it to read [r]"), "{said}");
    assert_eq!(said.matches("which it runs in").count(), 1, "{said}");
}

#[test]
fn a_server_that_is_run_from_a_home_is_told_so_and_reads_what_lies_there_openly() {
    let bare = hosts().into_iter().map(|host| (host.without_namespaces(), false));
    for (host, has_namespaces) in hosts().into_iter().map(|host| (host, true)).chain(bare) {
        let (key, settings) = (file(&host, "home/.ssh/id_ed25519"), file(&host, "home/.profile"));
        let paper = file(&host, "home/docs/paper");
        let home = host.path("home").display().to_string();
        let (new, planted) = (format!("{home}/docs/new"), format!("{home}/new"));
        let closed = ["read", &key, "read", &settings, "create", &new, "create", &planted];
        let open = ["read", &paper];
        let tried: Vec<String> =
            [&closed[..], &open, &["list", &home]].concat().iter().map(|part| format!("'{part}'")).collect();
        let text =
            format!("{} {} >&2\nexec {}", built("wharf-escape").display(), tried.join(" "), demo_server());
        let server = host.script("tries", &text);
        let said = run_at_home(&host, &["run", "--name", "tries", &server]);
        assert!(said.code == 0 && said.stderr.contains(&format!("'{home}', which it runs in")), "{said:?}");
        assert!(said.stderr.contains("-v PATH"), "{said:?}");
        let logs = host.ok(&["logs", "tries"]);
        assert_all(&logs, false, &closed);
        assert_all(&logs, true, &open);
        assert_all(&logs, has_namespaces, &["list", &home]);
        assert!(!fs::exists(&new).unwrap() && !fs::exists(&planted).unwrap(), "it is in the home itself");
        // Mounted, it is written as the mount says.
        host.ok(&["rm", "tries"]);
        let said = run_at_home(&host, &["run", "--name", "tries", "-v", ".", &server]);
        assert!(said.code == 0 && !said.stderr.contains("which it runs in"), "{said:?}");
        assert_eq!(said.stderr.matches(&format!("'{home}', which is mounted")).count(), 1, "{said:?}");
        let logs = host.ok(&["logs", "tries"]);
        assert_all(&logs, true, &["read", &paper, "create", &new]);
        assert_all(&logs, false, &["read", &key, "read", &settings, "create", &planted]);
        assert!(fs::exists(&new).unwrap() && !fs::exists(&planted).unwrap());
        // Elsewhere there is nothing to tell.
        let said = host.wharf(&["run", "--name", "elsewhere", &demo_server()]);
        assert!(said.code == 0 && !said.stderr.contains("which it runs in"), "{said:?}");
    }
}

#[test]
fn a_package_that_is_run_from_a_home_gets_nothing_of_it_without_a_word() {
    for host in hosts() {
        evil_tool(&host, "npx");
        let paper = file(&host, "home/docs/paper");
        let attempts = format!("ATTEMPTS=read {paper}");
        let mut command = host.command(&["run", "--name", "package", "-e", &attempts, "npx", "-y", "pkg"]);
        command.current_dir(host.path("home"));
        let said = Said::of(&with_tools(&host, command).output().unwrap());
        assert!(said.code == 0 && !said.stderr.contains("which it runs in"), "{said:?}");
        assert_all(&host.ok(&["logs", "package"]), false, &["read", &paper]);
        host.ok(&["rm", "package"]);
    }
}

#[test]
fn a_dot_among_the_arguments_of_a_package_is_the_folder_that_its_user_is_in() {
    let host = Host::new();
    evil_tool(&host, "npx");
    file(&host, "home/docs/paper");
    let docs = host.path("home/docs").display().to_string();
    for (folder, argument) in [("home/docs", "."), ("home", "./docs"), ("work", "../home/docs")] {
        let mut command = host.command(&["run", "--name", "package", "npx://pkg", argument]);
        command.current_dir(host.path(folder));
        let said = Said::of(&with_tools(&host, command).output().unwrap());
        assert!(said.code == 0 && said.stderr.contains(&format!("-v {docs}:ro")), "{argument}: {said:?}");
        host.ok(&["rm", "package"]);
    }
}
