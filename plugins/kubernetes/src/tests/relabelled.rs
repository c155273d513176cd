//! A StatefulSet whose labels and annotations somebody has taken away or changed, while its pod runs on.
use super::server::{Server, forgotten, list, missing, ok};
use crate::{
    handle::HandleData,
    labels,
    list::listing,
    runtime::observe,
    statefulset::of_handle,
    stop::{self, Left},
};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use wharf_sdk::{ErrorCode, Handle, ListQuery, WorkloadState};

/// The StatefulSet of the workload `u` of the host `h`, with these labels and annotations.
fn set(owner: &Value) -> Value {
    let selected = json!({ labels::HOST_ID: "h", labels::UID: "u" });
    json!({ "kind": "StatefulSet", "apiVersion": "apps/v1",
        "metadata": { "name": "time-0af3", "uid": "s-1", "labels": owner, "annotations": owner },
        "spec": { "replicas": 1, "selector": { "matchLabels": selected }, "serviceName": "time-0af3",
            "template": {} } })
}

fn pod() -> Value {
    let controller = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "time-0af3", "uid": "s-1",
        "controller": true });
    let container = json!({ "name": "server", "image": "i", "imageID": "i", "ready": true, "restartCount": 0,
        "containerID": "c-1", "state": { "running": {} } });
    json!({ "kind": "Pod", "apiVersion": "v1",
        "metadata": { "name": "time-0af3-0", "uid": "p-1", "ownerReferences": [controller] },
        "status": { "containerStatuses": [container] } })
}

/// A cluster with it. Its pod is there until it is ended.
async fn with(set: Value) -> Server {
    let is_gone = AtomicBool::new(false);
    let by_labels = labels::of_host("h").replace('=', "%3D");
    Server::start(move |_, line| match line {
        // Its pods are listed anew then.
        line if line.contains("watch=") && line.contains("/pods?") => forgotten(),
        line if line.contains("watch=") => String::new(),
        line if line.starts_with("DELETE") && line.contains("/pods/") => {
            is_gone.store(true, Ordering::Relaxed);
            ok(&pod())
        }
        line if line.contains("/pods/") => ok(&pod()),
        line if line.contains("/pods?") && is_gone.load(Ordering::Relaxed) => list("PodList", &[], ""),
        line if line.contains("/pods?") => list("PodList", &[pod()], ""),
        line if line.contains("/statefulsets?") && line.contains(&by_labels) => {
            list("StatefulSetList", &[], "")
        }
        line if line.contains("/statefulsets?") => list("StatefulSetList", std::slice::from_ref(&set), ""),
        line if line.contains("/statefulsets/time-0af3") => ok(&set),
        line if line.contains("/namespaces/kube-system") => {
            ok(&json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": { "name": "kube-system", "uid": "c0" } }))
        }
        _ => missing("x"),
    })
    .await
}

fn handle() -> Handle {
    let (statefulset, object_uid) = ("time-0af3".to_owned(), "s-1".to_owned());
    HandleData { statefulset, object_uid, target_port: None }.to_handle("u")
}

#[tokio::test]
async fn a_workload_without_its_labels_is_found_shown_and_stopped() {
    for owner in [json!({}), json!({ labels::HOST_ID: "h" }), json!({ labels::UID: "u" })] {
        let server = with(set(&owner)).await;
        let found = of_handle(&server.cluster, "h", &handle()).await.unwrap().expect("it is there");
        let seen = observe(&server.cluster, "h", &handle()).await.unwrap();
        assert_eq!(
            (seen.state, seen.uid.as_str(), seen.host_id.as_str()),
            (WorkloadState::Running, "u", "h")
        );
        for query in [ListQuery::one("u"), ListQuery::ALL] {
            let listing = listing(&server.cluster, "h", &query).await.unwrap();
            assert_eq!((listing.complete, listing.workloads), (true, vec![seen.clone()]), "{query:?}");
        }
        let stopped = stop::end_pods(&server.cluster, &found, ("h", "u"), 0).await.unwrap();
        assert_eq!(stopped, Left::Nothing);
        for verb in ["PATCH", "DELETE"] {
            assert!(server.requests().iter().any(|line| line.starts_with(verb)), "{:?}", server.requests());
        }
    }
}

#[tokio::test]
async fn a_workload_whose_labels_name_another_one_is_neither_gone_nor_touched() {
    let server = with(set(&json!({ labels::HOST_ID: "h", labels::UID: "another" }))).await;
    let error = of_handle(&server.cluster, "h", &handle()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::FailedPrecondition, "{error}");
    assert!(error.message.contains("the labels of statefulset/time-0af3 were changed"), "{error}");
    assert_eq!(server.requests().len(), 1, "{:?}", server.requests());
    for query in [ListQuery::one("u"), ListQuery::ALL] {
        let listing = listing(&server.cluster, "h", &query).await.unwrap();
        assert_eq!((listing.complete, listing.workloads), (false, Vec::new()), "that is no evidence");
    }
}
