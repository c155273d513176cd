//! A log that is followed while the access to its cluster changes.
use super::server::{Server, answer, list, ok};
use crate::{labels, logs::Source};
use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use wharf_sdk::LogOptions;

fn set() -> Value {
    let owner = json!({ labels::HOST_ID: "h", labels::UID: "u" });
    json!({ "kind": "StatefulSet", "apiVersion": "apps/v1",
        "metadata": { "name": "time-0af3", "uid": "s-1", "labels": owner, "annotations": owner },
        "spec": { "replicas": 1, "selector": {}, "serviceName": "time-0af3", "template": {} } })
}

fn pod() -> Value {
    let controller = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "time-0af3", "uid": "s-1",
        "controller": true });
    let container = json!({ "name": "server", "image": "i", "imageID": "i", "ready": true, "restartCount": 0,
        "containerID": "c-1", "state": { "running": {} } });
    json!({ "metadata": { "name": "time-0af3-0", "uid": "p-1", "ownerReferences": [controller] },
        "status": { "containerStatuses": [container] } })
}

#[tokio::test]
async fn a_log_goes_on_over_the_kubeconfig_that_was_written_anew() {
    let unauthorized = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "reason": "Unauthorized", "message": "Unauthorized", "code": 401, "metadata": {} });
    let server = Server::start(move |_, _| answer("401 Unauthorized", "", &unauthorized.to_string())).await;
    let set: StatefulSet = serde_json::from_value(self::set()).unwrap();
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let (connection, selector) = (server.connection.clone(), labels::of_workload("h", "u"));
    let cluster = server.cluster.clone();
    let source = Source { connection, cluster, set, selector, is_protocol: false, options };
    // Nothing is known of its pod, so that it is looked for first.
    let followed = source.open(&[]).await.unwrap();
    let began = Instant::now();
    while !server.cluster.refuses_credentials() {
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", server.requests());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!server.requests().is_empty(), "it was asked, and has answered with 401");
    server
        .replace(move |_, line| match line {
            line if line.contains("watch=") => String::new(),
            line if line.contains("/log?") => answer("200 OK", "", "2026-01-02T03:04:05.000000001Z one\n"),
            line if line.contains("/pods?") => list("PodList", &[self::pod()], ""),
            line if line.contains("/statefulsets?") => list("StatefulSetList", &[self::set()], ""),
            _ => ok(&json!({})),
        })
        .await;
    let (began, is_read) = (Instant::now(), || server.requests().iter().any(|line| line.contains("/log?")));
    while !is_read() {
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", server.requests());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(followed);
}
