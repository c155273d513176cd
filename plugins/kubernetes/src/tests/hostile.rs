//! Others at work in the namespace, answers without an end, and callers that give up.
use super::server::{Server, answer, list, missing, ok};
use crate::{
    begun::Begun,
    deploy::apply_silently,
    health::missing_rights,
    labels,
    pods::{self, PodWatch},
    probe::Trial,
    settings::Settings,
    start::scale_up,
    statefulset::{SetIdentity, wait_until_unwanted},
    stop::{self, Left},
};
use k8s_openapi::{api::apps::v1::StatefulSet, jiff::Timestamp};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use wharf_sdk::ErrorCode;

fn set(replicas: i32) -> Value {
    let owner = json!({ labels::HOST_ID: "h", labels::UID: "u" });
    json!({ "kind": "StatefulSet", "apiVersion": "apps/v1",
        "metadata": { "name": "time-0af3", "uid": "s-1", "labels": owner, "annotations": owner },
        "spec": { "replicas": replicas, "selector": {}, "serviceName": "time-0af3", "template": {} } })
}

#[tokio::test]
async fn the_rules_of_a_user_tell_most_rights_at_once_and_the_rest_is_asked_for() {
    let review = |kind: &str, status: Value| {
        ok(&json!({ "kind": kind, "apiVersion": "authorization.k8s.io/v1", "spec": {}, "status": status }))
    };
    let all = json!({ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] });
    let rules = move |rule: &Value| {
        let status = json!({ "incomplete": false, "nonResourceRules": [], "resourceRules": [rule] });
        review("SelfSubjectRulesReview", status)
    };
    let (everything, told) = (all, rules);
    let server = Server::start(move |_, _| told(&everything)).await;
    assert_eq!(missing_rights(&server.cluster).await.unwrap(), Vec::<String>::new());
    assert_eq!(server.requests().len(), 1, "{:?}", server.requests());
    // Of everything in the group `apps` this user is known to have the right; of the others each is asked for, and refused.
    let apps = json!({ "apiGroups": ["apps"], "resources": ["*"], "verbs": ["*"] });
    let server = Server::start(move |_, line| {
        if line.contains("selfsubjectrulesreviews") {
            rules(&apps)
        } else {
            review("SelfSubjectAccessReview", json!({ "allowed": false }))
        }
    })
    .await;
    let missing = missing_rights(&server.cluster).await.unwrap();
    assert!(
        missing.contains(&"get pods".to_owned()) && missing.contains(&"create pods/attach".to_owned()),
        "{missing:?}"
    );
    assert!(!missing.iter().any(|right| right.contains("statefulsets")), "{missing:?}");
    assert_eq!(server.requests().len(), 1 + missing.len());
}

#[tokio::test]
async fn a_stop_of_what_somebody_else_removes_meanwhile_succeeds() {
    let server = Server::start(|_, line| match line.split(' ').next() {
        Some("GET") if line.contains("/pods") && !line.contains("watch=") => list("PodList", &[], ""),
        Some("GET") if line.contains("/pods") => ok(&json!({})),
        _ => missing("time-0af3"),
    })
    .await;
    let set: StatefulSet = serde_json::from_value(set(1)).unwrap();
    assert_eq!(stop::end_pods(&server.cluster, &set, ("h", "u"), 0).await.unwrap(), Left::Nothing);
    assert!(server.requests().iter().any(|line| line.starts_with("PATCH")), "{:?}", server.requests());
}

/// The pod of the StatefulSet, with this state of its container, and these conditions.
fn pod(state: &Value, conditions: &Value) -> Value {
    let controller = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "time-0af3", "uid": "s-1",
        "controller": true });
    let container = json!({ "name": "server", "image": "i", "imageID": "i", "ready": true, "restartCount": 0,
        "containerID": "c-1", "state": state });
    json!({ "metadata": { "name": "time-0af3-0", "uid": "p-1", "ownerReferences": [controller] },
        "spec": { "containers": [], "nodeName": "node-7" },
        "status": { "containerStatuses": [container], "conditions": conditions } })
}

/// A cluster whose only pod stays as it is.
async fn with_a_pod_that_stays(pod: Value) -> Server {
    Server::start(move |_, line| match line {
        line if line.contains("watch=") => String::new(),
        line if line.contains("/pods?") && line.starts_with("GET") => {
            list("PodList", std::slice::from_ref(&pod), "")
        }
        line if line.starts_with("DELETE") => ok(&pod),
        _ => ok(&set(0)),
    })
    .await
}

#[tokio::test]
async fn a_stop_of_a_pod_whose_node_does_not_answer_says_so() {
    let conditions =
        json!([{ "type": "Ready", "status": "False" }, { "type": "ContainersReady", "status": "True" }]);
    let server = with_a_pod_that_stays(pod(&json!({ "running": {} }), &conditions)).await;
    let set: StatefulSet = serde_json::from_value(set(0)).unwrap();
    let stopped = stop::end_pods(&server.cluster, &set, ("h", "u"), 0);
    let error =
        tokio::time::timeout(Duration::from_secs(30), stopped).await.expect("it is told").unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable, "{error}");
    assert!(error.message.contains("node 'node-7' of pod/time-0af3-0 does not answer"), "{error}");
    assert!(server.requests().iter().any(|line| line.starts_with("DELETE")), "{:?}", server.requests());
}

#[tokio::test]
async fn a_stop_of_a_pod_that_nobody_lets_go_says_which_and_why() {
    let mut pod = pod(&json!({ "waiting": { "reason": "CrashLoopBackOff" } }), &json!([]));
    pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    pod["metadata"]["finalizers"] = json!(["x.example/keep"]);
    let server = with_a_pod_that_stays(pod).await;
    let set: StatefulSet = serde_json::from_value(set(0)).unwrap();
    let stopped = stop::end_pods(&server.cluster, &set, ("h", "u"), 0);
    let time_goes_by = async {
        let began = Instant::now();
        while !server.requests().iter().any(|line| line.contains("watch=")) {
            assert!(began.elapsed() < Duration::from_secs(30), "{:?}", server.requests());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(25)).await;
        tokio::time::resume();
    };
    let both = async { tokio::join!(stopped, time_goes_by).0 };
    let error = tokio::time::timeout(Duration::from_secs(60), both).await.expect("it is told").unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable, "{error}");
    for words in ["pod/time-0af3-0", "node 'node-7'", "x.example/keep"] {
        assert!(error.message.contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_start_that_follows_another_one_does_not_undo_somebodys_scaling_to_none() {
    let server = Server::start(|_, _| ok(&set(1))).await;
    let none: StatefulSet = serde_json::from_value(set(0)).unwrap();
    let begun = Begun::default();
    let now = || ("i", Timestamp::now());
    scale_up(&server.cluster, &begun, (&none, "u"), now()).await.unwrap();
    begun.note("u");
    let error = scale_up(&server.cluster, &begun, (&none, "u"), now()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::FailedPrecondition, "{error}");
    scale_up(&server.cluster, &begun, (&none, "another"), now()).await.unwrap();
    assert_eq!(server.requests().len(), 2, "{:?}", server.requests());
    // Once it was stopped, a start is a first one again.
    begun.forget("u");
    scale_up(&server.cluster, &begun, (&none, "u"), now()).await.unwrap();
}

#[tokio::test]
async fn a_workload_without_a_pod_that_somebody_scales_to_none_is_not_waited_for() {
    let server = Server::start(|_, line| match line.contains("watch=") {
        true => {
            let mut scaled = set(0);
            scaled["metadata"]["resourceVersion"] = json!("6");
            answer("200 OK", "", &format!("{}\n", json!({ "type": "MODIFIED", "object": scaled })))
        }
        false => list("StatefulSetList", &[set(1)], ""),
    })
    .await;
    let set: StatefulSet = serde_json::from_value(set(1)).unwrap();
    let identity = SetIdentity::of(&set);
    let unwanted = wait_until_unwanted(&server.cluster, &identity);
    tokio::time::timeout(Duration::from_secs(30), unwanted).await.unwrap();
    assert!(server.requests().iter().any(|line| line.contains("watch=")), "{:?}", server.requests());
}

#[tokio::test]
async fn the_values_of_a_secret_do_not_come_back() {
    let server = Server::start(|_, _| {
        ok(&json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": { "name": "n-env" } }))
    })
    .await;
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "n-env" },
        "data": { "API_TOKEN": "czNjcmV0LXZhbHVl" } });
    apply_silently("the Secret cannot be made", &server.cluster.secrets(), &secret).await.unwrap();
    let head = server.heads().remove(0);
    assert!(head.starts_with("PATCH /api/v1/namespaces/n/secrets/n-env"), "{head}");
    let accepted = head.lines().find(|line| line.to_ascii_lowercase().starts_with("accept:"));
    assert!(accepted.is_some_and(|accepted| accepted.contains("as=PartialObjectMetadata")), "{head}");
}

#[tokio::test]
async fn a_listing_that_never_ends_is_given_up_and_is_no_evidence() {
    let server = Server::start(|number, _| list("PodList", &[], &format!("more-{number}"))).await;
    let error = pods::list(&server.cluster, "wharf.uid=u").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable, "{error}");
    assert!(error.message.contains("does not end"), "{error}");
}

#[tokio::test]
async fn a_listing_that_a_watch_begins_with_and_that_never_ends_is_given_up() {
    let page = vec![json!({ "metadata": { "name": "a-0", "uid": "a" } }); 1000];
    let server = Server::start(move |number, _| list("PodList", &page, &format!("more-{number}"))).await;
    let mut watch = PodWatch::of(&server.cluster, "wharf.uid=u");
    let error = watch.next().await.err().expect("it is given up");
    assert_eq!(error.code, ErrorCode::Unavailable, "{error}");
    assert!(error.message.contains("does not end"), "{error}");
    assert!(server.requests().len() <= 21, "{}", server.requests().len());
}

#[tokio::test]
async fn an_event_that_never_ends_is_given_up() {
    let server = Server::start(|_, line| match line.contains("watch=") {
        // No line end within the bound.
        true => answer("200 OK", "", &"x".repeat(9 * 1024 * 1024)),
        false => list("PodList", &[], ""),
    })
    .await;
    let mut watch = PodWatch::of(&server.cluster, "wharf.uid=u");
    assert!(watch.next().await.unwrap().pods.is_empty());
    let error = watch.next().await.err().expect("it is given up");
    assert_eq!(error.code, ErrorCode::Unavailable, "{error}");
    assert!(error.message.contains("more than"), "{error}");
}

#[tokio::test]
async fn a_trial_that_is_given_up_removes_what_it_was_making() {
    let server = Server::start(|_, line| match line {
        line if line.contains("/namespaces/kube-system") => {
            ok(&json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": { "name": "kube-system", "uid": "s" } }))
        }
        line if line.starts_with("PATCH") => ok(&set(1)),
        line if line.starts_with("DELETE") => ok(&set(0)),
        line if line.contains("watch=") => ok(&json!({})),
        line if line.contains("/pods") => list("PodList", &[], ""),
        _ => list("StatefulSetList", &[], ""),
    })
    .await;
    let (answer, answered) = oneshot::channel();
    let judged = Trial::of(server.cluster.clone(), "h".to_owned());
    let settings = Settings::default();
    let (began, asked) = (Instant::now(), || server.requests());
    let given_up = async {
        while !asked().iter().any(|line| line.starts_with("PATCH")) {
            assert!(began.elapsed() < Duration::from_secs(30), "{:?}", asked());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(answered);
    };
    tokio::join!(judged.judge(&settings, answer), given_up);
    let removed = asked().into_iter().filter(|line| line.starts_with("DELETE")).collect::<Vec<_>>();
    assert_eq!(removed.len(), 1, "{:?}", asked());
    assert!(removed[0].contains("/statefulsets/time-0af3"), "{removed:?}");
    // Neither the search for earlier trials nor the stamp is a label that a user's workload can have.
    assert!(asked().iter().any(|line| line.contains("wharf.trial")), "{:?}", asked());
    assert!(server.bodies().iter().any(|body| body.contains("\"wharf.trial\":\"server\"")), "it carries it");
}
