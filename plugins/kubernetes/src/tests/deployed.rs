//! Deployments of what was deployed before, and deployments that fail in the middle.
use super::server::{Server, answer, list, missing, ok, refusal};
use crate::{
    deploy, digest,
    earlier::wait_until_gone,
    labels::SPEC,
    manifest::{Manifest, tests::spec},
    settings::Settings,
};
use serde_json::{Value, json};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use wharf_sdk::{ErrorCode, Handle, Result, keyed_lock::KeyedLock};

const NAME: &str = "time-0af30af3";

fn manifest() -> Manifest {
    let closed = json!({ "env": { "TOKEN": "1" }, "permission_profile": {}, "allow_weaker": true });
    Manifest::of(&spec(closed), &Settings::default()).unwrap()
}

/// The StatefulSet as the cluster has it, with this digest.
fn set(uid: &str, digest: &str) -> Value {
    let manifest = manifest();
    let mut set = manifest.statefulset(NAME, &Settings::default(), false);
    set["metadata"]["uid"] = json!(uid);
    set["metadata"]["annotations"][SPEC] = json!(digest);
    set
}

async fn make(server: &Server) -> Result<Handle> {
    let manifest = manifest();
    let turn = KeyedLock::default().lock(&manifest.spec.uid).await;
    deploy::make(server.cluster.clone(), manifest, &Settings::default(), turn, &drop).await
}

/// The verbs of the requests that change something, each with its kind of object.
fn changes(server: &Server) -> Vec<String> {
    let told = server.requests();
    let told = told.iter().filter(|line| !line.contains("dryRun="));
    let told = told.map(|line| line.split(['?', ' ']).take(2).collect::<Vec<_>>());
    let told = told.filter(|parts| parts[0] != "GET");
    told.map(|parts| format!("{} {}", parts[0], parts[1].rsplit('/').nth(1).unwrap_or_default())).collect()
}

/// The answer to an attempt to make what is there.
fn is_there() -> String {
    let said = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "AlreadyExists", "code": 409,
        "message": "already exists", "metadata": {} });
    answer("409 Conflict", "", &said.to_string())
}

/// A cluster that has this StatefulSet until it is deleted, and makes what is applied.
async fn with(earlier: Value) -> Server {
    let is_gone = AtomicBool::new(false);
    Server::start(move |_, line| match line {
        line if line.starts_with("DELETE") => {
            is_gone.store(true, Ordering::Relaxed);
            ok(&earlier)
        }
        line if line.starts_with("POST") => is_there(),
        line if line.starts_with("PATCH") => ok(&set("s-2", "new")),
        line if line.contains("/pods?") => list("PodList", &[], ""),
        line if line.contains("/statefulsets?") && is_gone.load(Ordering::Relaxed) => {
            list("StatefulSetList", &[], "")
        }
        line if line.contains("/statefulsets?") => {
            list("StatefulSetList", std::slice::from_ref(&earlier), "")
        }
        _ => missing(NAME),
    })
    .await
}

#[tokio::test]
async fn what_was_made_of_another_specification_is_removed_and_made_anew() {
    let server = with(set("s-1", "another")).await;
    let made = make(&server).await.unwrap();
    assert_eq!(made.data["object_uid"], "s-2");
    let mut changes = changes(&server);
    changes[2..].sort();
    let beside = ["PATCH networkpolicies", "PATCH secrets"];
    assert_eq!(changes, [&["DELETE statefulsets", "PATCH statefulsets"][..], &beside].concat());
    let requests = server.requests();
    let position = |part: &str| requests.iter().rposition(|line| line.contains(part));
    assert!(position("dryRun=All") < position("DELETE "), "{requests:?}");
}

/// A cluster that has a StatefulSet of another specification, and answers an attempt to change it so; or to make one, too.
async fn with_a_verdict(of_making: bool, status: u16, said: Value) -> Server {
    let earlier = set("s-1", "another");
    let said = answer(&format!("{status} x"), "", &said.to_string());
    Server::start(move |_, line| match line {
        line if line.starts_with("POST") && !of_making => is_there(),
        line if line.contains("dryRun=") => said.clone(),
        line if line.starts_with("PATCH") || line.starts_with("DELETE") => ok(&set("s-2", "new")),
        line if line.contains("/pods?") => list("PodList", &[], ""),
        line if line.contains("/statefulsets?") && !line.contains("metadata.name") => {
            list("StatefulSetList", std::slice::from_ref(&earlier), "")
        }
        line if line.contains("/statefulsets?") => list("StatefulSetList", &[], ""),
        _ => missing(NAME),
    })
    .await
}

#[tokio::test]
async fn what_was_made_of_another_specification_stays_where_the_new_one_would_be_refused() {
    let status = |code: u16, reason: &str, message: &str| {
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message,
            "code": code, "metadata": {} })
    };
    for (code, reason, message, wanted) in [
        (
            409,
            "Conflict",
            "conflict with \"kubectl-edit\" using apps/v1: .spec",
            ErrorCode::FailedPrecondition,
        ),
        (403, "Forbidden", "admission webhook \"x\" denied the request", ErrorCode::PermissionDenied),
        (422, "Invalid", "StatefulSet.apps is invalid: spec.template", ErrorCode::InvalidArgument),
    ] {
        for of_making in [false, true] {
            let server = with_a_verdict(of_making, code, status(code, reason, message)).await;
            let error = make(&server).await.unwrap_err();
            assert_eq!(error.code, wanted, "{error}");
            assert!(error.message.contains(message), "{error}");
            assert_eq!(changes(&server), Vec::<String>::new(), "what there was stays");
        }
    }
}

#[tokio::test]
async fn fields_that_cannot_be_changed_do_not_keep_a_new_statefulset_from_being_made() {
    let why = "Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden";
    let said = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422,
        "message": why, "metadata": {}, "details": { "name": NAME, "causes": [{ "message": why, "field": "spec" }] } });
    let server = with_a_verdict(false, 422, said).await;
    make(&server).await.unwrap();
    assert_eq!(changes(&server)[..2], ["DELETE statefulsets", "PATCH statefulsets"]);
}

#[tokio::test]
async fn what_was_made_of_the_same_specification_is_kept() {
    let digest = digest::of(&manifest(), NAME, &Settings::default());
    let server = with(set("s-1", &digest)).await;
    make(&server).await.unwrap();
    let changes = changes(&server);
    assert!(!changes.iter().any(|change| change.starts_with("DELETE")), "{changes:?}");
    assert_eq!(changes.len(), 3, "{changes:?}");
    let applied = server.bodies().into_iter().find(|body| body.contains("\"StatefulSet\"")).unwrap();
    let applied: Value = serde_json::from_str(&applied).unwrap();
    assert_eq!(applied["metadata"]["uid"], "s-1", "it is that one, or the cluster refuses");
}

#[tokio::test]
async fn a_statefulset_whose_labels_were_taken_away_gets_them_back_and_no_second_one_is_made() {
    let digest = digest::of(&manifest(), NAME, &Settings::default());
    let mut earlier = set("s-1", &digest);
    earlier["metadata"]["labels"] = json!({});
    let server = Server::start(move |_, line| match line {
        line if line.starts_with("PATCH") => ok(&set("s-1", "new")),
        line if line.contains("/statefulsets?") => list("StatefulSetList", &[], ""),
        line if line.contains("/statefulsets/") => ok(&earlier),
        _ => missing(NAME),
    })
    .await;
    assert_eq!(make(&server).await.unwrap().data["statefulset"], NAME);
    let applied = server.bodies().into_iter().find(|body| body.contains("\"StatefulSet\"")).unwrap();
    let applied: Value = serde_json::from_str(&applied).unwrap();
    assert_eq!(applied["metadata"]["uid"], "s-1");
    assert!(applied["metadata"]["labels"][crate::labels::UID].is_string(), "{applied}");
}

/// A cluster that has nothing, and lets this user make StatefulSets, but no Secrets.
async fn without_secrets(may_delete: bool) -> Server {
    Server::start(move |_, line| match line {
        line if line.contains("/secrets/") => refusal("secrets is forbidden"),
        line if line.starts_with("DELETE") && !may_delete => refusal("statefulsets is forbidden"),
        line if line.starts_with("PATCH") || line.starts_with("DELETE") => ok(&set("s-1", "new")),
        line if line.contains("/statefulsets?") => list("StatefulSetList", &[], ""),
        _ => missing(NAME),
    })
    .await
}

#[tokio::test]
async fn a_deployment_that_is_refused_in_the_middle_is_taken_back_before_that_is_told() {
    let server = without_secrets(true).await;
    let error = make(&server).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::PermissionDenied, "{error}");
    assert!(error.message.contains("the Secret cannot be made"), "{error}");
    assert_eq!(changes(&server).last().map(String::as_str), Some("DELETE statefulsets"));
}

#[tokio::test]
async fn what_a_failed_deployment_leaves_is_told_and_looked_for() {
    let server = without_secrets(false).await;
    let error = make(&server).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable, "{error}");
    for words in ["the Secret cannot be made", "statefulset/time-0af30af3 stays", "statefulsets is forbidden"]
    {
        assert!(error.message.contains(words), "{error}");
    }
}

#[tokio::test]
async fn fields_that_another_manager_has_taken_over_are_told_with_a_way_out() {
    let digest = digest::of(&manifest(), NAME, &Settings::default());
    let earlier = set("s-1", &digest);
    let taken = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict",
        "message": "conflict with \"kubectl-edit\" using apps/v1: .spec.template", "code": 409, "metadata": {} });
    let server = Server::start(move |_, line| match line {
        line if line.starts_with("PATCH") => answer("409 Conflict", "", &taken.to_string()),
        line if line.contains("/statefulsets?") => {
            list("StatefulSetList", std::slice::from_ref(&earlier), "")
        }
        _ => missing(NAME),
    })
    .await;
    let error = make(&server).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::FailedPrecondition, "{error}");
    for words in ["kubectl-edit", "give those fields back"] {
        assert!(error.message.contains(words), "{error}");
    }
    assert_eq!(changes(&server), ["PATCH statefulsets"], "what there was stays");
}

#[tokio::test]
async fn a_pod_that_its_node_does_not_let_go_is_told_while_it_is_waited_for() {
    let earlier = set("s-1", "another");
    let controller = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": NAME, "uid": "s-1",
        "controller": true });
    let pod = json!({ "spec": { "containers": [], "nodeName": "node-7" },
        "metadata": { "name": format!("{NAME}-0"), "uid": "p-1", "ownerReferences": [controller] } });
    let listed = earlier.clone();
    let server = Server::start(move |_, line| match line {
        line if line.contains("watch=") => String::new(),
        line if line.contains("/pods?") => list("PodList", std::slice::from_ref(&pod), ""),
        _ => list("StatefulSetList", std::slice::from_ref(&listed), ""),
    })
    .await;
    let (set, spec) = (serde_json::from_value(earlier).unwrap(), manifest().spec);
    let told = Mutex::new(Vec::new());
    let tell = |message| told.lock().unwrap().push(message);
    let time_goes_by = async {
        let said = || told.lock().unwrap().clone();
        while !server.requests().iter().any(|line| line.contains("watch=")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(6)).await;
        tokio::time::resume();
        while said().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        said()
    };
    tokio::select! {
        gone = wait_until_gone(&server.cluster, &set, &spec, &tell) => panic!("{gone:?}"),
        said = tokio::time::timeout(Duration::from_secs(60), time_goes_by) => {
            let said = said.expect("it is told");
            assert!(said[0].contains(&format!("pod/{NAME}-0")) && said[0].contains("'node-7'"), "{said:?}");
        }
    }
}
