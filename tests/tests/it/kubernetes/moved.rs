//! Pods that somebody else takes away: the workload comes back.
use super::{answers, host, host_of_admin, objects, pod_uid, run};
use crate::containers::{add, is_running_and_fresh};
use wharf_tests::cluster::Cluster;
use wharf_tests::host::eventually;

#[test]
fn a_pod_that_is_deleted_comes_back() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("deleted");
    let host = host(&cluster, &namespace);
    let url = run(&host, &cluster, "in-pod", &[]);
    let first = pod_uid(&namespace);
    namespace.kubectl(&["delete", "pods", "--all", "--wait=false", "--grace-period=1"]);
    eventually("another pod answers", || {
        let now = pod_uid(&namespace);
        now.len() == first.len() && now != first && answers(&url)
    });
    assert_eq!(add(&url), "5");
    eventually("it is running", || is_running_and_fresh(&host, "in-pod"));
    host.ok(&["rm", "in-pod"]);
    assert_eq!(objects(&namespace), Vec::<String>::new());
}

#[test]
fn a_node_that_is_drained_takes_its_pods_away_until_it_is_there_again() {
    let Some(cluster) = Cluster::alone() else { return };
    let namespace = cluster.namespace("drained");
    let host = host(&cluster, &namespace);
    let url = run(&host, &cluster, "in-pod", &[]);
    let selector = format!("--pod-selector=wharf.host-id={}", host.id());
    cluster.kubectl(&["drain", "node", "--force", "--disable-eviction", "--grace-period=1", &selector]);
    eventually("it is shown not to run", || {
        let row = host.row("in-pod").unwrap();
        row["status"] == "unhealthy" && row.get("stale").is_none()
    });
    cluster.kubectl(&["uncordon", "node"]);
    eventually("it is there again", || is_running_and_fresh(&host, "in-pod") && answers(&url));
    assert_eq!(add(&url), "5");
    host.ok(&["rm", "in-pod"]);
    assert_eq!(objects(&namespace), Vec::<String>::new());
}

#[test]
fn a_namespace_that_is_deleted_takes_its_workloads_along_and_their_records_can_be_removed() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("terminated");
    // The least rights go with the namespace.
    let host = host_of_admin(&cluster, &namespace);
    run(&host, &cluster, "in-pod", &[]);
    cluster.kubectl(&["delete", "namespace", namespace.name(), "--timeout=60s"]);
    eventually("it is shown not to run", || {
        let row = host.row("in-pod").unwrap();
        row["status"] != "running" && row.get("stale").is_none()
    });
    let said = host.wharf(&["run", "--runtime", "kubernetes", "--name", "new", cluster.demo_image()]);
    assert!(said.code != 0 && said.stderr.contains(namespace.name()), "{said:?}");
    // Its supervisor may be trying to bring it back.
    let said = host.wharf(&["restart", "in-pod"]);
    assert!(
        said.code != 0 && said.stderr.contains("make that namespace anew, or choose another one"),
        "{said:?}"
    );
    host.ok(&["rm", "in-pod"]);
    assert!(host.list().is_empty());
}

#[test]
fn a_namespace_that_is_deleted_with_the_rights_in_it_leaves_a_record_that_can_be_forgotten() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("unreadable");
    let host = host(&cluster, &namespace);
    run(&host, &cluster, "in-pod", &[]);
    cluster.kubectl(&["delete", "namespace", namespace.name(), "--timeout=60s"]);
    eventually("nobody may say any more how it is", || host.row("in-pod").unwrap()["stale"] == true);
    let said = host.wharf(&["rm", "in-pod"]);
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.stderr.contains("wharf rm --forget in-pod"), "{said:?}");
    let said = host.wharf(&["runtime", "check", "kubernetes"]);
    assert!(said.stdout.contains("wharf rm --forget"), "{said:?}");
    host.ok(&["rm", "--forget", "in-pod"]);
    assert!(host.list().is_empty());
}
