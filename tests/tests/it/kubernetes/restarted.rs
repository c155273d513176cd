//! Servers that end: the cluster starts them again and wharf follows, attached anew, without starting anything itself.
use super::{answers, field, host, objects, pod_uid, run};
use crate::containers::{add, is_running_and_fresh};
use serde_json::{Value, json};
use std::fs;
use wharf_tests::client::Client;
use wharf_tests::cluster::{Cluster, Namespace};
use wharf_tests::host::{Host, eventually, kill};

const HTTP: [&str; 2] = ["--transport", "streamable-http"];

/// The process of the only running server, as this machine counts: its control group is named after its container.
fn server(namespace: &Namespace<'_>) -> Option<i32> {
    let container = field(namespace, "pods", ".status.containerStatuses[0].containerID");
    let id = container.strip_prefix("containerd://").filter(|id| !id.is_empty())?;
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|groups| groups.contains(id))
    })
}

/// Kills the server, and returns once the cluster shows that its container has been started again, or is waiting for that.
fn kill_server(namespace: &Namespace<'_>) {
    let ended = || field(namespace, "pods", ".status.containerStatuses[0].lastState.terminated.finishedAt");
    let (before, now) = (ended(), server(namespace).expect("it runs"));
    kill(now, "KILL");
    eventually("the cluster sees its end", || {
        let reason = field(namespace, "pods", ".status.containerStatuses[0].state.waiting.reason");
        reason == "CrashLoopBackOff" || ended() != before && server(namespace).is_some_and(|pid| pid != now)
    });
}

/// A workload that was killed once is back, without wharf having changed its StatefulSet; its end is on record.
fn is_followed(name: &str, more: &[&str]) {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace(name);
    let host = host(&cluster, &namespace);
    let url = run(&host, &cluster, name, more);
    let mut client = Client::open(&url).unwrap();
    let sum = |client: &mut Client| client.call_tool("add", json!({ "a": 2, "b": 3 }));
    assert_eq!(sum(&mut client).unwrap(), "5");
    let (pod, generation) = (pod_uid(&namespace), field(&namespace, "statefulsets", ".metadata.generation"));
    kill_server(&namespace);
    eventually("its end is on record", || host.record(name)["last_exit"]["code"] == 137);
    if more.is_empty() {
        eventually("the same session goes on", || sum(&mut client).is_ok_and(|sum| sum == "5"));
    } else {
        eventually("it is served again", || answers(&url));
    }
    eventually("it is running", || is_running_and_fresh(&host, name));
    assert_eq!(add(&url), "5");
    let record = host.record(name);
    assert_eq!((&record["status"], &record["restarts"]), (&json!("running"), &json!(1)), "{record}");
    eventually("its supervisor counts it", || status(&host, name)["supervisor"]["restarts"] == 1);
    assert_eq!(pod_uid(&namespace), pod, "it is the same pod");
    assert_eq!(
        field(&namespace, "statefulsets", ".metadata.generation"),
        generation,
        "wharf has not started it"
    );
    // A workload that somebody else stops is not followed: that end is recorded.
    namespace.kubectl(&["scale", "statefulsets", "--all", "--replicas=0"]);
    eventually("its end is its record's phase", || host.record(name)["status"] == "error");
    eventually("its pod is gone", || pod_uid(&namespace).is_empty());
    host.ok(&["start", name]);
    assert_eq!(add(&url), "5");
    host.ok(&["rm", name]);
    assert_eq!(objects(&namespace), Vec::<String>::new());
}

fn status(host: &Host, name: &str) -> Value {
    serde_json::from_str(&host.ok(&["status", name, "--format", "json"])).unwrap()
}

#[test]
fn a_server_on_stdin_and_stdout_that_is_killed_is_started_again_by_the_cluster_alone() {
    is_followed("piped", &[]);
}

#[test]
fn a_server_with_a_port_that_is_killed_is_started_again_by_the_cluster_alone() {
    is_followed("ported", &HTTP);
}

#[test]
fn a_server_that_ends_again_and_again_is_unhealthy_with_the_clusters_reason_until_it_runs() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("flapping");
    let host = host(&cluster, &namespace);
    let url = run(&host, &cluster, "flapping", &[]);
    let is_unhealthy = || {
        let row = host.row("flapping").unwrap();
        let reason = row["status_context"].as_str().unwrap_or_default();
        row["status"] == "unhealthy" && row.get("stale").is_none() && reason.contains("CrashLoopBackOff")
    };
    // The first time it is started again at once, then after ten seconds, and after twenty. A busy machine may miss some.
    let mut is_seen = false;
    for _ in 0..4 {
        eventually("it is served", || answers(&url));
        kill_server(&namespace);
        eventually("it is unhealthy, with the reason, or started again", || {
            is_seen = is_unhealthy();
            is_seen || answers(&url)
        });
        if is_seen {
            break;
        }
    }
    assert!(is_seen, "it is unhealthy, with the reason");
    eventually("its ends are on record", || host.record("flapping")["last_exit"]["code"] == 137);
    // Meanwhile commands work on it.
    host.ok(&["reconcile"]);
    assert_eq!(host.record("flapping")["status"], "running", "nobody has given up");
    eventually("it is running", || is_running_and_fresh(&host, "flapping") && answers(&url));
    assert_eq!(add(&url), "5");
    kill_server(&namespace);
    host.ok(&["stop", "flapping"]);
    let row = host.row("flapping").unwrap();
    assert_eq!((&row["status"], row.get("stale")), (&json!("stopped"), None), "{row}");
    host.ok(&["rm", "flapping"]);
    assert_eq!(objects(&namespace), Vec::<String>::new());
}

#[test]
fn a_policy_that_a_pod_cannot_keep_is_refused_by_name() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("policy");
    let host = host(&cluster, &namespace);
    for policy in ["no", "on-failure"] {
        let said = host.wharf(&["run", "--runtime", "kubernetes", "--restart", policy, cluster.demo_image()]);
        assert!(said.code == 2 && said.stderr.contains("restarts workloads by itself"), "{said:?}");
        assert!(said.stderr.contains("--restart unless-stopped"), "{said:?}");
    }
    assert!(host.list().is_empty());
    assert_eq!(objects(&namespace), Vec::<String>::new());
}
