//! Whichever way a workload is created, it is the same workload: one function records its owner.
use super::rig::Served;
use serde_json::{Value, json};
use wharf_tests::host::{Host, demo_server};
use wharf_tests::mcp::McpClient;

/// A RunConfig without what is each creation's own.
fn comparable(mut config: Value) -> Value {
    let fields = config.as_object_mut().unwrap();
    for own in ["uid", "name", "port", "created_at"] {
        assert!(fields.remove(own).is_some(), "{own}");
    }
    config
}

#[test]
fn r01_a_workload_has_equal_records_whichever_way_it_is_created() {
    let host = Host::new();
    let served = Served::start(&host);
    let work = host.work().display().to_string();
    host.run(&[
        "--name",
        "by-cli",
        "--group",
        "tools",
        "-e",
        "LEVEL=debug",
        "-l",
        "team=a",
        "--auth",
        "bearer",
        "--memory",
        "512m",
        "--pids-limit",
        "64",
        "--restart",
        "on-failure",
        "--allow-weaker",
        "--allow-origin",
        "https://example.org",
        &demo_server(),
        "--",
        "--linger=0",
    ]);
    let created = served.post(
        "/workloads",
        &json!({
            "name": "by-rest", "group": "tools", "env_vars": { "LEVEL": "debug" }, "labels": { "team": "a" },
            "auth": "bearer", "memory_bytes": 512 * 1024 * 1024, "pids_limit": 64, "restart": "on-failure",
            "allow_weaker": true, "allowed_origins": ["https://example.org"], "server": demo_server(),
            "cmd_arguments": ["--linger=0"], "working_dir": work,
        }),
    );
    assert_eq!(created.status, 201, "{created:?}");
    let by_cli = comparable(host.run_config("by-cli"));
    assert_eq!(by_cli, comparable(host.run_config("by-rest")));
    assert!(by_cli["runtime_name"] == "process" && by_cli["runtime_instance"].is_string(), "{by_cli}");
    // The description that one way shows makes the same workload by the other.
    let mut described = served.get("/workloads/by-cli");
    described["name"] = json!("again");
    described["proxy_port"] = json!(0);
    assert_eq!(served.post("/workloads", &described).status, 201);
    assert_eq!(by_cli, comparable(host.run_config("again")));
    // A person agrees to what a model asks for.
    let mut client =
        McpClient::answering(&host, |_| json!({ "action": "accept", "content": { "approve": true } }));
    described["name"] = json!("by-mcp");
    let run = client.call("run_server", described);
    assert_eq!(run["structuredContent"]["name"], "by-mcp", "{run}");
    assert_eq!(by_cli, comparable(host.run_config("by-mcp")));
    let file = host.path("exported.json");
    let file = file.display().to_string();
    host.ok(&["export", "by-cli", "--output", &file]);
    host.run(&["--name", "by-file", "--from-config", &file]);
    assert_eq!(by_cli, comparable(host.run_config("by-file")));
    let fields =
        |name: &str| -> Vec<String> { host.record(name).as_object().unwrap().keys().cloned().collect() };
    for other in ["by-rest", "by-mcp", "by-file"] {
        assert_eq!(fields("by-cli"), fields(other), "{other}");
    }
}

#[test]
fn a_workload_has_equal_records_whichever_way_it_came_to_its_options() {
    let host = Host::new();
    let served = Served::start(&host);
    let work = host.work().display().to_string();
    let options = [
        "-e",
        "LEVEL=debug",
        "-l",
        "team=a",
        "--stop-timeout",
        "3",
        "--workdir",
        &work,
        "--memory",
        "512m",
        "--pids-limit",
        "64",
        "--allow-weaker",
    ];
    host.run(&[&["--name", "by-run"][..], &options, &[&demo_server()]].concat());
    for name in ["by-edit", "by-rest"] {
        host.run(&["--name", name, &demo_server()]);
    }
    host.ok(&[&["edit", "by-edit"][..], &options].concat());
    let mut described = served.get("/workloads/by-run");
    described["name"] = json!("by-rest");
    described["proxy_port"] = json!(0);
    let edited = served.post("/workloads/by-rest/edit", &described);
    assert_eq!(edited.status, 200, "{edited:?}");
    let by_run = comparable(host.run_config("by-run"));
    assert_eq!(by_run["stop_timeout_ms"], 3000, "{by_run}");
    assert_eq!(by_run, comparable(host.run_config("by-edit")));
    assert_eq!(by_run, comparable(host.run_config("by-rest")));
}

#[test]
fn a_command_created_by_the_api_does_not_run_in_the_working_directory_of_serve() {
    let host = Host::new();
    let served = Served::start(&host);
    assert_eq!(served.post("/workloads", &json!({ "name": "demo", "server": demo_server() })).status, 201);
    assert!(host.run_config("demo").get("working_dir").is_none(), "{}", host.run_config("demo"));
}
