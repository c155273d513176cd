//! A server is started ahead of the next session.
use super::session_servers::{kill_supervisor, recorded, run, server_of, shown};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use wharf_tests::client::Client;
use wharf_tests::host::{Host, eventually};

/// A host with these limits of proxies.
fn host(proxy: &Value) -> Host {
    let host = Host::new();
    host.configure(&json!({ "proxy": proxy }));
    host
}

/// The only server on record beside these, once the runtime shows it as running.
fn in_reserve(host: &Host, others: &[&str]) -> String {
    let mut found = None;
    eventually("a server is in reserve", || {
        let mut uids = recorded(host);
        uids.retain(|uid| !others.contains(&uid.as_str()));
        let running = shown(&host.row("many").unwrap());
        found = uids.pop_first().filter(|uid| uids.is_empty() && running.contains(uid));
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn r01_the_server_in_reserve_is_on_record_and_goes_to_the_next_session() {
    let host = host(&json!({}));
    let url = run(&host, &[]);
    assert_eq!(recorded(&host), BTreeSet::new(), "none is started before a client came");
    let mut one = Client::open(&url).unwrap();
    let of_one = server_of(&mut one);
    let reserve = in_reserve(&host, &[&of_one]);
    let mut other = Client::open(&url).unwrap();
    assert_eq!(server_of(&mut other), reserve);
    // And there is another one, which ends with the workload.
    in_reserve(&host, &[&of_one, &reserve]);
    host.ok(&["stop", "many"]);
    host.assert_nothing_runs();
    assert_eq!(recorded(&host), BTreeSet::new());
}

#[test]
fn a_server_in_reserve_for_which_no_session_comes_ends_after_a_while() {
    let host = host(&json!({ "session_reserve_ms": 500 }));
    let url = run(&host, &[]);
    let mut one = Client::open(&url).unwrap();
    let of_one = server_of(&mut one);
    let only = BTreeSet::from([of_one.clone()]);
    let mut was_there = false;
    eventually("it came and went", || {
        let now = recorded(&host);
        was_there |= now.len() == 2;
        was_there && now == only
    });
    assert_eq!(server_of(&mut one), of_one);
    // The next session is as welcome as the first.
    server_of(&mut Client::open(&url).unwrap());
}

#[test]
fn r09_what_a_dead_supervisor_left_in_reserve_goes_with_the_workload() {
    for command in [&["reconcile"][..], &["start", "many"], &["stop", "many"], &["rm", "many"]] {
        let host = host(&json!({}));
        let url = run(&host, &["--restart", "always"]);
        let mut client = Client::open(&url).unwrap();
        let reserve = in_reserve(&host, &[&server_of(&mut client)]);
        kill_supervisor(&host);
        host.ok(command);
        let file = host.path(&format!("data/runtimes/process/{reserve}.json"));
        assert!(!file.exists(), "{command:?}");
        if host.row("many").is_some() {
            assert_eq!(recorded(&host), BTreeSet::new(), "{command:?}");
            host.ok(&["rm", "many"]);
        }
        host.assert_nothing_runs();
        assert_eq!(host.leftovers(), Vec::<String>::new(), "{command:?}");
    }
}

#[test]
fn limits_count_the_server_in_reserve_which_keeps_no_place_from_a_session() {
    let host = host(&json!({ "session_servers": 2 }));
    let url = run(&host, &[]);
    let mut one = Client::open(&url).unwrap();
    let of_one = server_of(&mut one);
    let reserve = in_reserve(&host, &[&of_one]);
    let mut other = Client::open(&url).unwrap();
    assert_eq!(server_of(&mut other), reserve);
    // There is no place for another one in reserve; who comes next gets that of an idle session, and one is free again.
    assert_eq!(recorded(&host), BTreeSet::from([of_one.clone(), reserve.clone()]));
    let mut third = Client::open(&url).unwrap();
    let of_third = server_of(&mut third);
    assert_eq!(recorded(&host), BTreeSet::from([reserve, of_third]), "the one that was idle longest went");
}

#[test]
fn a_server_that_ends_in_reserve_is_not_missed_and_not_brought_back() {
    let host = host(&json!({}));
    let url = run(&host, &[]);
    let mut one = Client::open(&url).unwrap();
    let of_one = server_of(&mut one);
    let reserve = in_reserve(&host, &[&of_one]);
    let state = std::fs::read(host.path(&format!("data/runtimes/process/{reserve}.json"))).unwrap();
    let state: Value = serde_json::from_slice(&state).unwrap();
    let pid = i32::try_from(state["workload"]["pid"].as_i64().unwrap()).unwrap();
    host.kill_server(pid);
    // Whether its end was noticed already or not.
    let mut other = Client::open(&url).unwrap();
    let of_other = server_of(&mut other);
    assert_ne!(of_other, reserve);
    let next = in_reserve(&host, &[&of_one, &of_other]);
    assert_ne!(next, reserve);
    let state = std::fs::read(host.path(&format!("data/runtimes/process/{next}.json"))).unwrap();
    let state: Value = serde_json::from_slice(&state).unwrap();
    host.kill_server(i32::try_from(state["workload"]["pid"].as_i64().unwrap()).unwrap());
    eventually("it is off the record", || !recorded(&host).contains(&next));
    // A server that ends by itself would be started again and again otherwise.
    assert_eq!(recorded(&host), BTreeSet::from([of_one, of_other]));
}
