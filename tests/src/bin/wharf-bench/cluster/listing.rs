//! The requests of one list of a hundred workloads to the cluster, and its time compared with `kubectl get`.
use super::{NAME, STDIO, Side, bare};
use crate::{Result, milliseconds};
use serde::Serialize;
use serde_json::{Value, json, to_value};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use wharf_tests::cluster::Cluster;

const WORKLOADS: usize = 100;
const ROUNDS: usize = 9;

#[derive(Serialize)]
struct Report {
    workloads: usize,
    /// The requests of one list, as the API server counts them, by verb and resource.
    requests: BTreeMap<String, u64>,
    /// The same of `kubectl get` of the StatefulSets and the pods.
    kubectl_requests: BTreeMap<String, u64>,
    /// How often one list asks for each time that `kubectl get` does.
    requests_ratio: f64,
    wharf_list_ms: f64,
    kubectl_get_ms: f64,
    ratio: f64,
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub(super) fn measure(cluster: &Cluster) -> Result<Value> {
    let side = Side::of(cluster, "list")?;
    side.run(NAME, STDIO, &[]);
    side.host.ok(&["stop", "--timeout", "0", NAME]);
    multiply(&side)?;
    let (mut list, mut get) = (Vec::new(), Vec::new());
    let (mut requests, mut kubectl_requests) = (None, None);
    for _ in 0..ROUNDS {
        let mut command = side.host.command(&["list", "--all"]);
        list.push(counted(cluster, &mut command, &mut requests)?);
        let mut command = side.namespace.command(&["get", "statefulsets,pods"]);
        get.push(counted(cluster, &mut command, &mut kubectl_requests)?);
    }
    let rows = side.host.list();
    if rows.len() != WORKLOADS || rows.iter().any(|row| row["stale"] == true) {
        return Err(format!("{} rows, or stale ones", rows.len()).into());
    }
    let (requests, kubectl_requests) = (requests.unwrap_or_default(), kubectl_requests.unwrap_or_default());
    let (wharf_list_ms, kubectl_get_ms) = (milliseconds(&list), milliseconds(&get));
    let report = Report {
        workloads: WORKLOADS,
        requests_ratio: total(&requests) / total(&kubectl_requests),
        requests,
        kubectl_requests,
        wharf_list_ms,
        kubectl_get_ms,
        ratio: wharf_list_ms / kubectl_get_ms,
    };
    println!("A list of {WORKLOADS} workloads, medians of {ROUNDS} in turns, in ms");
    println!("wharf list --all {:>9.1}\nkubectl get {:>14.1}", report.wharf_list_ms, report.kubectl_get_ms);
    println!("ratio {:>20.2}", report.ratio);
    println!("one list asks: {:?}, kubectl get: {:?}", report.requests, report.kubectl_requests);
    side.namespace.kubectl(&["delete", "statefulsets", "--all", "--wait=false"]);
    Ok(to_value(report)?)
}

/// Runs a command; keeps the least number of requests that any such run made: others make requests, too.
fn counted(
    cluster: &Cluster,
    command: &mut Command,
    least: &mut Option<BTreeMap<String, u64>>,
) -> Result<Duration> {
    let before = asked(cluster)?;
    let took = took(command)?;
    let mut more = asked(cluster)?;
    more.retain(|what, count| {
        *count -= before.get(what).copied().unwrap_or_default();
        *count > 0
    });
    if least.as_ref().is_none_or(|least| total(&more) < total(least)) {
        *least = Some(more);
    }
    Ok(took)
}

fn total(requests: &BTreeMap<String, u64>) -> f64 {
    requests.values().sum::<u64>() as f64
}

/// Makes a hundred of the one that is stopped, in the cluster and on record.
fn multiply(side: &Side<'_>) -> Result<()> {
    let (run, status) = (side.host.run_config(NAME), side.host.record(NAME));
    let sets: Value =
        serde_json::from_str(&side.namespace.kubectl(&["get", "statefulsets", "--output", "json"]))?;
    let set = bare(sets)["items"][0].take();
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("a text is missing");
    let (uid, object) = (text(&run["uid"])?, text(&set["metadata"]["name"])?);
    let uids: Vec<String> = (1..WORKLOADS).map(|number| format!("{number:0>32}")).collect();
    let name = |number: usize| format!("{object}-{number}");
    let copies = uids.iter().enumerate().map(|(number, copy)| -> Result<Value> {
        let text = set.to_string().replace(&uid, copy);
        let mut copy: Value = serde_json::from_str(&text)?;
        copy["metadata"]["name"] = json!(name(number));
        Ok(copy)
    });
    let copies = copies.collect::<Result<Vec<Value>>>()?;
    side.namespace.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": copies }).to_string());
    let made: Value =
        serde_json::from_str(&side.namespace.kubectl(&["get", "statefulsets", "--output", "json"]))?;
    let object_uid = |name: &str| {
        let mut items = made["items"].as_array().into_iter().flatten();
        items.find(|item| item["metadata"]["name"] == name).map(|item| item["metadata"]["uid"].clone())
    };
    for (number, copy) in uids.iter().enumerate() {
        let own = format!("bench-{number}");
        let (mut run, mut status) = (run.clone(), status.clone());
        (run["name"], run["uid"], status["uid"]) = (json!(own), json!(copy), json!(copy));
        status["handle"]["uid"] = json!(copy);
        status["handle"]["data"]["statefulset"] = json!(name(number));
        status["handle"]["data"]["object_uid"] = object_uid(&name(number)).ok_or("it was not made")?;
        for (folder, value) in [("runconfigs", run), ("statuses", status)] {
            let path = side.host.path(&format!("state/{folder}/{own}.json"));
            fs::File::create(path)?.write_all(value.to_string().as_bytes())?;
        }
    }
    Ok(())
}

/// How often the API server was asked for what a list may need.
fn asked(cluster: &Cluster) -> Result<BTreeMap<String, u64>> {
    let metrics = cluster.kubectl(&["get", "--raw", "/metrics"]);
    let mut asked = BTreeMap::new();
    for line in metrics.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
        let label = |name: &str| line.split(&format!("{name}=\"")).nth(1)?.split('"').next();
        let (Some(verb), Some(resource)) = (label("verb"), label("resource")) else { continue };
        let is_meant = ["GET", "LIST"].contains(&verb)
            && ["statefulsets", "pods", "namespaces"].contains(&resource)
            && label("subresource") == Some("");
        if is_meant {
            let count: f64 = line.rsplit(' ').next().unwrap_or_default().parse()?;
            *asked.entry(format!("{verb} {resource}")).or_default() += count as u64;
        }
    }
    Ok(asked)
}

fn took(command: &mut Command) -> Result<Duration> {
    let began = Instant::now();
    let done = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success();
    if done { Ok(began.elapsed()) } else { Err(format!("{command:?} failed").into()) }
}
