//! Messages of one server reach the client that they concern.
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::tests::rig::{Rig, call, during, notification, request};

fn log(level: &str, text: &str) -> Value {
    json!({ "level": level, "data": text })
}

#[tokio::test]
async fn equal_ids_of_two_clients_do_not_meet() {
    let (rig, mut script) = Rig::start().await;
    let (one, other) = (rig.session().await, rig.session().await);
    let (first, second, numbered) = (call(1, "first"), call(1, "second"), call("1", "third"));
    let (a, b, c, ids) =
        tokio::join!(rig.post(&one, &first), rig.post(&other, &second), rig.post(&one, &numbered), async {
            let mut requests = [script.next().await, script.next().await, script.next().await];
            requests.reverse();
            for request in &requests {
                script.answer(request, json!({ "for": request["params"]["name"], "id": 1 })).await;
            }
            requests.map(|request| request["id"].as_u64().unwrap())
        });
    let expect = |reply: crate::tests::rig::Reply, id: Value, name: &str| {
        assert_eq!(reply.json(), json!({ "jsonrpc": "2.0", "id": id, "result": { "for": name, "id": 1 } }));
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("content-length"), Some(reply.body.len().to_string().as_str()));
    };
    expect(a, json!(1), "first");
    expect(b, json!(1), "second");
    expect(c, json!("1"), "third");
    let distinct: std::collections::HashSet<_> = ids.into_iter().collect();
    assert_eq!(distinct.len(), 3);
    // The next process does not get a used id either.
    drop(script);
    rig.proxy.disconnected().await;
    let mut script = rig.connect(crate::tests::rig::welcome()).await;
    let again = call(1, "again");
    let (_, id) = tokio::join!(rig.post(&one, &again), async {
        let request = script.next().await;
        script.answer(&request, json!({})).await;
        request["id"].as_u64().unwrap()
    });
    assert!(ids.iter().all(|used| *used < id));
}

#[tokio::test]
async fn an_id_in_flight_cannot_be_used_twice_in_a_session() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let slow = call("\u{e9}", "slow");
    let (reply, ()) = tokio::join!(rig.post(&session, &slow), async {
        let request = script.next().await;
        let again = rig.post(&session, &slow).await;
        assert_eq!((again.status, again.code()), (StatusCode::BAD_REQUEST, json!(-32600)));
        script.answer(&request, json!({})).await;
    });
    assert_eq!(reply.json()["result"], json!({}));
}

#[tokio::test]
async fn errors_of_the_server_pass_unchanged_with_status_200() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let error = json!({ "code": -32002, "message": "gone", "data": { "uri": "x" } });
    let read = request(5, "resources/read", json!({ "uri": "x" }));
    let (reply, ()) = tokio::join!(rig.post(&session, &read), async {
        let request = script.next().await;
        script.send(json!({ "jsonrpc": "2.0", "id": request["id"], "error": error })).await;
    });
    assert_eq!((reply.status, &reply.json()["error"]), (StatusCode::OK, &error));
}

#[tokio::test]
async fn some_methods_never_reach_a_shared_server() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    for method in ["tasks/list", "tasks/get", "server/discover", "subscriptions/listen"] {
        assert_eq!(rig.post(&session, &request(1, method, json!({}))).await.code(), -32601, "{method}");
    }
    for method in ["notifications/roots/list_changed", "notifications/initialized"] {
        assert_eq!(rig.post(&session, &notification(method, json!({}))).await.status, StatusCode::ACCEPTED);
    }
    for (method, task) in [("tools/call", None), ("x/vendor", Some(json!({ "id": 7 })))] {
        let params = json!({ "task": { "id": 7 }, "k": 1, "_meta": { "traceparent": "t" } });
        let message = request(1, method, params);
        let (_, ()) = tokio::join!(rig.post(&session, &message), async {
            let request = script.next_of(method).await;
            assert_eq!((&request["params"]["k"], request["params"].get("task")), (&json!(1), task.as_ref()));
            script.answer(&request, json!({})).await;
        });
    }
}

#[tokio::test]
async fn progress_reaches_its_request_with_the_clients_token() {
    let (rig, mut script) = Rig::start().await;
    let (one, other) = (rig.session().await, rig.session().await);
    let asking =
        |token: Value| request(1, "tools/call", json!({ "name": "x", "_meta": { "progressToken": token } }));
    let plain = call(2, "plain");
    let (message_a, message_b) = (asking(json!("tok")), asking(json!(7)));
    let (mut a, mut b, c, ()) = tokio::join!(
        rig.post_stream(&one, &message_a),
        rig.post_stream(&other, &message_b),
        rig.post(&one, &plain),
        async {
            let mut requests = vec![script.next().await, script.next().await, script.next().await];
            requests.sort_by_key(|request| request["params"].to_string());
            let tokens: Vec<Value> =
                requests.iter().map(|request| request["params"]["_meta"]["progressToken"].clone()).collect();
            for request in &requests {
                let token = &request["params"]["_meta"]["progressToken"];
                let token = if token.is_null() { &request["id"] } else { token };
                script
                    .notify("notifications/progress", json!({ "progressToken": token, "progress": 1 }))
                    .await;
                script.answer(request, json!({ "done": true })).await;
                script
                    .notify("notifications/progress", json!({ "progressToken": token, "progress": 2 }))
                    .await;
            }
            assert_eq!(tokens.iter().filter(|token| token.is_u64()).count(), 2, "tokens are ours and unique");
            assert_ne!(tokens[0], tokens[1]);
        }
    );
    for (stream, token) in [(&mut a, json!("tok")), (&mut b, json!(7))] {
        assert_eq!(stream.headers["content-type"], "text/event-stream");
        let progress = stream.event().await.unwrap().json();
        assert_eq!(progress["params"], json!({ "progressToken": token, "progress": 1 }));
        assert_eq!(stream.event().await.unwrap().json()["result"], json!({ "done": true }));
        assert_eq!(stream.event().await, None, "nothing follows the answer");
    }
    assert_eq!(c.json()["result"], json!({ "done": true }), "who asked for none gets none");
}

#[tokio::test]
async fn a_cancellation_concerns_its_own_session_only() {
    let (rig, mut script) = Rig::start().await;
    let (one, other) = (rig.session().await, rig.session().await);
    let slow = call(1, "slow");
    let cancel = notification("notifications/cancelled", json!({ "requestId": 1, "reason": "bored" }));
    let (mut stream, ()) = tokio::join!(rig.post_stream(&one, &slow), async {
        let request = script.next().await;
        assert_eq!(rig.post(&other, &cancel).await.status, StatusCode::ACCEPTED);
        let text = notification("notifications/cancelled", json!({ "requestId": "1" }));
        assert_eq!(rig.post(&one, &text).await.status, StatusCode::ACCEPTED);
        assert_eq!(rig.post(&one, &cancel).await.status, StatusCode::ACCEPTED);
        let cancelled = script.next_of("notifications/cancelled").await;
        assert_eq!(cancelled["params"], json!({ "requestId": request["id"], "reason": "bored" }));
        script.answer(&request, json!({ "late": true })).await;
    });
    assert_eq!(stream.event().await, None, "there is no response to a cancelled request");
    let again = call(1, "again");
    let (reply, ()) = tokio::join!(rig.post(&one, &again), async {
        let request = script.next().await;
        script.answer(&request, json!({ "again": true })).await;
    });
    assert_eq!(
        reply.json()["result"],
        json!({ "again": true }),
        "the late answer was dropped, the id is free"
    );
}

#[tokio::test]
async fn a_dropped_connection_is_no_cancellation() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let slow = call(1, "slow");
    let request = tokio::select! {
        _ = rig.post(&session, &slow) => panic!("answered"),
        request = script.next() => request,
    };
    // Dropping the future closed the connection; the server hears nothing of it.
    let ping = request_ping(&rig, &mut script).await;
    assert_eq!(ping["method"], "ping");
    script.answer(&request, json!({})).await;
}

async fn request_ping(rig: &Rig, script: &mut crate::tests::rig::Script) -> Value {
    let (_, ping) = tokio::join!(rig.proxy.ping(crate::tests::rig::DEADLINE), async {
        let ping = script.next().await;
        script.answer(&ping, json!({})).await;
        ping
    });
    ping
}

#[tokio::test]
async fn ending_a_session_cancels_its_calls() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let slow = call(1, "slow");
    let (reply, ()) = tokio::join!(rig.post(&session, &slow), async {
        let request = script.next().await;
        let delete = rig.send(axum::http::Method::DELETE, &[("mcp-session-id", &session)], "").await;
        assert_eq!(delete.status(), StatusCode::NO_CONTENT);
        assert_eq!(script.next_of("notifications/cancelled").await["params"]["requestId"], request["id"]);
    });
    assert_eq!(reply.code(), -32603);
}

#[tokio::test]
async fn logs_go_to_the_only_client_at_work_or_to_nobody() {
    let (rig, mut script) = Rig::start().await;
    let (one, other) = (rig.session().await, rig.session().await);
    let (mut stream, _) = during!(rig, one, script, call(1, "x"), |request| {
        script.notify("notifications/message", log("debug", "too quiet")).await;
        script.notify("notifications/message", log("info", "for one")).await;
        let second = call(2, "y");
        let (reply, ()) = tokio::join!(rig.post(&other, &second), async {
            let other = script.next().await;
            script.notify("notifications/message", log("error", "for whom?")).await;
            script.answer(&other, json!({})).await;
        });
        assert_eq!(reply.header("content-type"), Some("application/json"));
        script.answer(&request, json!({})).await;
    });
    assert_eq!(stream.event().await.unwrap().json()["params"]["data"], "for one");
    assert!(stream.event().await.unwrap().json().get("result").is_some());
}

#[tokio::test]
async fn log_levels_are_kept_per_session_and_the_server_gets_the_most_verbose() {
    let (rig, mut script) = Rig::start().await;
    let (one, other) = (rig.session().await, rig.session().await);
    let level = |level: &str| request("l", "logging/setLevel", json!({ "level": level }));
    assert_eq!(rig.post(&one, &level("loud")).await.code(), -32602);
    assert_eq!(rig.post(&one, &level("error")).await.json()["result"], json!({}));
    assert_eq!(script.next_of("logging/setLevel").await["params"]["level"], "info", "the other never asked");
    assert_eq!(rig.post(&other, &level("debug")).await.json()["result"], json!({}));
    assert_eq!(script.next_of("logging/setLevel").await["params"]["level"], "debug");
    let (reply, _) = tokio::join!(
        async {
            let message = call(1, "x");
            rig.post(&one, &message).await
        },
        async {
            let request = script.next().await;
            script.notify("notifications/message", log("warning", "below")).await;
            script.answer(&request, json!({})).await;
        }
    );
    assert_eq!(reply.header("content-type"), Some("application/json"), "filtered at the session's level");
    rig.send(axum::http::Method::DELETE, &[("mcp-session-id", &other)], "").await;
    assert_eq!(script.next_of("logging/setLevel").await["params"]["level"], "error");
    let _third = rig.session().await;
    assert_eq!(script.next_of("logging/setLevel").await["params"]["level"], "info");
    assert_eq!(rig.post(&one, &level("debug")).await.json()["result"], json!({}));
    assert_eq!(script.next_of("logging/setLevel").await["params"]["level"], "debug");
    rig.send(axum::http::Method::DELETE, &[("mcp-session-id", &one)], "").await;
    let after = script.next_of("logging/setLevel").await;
    assert_eq!(after["params"]["level"], "info", "no level outlives its session");
}

#[tokio::test]
async fn only_the_first_and_last_subscription_reach_the_server() {
    let (rig, mut script) = Rig::start().await;
    let (one, other) = (rig.session().await, rig.session().await);
    let on = |method: &str| request("s", &format!("resources/{method}"), json!({ "uri": "f://a" }));
    let subscribe = on("subscribe");
    let (reply, ()) = tokio::join!(rig.post(&one, &subscribe), async {
        let request = script.next_of("resources/subscribe").await;
        script.answer(&request, json!({ "by": "server" })).await;
    });
    assert_eq!(reply.json()["result"], json!({ "by": "server" }), "answered after the server's answer");
    assert_eq!(rig.post(&other, &on("unsubscribe")).await.json()["result"], json!({}), "it had none");
    assert_eq!(rig.post(&other, &subscribe).await.json()["result"], json!({}));
    let (mut a, mut b) = (rig.get(&one, None).await, rig.get(&other, None).await);
    script.notify("notifications/resources/updated", json!({ "uri": "f://a/part" })).await;
    for stream in [&mut a, &mut b] {
        assert_eq!(stream.event().await.unwrap().json()["params"]["uri"], "f://a/part");
    }
    assert_eq!(rig.post(&one, &on("unsubscribe")).await.json()["result"], json!({}));
    script.notify("notifications/resources/updated", json!({ "uri": "f://a" })).await;
    script.notify("notifications/tools/list_changed", json!({})).await;
    assert_eq!(
        a.event().await.unwrap().json()["method"],
        "notifications/tools/list_changed",
        "not to who left"
    );
    assert_eq!(b.event().await.unwrap().json()["params"]["uri"], "f://a");
    rig.send(axum::http::Method::DELETE, &[("mcp-session-id", &other)], "").await;
    script.next_of("resources/unsubscribe").await;
}

#[tokio::test]
async fn list_changes_reach_each_session_once_and_wait_for_a_stream() {
    let (rig, mut script) = Rig::start().await;
    let (one, other) = (rig.session().await, rig.session().await);
    let _older = rig.get(&one, None).await;
    let mut newest = rig.get(&one, None).await;
    for _ in 0..3 {
        script.notify("notifications/tools/list_changed", json!({})).await;
    }
    script.notify("notifications/prompts/list_changed", json!({})).await;
    for kind in ["tools", "tools", "tools", "prompts"] {
        assert_eq!(
            newest.event().await.unwrap().json()["method"],
            format!("notifications/{kind}/list_changed")
        );
    }
    let mut late = rig.get(&other, None).await;
    for kind in ["tools", "prompts"] {
        let event = late.event().await.unwrap().json();
        assert_eq!(event["method"], format!("notifications/{kind}/list_changed"), "one copy per kind");
    }
    script.notify("x/vendor", json!({})).await;
    script.notify("notifications/resources/list_changed", json!({})).await;
    for stream in [&mut newest, &mut late] {
        let event = stream.event().await.unwrap().json();
        assert_eq!(event["method"], "notifications/resources/list_changed", "unknown ones concern nobody");
    }
}

#[tokio::test]
async fn lines_of_the_proxys_own_hold_no_line_ends_of_any_reader() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let odd = "a\u{2028}b\u{2029}c\u{85}d";
    let subscribe = request("s", "resources/subscribe", json!({ "uri": odd }));
    tokio::join!(rig.post(&session, &subscribe), async {
        let request = script.next().await;
        script.answer(&request, json!({})).await;
    });
    let slow = call(1, "slow");
    tokio::join!(rig.post(&session, &slow), async {
        script.next().await;
        let cancel = notification("notifications/cancelled", json!({ "requestId": 1, "reason": odd }));
        rig.post(&session, &cancel).await;
        let line = script.input.next_line().await.unwrap().unwrap();
        assert!(line.contains(r"a\u2028b\u2029c\u0085d") && line.is_ascii(), "{line}");
    });
    rig.send(axum::http::Method::DELETE, &[("mcp-session-id", &session)], "").await;
    let line = script.input.next_line().await.unwrap().unwrap();
    assert!(line.contains("resources/unsubscribe") && line.is_ascii(), "{line}");
}
