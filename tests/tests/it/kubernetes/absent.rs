//! An API server that is gone or silent gives no evidence, so wharf draws no conclusion.
use super::{answers, host, run};
use crate::containers::{add, digest, is_running_and_fresh};
use serde_json::json;
use std::time::{Duration, Instant};
use wharf_tests::cluster::{Alone, Cluster, Part};
use wharf_tests::host::{Host, demo_server, eventually};

/// A host with a pod and a plain process.
fn beside(cluster: &Alone, host: &Host) -> String {
    let url = run(host, cluster, "in-pod", &[]);
    host.run(&["--name", "plain", &demo_server()]);
    url
}

fn assert_stale(host: &Host, namespace: &str) {
    let row = host.row("in-pod").unwrap();
    assert_eq!((&row["status"], &row["stale"]), (&json!("running"), &json!(true)), "{row}");
    assert!(row["stale_reason"].as_str().unwrap().contains(namespace), "its place is told: {row}");
    assert!(is_running_and_fresh(host, "plain"));
}

#[test]
fn r04_an_api_server_that_is_gone_makes_its_rows_stale_and_heals_them_when_it_is_back() {
    let Some(cluster) = Cluster::alone() else { return };
    let namespace = cluster.namespace("gone");
    let host = host(&cluster, &namespace);
    let url = beside(&cluster, &host);
    let before = digest(&host, "in-pod");
    cluster.kill(Part::ApiServer);
    assert_stale(&host, namespace.name());
    for command in ["stop", "rm", "restart", "logs"] {
        let said = host.wharf(&[command, "in-pod"]);
        assert_eq!(said.code, 5, "{command}: {said:?}");
    }
    let reconciled = host.wharf(&["reconcile"]);
    assert_eq!(reconciled.code, 5, "an owner could not be asked: {reconciled:?}");
    assert_eq!(digest(&host, "in-pod"), before, "no byte has changed");
    cluster.start(Part::ApiServer);
    eventually("it is running again", || is_running_and_fresh(&host, "in-pod") && answers(&url));
    assert_eq!(add(&url), "5");
    host.ok(&["rm", "in-pod"]);
}

#[test]
fn r10_an_api_server_that_is_silent_costs_its_own_rows_alone_their_freshness() {
    let Some(cluster) = Cluster::alone() else { return };
    let namespace = cluster.namespace("silent");
    let host = host(&cluster, &namespace);
    let url = beside(&cluster, &host);
    let before = digest(&host, "in-pod");
    cluster.freeze(Part::ApiServer);
    let began = Instant::now();
    assert_stale(&host, namespace.name());
    // Two listings, each within its deadline.
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(digest(&host, "in-pod"), before, "no byte has changed");
    cluster.thaw(Part::ApiServer);
    eventually("it answers again", || is_running_and_fresh(&host, "in-pod") && answers(&url));
    assert_eq!(add(&url), "5");
    host.ok(&["rm", "in-pod"]);
}
