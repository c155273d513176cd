//! Clients' requests and notifications are counted by method and outcome.
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use axum::response::Response;
use serde_json::json;

use crate::protocol::operation_counts::OperationCounts;
use crate::reverse::proxy::HttpProxy;
use crate::reverse::upstream::Upstream;
use crate::tests::http_rig::{self, ask, listen};
use crate::tests::rig::{POST, Rig, call, initialize, later, notification, options, request, whole};

/// Method, type of error, and how many.
fn counted(counts: &OperationCounts) -> Vec<(&'static str, &'static str, u64)> {
    let counts = counts.all().into_iter();
    counts.map(|count| (count.method, count.error_type, count.buckets.iter().sum())).collect()
}

#[tokio::test]
async fn each_operation_of_a_shared_server_is_counted_with_its_outcome_and_its_time() {
    let options = options();
    let counts = options.operations.clone();
    let (rig, mut script) = Rig::with(options).await;
    assert!(counted(&counts).is_empty(), "the proxy's own handshake is no client's");
    let session = rig.session().await;
    rig.post(&session, &notification("notifications/initialized", json!({}))).await;
    let (slow, refused) = (call(1, "slow"), call(2, "refused"));
    tokio::join!(rig.post(&session, &slow), async {
        let asked = script.next().await;
        later(Duration::from_secs(3)).await;
        script.answer(&asked, json!({})).await;
    });
    let error = json!({ "code": -32602, "message": "no", "data": { "code": 1 } });
    tokio::join!(rig.post(&session, &refused), async {
        let asked = script.next().await;
        script.send(json!({ "jsonrpc": "2.0", "id": asked["id"], "error": error })).await;
    });
    for id in [3, 4] {
        rig.post(&session, &request(id, "ping", json!({}))).await;
    }
    rig.post(&session, &request(5, "tasks/list", json!({}))).await;
    let given_up = call(6, "given up");
    tokio::join!(rig.post(&session, &given_up), async {
        script.next().await;
        rig.post(&session, &notification("notifications/cancelled", json!({ "requestId": 6 }))).await;
    });
    let expected = [
        ("tools/call", "", 1),
        ("tools/call", "-32602", 1),
        ("tools/call", "cancelled", 1),
        ("ping", "", 2),
        ("initialize", "", 1),
        ("notifications/initialized", "", 1),
        ("notifications/cancelled", "", 1),
        ("tasks/list", "-32601", 1),
    ];
    assert_eq!(counted(&counts), expected);
    let slow = counts.all().remove(0);
    assert!(slow.buckets[8] == 1 && slow.sum_us >= 3_000_000, "{slow:?}");
}

#[tokio::test]
async fn operations_of_a_server_with_a_port_end_with_the_body_of_the_answer() {
    let (server, _seen) = http_rig::server(|asked| {
        let status = if asked.message()["method"] == "made/up" { 404 } else { 200 };
        let head = Response::builder().status(status).header("content-type", "application/json");
        head.body(Body::from(json!({ "jsonrpc": "2.0", "id": 1, "result": {} }).to_string())).unwrap()
    })
    .await;
    let options = options();
    let counts = options.operations.clone();
    let proxy = listen(HttpProxy::new(options, Upstream::tcp(server)).router()).await;
    let answered = json!({ "jsonrpc": "2.0", "id": 1, "result": {} });
    let stateless = json!({ "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } });
    let messages = [
        initialize("2025-06-18", json!({})),
        call(2, "x"),
        request(3, "made/up", json!({})),
        request(4, "server/discover", stateless),
        answered,
    ];
    for message in messages {
        whole(ask((proxy, "/mcp"), Method::POST, &POST, &message.to_string()).await).await;
    }
    let expected = [
        ("tools/call", "", 1),
        ("initialize", "", 1),
        ("server/discover", "-32601", 1),
        ("other", "_OTHER", 1),
    ];
    // The body is dropped once its client has it, perhaps a moment later.
    tokio::time::timeout(Duration::from_secs(60), async {
        while counted(&counts) != expected {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{:?}", counted(&counts)));
}
