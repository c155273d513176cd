//! Somebody else in the namespace, who may make pods and write annotations.
use super::{field, host, objects, run};
use crate::containers::add;
use serde_json::{Value, json};
use wharf_tests::cluster::Cluster;

#[test]
fn r09_a_pod_of_somebody_else_is_neither_touched_nor_taken_for_the_workloads() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("tenant");
    let host = host(&cluster, &namespace);
    let url = run(&host, &cluster, "in-pod", &[]);
    let sets: Value =
        serde_json::from_str(&namespace.kubectl(&["get", "statefulsets", "--output", "json"])).unwrap();
    let (set, template) = (&sets["items"][0]["metadata"], &sets["items"][0]["spec"]["template"]["metadata"]);
    // It has all that whoever may make pods can write: labels, annotations, the owner.
    let owner =
        json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": set["name"], "uid": set["uid"] });
    let server =
        json!({ "name": "server", "image": cluster.demo_image(), "imagePullPolicy": "Never", "stdin": true });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "spec": { "containers": [server] },
        "metadata": { "name": "aaa", "labels": template["labels"], "annotations": template["annotations"],
            "ownerReferences": [owner] } });
    namespace.apply(&pod.to_string());
    namespace.kubectl(&["wait", "--for=condition=Ready", "pod/aaa", "--timeout=60s"]);
    host.ok(&["stop", "in-pod"]);
    let row = host.row("in-pod").unwrap();
    assert_eq!((&row["status"], row.get("stale")), (&json!("stopped"), None), "{row}");
    assert_eq!(field(&namespace, "pods", ".metadata.name"), "aaa", "it is not ended");
    host.ok(&["start", "in-pod"]);
    assert_eq!(add(&url), "5");
    namespace.kubectl(&["delete", "pod", "aaa", "--grace-period=1"]);
    assert_eq!(add(&url), "5", "it was not the one that serves");
    host.ok(&["rm", "in-pod"]);
    assert_eq!(objects(&namespace), Vec::<String>::new());
}

#[test]
fn an_annotation_of_somebody_else_changes_no_verdict_and_reaches_no_terminal() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("annotated");
    let host = host(&cluster, &namespace);
    let url = run(&host, &cluster, "in-pod", &[]);
    host.ok(&["stop", "in-pod"]);
    let exit = json!({ "code": 0, "reason": "\u{1b}[2Jall is\nwell", "restarts": true });
    let weaker = json!([{ "what": "network", "how": "\u{1b}]0;closed\u{7}" }]);
    for annotation in [format!("wharf.exit={exit}"), format!("wharf.weaker={weaker}")] {
        namespace.kubectl(&["annotate", "statefulsets", "--all", "--overwrite", &annotation]);
    }
    let row = host.row("in-pod").unwrap();
    assert_eq!((&row["status"], row.get("stale")), (&json!("stopped"), None), "{row}");
    for command in [&["list", "--all"][..], &["status", "in-pod"], &["status", "in-pod", "--format", "json"]]
    {
        let said = host.ok(command);
        assert!(!said.contains('\u{1b}') && !said.contains("\\u001b"), "{said:?}");
    }
    host.ok(&["start", "in-pod"]);
    assert_eq!(add(&url), "5");
    host.ok(&["rm", "in-pod"]);
    assert_eq!(objects(&namespace), Vec::<String>::new());
}

#[test]
fn a_workload_whose_labels_were_taken_away_is_still_shown_stopped_and_removed() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("unlabelled");
    let host = host(&cluster, &namespace);
    let url = run(&host, &cluster, "in-pod", &[]);
    namespace.kubectl(&["label", "statefulsets", "--all", "wharf.uid-", "wharf.host-id-"]);
    namespace.kubectl(&["annotate", "statefulsets", "--all", "wharf.uid-"]);
    let row = host.row("in-pod").unwrap();
    assert_eq!((&row["status"], row.get("stale")), (&json!("running"), None), "{row}");
    assert_eq!(add(&url), "5");
    host.ok(&["stop", "in-pod"]);
    assert_eq!(field(&namespace, "pods", ".metadata.name"), "", "it has ended");
    host.ok(&["start", "in-pod"]);
    assert_eq!(add(&url), "5");
    host.ok(&["rm", "in-pod"]);
    assert_eq!(objects(&namespace), Vec::<String>::new());
}
