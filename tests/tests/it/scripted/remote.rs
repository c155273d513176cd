//! Remote workloads: they have no owner, and no plugin is ever asked about them.
use serde_json::{Value, json};
use wharf_tests::engine::{Object, SideBySide, State, records};

const UID: &str = "0123456789abcdef0123456789abcdef";

/// Adds the RunConfig of a remote server beside the three: like one of theirs, except for the fields that make it remote.
fn plant(setup: &SideBySide) {
    let mut config = setup.host.run_config("one");
    let fields = config.as_object_mut().unwrap();
    for field in ["runtime_name", "runtime_instance", "runtime_endpoint", "server", "port"] {
        fields.remove(field);
    }
    fields.insert("name".to_owned(), json!("far"));
    fields.insert("uid".to_owned(), json!(UID));
    fields.insert("remote_url".to_owned(), json!("https://mcp.example.com/mcp"));
    setup.host.write_run_config("far", &config);
}

/// Whether any plugin was asked about it.
fn is_known_to_plugins(setup: &SideBySide) -> bool {
    ["instance", "inspect", "stop", "remove", "start", "deploy", "recover"].iter().any(|operation| {
        [&setup.one, &setup.two].iter().any(|it| it.asked(operation).contains(&UID.to_owned()))
    })
}

#[test]
fn r03_a_remote_workload_is_never_dispatched_to_a_plugin() {
    let setup = SideBySide::new();
    plant(&setup);
    let before = records(&setup.host);
    let row = setup.host.row("far").unwrap();
    assert!(row.get("stale").is_none(), "no owner is missing: {row}");
    setup.host.wharf(&["status", "far"]);
    setup.host.wharf(&["doctor"]);
    assert!(!is_known_to_plugins(&setup));
    assert_eq!(records(&setup.host), before);
    setup.assert_fresh(&["one", "plain", "two"]);
}

#[test]
fn r03_what_a_runtime_has_with_the_uid_of_a_remote_workload_says_nothing_about_it() {
    let setup = SideBySide::new();
    plant(&setup);
    let shown = setup.host.row("far").unwrap()["status"].clone();
    setup.one.put(&Object {
        id: "far".to_owned(),
        uid: UID.to_owned(),
        state: State::Running,
        ..setup.object()
    });
    let before = records(&setup.host);
    assert_eq!(setup.host.row("far").unwrap()["status"], shown);
    let said: Vec<Value> = serde_json::from_str(&setup.host.ok(&["reconcile", "--format", "json"])).unwrap();
    let far = said.iter().find(|it| it["name"] == "far").unwrap();
    assert_eq!(far["result"], "left_alone", "{far}");
    assert_eq!(records(&setup.host), before);
    assert!(!is_known_to_plugins(&setup));
}

#[test]
fn r03_a_remote_workload_is_given_no_owner() {
    let setup = SideBySide::new();
    plant(&setup);
    setup.one.put(&Object {
        id: "far".to_owned(),
        uid: UID.to_owned(),
        state: State::Running,
        ..setup.object()
    });
    let before = records(&setup.host);
    for args in [&["adopt", "far"][..], &["adopt", "far", "--runtime", "scripted-one"]] {
        let said = setup.host.wharf(args);
        assert!(said.code == 4 && said.stderr.contains("remote"), "{said:?}");
    }
    assert_eq!(records(&setup.host), before);
}
