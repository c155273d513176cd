//! An API server that refuses requests for lack of time, and one that has forgotten the position of a watch.
use super::server::{Server, answer, forgotten, list, ok};
use crate::{events, handle::HandleData, health, labels, pods::PodWatch, wait};
use futures_util::StreamExt;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use wharf_sdk::ErrorCode;

/// The answer of an API server's priority and fairness: the request is to be repeated after so many seconds.
fn too_many(seconds: u32) -> String {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "TooManyRequests",
        "message": "too many requests, please try again later", "code": 429, "metadata": {} });
    answer("429 Too Many Requests", &format!("Retry-After: {seconds}\r\n"), &status.to_string())
}

fn namespace() -> String {
    let namespace = json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": { "name": "kube-system", "uid": "s-1" } });
    answer("200 OK", "", &namespace.to_string())
}

#[tokio::test]
async fn an_api_server_that_has_no_time_is_asked_again_when_it_says() {
    let server = Server::start(|number, _| if number == 0 { too_many(1) } else { namespace() }).await;
    let began = Instant::now();
    assert_eq!(server.cluster.instance().await.unwrap(), "s-1/n");
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn an_api_server_that_never_has_time_is_no_evidence() {
    let server = Server::start(|_, _| too_many(0)).await;
    let error = server.cluster.instance().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable, "{error}");
    assert!(error.message.contains("too many requests"), "{error}");
}

#[tokio::test]
async fn credentials_that_are_refused_are_told_from_a_right_that_is_missing() {
    for (code, reason, remedy) in
        [(401, "Unauthorized", "renew them"), (403, "Forbidden", "let this user get")]
    {
        let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
            "message": reason, "code": code, "metadata": {} });
        let said = answer(&format!("{code} {reason}"), "", &status.to_string());
        let server = Server::start(move |_, _| said.clone()).await;
        let health = health::of(&server.cluster).await;
        assert!(health.message.contains(reason) && health.remedy.contains(remedy), "{health:?}");
    }
}

fn pods(version: &str, names: &[&str]) -> String {
    let pods: Vec<_> =
        names.iter().map(|name| json!({ "metadata": { "name": name, "uid": name } })).collect();
    let list = json!({ "kind": "PodList", "apiVersion": "v1", "metadata": { "resourceVersion": version },
        "items": pods });
    answer("200 OK", "", &list.to_string())
}

#[tokio::test]
async fn refusals_of_an_earlier_start_are_not_told_again_whatever_the_clocks_say() {
    let event = |uid: &str, version: &str, message: &str| {
        json!({ "metadata": { "name": uid, "uid": uid, "resourceVersion": version }, "involvedObject": {},
            "reason": "FailedCreate", "message": message, "lastTimestamp": "2001-01-01T00:00:00Z" })
    };
    let old = [event("e-1", "1", "old"), event("e-2", "2", "again")];
    let now = [old[0].clone(), event("e-2", "7", "again"), event("e-3", "8", "new")];
    let server = Server::start(move |number, line| match (line.contains("watch="), number) {
        (true, _) => answer("200 OK", "", ""),
        (false, 0) => list("EventList", &old, ""),
        (false, _) => list("EventList", &now, ""),
    })
    .await;
    let earlier = events::refusals_until_now(&server.cluster, "s-1").await;
    let later = events::refusals(&server.cluster, "s-1", earlier).take(2);
    let told: Vec<String> = later.map(|said| said.message).collect().await;
    assert_eq!(told, ["again", "new"]);
}

#[tokio::test]
async fn where_earlier_refusals_cannot_be_listed_those_count_that_come_later() {
    let event = |uid: &str, message: &str| {
        json!({ "kind": "Event", "apiVersion": "v1", "involvedObject": {}, "reason": "FailedCreate",
            "metadata": { "name": uid, "uid": uid, "resourceVersion": "6" }, "message": message })
    };
    let server = Server::start(move |number, line| match (line.contains("watch="), number) {
        (true, _) => {
            let later = json!({ "type": "ADDED", "object": event("e-2", "new") });
            answer("200 OK", "", &format!("{later}\n"))
        }
        (false, 0) => answer("500 Internal Server Error", "", "{}"),
        (false, _) => list("EventList", &[event("e-1", "old")], ""),
    })
    .await;
    let earlier = events::refusals_until_now(&server.cluster, "s-1").await;
    let said = events::refusals(&server.cluster, "s-1", earlier).next().await.unwrap();
    assert_eq!(said.message, "new");
}

#[tokio::test]
async fn a_pause_that_an_api_server_asks_for_leaves_time_for_another_attempt() {
    let server = Server::start(|number, _| if number == 0 { too_many(60) } else { namespace() }).await;
    let time_goes_by = async {
        while server.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The answer arrives, and the pause begins.
        tokio::time::sleep(Duration::from_millis(200)).await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(10)).await;
        tokio::time::resume();
    };
    let (told, ()) = tokio::join!(server.cluster.instance(), time_goes_by);
    assert_eq!(told.unwrap(), "s-1/n");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn the_error_of_an_api_server_that_asks_for_pauses_until_the_end_says_what_it_answered() {
    let server = Server::start(|_, _| too_many(60)).await;
    let is_told = std::cell::Cell::new(false);
    let time_goes_by = async {
        for asked in 1..=3 {
            while server.requests().len() < asked && !is_told.get() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(10)).await;
            tokio::time::resume();
        }
    };
    let instance = async {
        let told = server.cluster.instance().await;
        is_told.set(true);
        told
    };
    let (told, ()) = tokio::join!(instance, time_goes_by);
    let error = told.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable, "{error}");
    assert!(error.message.contains("429 Too Many Requests"), "{error}");
}

#[tokio::test]
async fn a_watch_whose_place_was_forgotten_begins_anew_and_tells_who_went_meanwhile() {
    let server = Server::start(|number, line| match (line.contains("watch="), number) {
        (true, _) => forgotten(),
        (false, 0) => pods("5", &["a-0", "b-0"]),
        (false, _) => pods("9", &["b-0", "c-0"]),
    })
    .await;
    let mut watch = PodWatch::of(&server.cluster, "wharf.uid=u");
    let first = watch.next().await.unwrap();
    assert_eq!(first.pods.keys().collect::<Vec<_>>(), ["a-0", "b-0"]);
    let second = watch.next().await.unwrap();
    assert_eq!(second.pods.keys().collect::<Vec<_>>(), ["b-0", "c-0"]);
    let gone: Vec<_> = second.gone.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect();
    assert_eq!(gone, ["a-0"]);
    let requests = server.requests();
    assert!(requests.iter().filter(|line| line.contains("watch=")).count() >= 1, "{requests:?}");
}

#[tokio::test]
async fn the_end_of_a_pod_that_went_while_the_place_of_the_watch_was_forgotten_is_told() {
    let owner = json!({ labels::HOST_ID: "h", labels::UID: "u" });
    let set = json!({ "kind": "StatefulSet", "apiVersion": "apps/v1",
        "metadata": { "name": "time-0af3", "uid": "s-1", "labels": owner, "annotations": owner },
        "spec": { "replicas": 1, "selector": {}, "serviceName": "time-0af3", "template": {} } });
    let controller = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "time-0af3", "uid": "s-1",
        "controller": true });
    let container = json!({ "name": "server", "image": "i", "imageID": "i", "ready": true, "restartCount": 0,
        "containerID": "c-1", "state": { "running": {} } });
    let pod = json!({ "metadata": { "name": "time-0af3-0", "uid": "p-1", "ownerReferences": [controller] },
        "status": { "containerStatuses": [container] } });
    let listings = AtomicUsize::new(0);
    let server = Server::start(move |_, line| match line {
        // The first watch is forgotten; nothing happens in the second one.
        line if line.contains("watch=") => match listings.load(Ordering::Relaxed) {
            1 => forgotten(),
            _ => String::new(),
        },
        // The pod runs in the first listing, and is in none after it.
        line if line.contains("/pods?") => match listings.fetch_add(1, Ordering::Relaxed) {
            0 => list("PodList", std::slice::from_ref(&pod), ""),
            _ => list("PodList", &[], ""),
        },
        line if line.contains("/statefulsets?") => list("StatefulSetList", std::slice::from_ref(&set), ""),
        _ => ok(&set),
    })
    .await;
    let data =
        HandleData { statefulset: "time-0af3".to_owned(), object_uid: "s-1".to_owned(), target_port: None };
    let handle = data.to_handle("u");
    let ended = wait::ended(&server.cluster, "h", &handle);
    let exit = tokio::time::timeout(Duration::from_secs(30), ended).await.expect("it is told").unwrap();
    assert_eq!((exit.reason.as_str(), exit.restarts), ("its pod was removed", true));
}
