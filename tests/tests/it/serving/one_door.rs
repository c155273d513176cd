//! Whichever way a workload is created, it is the same workload: one function stamps its owner.
use super::rig::Served;
use serde_json::{Value, json};
use wharf_tests::host::{Host, demo_server};

/// A RunConfig without what is each creation's own.
fn comparable(mut config: Value) -> Value {
    let fields = config.as_object_mut().unwrap();
    for own in ["uid", "name", "port", "created_at"] {
        assert!(fields.remove(own).is_some(), "{own}");
    }
    config
}

#[test]
fn r01_a_workload_of_the_command_line_and_one_of_the_api_have_equal_records() {
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
    let fields =
        |name: &str| -> Vec<String> { host.record(name).as_object().unwrap().keys().cloned().collect() };
    assert_eq!(fields("by-cli"), fields("by-rest"));
}

#[test]
fn a_command_of_the_api_runs_in_no_folder_of_the_server() {
    let host = Host::new();
    let served = Served::start(&host);
    assert_eq!(served.post("/workloads", &json!({ "name": "demo", "server": demo_server() })).status, 201);
    assert!(host.run_config("demo").get("working_dir").is_none(), "{}", host.run_config("demo"));
}
