//! Evidence, and its source: engines that are replaced in the middle of a command, lost records and lost ids.
use serde_json::{Value, json};
use std::{fs, thread};
use wharf_tests::engine::{Act, ScriptedEngine, SideBySide, State, foreign, records};
use wharf_tests::host::{Host, Said, eventually, kill, runs};

/// Runs a command; as soon as the engine of `one` is asked for this, another engine takes its place.
fn exchanged_at(setup: &SideBySide, operation: &str, command: &[&str]) -> Said {
    setup.one.order_once(operation, Act::Delay(1500));
    let before = setup.one.count(operation);
    thread::scope(|scope| {
        let said = scope.spawn(|| setup.host.wharf(command));
        eventually("the engine is asked", || setup.one.count(operation) > before);
        setup.one.instance("an engine that knows nothing");
        said.join().unwrap()
    })
}

#[test]
fn r08_an_engine_that_is_exchanged_during_a_removal_loses_no_record() {
    let setup = SideBySide::new();
    let said = exchanged_at(&setup, "remove", &["rm", "one"]);
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.stderr.contains("an engine that knows nothing"), "{said:?}");
    assert!(setup.host.path("state/runconfigs/one.json").exists());
    setup.one.first_instance();
    assert_eq!(setup.one.named("one").len(), 1, "it was not the one that was asked");
    setup.host.ok(&["rm", "one"]);
    assert_eq!(setup.one.objects(), []);
    setup.assert_fresh(&["plain", "two"]);
}

#[test]
fn r08_an_engine_that_is_exchanged_during_a_stop_has_not_stopped_it() {
    let setup = SideBySide::new();
    let said = exchanged_at(&setup, "stop", &["stop", "--timeout", "0", "one"]);
    assert_eq!(said.code, 5, "{said:?}");
    assert_ne!(setup.host.record("one")["status"], "stopped");
    setup.one.first_instance();
    setup.host.ok(&["stop", "one"]);
    assert_eq!(setup.host.record("one")["status"], "stopped");
    assert_eq!(setup.object().state, State::Stopped);
}

#[test]
fn r08_an_engine_that_is_exchanged_during_a_creation_keeps_what_it_made_on_record() {
    let setup = SideBySide::new();
    let said = exchanged_at(&setup, "attach", &["run", "--runtime", "scripted-one", "--name", "new", "sh"]);
    assert_ne!(said.code, 0, "{said:?}");
    assert!(said.stderr.contains("stays on record"), "{said:?}");
    setup.one.first_instance();
    assert_eq!(setup.one.named("new").len(), 1);
    setup.host.ok(&["rm", "new"]);
    assert_eq!(setup.one.named("new"), []);
}

/// The recorded engine may have kept the stopped workload, while another engine made the new one.
#[test]
fn r08_what_the_owner_has_already_is_no_proof_of_what_was_made() {
    let setup = SideBySide::new();
    setup.one.order("list", Act::OtherHandle);
    let said = setup.host.wharf(&["run", "--runtime", "scripted-one", "--name", "new", "sh"]);
    assert!(said.code == 5 && said.stderr.contains("does not show what was made"), "{said:?}");
    setup.one.behave();
    setup.host.wharf(&["rm", "new"]);
    assert_eq!(setup.one.named("new"), []);
    setup.assert_fresh(&["one", "plain", "two"]);
}

#[test]
fn r08_an_engine_that_takes_the_place_for_a_moment_has_nothing_to_say() {
    let setup = SideBySide::new();
    // The call itself meets the other engine, and every question after it the first one.
    setup.one.order("remove", Act::Elsewhere);
    let said = setup.host.wharf(&["rm", "one"]);
    assert!(said.code == 6 && said.stderr.contains(&setup.object().id), "{said:?}");
    assert!(setup.host.path("state/runconfigs/one.json").exists());
    setup.one.behave();
    setup.host.ok(&["rm", "one"]);
    assert_eq!(setup.one.objects(), []);
}

/// Without the proof, the next deployment would make a second resource of its uid.
#[test]
fn r08_a_removal_that_another_engine_confirmed_leads_to_no_second_deployment() {
    let setup = SideBySide::new();
    setup.host.ok(&["stop", "one"]);
    setup.one.order_once("remove", Act::Elsewhere);
    let said = setup.host.wharf(&["start", "one"]);
    assert!(said.code == 6 && said.stderr.contains(&setup.object().id), "{said:?}");
    assert_eq!(setup.one.named("one").len(), 1);
    setup.host.ok(&["start", "one"]);
    setup.assert_fresh(&["one", "plain", "two"]);
}

/// A deployment that is given up may have reached the engine. Another one, which has taken its place meanwhile, has
/// nothing of it.
#[test]
fn r08_what_a_deployment_that_was_given_up_has_left_is_looked_for_in_the_recorded_instance() {
    let setup = SideBySide::new();
    let deployed = setup.one.count("deploy");
    setup.one.order_once("deploy", Act::Delay(60_000));
    thread::scope(|scope| {
        let run =
            scope.spawn(|| setup.host.wharf(&["run", "--runtime", "scripted-one", "--name", "new", "sh"]));
        eventually("it is being deployed", || setup.one.count("deploy") > deployed);
        let config = fs::read(setup.host.path("state/runconfigs/new.json")).unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        let uid = config["uid"].as_str().unwrap();
        let made = foreign("new", uid, &setup.object().host_id, setup.one.first_name());
        setup.one.put(&made);
        setup.one.instance("an engine that knows nothing");
        setup.host.wharf(&["stop", "new"]);
        let said = run.join().unwrap();
        assert!(said.code != 0 && said.stderr.contains("stays on record"), "{said:?}");
    });
    setup.one.first_instance();
    assert!(setup.host.list().iter().all(|row| row.get("orphan").is_none()), "its record is there");
    setup.host.ok(&["rm", "new"]);
    assert_eq!(setup.one.named("new"), []);
    setup.assert_fresh(&["one", "plain", "two"]);
}

#[test]
fn r04_a_lost_or_broken_host_id_is_no_evidence() {
    let setup = SideBySide::new();
    let before = records(&setup.host);
    let (path, aside) = (setup.host.path("state/host-id"), setup.host.path("host-id"));
    for broken in [None, Some("no id")] {
        fs::rename(&path, &aside).unwrap();
        if let Some(text) = broken {
            fs::copy(&aside, &path).unwrap();
            let mut file = fs::File::options().write(true).truncate(true).open(&path).unwrap();
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        }
        for row in setup.host.list() {
            assert_eq!(
                (row["status"].as_str(), row["stale"].as_bool()),
                (Some("running"), Some(true)),
                "{row}"
            );
            assert!(row["stale_reason"].as_str().unwrap().contains("id"), "{row}");
        }
        let done: Value = serde_json::from_str(&setup.host.reconcile(&["--format", "json"])).unwrap();
        assert!(done.as_array().unwrap().iter().all(|one| one["result"] == "left_alone"), "{done}");
        let said = setup.host.wharf(&["run", "--runtime", "process", "--name", "new", "cat"]);
        assert!(said.code == 1 && said.stderr.contains("host"), "no other id is made: {said:?}");
        assert_eq!(records(&setup.host), before);
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), broken);
        fs::rename(&aside, &path).unwrap();
        setup.assert_fresh(&["one", "plain", "two"]);
    }
}

#[test]
fn r04_a_state_that_the_owner_does_not_know_is_no_evidence() {
    let setup = SideBySide::new();
    let before = records(&setup.host);
    setup.one.order("list", Act::Claim(State::Unknown));
    let row = setup.host.row("one").unwrap();
    assert_eq!((row["status"].as_str(), row["stale"].as_bool()), (Some("running"), Some(true)), "{row}");
    setup.host.reconcile(&[]);
    assert_eq!(records(&setup.host), before);
    setup.one.behave();
    setup.assert_fresh(&["one", "plain", "two"]);
}

#[test]
fn r09_two_resources_of_one_uid_are_named_by_every_command_and_none_is_chosen() {
    let setup = SideBySide::new();
    let object = setup.object();
    let twin = foreign("one", &object.uid, &object.host_id, setup.one.first_name());
    setup.one.put(&twin);
    let before = records(&setup.host);
    for command in ["stop", "restart", "rm"] {
        let said = setup.host.wharf(&[command, "one"]);
        assert_eq!(said.code, 5, "{command}: {said:?}");
        assert!(said.stderr.contains(&object.id) && said.stderr.contains(&twin.id), "{command}: {said:?}");
        assert_eq!(records(&setup.host), before, "{command}");
    }
    assert_eq!(setup.one.named("one").len(), 2);
    setup.one.discard(&twin);
    setup.assert_fresh(&["one", "plain", "two"]);
    setup.host.ok(&["stop", "one"]);
    setup.one.put(&twin);
    let said = setup.host.wharf(&["start", "one"]);
    assert!(said.code != 0 && said.stderr.contains(&twin.id), "{said:?}");
    setup.one.discard(&twin);
    setup.host.ok(&["start", "one"]);
    setup.assert_fresh(&["one", "plain", "two"]);
}

#[test]
fn r01_a_supervisor_whose_runconfig_is_gone_ends_and_removes_nothing() {
    let setup = SideBySide::new();
    let path = setup.host.path("state/runconfigs/one.json");
    fs::remove_file(&path).unwrap();
    let supervisor = i32::try_from(setup.host.record("one")["process_id"].as_i64().unwrap()).unwrap();
    eventually("its supervisor has ended", || !runs(supervisor));
    assert_eq!(setup.one.named("one").len(), 1, "what it tended is left");
    setup.host.ok(&["rm", "--forget", "one"]);
    let object = setup.object();
    setup.host.ok(&["rm", "--orphan", &format!("scripted-one/{}", object.uid)]);
    setup.assert_fresh(&["plain", "two"]);
}

#[test]
fn r01_a_supervisor_whose_runconfig_is_gone_restarts_nothing() {
    let setup = SideBySide::new();
    let supervisor = i32::try_from(setup.host.record("one")["process_id"].as_i64().unwrap()).unwrap();
    let deployed = setup.one.count("deploy");
    fs::remove_file(setup.host.path("state/runconfigs/one.json")).unwrap();
    setup.one.kill(&setup.object(), 137);
    eventually("its supervisor has ended", || !runs(supervisor));
    assert_eq!(setup.one.count("deploy"), deployed);
}

/// A remote workload as ToolHive records it.
fn remote(host: &Host) {
    let config = json!({
        "schema_version": "v0.1.0", "name": "far", "image": "", "transport": "streamable-http", "host": "127.0.0.1",
        "port": 4711, "permission_profile": null, "remote_url": "https://example.com/mcp",
    });
    let status = json!({
        "status": "running", "created_at": "2026-03-01T10:00:00.1+01:00", "updated_at": "2026-03-01T10:00:09.4+01:00",
        "process_id": 1,
    });
    for (path, value) in [("state/runconfigs/far.json", config), ("state/statuses/far.json", status)] {
        let mut file = fs::File::create_new(host.path(path)).unwrap();
        std::io::Write::write_all(&mut file, value.to_string().as_bytes()).unwrap();
    }
}

#[test]
fn r03_nobody_is_asked_about_a_remote_server() {
    let host = Host::new();
    let engine = ScriptedEngine::new(&host, "scripted-one");
    host.run(&["--runtime", "scripted-one", "--name", "here", "sh"]);
    host.ok(&["rm", "here"]);
    remote(&host);
    let asked = engine.count("list") + engine.count("instance");
    let row = host.row("far").unwrap();
    assert_eq!(row["status"], "unhealthy", "nobody holds its life lock: {row}");
    assert!(row.get("stale").is_none() && row.get("runtime_name").is_none(), "{row}");
    for command in [&["status", "far"][..], &["reconcile"], &["stop", "far"], &["rm", "far"]] {
        host.ok(command);
    }
    assert_eq!(engine.count("list") + engine.count("instance"), asked);
    assert_eq!(host.list(), Vec::<Value>::new());
}

#[test]
fn r03_commands_on_a_remote_server_need_no_owner_and_say_what_cannot_be() {
    let host = Host::new();
    host.run(&["--name", "here", &wharf_tests::host::demo_server()]);
    remote(&host);
    let said = host.wharf(&["start", "far"]);
    assert!(said.code == 2 && said.stderr.contains("remote"), "{said:?}");
    let said = host.wharf(&["logs", "far"]);
    assert!(said.code == 3 && said.stderr.contains("remote"), "{said:?}");
    let said = host.wharf(&["adopt", "far", "--runtime", "process"]);
    assert!(said.code == 4 && said.stderr.contains("remote"), "{said:?}");
    host.ok(&["stop", "far"]);
    assert_eq!(host.record("far")["status"], "stopped");
    host.ok(&["rm", "--forget", "far"]);
    assert!(host.row("far").is_none());
}

/// A supervisor died in the middle of a restart: the one on record is gone, and what it made is not on record.
#[test]
fn r08_what_a_restart_left_unrecorded_is_found_although_what_is_on_record_is_gone() {
    let setup = SideBySide::new();
    let supervisor = i32::try_from(setup.host.record("one")["process_id"].as_i64().unwrap()).unwrap();
    kill(supervisor, "KILL");
    eventually("it is dead", || !runs(supervisor));
    let old = setup.object();
    setup.one.discard(&old);
    setup.one.put(&foreign("one", &old.uid, &old.host_id, setup.one.first_name()));
    setup.host.ok(&["start", "one"]);
    let [object] = setup.one.named("one").try_into().unwrap();
    assert_ne!(object.id, "one-of-somebody-else", "it was put aside, since nobody holds its input");
    setup.assert_fresh(&["one", "plain", "two"]);
}
