//! A process that works with a host for months: it notices changes around it, and leaks nothing.
use std::fs;
use std::io::Write;
use std::process::Command;
use wharf_tests::engine::{PLUGIN, ScriptedEngine};
use wharf_tests::host::{Host, Said, built};

/// A host whose plugins come and go, and whose id nobody has made yet.
fn changing_host() -> (Host, ScriptedEngine) {
    let host = Host::new();
    let engine = ScriptedEngine::new(&host, "scripted-one");
    // The same code with other bytes behind it is another library.
    let scripted = host.path("plugins").join(wharf_tests::library(PLUGIN).file_name().unwrap());
    fs::rename(scripted, host.path("one.so")).unwrap();
    fs::copy(host.path("one.so"), host.path("other.so")).unwrap();
    let mut other = fs::OpenOptions::new().append(true).open(host.path("other.so")).unwrap();
    other.write_all(b"another version").unwrap();
    fs::copy(wharf_tests::library("wharf-test-plugin-alpha"), host.path("spare.so")).unwrap();
    assert!(host.id().is_empty());
    (host, engine)
}

/// Has one process work with it.
fn live(host: &Host, rounds: usize, leak: Option<&str>) -> Said {
    let wharf = host.command(&[]);
    let environment = wharf.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut command = Command::new(built("wharf-test-long-life"));
    command.args([host.path("").as_os_str(), wharf.get_program()]).arg(rounds.to_string()).args(leak);
    Said::of(&command.env_clear().envs(environment).output().unwrap())
}

#[test]
fn a_process_lives_through_thousands_of_commands_and_changes_and_holds_no_more_than_before() {
    let (host, engine) = changing_host();
    let said = live(&host, 60, None);
    assert_eq!(said.code, 0, "{said:?}");
    let commands = said.stdout.split("after ").last().and_then(|text| text.split(' ').next()?.parse().ok());
    assert!(commands >= Some(2000), "{said:?}");
    assert_eq!(engine.objects(), []);
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn a_process_that_loses_something_is_noticed() {
    for (leak, told) in [
        ("descriptor", "descriptors: "),
        ("memory", "KiB of memory: "),
        ("thread", "threads: "),
        ("child", "children: "),
    ] {
        let (host, _engine) = changing_host();
        let said = live(&host, 12, Some(leak));
        assert_eq!(said.code, 10, "{leak}: {said:?}");
        assert!(said.stdout.contains(&format!("lost: {told}")), "{leak}: {said:?}");
    }
}
