//! Names and uids that several parties have: runtimes, hosts, other products.
use serde_json::json;
use wharf_tests::client::Client;
use wharf_tests::engine::{Act, Object, ScriptedEngine, SideBySide, State, foreign, records};
use wharf_tests::host::{Host, eventually};

fn uid(host: &Host, name: &str) -> String {
    host.record(name)["uid"].as_str().unwrap().to_owned()
}

fn whoami(url: &str) -> String {
    Client::open(url).unwrap().call_tool("whoami", json!({})).unwrap()
}

#[test]
fn r02_the_same_uid_in_another_runtime_changes_nothing() {
    let setup = SideBySide::new();
    let before = records(&setup.host);
    let ours = setup.object();
    // The other runtime has this host's very uid, and says that it has ended.
    let instance = setup.two.first_name().to_owned();
    setup.two.put(&Object { state: State::Stopped, exit: Some(1), instance, ..ours.clone() });
    let row = setup.host.row("one").unwrap();
    assert_eq!((row["status"].as_str(), row["stale"].as_bool()), (Some("running"), None), "{row}");
    setup.host.ok(&["reconcile"]);
    assert_eq!(records(&setup.host), before);
    // Only the owner is believed, even if it no longer has the workload and the other one does.
    setup.one.order("list", Act::OtherUid);
    assert_eq!(setup.host.row("one").unwrap()["status"], "unhealthy");
    setup.one.behave();
    setup.host.ok(&["rm", "one"]);
    assert_eq!(setup.two.named("one").len(), 1, "what the other runtime has was not touched");
    assert_eq!(setup.two.asked("remove"), Vec::<String>::new());
}

#[test]
fn r02_a_command_calls_the_owner_alone() {
    let setup = SideBySide::new();
    let calls =
        |engine: &ScriptedEngine| ["connect", "instance", "list", "inspect"].map(|it| engine.count(it));
    let before = calls(&setup.two);
    setup.host.ok(&["stop", "one"]);
    setup.host.ok(&["start", "one"]);
    setup.host.ok(&["rm", "one"]);
    assert_eq!(calls(&setup.two), before);
}

#[test]
fn r09_two_hosts_share_one_engine_and_a_name() {
    let (ours, theirs) = (Host::new(), Host::new());
    let engine = ScriptedEngine::new(&ours, "scripted-one");
    engine.share_with(&theirs, "scripted-one");
    let mut urls = Vec::new();
    for host in [&ours, &theirs] {
        urls.push(host.run(&["--runtime", "scripted-one", "--name", "same", "sh"]));
    }
    let (our_uid, their_uid) = (uid(&ours, "same"), uid(&theirs, "same"));
    assert_eq!((whoami(&urls[0]), whoami(&urls[1])), (our_uid.clone(), their_uid.clone()));
    assert_eq!(ours.list().len(), 1, "the other host's is no orphan of ours");
    let before = records(&theirs);
    assert_eq!(ours.wharf(&["rm", "--orphan", &format!("scripted-one/{their_uid}")]).code, 3);
    ours.ok(&["stop", "same"]);
    ours.ok(&["start", "same"]);
    ours.ok(&["rm", "same"]);
    assert_eq!(records(&theirs), before);
    let left: Vec<String> = engine.named("same").into_iter().map(|object| object.uid).collect();
    assert_eq!(left, [their_uid.as_str()]);
    assert_eq!(whoami(&urls[1]), their_uid);
}

#[test]
fn r09_a_foreign_object_of_the_same_name_is_neither_touched_nor_mistaken() {
    let host = Host::new();
    let engine = ScriptedEngine::new(&host, "scripted-one");
    let theirs = foreign("work", "", "", engine.first_name());
    engine.put(&theirs);
    let url = host.run(&["--runtime", "scripted-one", "--name", "work", "sh"]);
    assert_eq!(whoami(&url), uid(&host, "work"));
    engine.kill(&theirs, 1);
    let row = host.row("work").unwrap();
    assert_eq!((row["status"].as_str(), host.list().len()), (Some("running"), 1), "{row}");
    host.ok(&["rm", "work"]);
    assert_eq!(engine.named("work"), [Object { state: State::Stopped, exit: Some(1), ..theirs }]);
}

#[test]
fn r09_one_name_in_two_engines_of_one_runtime_each_through_its_recorded_endpoint() {
    let host = Host::new();
    let first = ScriptedEngine::new(&host, "scripted-one");
    host.run(&["--runtime", "scripted-one", "--name", "here", "sh"]);
    // The endpoint in the present configuration does not matter for existing workloads.
    let second = ScriptedEngine::new(&host, "scripted-two");
    second.share_with(&host, "scripted-one");
    host.run(&["--runtime", "scripted-one", "--name", "there", "sh"]);
    assert!(host.list().iter().all(|row| row["status"] == "running" && row["stale"] != true));
    host.ok(&["restart", "here"]);
    assert_eq!((first.named("here").len(), second.named("there").len()), (1, 1));
    assert_eq!((first.objects().len(), second.objects().len()), (1, 1));
}

#[test]
fn r01_the_runconfig_with_uid_and_owner_is_there_before_anything_is_deployed() {
    let host = Host::new();
    let engine = ScriptedEngine::new(&host, "scripted-one");
    engine.order("deploy", Act::Hang);
    let mut run =
        host.command(&["run", "--runtime", "scripted-one", "--name", "work", "sh"]).spawn().unwrap();
    eventually("it is being deployed", || engine.count("deploy") == 1);
    let config = host.run_config("work");
    assert_eq!(engine.asked("deploy"), [config["uid"].as_str().unwrap()]);
    assert_eq!(config["runtime_name"], "scripted-one");
    assert_eq!(config["runtime_instance"], engine.first_name());
    assert!(config["runtime_endpoint"].as_str().unwrap().ends_with("engine-scripted-one"), "{config}");
    run.kill().unwrap();
    run.wait().unwrap();
    host.assert_nothing_runs();
}
