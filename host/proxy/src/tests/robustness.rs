//! Hostile and clumsy input, from both sides, and time.
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::protocol::options::Limits;
use crate::tests::rig::{Rig, call, limited, notification, request};

#[tokio::test]
async fn what_a_client_sends_is_one_line_for_the_server() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let body = "{\"jsonrpc\":\"2.0\",\r\n\"id\":1,\"method\":\"tools/call\",\"params\":\r\n\
                {\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"tools/call\",\"params\":{\"name\":\"evil\"}}\r\n,\
                \"extra\":\"a\u{2028}b\u{0085}c\" }";
    let (reply, ()) = tokio::join!(rig.post_raw(&session, body), async {
        let line = script.input.next_line().await.unwrap().unwrap();
        assert!(!line.contains(['\r', '\u{2028}', '\u{0085}', ' ']), "{line}");
        let request: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(request["params"]["params"]["name"], "evil", "it stayed inside");
        assert_eq!(request["extra"], "a\u{2028}b\u{0085}c");
        script.answer(&request, json!({ "ok": true })).await;
    });
    assert_eq!(reply.json()["result"], json!({ "ok": true }));
}

#[tokio::test]
async fn junk_between_messages_is_survived() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let message = call(1, "x");
    let (reply, ()) = tokio::join!(rig.post(&session, &message), async {
        let request = script.next().await;
        let lines: [&[u8]; 9] = [
            b"\n",
            b"\r\n",
            b"   \n",
            b"log: tools/call\n",
            b"\xff\xfe\x00\n",
            b"{\"jsonrpc\":\"2.0\"\n",
            b"{}\n",
            b"{\"jsonrpc\":\"2.0\",\"id\":4711,\"result\":{}}\n",
            b"null\n",
        ];
        script.raw(lines.concat()).await;
        // Cut in the middle, with a Windows line end.
        script.raw(format!("{{ \"jsonrpc\" : \"2.0\", \"id\" : {}, ", request["id"])).await;
        tokio::task::yield_now().await;
        script.raw("\"result\":{ \"text\":\"a  b\" } }\r\n").await;
    });
    assert_eq!(reply.body, r#"{"jsonrpc":"2.0","id":1,"result":{"text":"a  b"}}"#);
}

#[tokio::test]
async fn an_answer_that_is_no_json_fails_its_request() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    for bad in ["{\"score\":NaN}", "{\"a\":1}},{", "{\"a\":\"\u{1}\"}"] {
        let message = call(1, "x");
        let (reply, ()) = tokio::join!(rig.post(&session, &message), async {
            let request = script.next().await;
            script.raw(format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{bad}}}\n", request["id"])).await;
        });
        assert_eq!((reply.status, reply.code()), (StatusCode::OK, json!(-32603)), "{bad}");
    }
}

#[tokio::test]
async fn a_line_over_the_limit_is_skipped_and_its_request_fails() {
    let (rig, mut script) = Rig::with(limited(Limits { line_bytes: 100_000, ..Limits::default() })).await;
    let session = rig.session().await;
    for size in [100_001, 2_000_000] {
        let message = call(1, "x");
        let (reply, ()) = tokio::join!(rig.post(&session, &message), async {
            let request = script.next().await;
            let text = "y".repeat(size);
            script
                .raw(format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":\"{text}\"}}\n", request["id"]))
                .await;
        });
        assert_eq!(reply.code(), -32603);
    }
    let message = call(2, "x");
    let (reply, ()) = tokio::join!(rig.post(&session, &message), async {
        let request = script.next().await;
        script.answer(&request, json!({ "after": true })).await;
    });
    assert_eq!(reply.json()["result"], json!({ "after": true }));
}

#[tokio::test]
async fn sixteen_clients_with_64_kib_answers_lose_none() {
    let (rig, mut script) = Rig::start().await;
    let rounds = 13;
    let server = tokio::spawn(async move {
        for _ in 0..16 * rounds {
            let request = script.next().await;
            let text = request["params"]["name"].as_str().unwrap().repeat(64 * 1024 / 4);
            script.answer(&request, json!({ "text": text })).await;
        }
        script
    });
    let clients = (0..16).map(|client| {
        let rig = &rig;
        async move {
            let session = rig.session().await;
            for round in 0..rounds {
                let name = format!("{client:02}{round:02}");
                let reply = rig.post(&session, &call(round, &name)).await;
                assert_eq!(reply.json()["result"]["text"].as_str().unwrap(), name.repeat(64 * 1024 / 4));
            }
        }
    });
    futures_util::future::join_all(clients).await;
    server.await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_read_leads_to_503_and_not_to_growth() {
    let limits = Limits { stdin_queue_bytes: 300_000, ..Limits::default() };
    let (rig, _script) = Rig::with(limited(limits)).await;
    let session = rig.session().await;
    let large = notification("x/large", json!({ "text": "z".repeat(200_000) }));
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(rig.post(&session, &large).await.status);
    }
    assert_eq!(statuses[0], StatusCode::ACCEPTED);
    assert_eq!(statuses[4], StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_answer_fails_after_the_idle_time_and_is_cancelled() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let began = tokio::time::Instant::now();
    let reply = rig.post(&session, &call(1, "silent")).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::OK, json!(-32603)));
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(300) && took < Duration::from_secs(310), "{took:?}");
    let request = script.next().await;
    let cancelled = script.next_of("notifications/cancelled").await;
    assert_eq!(cancelled["params"]["requestId"], request["id"]);
}

#[tokio::test(start_paused = true)]
async fn progress_defers_the_idle_time_but_not_the_hard_one() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let began = tokio::time::Instant::now();
    let message = request(1, "tools/call", json!({ "name": "x", "_meta": { "progressToken": 5 } }));
    let server = tokio::spawn(async move {
        let request = script.next().await;
        for step in 0.. {
            let params = json!({ "progressToken": request["id"], "progress": step });
            script.notify("notifications/progress", params).await;
            tokio::time::sleep(Duration::from_secs(200)).await;
        }
    });
    let mut stream = rig.post_stream(&session, &message).await;
    let mut last = Value::Null;
    while let Some(event) = stream.event().await {
        last = event.json();
    }
    assert_eq!(last["error"]["code"], -32603);
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(3600) && took < Duration::from_secs(3620), "{took:?}");
    server.abort();
}

#[tokio::test(start_paused = true)]
async fn a_question_to_a_client_has_its_own_deadline() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.open("2025-06-18", json!({ "sampling": {} })).await;
    let began = tokio::time::Instant::now();
    let message = call(1, "x");
    let (mut stream, call_request) = tokio::join!(rig.post_stream(&session, &message), async {
        let call = script.next().await;
        script.send(request("q", "sampling/createMessage", json!({}))).await;
        call
    });
    stream.event().await.unwrap();
    let refused = script.next().await;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!("q"), &json!(-32603)));
    assert!(
        began.elapsed() >= Duration::from_secs(600),
        "the call waited for its client, not for the server"
    );
    script.answer(&call_request, json!({})).await;
    assert!(stream.event().await.unwrap().json().get("result").is_some());
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_ends_and_an_open_stream_keeps_one() {
    let (rig, _script) = Rig::start().await;
    let (idle, open) = (rig.session().await, rig.session().await);
    let mut stream = rig.get(&open, None).await;
    for _ in 0..100 {
        stream.more().await.unwrap();
    }
    assert_eq!(rig.post(&idle, &request(1, "ping", json!({}))).await.status, StatusCode::NOT_FOUND);
    assert_eq!(rig.post(&open, &request(1, "ping", json!({}))).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_resumes_is_forgotten() {
    let (rig, _script) = Rig::start().await;
    let session = rig.open("2025-11-25", json!({})).await;
    let mut stream = rig.get(&session, None).await;
    let id = stream.event().await.unwrap().id;
    drop(stream);
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert_eq!(rig.get(&session, Some(&id)).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn subscriptions_of_a_session_are_bounded() {
    let (rig, mut script) =
        Rig::with(limited(Limits { subscriptions_per_session: 1, ..Limits::default() })).await;
    let session = rig.session().await;
    let subscribe = |uri: &str| request(1, "resources/subscribe", json!({ "uri": uri }));
    let first = subscribe("a");
    tokio::join!(rig.post(&session, &first), async {
        let request = script.next().await;
        script.answer(&request, json!({})).await;
    });
    assert_eq!(rig.post(&session, &subscribe("b")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(rig.post(&session, &first).await.status, StatusCode::OK);
}

#[tokio::test]
async fn questions_to_clients_are_bounded() {
    let (rig, mut script) = Rig::with(limited(Limits { server_requests: 1, ..Limits::default() })).await;
    let session = rig.open("2025-06-18", json!({ "sampling": {} })).await;
    let message = call(1, "x");
    let (mut stream, ()) = tokio::join!(rig.post_stream(&session, &message), async {
        let call = script.next().await;
        for id in ["q1", "q2"] {
            script.send(request(id, "sampling/createMessage", json!({}))).await;
        }
        let refused = script.next().await;
        assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!("q2"), &json!(-32603)));
        script.answer(&call, json!({})).await;
    });
    assert_eq!(stream.event().await.unwrap().json()["method"], "sampling/createMessage");
    assert!(stream.event().await.unwrap().json().get("result").is_some());
}

#[tokio::test]
async fn a_request_without_an_id_is_no_notification() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let disguised = notification("tools/call", json!({ "name": "x" }));
    assert_eq!(rig.post(&session, &disguised).await.status, StatusCode::ACCEPTED);
    assert_eq!(
        rig.post(&session, &notification("vendor/told", json!({}))).await.status,
        StatusCode::ACCEPTED
    );
    assert_eq!(script.next().await["method"], "vendor/told", "the other one never arrived");
}
