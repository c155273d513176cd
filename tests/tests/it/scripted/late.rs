//! Slow engines: an effect happens after everybody has stopped waiting for it.
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use wharf_tests::engine::{Act, ScriptedEngine, SideBySide, State, records};
use wharf_tests::host::{Host, eventually};

/// A port that is still free when a start that failed is tried again: no connection of another test's gets it by chance,
/// as it may get one that the kernel picked (`ip_local_port_range`).
fn lasting_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // The tests of another build on this machine begin elsewhere.
    let first = 20_000 + u16::try_from(std::process::id() % 1_200).expect("a small number") * 10;
    let ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed));
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.take_while(|port| *port < 32_768).find(is_free).expect("a free port")
}

/// Lets a deployment miss its deadline; `during` happens while the command that wants it still waits.
fn late(host: &Host, engine: &ScriptedEngine, during: impl FnOnce()) {
    engine.order_once("deploy", Act::Late);
    let port = lasting_port().to_string();
    let run = ["run", "--runtime", "scripted-one", "--name", "slow", "--proxy-port", &port, "sh"];
    std::thread::scope(|scope| {
        let said = scope.spawn(|| host.wharf(&run));
        eventually("it is asked for", || engine.count("deploy") > 0);
        let asked = engine.count("list");
        eventually("it is looked for", || engine.count("list") > asked + 1);
        during();
        assert_eq!(said.join().unwrap().code, 7);
    });
}

#[test]
fn r10_what_a_deployment_brings_late_is_looked_for_under_the_locks() {
    let host = Host::new();
    let engine = ScriptedEngine::new(&host, "scripted-one");
    late(&host, &engine, || {
        assert_eq!(host.row("slow").unwrap()["status"], "starting", "the operation goes on");
        engine.catch_up();
    });
    assert_eq!(engine.objects(), [], "the start had failed");
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn r10_what_comes_even_later_is_still_ours() {
    let host = Host::new();
    let engine = ScriptedEngine::new(&host, "scripted-one");
    late(&host, &engine, || ());
    let uid = host.record("slow")["uid"].as_str().unwrap().to_owned();
    engine.catch_up();
    let [late] = engine.objects().try_into().unwrap();
    assert_eq!(late.uid, uid);
    assert!(host.list().iter().all(|row| row.get("orphan").is_none()), "it is no orphan");
    host.ok(&["start", "slow"]);
    assert_eq!(host.row("slow").unwrap()["status"], "running");
    let [object] = engine.objects().try_into().unwrap();
    assert_eq!((object.uid, object.state), (uid, State::Running));
    host.ok(&["rm", "slow"]);
    assert_eq!(engine.objects(), []);
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn r10_a_restart_deploys_again_only_once_what_missed_its_deadline_is_settled() {
    let setup = SideBySide::new();
    setup.one.order_once("deploy", Act::Late);
    setup.one.kill(&setup.object(), 1);
    eventually("it is deployed again, and too late", || setup.one.count("deploy") == 2);
    let (asked, removed) = (setup.one.count("list"), setup.one.count("remove"));
    eventually("it is looked for", || setup.one.count("list") > asked + 3);
    assert_eq!(setup.one.count("deploy"), 2, "there may be two of it");
    setup.one.catch_up();
    eventually("what came late is removed", || setup.one.count("remove") > removed);
    eventually("it is deployed anew", || setup.one.count("deploy") == 3);
    setup.assert_heals();
    assert_eq!(setup.object().state, State::Running);
}

#[test]
fn r10_a_stop_waits_for_what_a_restart_may_still_bring() {
    let setup = SideBySide::new();
    setup.one.order_once("deploy", Act::Late);
    setup.one.kill(&setup.object(), 1);
    eventually("it is deployed again, and too late", || setup.one.count("deploy") == 2);
    std::thread::scope(|scope| {
        let asked = setup.one.count("stop") + setup.one.count("list");
        let said = scope.spawn(|| setup.host.wharf(&["stop", "one"]));
        eventually("the command has asked", || setup.one.count("stop") + setup.one.count("list") > asked + 5);
        setup.one.catch_up();
        let said = said.join().unwrap();
        assert_eq!(said.code, 0, "{said:?}");
    });
    assert_eq!(setup.host.record("one")["status"], "stopped");
    assert_eq!(setup.one.named("one"), [], "what came late is nobody's");
}

#[test]
fn r10_a_stop_whose_deadline_passed_is_not_told_as_done_and_the_next_one_settles_it() {
    let setup = SideBySide::new();
    setup.one.order("stop", Act::Late);
    // A server on a pipe would end by itself once its input does; this one is past that.
    let said = setup.host.wharf(&["stop", "--timeout", "0", "one"]);
    assert_eq!(said.code, 7, "{said:?}");
    assert_ne!(setup.host.record("one")["status"], "stopped", "nobody knows that");
    setup.one.behave();
    setup.one.catch_up();
    setup.host.ok(&["stop", "one"]);
    assert_eq!(setup.host.record("one")["status"], "stopped");
    assert!(setup.one.named("one").iter().all(|object| object.state == State::Stopped));
    setup.assert_fresh(&["plain", "two"]);
}

#[test]
fn r10_one_listing_asks_each_runtime_and_endpoint_once() {
    let setup = SideBySide::new();
    for name in ["more", "and-more"] {
        setup.host.run(&["--runtime", "scripted-one", "--name", name, "sh"]);
    }
    let before = (setup.one.count("list"), setup.two.count("list"));
    setup.host.list();
    assert_eq!((setup.one.count("list"), setup.two.count("list")), (before.0 + 1, before.1 + 1));
    assert_eq!((setup.one.count("inspect"), setup.two.count("inspect")), (0, 0), "not row by row");
}

#[test]
fn r10_all_runtimes_are_asked_at_the_same_time() {
    let setup = SideBySide::new();
    // Each alone is in time; one after the other they would not be.
    setup.one.order("list", Act::Delay(4000));
    setup.two.order("list", Act::Delay(4000));
    let before = std::time::Instant::now();
    setup.assert_fresh(&["one", "plain", "two"]);
    assert!(before.elapsed().as_millis() < 8000, "one after the other");
}

#[test]
fn r10_doctor_waits_for_all_silent_runtimes_at_the_same_time() {
    /// How long the doctor waits for a runtime.
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
    let host = Host::new();
    let names = ["scripted-one", "scripted-two", "scripted-images", "scripted-full"];
    let engines = names.map(|name| ScriptedEngine::new(&host, name));
    engines.iter().for_each(|engine| engine.order("health", Act::Hang));
    let before = std::time::Instant::now();
    let told = host.ok(&["doctor"]);
    let took = before.elapsed();
    for (name, engine) in names.iter().zip(&engines) {
        assert!(told.contains(&format!("{name} is failed: it gave no answer within 10 s")), "{told}");
        assert_eq!(engine.count("health"), 1);
    }
    assert!(told.contains("process is healthy"), "{told}");
    // One after the other they would take four times as long; a busy machine may take two for the rest.
    assert!((PATIENCE..PATIENCE * 3).contains(&took), "{took:?}");
}

#[test]
fn r05_reading_writes_nothing_whatever_the_owners_say() {
    let setup = SideBySide::new();
    let before = records(&setup.host);
    for act in [Act::OtherUid, Act::Claim(State::Stopped), Act::Incomplete] {
        setup.one.order("list", act);
        for command in [&["list", "--all"][..], &["status", "one"], &["export", "one"], &["doctor"]] {
            setup.host.wharf(command);
            assert_eq!(records(&setup.host), before, "{command:?}");
        }
        setup.one.behave();
    }
}
