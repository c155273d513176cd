//! The main job over REST.
use super::rig::{Served, problem};
use serde_json::json;
use wharf_tests::client::Client;
use wharf_tests::host::{Host, demo_server};

#[test]
fn a_server_is_created_called_stopped_started_and_removed() {
    let host = Host::new();
    let served = Served::start(&host);
    assert_eq!(served.get("/workloads"), json!({ "workloads": [] }));
    let created = served.post("/workloads", &json!({ "name": "demo", "server": demo_server() }));
    assert_eq!(created.status, 201, "{created:?}");
    let body: serde_json::Value = serde_json::from_str(&created.body).unwrap();
    assert_eq!((&body["name"], body["port"].is_u64()), (&json!("demo"), true));
    let url = body["url"].as_str().unwrap().to_owned();
    assert_eq!(served.ended(&created)["state"], "done");
    // The same object as the command line's.
    assert_eq!(served.get("/workloads")["workloads"], json!(host.list()));
    assert_eq!(served.get("/workloads/demo/url")["url"], url.as_str());
    let mut client = Client::open(&url).unwrap();
    assert_eq!(client.call_tool("add", json!({ "a": 2, "b": 3 })).unwrap(), "5");
    let status = served.get("/workloads/demo/status");
    assert_eq!(
        (&status["status"], &status["report"]["workload"]["name"]),
        (&json!("running"), &json!("demo"))
    );
    assert!(!status.to_string().contains(url.rsplit('/').nth(1).unwrap()), "it holds no secret");
    assert_eq!(served.get("/workloads/demo")["server"], demo_server());
    assert_eq!(served.get("/workloads/demo/export"), host.run_config("demo"));
    let metrics = served.ask("GET", "/metrics", &[], "").body;
    let counted = "wharf_plugin_calls_total{runtime=\"process\",operation=\"list\",outcome=\"done\"}";
    assert!(metrics.contains(counted), "{metrics}");

    let stopped = served.post("/workloads/demo/stop?wait=true", &json!({}));
    assert_eq!(stopped.status, 200, "{stopped:?}");
    let operation: serde_json::Value = serde_json::from_str(&stopped.body).unwrap();
    assert_eq!((&operation["state"], &operation["outcome"]["result"]), (&json!("done"), &json!("stopped")));
    assert_eq!(served.get("/workloads")["workloads"], json!([]));
    assert_eq!(served.get("/workloads?all=true")["workloads"][0]["status"], "stopped");

    // As ToolHive answers, and the operation beside it.
    let started = served.post("/workloads/demo/start", &json!({}));
    assert_eq!((started.status, started.body.as_str()), (202, ""));
    assert_eq!(served.ended(&started)["outcome"]["url"], url.as_str());
    let restarted = served.ask("POST", "/api/v1beta/workloads/demo/restart", &[], "");
    assert_eq!(served.ended(&restarted)["state"], "done");
    let log = served.ask("GET", "/api/v1beta/workloads/demo/proxy-logs?tail=1", &[], "");
    assert_eq!((log.status, log.body.lines().count()), (200, 1), "{log:?}");
    let log = served.ask("GET", "/api/v1beta/workloads/demo/logs", &[], "");
    assert_eq!((log.status, log.header("content-type")), (200, Some("text/plain; charset=utf-8")));

    let removed = served.ask("DELETE", "/api/v1beta/workloads/demo", &[], "");
    assert_eq!((removed.status, &served.ended(&removed)["outcome"]["result"]), (202, &json!("removed")));
    assert_eq!(host.leftovers(), Vec::<String>::new());
    problem(&served.ask("GET", "/api/v1beta/workloads/demo", &[], ""), 404);
}

#[test]
fn what_a_request_asks_for_in_vain_is_the_requests_fault_and_it_is_told_what_to_do() {
    let host = Host::new();
    let served = Served::start(&host);
    for (asked, told) in [
        (json!({ "secrets": [{ "name": "nobodys", "target": "X" }] }), "'nobodys' cannot be read"),
        (json!({ "host": "192.0.2.1", "auth": "bearer" }), "does not have that address"),
        (json!({ "user": "1000" }), "has no 'user'"),
        (json!({ "labels": { "": "x" } }), "a label has a key"),
    ] {
        let mut body = json!({ "name": "demo", "server": demo_server(), "runtime": "process" });
        body.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
        let error = problem(&served.post("/workloads", &body), 400);
        assert_eq!((&error["kind"], &error["exit_code"]), (&json!("usage"), &json!(2)), "{error}");
        assert!(error["detail"].as_str().unwrap().contains(told), "{error}");
    }
    assert!(host.list().is_empty());
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn an_error_of_the_api_is_a_problem_document_with_kind_and_advice() {
    let host = Host::new();
    let served = Served::start(&host);
    let error = problem(&served.ask("GET", "/api/v1beta/workloads/nobody/status", &[], ""), 404);
    assert_eq!((&error["kind"], &error["exit_code"]), (&json!("not_found"), &json!(3)));
    assert_eq!(error["links"][0]["href"], "/api/v1beta/workloads?all=true");
    for (status, path, body) in [
        (400, "/workloads", json!({})),
        (400, "/workloads", json!({ "server": "./x" })),
        (400, "/workloads", json!({ "server": "x", "surprise": true })),
        (400, "/workloads", json!({ "server": "x", "network_isolation": true })),
        (400, "/workloads", json!({ "server": "x", "name": "../x" })),
        (400, "/workloads", json!([])),
        (400, "/workloads/..%2Fx/stop", json!({})),
        (404, "/workloads/nobody/stop", json!({})),
        (400, "/workloads/nobody/stop?timeout=-1", json!({})),
        (400, "/workloads/nobody/stop?wait=perhaps", json!({})),
        (400, "/workloads/stop", json!({ "names": ["one"], "group": "tools" })),
        (404, "/workloads/stop", json!({ "group": "nobodys" })),
        (404, "/nothing", json!({})),
        (405, "/version", json!({})),
    ] {
        let error = problem(&served.post(path, &body), status);
        assert!(error["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{error}");
    }
    let failed = served.post("/workloads", &json!({ "name": "false", "server": "/bin/false" }));
    let error = problem(&failed, 502);
    assert_eq!(error["kind"], "runtime", "{error}");
    assert_eq!(served.ended(&failed)["error"]["kind"], "runtime");
    assert_eq!(host.leftovers(), Vec::<String>::new());
    let large = format!("{{\"server\": \"{}\"}}", "x".repeat(1024 * 1024));
    let json = [("Content-Type", "application/json")];
    problem(&served.ask("POST", "/api/v1beta/workloads", &json, &large), 413);
    assert!(
        served.get("/operations")["operations"].as_array().unwrap().len() == 1,
        "the others began nothing"
    );
}

#[test]
fn several_are_stopped_and_removed_each_with_its_report() {
    let host = Host::new();
    let served = Served::start(&host);
    for name in ["one", "two"] {
        let request = json!({ "name": name, "server": demo_server(), "group": "tools" });
        assert_eq!(served.post("/workloads", &request).status, 201);
    }
    let stopped = served.post("/workloads/stop?wait=true", &json!({ "names": ["one", "nobody"] }));
    let operation: serde_json::Value = serde_json::from_str(&stopped.body).unwrap();
    assert_eq!(operation["outcome"][1], json!({ "name": "one", "result": "stopped" }));
    assert_eq!(operation["outcome"][0]["error"]["kind"], "not_found");
    let removed = served.post("/workloads/delete?wait=true", &json!({ "group": "tools" }));
    assert_eq!(removed.status, 200, "{removed:?}");
    assert_eq!(served.get("/workloads?all=true"), json!({ "workloads": [] }));
}

#[test]
fn the_api_tells_its_version_its_runtimes_and_itself() {
    let host = Host::new();
    let served = Served::start(&host);
    assert!(served.get("/version")["version"].is_string());
    let runtimes = served.get("/runtimes");
    assert_eq!(runtimes["runtimes"][0]["name"], "process", "{runtimes}");
    assert_eq!(served.get("/runtimes/process")["name"], "process");
    for path in ["/health", "/health/live", "/health/ready"] {
        assert_eq!(served.ask("GET", path, &[], "").status, 204, "{path}");
    }
    let _ = served.get("/workloads?all=true");
    let metrics = served.ask("GET", "/metrics", &[], "").body;
    assert!(metrics.contains("# TYPE wharf_plugin_calls_total counter"), "{metrics}");
    let document = served.ask("GET", "/api/openapi.json", &[], "").body;
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let printed: serde_json::Value = serde_json::from_str(&host.ok(&["serve", "--openapi"])).unwrap();
    assert_eq!(printed, document);
}

#[test]
fn a_group_is_made_used_and_removed_with_its_workloads_or_without() {
    let host = Host::new();
    let served = Served::start(&host);
    let made = served.post("/groups", &json!({ "name": "tools" }));
    assert_eq!((made.status, made.body.as_str()), (201, "{\"name\":\"tools\"}"), "{made:?}");
    problem(&served.post("/groups", &json!({ "name": "tools" })), 409);
    problem(&served.post("/groups", &json!({ "name": "../x" })), 400);
    assert_eq!(served.get("/groups")["groups"].as_array().unwrap().len(), 2);
    let run = |name: &str| {
        served.post("/workloads", &json!({ "name": name, "server": demo_server(), "group": "tools" }))
    };
    assert_eq!(run("one").status, 201);
    let remove = |path: &str| served.ask("DELETE", &format!("/api/v1beta/groups/{path}"), &[], "");
    problem(&remove("default"), 400);
    problem(&remove("nobodys"), 404);
    assert_eq!(remove("tools").status, 204);
    assert_eq!(
        (&host.run_config("one")["group"], &host.row("one").unwrap()["status"]),
        (&json!("default"), &json!("running"))
    );
    problem(&served.ask("GET", "/api/v1beta/groups/tools", &[], ""), 404);
    assert_eq!(run("two").status, 201);
    assert_eq!(remove("tools?with-workloads=true").status, 204);
    assert!(host.row("two").is_none() && host.row("one").is_some());
}
