//! Plugins that hang or abort while they are served: the others are served as before.
use super::rig::Served;
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};
use wharf_tests::engine::{Act, SideBySide};
use wharf_tests::host::{Host, eventually};

/// One that asks no runtime by itself.
fn quiet(host: &Host) -> Command {
    host.command(&["serve", "--no-reconcile"])
}

fn row(served: &Served, name: &str) -> Value {
    let list = served.get("/workloads?all=true");
    let rows = list["workloads"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap().clone()
}

fn is_fresh(row: &Value) -> bool {
    row["status"] == "running" && row["stale"] != true
}

#[test]
fn a_runtime_that_hangs_is_waited_for_once_and_shown_again_when_it_answers() {
    let setup = SideBySide::new();
    let mut command = quiet(&setup.host);
    // Shorter than the deadline of the call itself, which would be told as that.
    command.env("WHARF_LIST_TIMEOUT_MS", "6000");
    let served = Served::of(command, &setup.host);
    assert!(is_fresh(&row(&served, "one")));
    setup.one.order("list", Act::Block);
    let asked = setup.one.count("list");
    assert_eq!(row(&served, "one")["stale"], true);
    let began = Instant::now();
    for _ in 0..5 {
        let one = row(&served, "one");
        assert!(one["stale_reason"].as_str().unwrap().contains("has given no answer for"), "{one}");
        assert!(is_fresh(&row(&served, "two")) && is_fresh(&row(&served, "plain")));
    }
    assert!(began.elapsed() < Duration::from_secs(5), "nobody waits for it again: {:?}", began.elapsed());
    // It is asked again by itself, until each of its threads is blocked; then by another copy of its library.
    eventually("it is asked again", || {
        row(&served, "one")["stale"] == true && setup.one.count("list") > asked + 1
    });
    setup.one.behave();
    eventually("it is shown again", || is_fresh(&row(&served, "one")));
}

#[test]
fn a_plugin_that_aborts_ends_serve_once_and_is_left_out_by_the_next_one() {
    let setup = SideBySide::new();
    let served = Served::of(quiet(&setup.host), &setup.host);
    setup.one.order("list", Act::Abort);
    let socket = setup.host.path("state/api/wharf.sock");
    let asked = wharf_tests::client::http_through(&socket, "GET", "/api/v1beta/workloads", &[], "");
    assert!(asked.is_err(), "it aborts: {asked:?}");
    drop(served);
    // Also with reconciliation, which asks all runtimes at once.
    let served = Served::start(&setup.host);
    for _ in 0..3 {
        let one = row(&served, "one");
        assert_eq!((&one["status"], &one["stale"]), (&Value::from("running"), &Value::from(true)), "{one}");
        let reason = one["stale_reason"].as_str().unwrap();
        assert!(
            reason.contains("the runtime 'scripted-one' has ended what serves in the middle of 'list'"),
            "{reason}"
        );
        assert!(is_fresh(&row(&served, "two")) && is_fresh(&row(&served, "plain")), "the others are served");
    }
    setup.one.behave();
    assert_eq!(row(&served, "one")["stale"], true, "nobody has asked for it");
    assert_eq!(served.get("/workloads/one/status")["status"], "running");
    assert!(is_fresh(&row(&served, "one")), "somebody has");
    assert_eq!(served.stop(), Some(0));
}
