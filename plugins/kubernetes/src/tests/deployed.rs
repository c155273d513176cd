//! Deployments of what was deployed before, and deployments that fail in the middle.
use super::server::{Server, answer, list, missing, ok, refusal};
use crate::{
    deploy, digest,
    labels::SPEC,
    manifest::{Manifest, tests::spec},
    settings::Settings,
};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
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
    deploy::make(server.cluster.clone(), manifest, &Settings::default(), turn).await
}

/// The verbs of the requests that change something, each with its kind of object.
fn changes(server: &Server) -> Vec<String> {
    let told = server.requests();
    let told = told.iter().map(|line| line.split(['?', ' ']).take(2).collect::<Vec<_>>());
    let told = told.filter(|parts| parts[0] != "GET");
    told.map(|parts| format!("{} {}", parts[0], parts[1].rsplit('/').nth(1).unwrap_or_default())).collect()
}

/// A cluster that has this StatefulSet until it is deleted, and makes what is applied.
async fn with(earlier: Value) -> Server {
    let is_gone = AtomicBool::new(false);
    Server::start(move |_, line| match line {
        line if line.starts_with("DELETE") => {
            is_gone.store(true, Ordering::Relaxed);
            ok(&earlier)
        }
        line if line.starts_with("PATCH") => ok(&set("s-2", "new")),
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
}

#[tokio::test]
async fn what_was_made_of_the_same_specification_is_kept() {
    let digest = digest::of(&manifest(), NAME, &Settings::default());
    let server = with(set("s-1", &digest)).await;
    make(&server).await.unwrap();
    let changes = changes(&server);
    assert!(!changes.iter().any(|change| change.starts_with("DELETE")), "{changes:?}");
    assert_eq!(changes.len(), 3, "{changes:?}");
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
