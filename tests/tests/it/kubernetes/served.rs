//! Servers that speak HTTP in pods: they are reached through the API server alone.
use super::{answers, field, host, objects, pod_uid, run};
use crate::containers::{add, is_running_and_fresh};
use serde_json::json;
use std::time::Duration;
use wharf_tests::client::Client;
use wharf_tests::cluster::{Cluster, Part};
use wharf_tests::host::{eventually, has_tool};
use wharf_tests::images::Image;
use wharf_tests::inspector::call;

const HTTP: [&str; 2] = ["--transport", "streamable-http"];

#[test]
fn a_server_with_a_port_is_served_and_outlives_its_supervisor() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("port");
    let host = host(&cluster, &namespace);
    let url = run(&host, &cluster, "web", &HTTP);
    assert_eq!(add(&url), "5");
    // More than all buffers on the way hold, both ways; and several at once.
    let text = "0123456789abcdef".repeat(100 * 1024);
    let mut client = Client::open(&url).unwrap();
    assert!(client.call_tool("echo", json!({ "message": text })).unwrap() == text, "it comes back changed");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!((0..10).all(|_| add(&url) == "5")));
        }
    });
    let pod = pod_uid(&namespace);
    let supervisor = i32::try_from(host.record("web")["process_id"].as_i64().unwrap()).unwrap();
    host.kill_own(supervisor);
    eventually("its supervisor is gone", || host.row("web").unwrap()["status"] == "unhealthy");
    host.ok(&["start", "web"]);
    assert_eq!((add(&url), pod_uid(&namespace)), ("5".to_owned(), pod), "it is the same pod");
    host.ok(&["stop", "web"]);
    assert!(Client::open(&url).is_err() && field(&namespace, "pods", ".metadata.name").is_empty());
    host.ok(&["start", "web"]);
    assert_eq!(add(&url), "5");
    let first = pod_uid(&namespace);
    namespace.kubectl(&["delete", "pods", "--all", "--wait=false", "--grace-period=1"]);
    eventually("another pod is served", || {
        let now = pod_uid(&namespace);
        now.len() == first.len() && now != first && answers(&url)
    });
    eventually("it is running", || is_running_and_fresh(&host, "web"));
    assert_eq!(add(&url), "5");
    host.ok(&["rm", "web"]);
    // The first pod may still be at its end on the node; then the cluster removes the rest after the StatefulSet.
    eventually("nothing is left", || objects(&namespace).is_empty());
}

#[test]
fn a_server_with_a_port_goes_on_when_the_api_server_is_back() {
    let Some(cluster) = Cluster::alone() else { return };
    let namespace = cluster.namespace("port-outage");
    let host = host(&cluster, &namespace);
    let url = run(&host, &cluster, "web", &HTTP);
    let (mut client, pod) = (Client::open(&url).unwrap(), pod_uid(&namespace));
    let mut sum = || client.call_tool("add", json!({ "a": 2, "b": 3 }));
    assert_eq!(sum().unwrap(), "5");
    cluster.kill(Part::ApiServer);
    assert!(sum().is_err(), "nobody is reached without it");
    cluster.start(Part::ApiServer);
    eventually("the same session goes on", || sum().is_ok_and(|sum| sum == "5"));
    assert_eq!(pod_uid(&namespace), pod, "it is the same pod");
    host.ok(&["rm", "web"]);
}

#[test]
fn a_server_on_stdin_and_stdout_is_restarted_once_where_its_end_is_told_late() {
    let Some(cluster) = Cluster::alone() else { return };
    let namespace = cluster.namespace("late-word");
    let host = host(&cluster, &namespace);
    let urls = ["one", "two", "three"].map(|name| run(&host, &cluster, name, &[]));
    // The end of the connection ends the input of each; their node cannot tell that to anybody, and starts each again.
    cluster.kill(Part::ApiServer);
    std::thread::sleep(Duration::from_secs(4));
    cluster.start(Part::ApiServer);
    for url in &urls {
        eventually("it is called again", || answers(url));
    }
    // Until the node has told of the ends, and for longer than its pause before the next start.
    std::thread::sleep(Duration::from_secs(15));
    let restarts = field(&namespace, "pods", ".status.containerStatuses[*].restartCount");
    assert!(restarts.split_whitespace().all(|count| ["0", "1"].contains(&count)), "{restarts}");
    for url in &urls {
        assert!(answers(url));
    }
    host.ok(&["rm", "--all"]);
}

#[test]
fn servers_of_ours_and_of_node_are_called_by_the_official_client_over_stdio_and_http() {
    if !has_tool("inspector", "mcp-inspector") {
        return;
    }
    let Some(node) = Image::of_node() else { return };
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("official");
    let host = host(&cluster, &namespace);
    cluster.load(&node);
    let pod = ["--runtime", "kubernetes", "--pull", "never"];
    let ways: [(&str, &[&str]); 2] = [("ours-stdio", &[]), ("ours-http", &HTTP)];
    for (name, more) in ways {
        let url = run(&host, &cluster, name, more);
        assert_eq!(call(&url, "add", &["a=2", "b=3"])["content"][0]["text"], "5", "{name}");
    }
    let http = [&HTTP[..], &["--name", "node-http", node.name(), "--", "streamableHttp"]].concat();
    for args in [vec!["--name", "node-stdio", node.name()], http] {
        let url = host.run(&[&pod[..], &args[..]].concat());
        let said = call(&url, "echo", &["message=hello"]);
        assert_eq!(said["content"][0]["text"], "Echo: hello", "{args:?}: {said}");
    }
    assert!(host.list().iter().all(|row| row["status"] == "running" && row["stale"] != true));
    host.ok(&["rm", "--all"]);
    assert_eq!(objects(&namespace), Vec::<String>::new());
}
