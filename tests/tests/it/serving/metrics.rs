//! The metrics that the supervisors of workloads tell.
use super::rig::Served;
use serde_json::json;
use wharf_tests::client::Client;
use wharf_tests::host::{Host, demo_server, eventually, kill};

/// The value of a sample.
fn sample(served: &Served, name: &str) -> Option<f64> {
    let metrics = served.ask("GET", "/metrics", &[], "").body;
    let values = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    values.map(|value| value.parse().unwrap()).next()
}

#[test]
fn calls_through_a_proxy_are_counted_by_method_and_the_counts_outlive_its_supervisor() {
    const DURATION: &str = "mcp_server_operation_duration_seconds";
    let calls = format!("{DURATION}_count{{mcp_method_name=\"tools/call\"}}");
    let host = Host::new();
    let served = Served::start(&host);
    let url = host.run(&["--name", "demo", &demo_server()]);
    assert_eq!(sample(&served, &calls), None);
    let mut client = Client::open(&url).unwrap();
    for _ in 0..3 {
        assert_eq!(client.call_tool("add", json!({ "a": 2, "b": 3 })).unwrap(), "5");
    }
    assert_eq!(sample(&served, &calls), Some(3.0));
    let within = format!("{DURATION}_bucket{{mcp_method_name=\"tools/call\",le=\"+Inf\"}}");
    assert_eq!(sample(&served, &within), Some(3.0));
    let took = sample(&served, &format!("{DURATION}_sum{{mcp_method_name=\"tools/call\"}}"));
    assert!(took.is_some_and(|seconds| seconds > 0.0 && seconds < 300.0), "{took:?}");
    assert_eq!(sample(&served, &format!("{DURATION}_count{{mcp_method_name=\"initialize\"}}")), Some(1.0));
    assert!(client.request("made/up", json!({})).is_err());
    let metrics = served.ask("GET", "/metrics", &[], "").body;
    let is_other = metrics.contains("mcp_method_name=\"other\"") && !metrics.contains("made/up");
    assert!(is_other, "a method that a client makes up is no label: {metrics}");
    // Another supervisor begins at nothing.
    host.ok(&["restart", "demo"]);
    assert_eq!(sample(&served, &calls), Some(3.0));
    let mut client = Client::open(&url).unwrap();
    assert_eq!(client.call_tool("add", json!({ "a": 2, "b": 3 })).unwrap(), "5");
    assert_eq!(sample(&served, &calls), Some(4.0));
    host.ok(&["rm", "demo"]);
    assert_eq!(sample(&served, &calls), Some(4.0), "nobody is left to tell it");
}

#[test]
fn restarts_of_workloads_are_counted_by_runtime() {
    let restarts = "wharf_workload_restarts_total{runtime=\"process\"}";
    let host = Host::new();
    let served = Served::start(&host);
    let url = host.run(&["--name", "demo", &demo_server()]);
    assert_eq!(sample(&served, restarts), Some(0.0));
    kill(host.server("demo"), "KILL");
    eventually("its restart is counted", || sample(&served, restarts) == Some(1.0));
    eventually("it is served again", || Client::open(&url).is_ok());
    host.ok(&["stop", "demo"]);
    assert_eq!(sample(&served, restarts), Some(1.0));
}
