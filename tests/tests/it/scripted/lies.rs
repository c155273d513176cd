//! Plugins that are missing, lie, hang or panic: each makes its own rows stale, and affects no others.
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};
use wharf_tests::compile;
use wharf_tests::engine::{Act, PLUGIN, SideBySide, State, records};
use wharf_tests::host::Said;
use wharf_tests::{library, stamp_text};

/// The row of the workload `one` while its plugin misbehaves.
enum Shown {
    /// The recorded state, marked as stale, with a reason that contains this text.
    Stale(&'static str),
    /// The owner's answer was complete, so it is evidence; the message contains this text.
    Unhealthy(&'static str),
}

/// While the owner of `one` misbehaves no record changes and the other rows are fresh; afterwards all is well.
fn misbehaves(begin: impl FnOnce(&SideBySide), end: impl FnOnce(&SideBySide), shown: &Shown) {
    let setup = SideBySide::new();
    let before = records(&setup.host);
    begin(&setup);
    setup.assert_fresh(&["plain", "two"]);
    let row = setup.host.row("one").unwrap();
    let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
    match shown {
        Shown::Stale(reason) => {
            assert_eq!((text("status").as_str(), row["stale"].as_bool()), ("running", Some(true)), "{row}");
            assert!(text("stale_reason").contains(reason), "{row}");
        }
        Shown::Unhealthy(context) => {
            assert_eq!(text("status"), "unhealthy", "{row}");
            assert!(text("status_context").contains(context), "{row}");
        }
    }
    setup.host.ok(&["list", "--all"]);
    assert_eq!(records(&setup.host), before);
    end(&setup);
    setup.assert_fresh(&["one", "plain", "two"]);
    assert_eq!(records(&setup.host), before);
}

fn lists(act: Act, shown: &Shown) {
    misbehaves(|setup| setup.one.order("list", act), |setup| setup.one.behave(), shown);
}

#[test]
fn r04_a_plugin_that_is_missing_is_no_evidence() {
    let setup = SideBySide::new();
    let before = records(&setup.host);
    let path = setup.host.add_library(PLUGIN);
    fs::remove_file(&path).unwrap();
    setup.assert_fresh(&["plain"]);
    for name in ["one", "two"] {
        let row = setup.host.row(name).unwrap();
        assert_eq!((row["status"].as_str(), row["stale"].as_bool()), (Some("running"), Some(true)), "{row}");
        assert!(row["stale_reason"].as_str().unwrap().contains("no plugin provides"), "{row}");
        for command in ["stop", "start", "rm", "restart", "logs"] {
            let said = setup.host.wharf(&[command, name]);
            assert!(said.code == 5 && said.stderr.contains(&format!("scripted-{name}")), "{said:?}");
        }
    }
    assert_eq!(records(&setup.host), before);
    setup.host.add_library(PLUGIN);
    setup.assert_fresh(&["one", "plain", "two"]);
}

#[test]
fn r04_a_list_without_the_workload_is_evidence_and_a_foreign_uid_is_not_believed_to_be_it() {
    lists(Act::OtherUid, &Shown::Unhealthy("no longer has it"));
}

#[test]
fn r09_what_carries_another_hosts_id_is_not_ours_whatever_its_uid() {
    lists(Act::OtherHost, &Shown::Unhealthy("no longer has it"));
}

#[test]
fn r04_two_resources_of_one_uid_are_no_evidence() {
    lists(Act::Twice, &Shown::Stale("two resources with its uid"));
}

#[test]
fn r04_a_list_of_another_instance_is_no_evidence() {
    lists(Act::OtherInstance, &Shown::Stale("a lie"));
}

#[test]
fn r04_an_incomplete_list_is_no_evidence() {
    lists(Act::Incomplete, &Shown::Stale("could not list everything"));
}

#[test]
fn r04_a_gigabyte_is_no_evidence() {
    lists(Act::Huge, &Shown::Stale("'list'"));
}

#[test]
fn r05_a_state_that_makes_no_sense_is_shown_and_not_recorded() {
    lists(Act::Claim(State::Created), &Shown::Unhealthy("does not run"));
}

#[test]
fn r10_a_list_that_hangs_costs_its_own_rows_alone() {
    lists(Act::Hang, &Shown::Stale("took longer"));
}

#[test]
fn r04_a_list_that_panics_is_no_evidence() {
    lists(Act::Panic, &Shown::Stale("panicked"));
}

#[test]
fn r04_a_list_that_panics_when_it_is_given_up_is_no_evidence() {
    lists(Act::PanicInDrop, &Shown::Stale("panicked"));
}

#[test]
fn r04_whatever_error_a_list_ends_with_is_no_evidence() {
    let setup = SideBySide::new();
    let before = records(&setup.host);
    for code in [
        "not_found",
        "already_exists",
        "invalid_argument",
        "failed_precondition",
        "permission_denied",
        "unavailable",
        "unsupported",
        "timeout",
        "cancelled",
        "internal",
    ] {
        setup.one.order("list", Act::Fail(code.to_owned()));
        setup.assert_fresh(&["plain", "two"]);
        assert_eq!(setup.host.row("one").unwrap()["stale"], true, "{code}");
        setup.one.behave();
    }
    assert_eq!(records(&setup.host), before);
    setup.assert_fresh(&["one", "plain", "two"]);
}

#[test]
fn r10_a_call_that_never_returns_costs_its_own_rows_alone() {
    lists(Act::Block, &Shown::Stale(""));
}

#[test]
fn r10_a_plugin_that_cannot_be_connected_costs_its_own_rows_alone() {
    for act in [Act::Hang, Act::Block, Act::Panic] {
        misbehaves(|setup| setup.one.order("connect", act), |setup| setup.one.behave(), &Shown::Stale(""));
    }
}

#[test]
fn r10_a_library_whose_constructor_never_ends_takes_no_record_along() {
    let setup = SideBySide::new();
    let before = records(&setup.host);
    let path = setup.host.add_library(PLUGIN);
    let stamp = stamp_text(&path);
    let source = format!(
        "#[used] #[unsafe(link_section = {:?})] static STAMP: [u8; {}] = *b{stamp:?};
         extern \"C\" fn construct() {{ loop {{ std::thread::park(); }} }}
         #[used] #[unsafe(link_section = \".init_array\")] static CONSTRUCT: extern \"C\" fn() = construct;",
        wharf_sdk::stamp::SECTION,
        stamp.len(),
    );
    // Beside it first: the file that supervisors may have mapped is not written to.
    let other = setup.host.path("hangs.so");
    compile(&other, &source);
    fs::rename(&other, &path).unwrap();
    for name in ["one", "two"] {
        let row = setup.host.row(name).unwrap();
        assert_eq!((row["status"].as_str(), row["stale"].as_bool()), (Some("running"), Some(true)), "{row}");
    }
    // It hangs in a process of its own, so that other libraries are loaded meanwhile.
    let plain = setup.host.row("plain").unwrap();
    assert_eq!((plain["status"].as_str(), plain["stale"].as_bool()), (Some("running"), None), "{plain}");
    assert_eq!(setup.host.wharf(&["stop", "one"]).code, 5);
    assert_eq!(records(&setup.host), before);
    let good = setup.host.path("good.so");
    fs::copy(library(PLUGIN), &good).unwrap();
    fs::rename(&good, &path).unwrap();
    setup.assert_fresh(&["one", "plain", "two"]);
}

#[test]
fn how_long_a_list_waits_for_a_silent_runtime_is_a_setting() {
    let setup = SideBySide::new();
    // Its library is loaded and tried once before the clock is looked at.
    setup.assert_fresh(&["one", "plain", "two"]);
    setup.one.order("list", Act::Hang);
    let began = Instant::now();
    let list =
        setup.host.command(&["list", "--format", "json"]).env("WHARF_LIST_TIMEOUT_MS", "2000").output();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let list: Vec<Value> = serde_json::from_slice(&list.unwrap().stdout).unwrap();
    let one = list.iter().find(|row| row["name"] == "one").unwrap();
    assert_eq!(one["stale"], true, "{one}");
    assert!(one["stale_reason"].as_str().unwrap().contains("gave no answer in time"), "{one}");
    let list = setup.host.command(&["list"]).env("WHARF_LIST_TIMEOUT_MS", "soon").output().unwrap();
    let said = Said::of(&list);
    assert!(said.code == 2 && said.stderr.contains("WHARF_LIST_TIMEOUT_MS is 'soon'"), "{said:?}");
    setup.one.behave();
    setup.assert_fresh(&["one", "plain", "two"]);
}
