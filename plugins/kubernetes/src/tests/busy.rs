//! An API server that refuses requests for lack of time, and one that has forgotten the position of a watch.
use super::server::{Server, answer};
use crate::pods::PodWatch;
use serde_json::json;
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

fn pods(version: &str, names: &[&str]) -> String {
    let pods: Vec<_> =
        names.iter().map(|name| json!({ "metadata": { "name": name, "uid": name } })).collect();
    let list = json!({ "kind": "PodList", "apiVersion": "v1", "metadata": { "resourceVersion": version },
        "items": pods });
    answer("200 OK", "", &list.to_string())
}

/// A watch that sends a bookmark, and then that its position is forgotten.
fn forgotten() -> String {
    let bookmark = json!({ "type": "BOOKMARK", "object": { "kind": "Pod", "apiVersion": "v1",
        "metadata": { "resourceVersion": "7" } } });
    let gone = json!({ "type": "ERROR", "object": { "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "reason": "Expired", "message": "too old resource version", "code": 410, "metadata": {} } });
    answer("200 OK", "", &format!("{bookmark}\n{gone}\n"))
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
