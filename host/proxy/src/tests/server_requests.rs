//! Requests of one server reach the only client that they can concern, or nobody.
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::tests::rig::{Rig, WORK_AFTER_CALL, call, during, later, notification, request};

fn sampling(id: Value) -> Value {
    request(id, "sampling/createMessage", json!({ "messages": [], "_meta": { "progressToken": "p" } }))
}

#[tokio::test]
async fn a_request_of_the_server_goes_to_the_only_client_at_work_and_its_answer_back_once() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.open("2025-06-18", json!({ "sampling": {} })).await;
    let other = rig.open("2025-06-18", json!({ "sampling": {} })).await;
    let (mut stream, call_request) = during!(rig, session, script, call(1, "x"), |request| {
        script.send(sampling(json!("srv-1"))).await;
    });
    let asked = stream.event().await.unwrap().json();
    assert_eq!(asked["method"], "sampling/createMessage");
    let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "role": "assistant" } });
    assert_eq!(rig.post(&other, &answer).await.status, StatusCode::BAD_REQUEST, "not from another session");
    let unknown = notification("notifications/progress", json!({ "progressToken": "p", "progress": 9 }));
    assert_eq!(rig.post(&other, &unknown).await.status, StatusCode::ACCEPTED);
    let progress = notification("notifications/progress", json!({ "progressToken": "p", "progress": 1 }));
    assert_eq!(rig.post(&session, &progress).await.status, StatusCode::ACCEPTED);
    assert_eq!(rig.post(&session, &answer).await.status, StatusCode::ACCEPTED);
    assert_eq!(rig.post(&session, &answer).await.status, StatusCode::BAD_REQUEST, "not twice");
    assert_eq!(script.next_of("notifications/progress").await["params"]["progress"], 1);
    let back = script.next().await;
    assert_eq!(back, json!({ "jsonrpc": "2.0", "id": "srv-1", "result": { "role": "assistant" } }));
    script.answer(&call_request, json!({ "ok": 1 })).await;
    assert_eq!(stream.event().await.unwrap().json()["result"], json!({ "ok": 1 }));
}

#[tokio::test]
async fn a_request_of_the_server_that_concerns_nobody_for_certain_is_refused() {
    let (rig, mut script) = Rig::start().await;
    let able = rig.open("2025-06-18", json!({ "sampling": {}, "elicitation": {} })).await;
    let unable = rig.session().await;
    // Nothing in flight, two sessions.
    script.send(sampling(json!(1))).await;
    let refused = script.next().await;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(1), &json!(-32603)));
    assert!(refused["error"]["message"].as_str().unwrap().contains("a workload of its own for each client"));
    // Two clients in flight, of which only one could answer: still ambiguous.
    let (first, second) = (call(1, "x"), call(1, "y"));
    let (_, _, ()) = tokio::join!(rig.post(&able, &first), rig.post(&unable, &second), async {
        let (a, b) = (script.next().await, script.next().await);
        script.send(sampling(json!(2))).await;
        assert_eq!(script.next().await["error"]["code"], -32603);
        script.answer(&a, json!({})).await;
        script.answer(&b, json!({})).await;
    });
    // One client, but not during a method that may ask; roots; an elicitation mode that it lacks.
    later(WORK_AFTER_CALL).await;
    let list = request(2, "tools/list", json!({}));
    let (_, ()) = tokio::join!(rig.post(&able, &list), async {
        let request = script.next().await;
        script.send(sampling(json!(3))).await;
        assert_eq!(script.next().await["error"]["code"], -32603);
        script.answer(&request, json!({})).await;
    });
    let third = call(3, "x");
    let (_, ()) = tokio::join!(rig.post(&able, &third), async {
        let call = script.next().await;
        let elicit =
            |mode: &str| request(5, "elicitation/create", json!({ "mode": mode, "elicitationId": "e" }));
        for (ask, code) in [
            (request(4, "roots/list", json!({})), -32601),
            (elicit("url"), -32602),
            (request(6, "tasks/get", json!({})), -32601),
        ] {
            script.send(ask).await;
            assert_eq!(script.next().await["error"]["code"], code);
        }
        script.answer(&call, json!({})).await;
    });
    later(WORK_AFTER_CALL).await;
    let fourth = call(4, "x");
    let (_, ()) = tokio::join!(rig.post(&unable, &fourth), async {
        let call = script.next().await;
        script.send(sampling(json!(7))).await;
        assert_eq!(script.next().await["error"]["code"], -32601);
        script.answer(&call, json!({})).await;
    });
}

#[tokio::test]
async fn a_lone_session_with_a_stream_can_be_asked_outside_of_calls() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.open("2025-11-25", json!({ "elicitation": { "url": {} } })).await;
    let mut stream = rig.get(&session, None).await;
    assert_eq!(stream.event().await.unwrap().data, "");
    script.send(request("e", "elicitation/create", json!({ "mode": "url", "elicitationId": "abc" }))).await;
    let asked = stream.event().await.unwrap().json();
    script.notify("notifications/elicitation/complete", json!({ "elicitationId": "other" })).await;
    script.notify("notifications/elicitation/complete", json!({ "elicitationId": "abc" })).await;
    assert_eq!(stream.event().await.unwrap().json()["params"]["elicitationId"], "abc");
    script.notify("notifications/cancelled", json!({ "requestId": "e" })).await;
    assert_eq!(stream.event().await.unwrap().json()["params"]["requestId"], asked["id"]);
    let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": {} });
    assert_eq!(rig.post(&session, &answer).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_ping_of_the_server_is_answered_here() {
    let (_rig, mut script) = Rig::start().await;
    script.send(request("p", "ping", json!({}))).await;
    assert_eq!(script.next().await, json!({ "jsonrpc": "2.0", "id": "p", "result": {} }));
}

#[tokio::test]
async fn a_server_request_ends_with_the_call_that_it_belongs_to() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.open("2025-06-18", json!({ "sampling": {} })).await;
    let (mut stream, _) = during!(rig, session, script, call(1, "x"), |request| {
        script.send(sampling(json!("q"))).await;
    });
    let asked = stream.event().await.unwrap().json();
    rig.post(&session, &notification("notifications/cancelled", json!({ "requestId": 1 }))).await;
    let refused = script.next().await;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!("q"), &json!(-32603)));
    script.next_of("notifications/cancelled").await;
    let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": {} });
    assert_eq!(rig.post(&session, &answer).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_end_of_an_elicitation_whose_id_two_sessions_have_reaches_neither() {
    let (rig, mut script) = Rig::start().await;
    let sessions = [rig.session().await, rig.session().await];
    let mut streams = [rig.get(&sessions[0], None).await, rig.get(&sessions[1], None).await];
    for (session, id) in [(&sessions[0], "own"), (&sessions[0], "both"), (&sessions[1], "both")] {
        let message = call(1, "x");
        tokio::join!(rig.post(session, &message), async {
            let request = script.next().await;
            let data = json!({ "elicitations": [{ "elicitationId": id }] });
            let error = json!({ "code": -32042, "message": "open a page", "data": data });
            script.send(json!({ "jsonrpc": "2.0", "id": request["id"], "error": error })).await;
        });
    }
    for id in ["both", "own"] {
        script.notify("notifications/elicitation/complete", json!({ "elicitationId": id })).await;
    }
    script.notify("notifications/tools/list_changed", json!({})).await;
    let [first, second] = &mut streams;
    assert_eq!(first.event().await.unwrap().json()["params"]["elicitationId"], "own");
    for stream in [first, second] {
        let event = stream.event().await.unwrap().json();
        assert_eq!(event["method"], "notifications/tools/list_changed", "nothing came before it");
    }
    assert!(rig.proxy.undelivered().iter().any(|one| one.what == "unknown notification" && one.count == 1));
}
