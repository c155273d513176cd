//! Engines that do not answer, and engines other than the recorded ones.
use wharf_tests::client::Client;
use wharf_tests::engine::{Act, SideBySide, State, records};
use wharf_tests::host::eventually;

#[test]
fn r04_an_engine_that_is_down_makes_its_own_rows_stale_and_changes_no_record() {
    let setup = SideBySide::new();
    let before = records(&setup.host);
    setup.assert_fresh(&["one", "plain", "two"]);
    setup.one.down();
    setup.assert_fresh(&["plain", "two"]);
    let row = setup.host.row("one").unwrap();
    assert_eq!((row["status"].as_str(), row["stale"].as_bool()), (Some("running"), Some(true)), "{row}");
    assert!(row["stale_reason"].as_str().unwrap().contains("does not answer"), "{row}");
    assert_eq!(records(&setup.host), before);
    setup.one.up();
    setup.assert_fresh(&["one", "plain", "two"]);
    assert_eq!(records(&setup.host), before);
}

#[test]
fn r06_workloads_that_died_with_their_engine_run_again_without_a_command() {
    let setup = SideBySide::new();
    let before = records(&setup.host);
    let url = setup.host.row("one").unwrap()["url"].as_str().unwrap().to_owned();
    setup.one.down();
    setup.one.kill(&setup.object(), 137);
    setup.assert_fresh(&["plain", "two"]);
    assert_eq!(records(&setup.host), before);
    setup.one.up();
    setup.assert_heals();
    assert!(Client::open(&url).is_ok(), "at the same URL");
}

#[test]
fn r06_what_an_engine_kills_is_restarted() {
    let setup = SideBySide::new();
    setup.one.kill(&setup.object(), 9);
    eventually("it was deployed again", || setup.one.count("deploy") == 2);
    setup.assert_heals();
    assert_eq!(setup.object().state, State::Running);
}

/// A row of a copied storage carries the label of the original instance. Before an absence is believed or anything is
/// changed, the engine itself is asked.
#[test]
fn r06_a_start_whose_engine_went_away_says_that_it_is_taken_up_again_and_is() {
    let setup = SideBySide::new();
    setup.host.ok(&["stop", "one"]);
    setup.one.order_once("start", Act::Fail("unavailable".to_owned()));
    let said = setup.host.wharf(&["start", "one"]);
    assert!(said.code == 5 && said.stderr.contains("stays on record"), "{said:?}");
    let record = setup.host.record("one");
    assert_eq!((&record["status"], &record["desired"]), (&"starting".into(), &"running".into()), "{record}");
    assert!(setup.host.ok(&["reconcile", "one"]).contains("started"));
    setup.assert_fresh(&["one", "plain", "two"]);
}

#[test]
fn r04_a_copied_storage_ends_nothing_and_takes_no_command() {
    let setup = SideBySide::new();
    setup.host.run(&["--runtime", "scripted-one", "--name", "beside", "sh"]);
    setup.one.order("list", Act::Copied);
    setup.one.instance("the engine with the copy");
    let before = records(&setup.host);
    setup.assert_fresh(&["beside", "one", "plain", "two"]);
    for command in [&["stop", "one"][..], &["rm", "one"], &["restart", "one"]] {
        let said = setup.host.wharf(command);
        assert_eq!(said.code, 5, "{command:?}: {said:?}");
        assert!(said.stderr.contains("the engine with the copy"), "{command:?}: {said:?}");
    }
    let done: serde_json::Value = serde_json::from_str(&setup.host.reconcile(&["--format", "json"])).unwrap();
    let ours = done
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| ["one", "beside"].contains(&it["name"].as_str().unwrap()));
    assert!(ours.clone().count() == 2 && ours.into_iter().all(|it| it["result"] == "left_alone"), "{done}");
    // The copy has lost one of them, which says nothing about the original.
    setup.one.discard(&setup.object());
    for name in ["one", "beside"] {
        let row = setup.host.row(name).unwrap();
        assert_eq!((row["status"].as_str(), row["stale"].as_bool()), (Some("running"), Some(true)), "{row}");
        assert!(row["stale_reason"].as_str().unwrap().contains("the engine with the copy"), "{row}");
    }
    assert_eq!(records(&setup.host), before);
}

#[test]
fn r08_commands_to_an_engine_that_is_down_fail_and_change_nothing() {
    let setup = SideBySide::new();
    let before = records(&setup.host);
    setup.one.down();
    for command in ["stop", "start", "restart", "rm"] {
        let said = setup.host.wharf(&[command, "one"]);
        assert_eq!(said.code, 5, "{command}: {said:?}");
        assert!(said.stderr.contains("'one'") && said.stderr.contains("scripted-one"), "{said:?}");
        assert_eq!(records(&setup.host), before, "{command}");
    }
    setup.one.up();
    setup.assert_fresh(&["one", "plain", "two"]);
}

#[test]
fn r04_another_instance_at_the_endpoint_is_no_evidence() {
    let setup = SideBySide::new();
    let before = records(&setup.host);
    setup.one.instance("an engine that was restored");
    setup.assert_fresh(&["plain", "two"]);
    let row = setup.host.row("one").unwrap();
    let reason = row["stale_reason"].as_str().unwrap();
    assert_eq!(row["status"], "running", "{row}");
    assert!(reason.contains(setup.one.first_name()), "{row}");
    assert!(reason.contains("an engine that was restored"), "{row}");
    let steps: Vec<&str> =
        row["advice"].as_array().unwrap().iter().map(|it| it["do"].as_str().unwrap()).collect();
    assert_eq!(steps, ["note", "rebind", "forget"], "{row}");
    let listed = setup.host.wharf(&["list"]);
    let status = setup.host.ok(&["status", "one"]);
    let reconciled = setup.host.wharf(&["reconcile", "one"]);
    for told in [&listed.stderr, &status, &reconciled.stdout] {
        assert!(told.contains("wharf adopt one --runtime scripted-one --rebind"), "{told}");
        assert!(told.contains("wharf rm --forget one"), "{told}");
    }
    assert_eq!(records(&setup.host), before);
    setup.one.first_instance();
    setup.assert_fresh(&["one", "plain", "two"]);
}

#[test]
fn r08_commands_refuse_another_instance_and_name_both() {
    let setup = SideBySide::new();
    setup.host.ok(&["stop", "two"]);
    let before = records(&setup.host);
    setup.one.instance("restored one");
    setup.two.instance("restored two");
    for (command, name) in [
        ("stop", "one"),
        ("start", "one"),
        ("restart", "one"),
        ("rm", "one"),
        ("start", "two"),
        ("rm", "two"),
    ] {
        let said = setup.host.wharf(&[command, name]);
        assert_eq!(said.code, 5, "{command} {name}: {said:?}");
        assert!(said.stderr.contains(&format!("the first behind scripted-{name}")), "{said:?}");
        assert!(said.stderr.contains(&format!("restored {name}")), "{said:?}");
        for step in ["adopt NAME --runtime scripted-NAME --rebind", "rm --forget NAME"] {
            assert!(said.stderr.contains(&format!("wharf {}", step.replace("NAME", name))), "{said:?}");
        }
        assert_eq!(records(&setup.host), before, "{command} {name}");
    }
    setup.one.first_instance();
    setup.two.first_instance();
    setup.host.ok(&["start", "two"]);
    setup.assert_fresh(&["one", "plain", "two"]);
}

#[test]
fn r04_a_supervisor_does_not_take_another_instance_for_the_loss_of_its_workload() {
    let setup = SideBySide::new();
    let waits = setup.one.count("wait");
    setup.one.instance("an empty one");
    // The supervisor has got this answer, and asks again.
    eventually("the supervisor asks again", || setup.one.count("wait") > waits + 1);
    assert_eq!(setup.one.count("deploy"), 1, "nothing was deployed elsewhere");
    setup.one.first_instance();
    setup.assert_fresh(&["one", "plain", "two"]);
    assert_eq!(setup.one.objects().len(), 1);
}

#[test]
fn r04_an_engine_that_goes_away_and_comes_back_changed_restarts_nothing_elsewhere() {
    let setup = SideBySide::new();
    // The workload ends on its own engine, and before it can be brought back another one answers.
    setup.one.order("remove", Act::Fail("unavailable".to_owned()));
    setup.one.kill(&setup.object(), 1);
    eventually("it is being brought back", || setup.one.count("remove") > 0);
    setup.one.instance("an empty one");
    setup.one.behave();
    let asked = setup.one.count("instance");
    eventually("the supervisor has tried", || setup.one.count("instance") > asked);
    assert_eq!(setup.one.count("deploy"), 1, "nothing was deployed elsewhere");
    setup.one.first_instance();
    setup.assert_heals();
    assert_eq!(setup.one.objects().len(), 1);
}
