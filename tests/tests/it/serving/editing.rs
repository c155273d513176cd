//! An edit over REST: the same as the command line's.
use super::rig::{Served, problem};
use serde_json::{Value, json};
use wharf_tests::host::{Host, demo_server, eventually};

#[test]
fn a_workload_becomes_what_is_described_or_stays_as_it_was() {
    let host = Host::new();
    let served = Served::start(&host);
    let created = served
        .post("/workloads", &json!({ "name": "demo", "server": demo_server(), "env_vars": { "A": "b" } }));
    assert_eq!(created.status, 201, "{created:?}");
    let created: Value = serde_json::from_str(&created.body).unwrap();
    let mut described = served.get("/workloads/demo");
    described["env_vars"] = json!({ "A": "c" });
    described["group"] = json!("tools");
    let edited = served.post("/workloads/demo/edit", &described);
    assert_eq!(edited.status, 200, "{edited:?}");
    let edited: Value = serde_json::from_str(&edited.body).unwrap();
    // As ToolHive answers, and the URL of before.
    assert_eq!(edited, created);
    let config = host.run_config("demo");
    assert_eq!((&config["env_vars"], &config["group"]), (&json!({ "A": "c" }), &json!("tools")));
    for (status, path, body) in [
        (404, "/workloads/nobody/edit", json!({ "server": demo_server() })),
        (400, "/workloads/demo/edit", json!({ "server": demo_server(), "name": "other" })),
        (400, "/workloads/demo/edit", json!({ "server": demo_server(), "auth": "none" })),
        (400, "/workloads/demo/edit", json!({ "server": demo_server(), "runtime": "docker" })),
        (400, "/workloads/demo/edit", json!({})),
        (400, "/workloads/demo/edit", json!({ "server": demo_server(), "surprise": 1 })),
    ] {
        problem(&served.post(path, &body), status);
    }
    assert_eq!(host.run_config("demo"), config);
    let broken = host.script("broken", "exit 3");
    let failed = served.post("/workloads/demo/edit", &json!({ "server": broken }));
    let error = problem(&failed, 502);
    assert!(error["detail"].as_str().unwrap().contains("is undone, and it runs as before"), "{error}");
    assert_eq!(host.run_config("demo"), config);
    assert_eq!(host.row("demo").unwrap()["status"], "running");
}

#[test]
fn an_edit_that_is_cancelled_is_undone() {
    let host = Host::new();
    let served = Served::start(&host);
    served.post("/workloads", &json!({ "name": "demo", "server": demo_server() }));
    let config = host.run_config("demo");
    let slow = host.script("slow", "sleep 1000");
    let under_way = served.post("/workloads/demo/edit?wait=false", &json!({ "server": slow }));
    assert_eq!(under_way.status, 202, "{under_way:?}");
    eventually("it is tried", || {
        host.run_config("demo").get("previous").is_some() && host.record("demo")["status"] == "starting"
    });
    let place = under_way.header("location").unwrap().to_owned();
    assert_eq!(served.ask("DELETE", &place, &[], "").status, 202);
    assert_eq!(served.ended(&under_way)["state"], "cancelled");
    assert_eq!(host.run_config("demo"), config);
    assert_eq!(host.row("demo").unwrap()["status"], "running");
}
