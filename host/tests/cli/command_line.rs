//! A command as everybody writes it: what belongs to SERVER, options of other tools, words for the shell, waits that are told.
use crate::harness::{TestHost, run_config};
use crate::terminal::shown;
use insta::assert_snapshot;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use wharf_records::{OperationLock, StateDir};

#[test]
fn an_option_of_run_after_the_server_is_told_with_the_corrected_lines() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["run", "npx://pkg", "--name", "y", "-e", "TOKEN=secret", "--root", "/srv"]), @r#"
    exit code 2
    -- stderr --
    error: '--name' stands after SERVER, where everything is SERVER's own
    hint: as an option of run: wharf run --name y -e TOKEN=… npx://pkg --root /srv
    hint: as an argument of SERVER: wharf run npx://pkg -- --name y -e TOKEN=… --root /srv
    "#);
    assert_eq!(host.files().len(), 1, "only the folder itself");
    let said = host.wharf(&["run", "npx://pkg", "--format", "json"]);
    assert!(said.contains(r#"{"error":{"kind":"usage""#), "{said}");
}

#[test]
fn everything_after_the_server_is_its_own() {
    let host = TestHost::new();
    // A command line that cannot be parsed is refused before a plugin is looked for.
    for arguments in [
        &["run", "npx", "-y", "pkg"][..],
        &["run", "--name", "y", "--", "npx", "-y", "pkg", "--name", "z"],
        &["run", "./x", "--", "--name", "z"],
        &["run", "./x", "--help"],
        &["run", "./x", "-v", "--verbose"],
    ] {
        let said = host.wharf(arguments);
        assert!(said.contains("no plugin that can be used was found"), "{arguments:?}: {said}");
    }
}

#[test]
fn options_of_other_tools_are_told_in_the_words_of_this_one() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["run", "--port", "8080", "./x"]), @r#"
    exit code 2
    -- stderr --
    error: unexpected argument '--port' found

      tip: the port of the URL is '--proxy-port', the one that the server listens on '--target-port'

    Usage: wharf run [OPTIONS] SERVER [ARG]...

    For more information, try '--help'.
    "#);
    for (arguments, words) in [
        (&["run", "--mount", "a", "./x"][..], "use --volume"),
        (&["run", "-d", "./x"], "in the background"),
        (&["-v"], "--version"),
        (&["list", "--json"], "--format json"),
        (&["run", "--nmae", "y", "./x"], "--name"),
        (&["run", "--volumes", "a:b", "./x"], "--volume"),
    ] {
        let said = host.wharf(arguments);
        assert!(said.starts_with("exit code 2\n") && said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn a_script_without_its_interpreter_is_told() {
    let host = TestHost::new();
    host.write("server.py", "print()");
    assert_snapshot!(host.wharf(&["run", "server.py"]), @r#"
    exit code 2
    -- stderr --
    error: 'server.py' is a script for python3 or python, which is not in PATH
    hint: install it, or name the command that runs it: wharf run COMMAND FILE
    "#);
    host.write("bin/python3", "");
    let said = host.wharf(&["run", "server.py", "--root", "/srv"]);
    assert!(said.contains("note: 'server.py' is run with") && said.contains("/bin/python3\n"), "{said}");
    assert!(!host.wharf(&["run", "--quiet", "server.py"]).contains("note:"));
}

#[test]
fn everything_is_shown_whole_with_wide() {
    let host = TestHost::new();
    let long = "a-package-with-a-very-long-name-that-does-not-fit-into-any-terminal";
    host.write("state/runconfigs/time.json", &run_config("time", "").replace("mcp-server-time", long));
    let list = |arguments: &[&str], columns| shown(host.command(arguments), columns);
    for columns in [40, 60, 80] {
        let narrow = list(&["list", "--all"], columns);
        let widest = narrow.lines().map(|line| line.chars().count()).take(2).max().unwrap();
        assert!(widest <= usize::from(columns), "{columns}: {narrow}");
    }
    assert!(list(&["list", "--all", "--wide"], 40).contains(long));
    let status = list(&["status", "time"], 40);
    let package = status.lines().find(|line| line.starts_with("Package:")).unwrap();
    assert!(package.ends_with('…') && package.chars().count() <= 40, "{status}");
    assert!(list(&["status", "time", "--wide"], 40).contains(long));
}

#[test]
fn the_words_of_completions_are_those_of_the_moment_and_plain() {
    let host = TestHost::new();
    host.write("state/runconfigs/time.json", &run_config("time", ""));
    let hostile = run_config("other", "").replace(r#""group":"tools""#, r#""group":"$(touch harm)""#);
    host.write("state/runconfigs/other.json", &hostile);
    let words = |kind: &str| host.wharf(&["completion", "--words", kind]);
    assert_eq!(words("names"), "exit code 0\n-- stdout --\nother\ntime\n");
    assert_eq!(words("groups"), "exit code 0\n-- stdout --\ntools\n", "what a shell would obey is left out");
    assert!(words("runtimes").starts_with("exit code 0\n"));
    assert!(host.wharf(&["completion"]).starts_with("exit code 2\n"));
}

#[test]
fn bash_completes_names_and_groups() {
    let host = TestHost::new();
    host.write("state/runconfigs/time.json", &run_config("time", ""));
    host.write("state/runconfigs/tiny.json", &run_config("tiny", ""));
    let script = host.command(&["completion", "bash"]).output().unwrap();
    host.write("wharf.bash", &String::from_utf8(script.stdout).unwrap());
    let complete = |words: &str, at: usize| {
        let mut command = host.command(&[]);
        let wharf = command.get_program().to_str().unwrap().to_owned();
        let environment: Vec<_> =
            command.get_envs().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
        command = Command::new("bash");
        let line = format!(
            "source {script}; COMP_WORDS=({wharf} {words}); COMP_CWORD={at}; \
             _wharf_words {wharf} \"${{COMP_WORDS[{at}]}}\" \"${{COMP_WORDS[{before}]}}\"; echo \"${{COMPREPLY[*]}}\"",
            script = host.path("wharf.bash").display(),
            before = at - 1,
        );
        let output = command.args(["--norc", "-c", &line]).env_clear().envs(environment).output();
        output.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(names) = complete("stop ti", 2) else {
        eprintln!("skipped: bash is not installed here");
        return;
    };
    assert_eq!(names, "time tiny");
    assert_eq!(complete("list --group t", 3).unwrap(), "tools");
    assert!(complete("sta", 1).unwrap().contains("status"), "all else is completed as before");
}

#[test]
fn a_command_that_waits_for_another_one_says_so() {
    let host = TestHost::new();
    host.record("time");
    let name = "time".parse().unwrap();
    let held = OperationLock::try_acquire(&StateDir::new(host.path("state")), &name).unwrap();
    let mut command = host.command(&["rm", "--forget", "time"]);
    let mut waiting = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(waiting.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "'time': another command works on it; waiting for that one, 60 s at most\n");
    drop(held);
    assert!(waiting.wait().unwrap().success());
}
