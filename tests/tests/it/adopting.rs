//! `adopt`: owners are found by proof, or named by hand.
use serde_json::{Value, json};
use std::{fs, io::Write};
use wharf_tests::client::Client;
use wharf_tests::host::{Host, demo_server};

fn config(host: &Host, name: &str) -> Value {
    serde_json::from_slice(&fs::read(host.path(&format!("state/runconfigs/{name}.json"))).unwrap()).unwrap()
}

fn change(host: &Host, name: &str, change: impl FnOnce(&mut Value)) {
    let mut config = config(host, name);
    change(&mut config);
    let path = host.path(&format!("state/runconfigs/{name}.json"));
    let mut file = fs::OpenOptions::new().write(true).truncate(true).open(path).unwrap();
    file.write_all(config.to_string().as_bytes()).unwrap();
}

#[test]
fn r07_a_workload_that_one_runtime_alone_shows_is_adopted_and_nothing_else_in_its_file_changes() {
    for nothing in [None, Some(json!("")), Some(json!("  ")), Some(json!(7))] {
        let host = Host::new();
        let url = host.run(&["--name", "web", "--transport", "streamable-http", &demo_server()]);
        change(&host, "web", |config| config["of_a_later_version"] = json!([1, 2]));
        let before = config(&host, "web");
        change(&host, "web", |config| {
            let fields = config.as_object_mut().unwrap();
            for key in ["runtime_name", "runtime_instance", "runtime_endpoint"] {
                fields.remove(key);
            }
            fields.extend(nothing.clone().map(|nothing| ("runtime_name".to_owned(), nothing)));
        });
        let row = host.row("web").unwrap();
        assert_eq!(row["status"], "unknown", "{row}");
        assert!(row["status_context"].as_str().unwrap().contains("owner unknown"), "{row}");
        assert_eq!(host.wharf(&["stop", "web"]).code, 5);
        host.ok(&["adopt", "web"]);
        assert_eq!(config(&host, "web"), before);
        assert_eq!(host.row("web").unwrap()["status"], "running");
        assert!(Client::open(&url).is_ok());
    }
}

#[test]
fn r07_what_no_runtime_shows_is_not_adopted_on_proof_and_can_be_by_hand() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let owned = config(&host, "demo");
    host.ok(&["rm", "demo"]);
    let path = host.path("state/runconfigs/demo.json");
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path).unwrap();
    file.write_all(owned.to_string().as_bytes()).unwrap();
    change(&host, "demo", |config| config["runtime_name"] = json!(""));
    let said = host.wharf(&["adopt", "demo"]);
    assert!(said.code == 3 && said.stderr.contains("no runtime has anything of it"), "{said:?}");
    assert_eq!(config(&host, "demo")["runtime_name"], "");
    host.ok(&["adopt", "demo", "--runtime", "process"]);
    assert_eq!(config(&host, "demo"), owned);
}

#[test]
fn r07_an_owner_moves_to_another_instance_only_when_both_were_shown() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let before = config(&host, "demo");
    change(&host, "demo", |config| config["runtime_instance"] = json!("the engine before"));
    assert_eq!(host.wharf(&["stop", "demo"]).code, 5);
    let said = host.wharf(&["adopt", "demo", "--runtime", "process"]);
    let instance = before["runtime_instance"].as_str().unwrap();
    assert!(said.code == 4, "{said:?}");
    assert!(said.stderr.contains("the engine before") && said.stderr.contains(instance), "{said:?}");
    assert_eq!(config(&host, "demo")["runtime_instance"], "the engine before");
    let text = host.ok(&["adopt", "demo", "--runtime", "process", "--rebind", "--format", "json"]);
    let adopted: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(adopted["previous_instance"], "the engine before");
    assert_eq!(config(&host, "demo"), before);
    assert_eq!(host.row("demo").unwrap()["status"], "running");
}
