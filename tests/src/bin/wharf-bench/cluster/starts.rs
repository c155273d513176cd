//! `wharf run` until the server answers, beside `kubectl apply` of what it made and `kubectl wait` for the pod.
use super::{NAME, PORT, STDIO, Server, Side, bare};
use crate::{Result, milliseconds};
use serde::Serialize;
use serde_json::{Value, json, to_value};
use std::time::{Duration, Instant};
use wharf_tests::cluster::{Cluster, Namespace};

const STARTS: usize = 7;

#[derive(Serialize)]
struct Row {
    over: &'static str,
    /// From the start of `wharf run` to its end, when the server has answered through the proxy.
    wharf_run_ms: f64,
    /// From the start of `kubectl apply` to the end of `kubectl wait`.
    kubectl_ms: f64,
    ratio: f64,
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(super) fn measure(cluster: &Cluster) -> Result<Value> {
    let (side, by_hand) = (Side::of(cluster, "starts")?, cluster.namespace("by-hand"));
    println!("A pod until it answers (wharf) or is ready (kubectl), medians of {STARTS} in turns, in ms");
    println!("over   wharf run  apply and wait   more  ratio");
    let mut rows = Vec::new();
    for server in [STDIO, PORT] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let manifests = manifests(&side, server)?;
        for _ in 0..STARTS {
            let began = Instant::now();
            side.run(NAME, server, &[]);
            ours.push(began.elapsed());
            side.remove();
            theirs.push(applied(&by_hand, &manifests));
        }
        let (over, wharf_run_ms, kubectl_ms) = (server.over, milliseconds(&ours), milliseconds(&theirs));
        let (more, ratio) = (wharf_run_ms - kubectl_ms, wharf_run_ms / kubectl_ms);
        println!("{over:<6} {wharf_run_ms:>9.0} {kubectl_ms:>15.0} {more:>6.0} {ratio:>6.2}");
        rows.push(Row { over, wharf_run_ms, kubectl_ms, ratio });
    }
    Ok(to_value(rows)?)
}

/// The objects that wharf makes for this very server, scaled to one pod.
fn manifests(side: &Side<'_>, server: Server) -> Result<Value> {
    side.run(NAME, server, &[]);
    let made = side.namespace.kubectl(&["get", "statefulsets,secrets,services", "--output", "json"]);
    side.remove();
    let mut manifests = bare(serde_json::from_str(&made)?);
    for object in manifests["items"].as_array_mut().into_iter().flatten() {
        if object["kind"] == "StatefulSet" {
            object["spec"]["replicas"] = json!(1);
        }
    }
    Ok(manifests)
}

fn applied(namespace: &Namespace<'_>, manifests: &Value) -> Duration {
    let began = Instant::now();
    namespace.apply(&manifests.to_string());
    let wait = ["wait", "statefulsets", "--all", "--timeout=60s", "--for=jsonpath={.status.readyReplicas}=1"];
    namespace.kubectl(&wait);
    let took = began.elapsed();
    namespace.kubectl(&["delete", "statefulsets,secrets,services", "--all", "--cascade=foreground"]);
    namespace.kubectl(&["delete", "pods", "--all", "--grace-period=1"]);
    took
}
