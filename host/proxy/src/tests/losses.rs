//! What a client would have received directly and does not receive is counted, by reason (`docs/mcp.md`, 12.8).
use serde_json::{Value, json};

use crate::protocol::options::Limits;
use crate::tests::per_session;
use crate::tests::rig::{Rig, Script, request};

fn count(rig: &Rig, what: &str, why: &str) -> u64 {
    let all = rig.proxy.undelivered();
    all.iter().find(|entry| entry.what == what && entry.why.contains(why)).map_or(0, |entry| entry.count)
}

/// Resolves once the proxy has read all that the server has sent.
async fn all_read(script: &mut Script) {
    script.send(request("seen", "ping", json!({}))).await;
    assert_eq!(script.next().await["id"], "seen");
}

#[tokio::test]
async fn each_loss_is_counted_once_somebody_is_there_to_lose_it() {
    let (rig, mut script) = Rig::start().await;
    let params: [(&str, Value); 4] = [
        ("notifications/message", json!({ "level": "debug", "data": 1 })),
        ("notifications/message", json!({ "level": "error", "data": 1 })),
        ("notifications/resources/updated", json!({ "uri": "f://a" })),
        ("notifications/elicitation/complete", json!({ "elicitationId": "e" })),
    ];
    let losses = [
        ("log message", "below info"),
        ("log message", "no stream"),
        ("change of a resource", "subscribed"),
        ("end of an elicitation", "no stream"),
    ];
    for expected in [0, 1] {
        for (method, params) in &params {
            script.notify(method, params.clone()).await;
        }
        all_read(&mut script).await;
        for (what, why) in losses {
            assert_eq!(count(&rig, what, why), expected, "{what}: {why}");
        }
        rig.session().await;
    }
}

#[tokio::test]
async fn a_client_that_sets_a_level_loses_nothing_by_it() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let mut stream = rig.get(&session, None).await;
    rig.post(&session, &request(1, "logging/setLevel", json!({ "level": "error" }))).await;
    script.next_of("logging/setLevel").await;
    script.notify("notifications/message", json!({ "level": "info", "data": "not asked for" })).await;
    script.notify("notifications/message", json!({ "level": "error", "data": "asked for" })).await;
    assert_eq!(stream.event().await.unwrap().json()["params"]["data"], "asked for");
    assert_eq!(rig.proxy.undelivered(), []);
}

#[tokio::test]
async fn what_a_session_that_has_ended_had_not_asked_for_is_no_loss() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    rig.post(&session, &request(1, "logging/setLevel", json!({ "level": "error" }))).await;
    script.next_of("logging/setLevel").await;
    rig.send(axum::http::Method::DELETE, &[("mcp-session-id", &session)], "").await;
    for (level, expected) in [("info", 0), ("error", 1)] {
        script.notify("notifications/message", json!({ "level": level, "data": 1 })).await;
        all_read(&mut script).await;
        assert_eq!(count(&rig, "log message", "no stream"), expected, "{level}");
    }
}

#[tokio::test]
async fn a_cancellation_that_its_client_cannot_be_told_is_counted() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.open("2025-06-18", json!({ "sampling": {} })).await;
    let mut stream = rig.get(&session, None).await;
    script.send(request("q", "sampling/createMessage", json!({ "messages": [] }))).await;
    assert_eq!(stream.event().await.unwrap().json()["method"], "sampling/createMessage");
    // As after a minute without a connection.
    rig.proxy.shared.with(|state| state.sessions.values_mut().for_each(|session| session.streams.clear()));
    script.notify("notifications/cancelled", json!({ "requestId": "q" })).await;
    all_read(&mut script).await;
    assert_eq!(count(&rig, "cancellation", "no stream"), 1);
}

#[tokio::test]
async fn a_shared_server_that_asks_for_roots_is_counted_and_with_several_clients_advised() {
    let (rig, mut script) = Rig::start().await;
    let asks = async |script: &mut Script| {
        script.send(request("r", "roots/list", json!({}))).await;
        assert_eq!(script.next().await["error"]["code"], -32601);
    };
    rig.session().await;
    asks(&mut script).await;
    assert_eq!(rig.proxy.undelivered(), [], "it offers none");
    let offers = json!({ "roots": {} });
    let one = rig.open("2025-06-18", offers.clone()).await;
    asks(&mut script).await;
    assert_eq!(count(&rig, "request of the server", "several clients were at work"), 1);
    for session in rig.proxy.shared.with(|state| state.session_ids()) {
        if session.as_str() != one {
            rig.send(axum::http::Method::DELETE, &[("mcp-session-id", session.as_str())], "").await;
        }
    }
    asks(&mut script).await;
    assert_eq!(count(&rig, "request of the server", "roots"), 1);
}

#[tokio::test]
async fn the_only_client_of_a_server_that_sets_no_level_gets_all_of_its_log() {
    let (rig, _own, _scripts, mut servers) = per_session::rig(Limits::default()).await;
    let (session, mut script, _proxy) = per_session::open(&rig, &mut servers, json!({})).await;
    let mut stream = rig.get(&session, None).await;
    script.notify("notifications/message", json!({ "level": "debug", "data": "small talk" })).await;
    assert_eq!(stream.event().await.unwrap().json()["params"]["data"], "small talk");
}
