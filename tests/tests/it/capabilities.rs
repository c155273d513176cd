//! Each capability of a runtime is read by the host: a capability that nobody reads would promise nothing.
use std::{collections::BTreeMap, fs, path::Path};
use wharf_sdk::Capability;
use wharf_tests::client::Client;
use wharf_tests::engine::{Act, ScriptedEngine, State};
use wharf_tests::host::{Host, eventually, kill, runs};

/// The runtime whose workloads end with their supervisor, and are its engine's to restart.
const RESTARTING: &str = "scripted-restarting";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The source of the host without its tests and without the conformance suite, which tests the declared capabilities.
fn host_source() -> String {
    fn add(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            let is_tests =
                ["target", "tests", "conformance"].contains(&name.as_str()) || name.contains("test");
            if path.is_dir() && !is_tests {
                add(&path, text);
            } else if name.ends_with(".rs") && !is_tests {
                let source = fs::read_to_string(&path).unwrap();
                // Unit tests stand at the end of a file.
                text.push_str(source.split("#[cfg(test)]\nmod").next().unwrap());
            }
        }
    }
    let mut text = String::new();
    add(&repository().join("host"), &mut text);
    // By these the host refuses a specification that needs a capability that the runtime does not declare.
    assert!(text.contains("spec.requirements()"));
    for file in ["spec.rs", "container.rs"] {
        let source = fs::read_to_string(repository().join("sdk/src/types").join(file)).unwrap();
        let (_, requirements) = source.split_once("pub fn requirements").unwrap();
        text.push_str(requirements.split("#[cfg(test)]").next().unwrap());
    }
    text
}

#[test]
fn every_capability_that_can_be_declared_is_read_by_the_host() {
    let source = fs::read_to_string(repository().join("sdk/src/types/capability.rs")).unwrap();
    let constants: BTreeMap<&str, &str> = source
        .split("pub const ")
        .filter_map(|text| {
            let (constant, rest) = text.split_once(": Self = Self::named(\"")?;
            Some((rest.split_once('"')?.0, constant))
        })
        .collect();
    let named: Vec<&str> = Capability::ALL.iter().map(Capability::as_str).collect();
    assert_eq!(named.len(), constants.len(), "{constants:?}");
    let host = host_source();
    for name in named {
        let constant = constants[name];
        let is_read = host.split("Capability::").skip(1).any(|text| {
            text.strip_prefix(constant).is_some_and(|rest| {
                !rest.starts_with(|next: char| next == '_' || next.is_ascii_alphanumeric())
            })
        });
        assert!(is_read, "nobody in the host reads the capability '{name}'");
    }
}

#[test]
fn a_workload_that_cannot_survive_its_supervisor_is_ended_with_it() {
    let host = Host::new();
    let engine = ScriptedEngine::new(&host, RESTARTING);
    host.run(&["--runtime", RESTARTING, "--transport", "streamable-http", "--name", "bound", "sh"]);
    let supervisor = i32::try_from(host.record("bound")["process_id"].as_i64().unwrap()).unwrap();
    kill(supervisor, "TERM");
    eventually("its supervisor has ended", || !runs(supervisor));
    assert_eq!(engine.named("bound")[0].state, State::Stopped);
    assert_eq!(host.record("bound")["desired"], "running", "it is still wanted");
}

#[test]
fn a_workload_that_its_engine_restarts_is_not_restarted_by_its_supervisor() {
    let host = Host::new();
    let engine = ScriptedEngine::new(&host, RESTARTING);
    let run = ["--runtime", RESTARTING, "--transport", "streamable-http", "--name", "tended", "sh"];
    let url = host.run(&run);
    assert!(Client::open(&url).is_ok());
    let supervisor = i32::try_from(host.record("tended")["process_id"].as_i64().unwrap()).unwrap();
    engine.kill(&engine.named("tended")[0], 9);
    eventually("its supervisor has ended", || !runs(supervisor));
    assert_eq!((engine.count("deploy"), engine.count("start")), (1, 1));
    assert_eq!(host.record("tended")["last_exit"]["code"], 9);
    host.ok(&["rm", "tended"]);
    // A policy that would not be kept is refused.
    let said = host.wharf(&[&["run", "--restart", "no"][..], &run].concat());
    assert!(said.code == 2 && said.stderr.contains("restarts workloads by itself"), "{said:?}");
    assert_eq!(engine.objects(), []);
}

#[test]
fn what_its_engine_starts_again_is_followed_and_its_ends_are_on_record() {
    let host = Host::new();
    let engine = ScriptedEngine::new(&host, RESTARTING);
    for operation in ["wait", "inspect"] {
        engine.order(operation, Act::GoesOn);
    }
    let url =
        host.run(&["--runtime", RESTARTING, "--transport", "streamable-http", "--name", "followed", "sh"]);
    let supervisor = host.record("followed")["process_id"].clone();
    for ends in 1..=3 {
        let mut client = Client::open(&url).unwrap();
        engine.kill(&engine.named("followed")[0], 9);
        eventually("its end is on record", || host.record("followed")["restarts"] == ends);
        eventually("it is served again", || client.call_tool("whoami", serde_json::json!({})).is_ok());
        // An end before that would be no other one than the last: this engine tells no times.
        eventually("its supervisor has it back", || {
            let status = host.ok(&["status", "followed", "--format", "json"]);
            let status: serde_json::Value = serde_json::from_str(&status).unwrap();
            status["supervisor"]["restarts"] == ends
        });
    }
    let record = host.record("followed");
    assert_eq!((&record["status"], &record["last_exit"]["code"]), (&"running".into(), &9.into()), "{record}");
    assert_eq!(record["process_id"], supervisor);
    assert_eq!(
        (engine.count("deploy"), engine.count("stop")),
        (1, 0),
        "the supervisor has restarted nothing"
    );
    // The engine gives up.
    engine.behave();
    engine.kill(&engine.named("followed")[0], 9);
    eventually("its end is on record", || {
        let record = host.record("followed");
        record["status"] == "error" && record["restarts"] == 3
    });
    host.ok(&["rm", "followed"]);
}

#[test]
fn only_an_engine_that_is_declared_to_restart_workloads_is_believed_to() {
    const OTHER: &str = "scripted-dial";
    let host = Host::new();
    let engine = ScriptedEngine::new(&host, OTHER);
    for operation in ["wait", "inspect"] {
        engine.order(operation, Act::GoesOn);
    }
    let url = host.run(&["--runtime", OTHER, "--transport", "streamable-http", "--name", "own", "sh"]);
    engine.kill(&engine.named("own")[0], 9);
    eventually("its supervisor has deployed it again", || engine.count("deploy") == 2);
    eventually("it is served again", || Client::open(&url).is_ok());
}

#[test]
fn a_creation_asks_a_runtime_once_whether_it_would_run_the_workload() {
    for (runtime, pins) in [("scripted-full", true), ("scripted-one", false)] {
        let host = Host::new();
        let engine = ScriptedEngine::new(&host, runtime);
        let run = ["run", "--runtime", runtime, "--name", "asked", "sh"];
        engine.order("deploy", Act::Fail("failed_precondition".to_owned()));
        let said = host.wharf(&run);
        let asked = (engine.count("pin"), engine.count("validate"), engine.count("deploy"));
        assert_eq!(asked, if pins { (1, 0, 1) } else { (0, 1, 1) }, "{said:?}");
        // A refusal by either call leaves nothing behind.
        engine.order(if pins { "pin" } else { "validate" }, Act::Fail("invalid_argument".to_owned()));
        let said = host.wharf(&run);
        assert_eq!((said.code, engine.count("deploy")), (2, 1), "{said:?}");
        assert_eq!(host.list(), Vec::<serde_json::Value>::new());
    }
}
