//! Hostile and clumsy input, from both sides, and time.
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::protocol::options::Limits;
use crate::tests::rig::{Reply, Rig, Script, call, limited, notification, request};

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
    assert_eq!(rig.proxy.undelivered()[0].what, "answer");
    let message = call(2, "x");
    let (reply, ()) = tokio::join!(rig.post(&session, &message), async {
        let request = script.next().await;
        script.answer(&request, json!({ "after": true })).await;
    });
    assert_eq!(reply.json()["result"], json!({ "after": true }));
}

/// Runs a call that the server answers with this line, in which `ID` stands for the id.
async fn answered_with(rig: &Rig, script: &mut Script, session: &str, line: &[u8]) -> Reply {
    let message = call(1, "x");
    let (reply, ()) = tokio::join!(rig.post(session, &message), async {
        let id = script.next().await["id"].to_string();
        let at = line.windows(2).rposition(|part| part == b"ID");
        let line = at.map_or(line.to_vec(), |at| [&line[..at], id.as_bytes(), &line[at + 2..]].concat());
        script.raw([&line, &b"\n"[..]].concat()).await;
    });
    reply
}

#[tokio::test]
async fn an_answer_that_cannot_be_taken_is_found_by_the_id_at_its_end() {
    let (rig, mut script) = Rig::with(limited(Limits { line_bytes: 100_000, ..Limits::default() })).await;
    let (one, other) = (rig.session().await, rig.session().await);
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let long = format!("\"{}\"", "y".repeat(300_000));
    // Another call is in flight all the while.
    let slow = call(1, "slow");
    tokio::join!(rig.post(&other, &slow), async {
        let slow = script.next().await;
        for bad in [deep.as_bytes(), long.as_bytes(), b"\"\xff\"", b"NaN"] {
            let line = [b"{\"result\":", bad, b",\"jsonrpc\":\"2.0\",\"id\":ID}"].concat();
            let reply = answered_with(&rig, &mut script, &one, &line).await;
            assert_eq!((reply.status, reply.code()), (StatusCode::OK, json!(-32603)));
        }
        script.answer(&slow, json!({})).await;
    });
}

#[tokio::test]
async fn an_answer_without_any_id_is_that_of_the_only_call() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let line = b"{\"jsonrpc\":\"2.0\",\"result\":{\"text\":\"cut o";
    assert_eq!(answered_with(&rig, &mut script, &session, line).await.code(), -32603);
    // A line of a log is the answer to nothing, nor is a request of the server that cannot be taken.
    let message = call(1, "x");
    let (reply, ()) = tokio::join!(rig.post(&session, &message), async {
        let request = script.next().await;
        script
            .raw("result: 5\n{\"level\":\"info\"\n{\"method\":\"x\",\"params\":NaN,\"jsonrpc\":\"2.0\",")
            .await;
        script.raw(format!("\"id\":{}}}\n", request["id"])).await;
        script.answer(&request, json!({ "taken": true })).await;
    });
    assert_eq!(reply.json()["result"], json!({ "taken": true }));
}

#[tokio::test]
async fn two_hundred_calls_at_once_in_one_session_are_answered() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let calls: Vec<Value> = (0..200).map(|id| call(id, "x")).collect();
    let all = futures_util::future::join_all(calls.iter().map(|call| rig.post(&session, call)));
    let (replies, ()) = tokio::join!(all, async {
        let mut requests = Vec::new();
        for _ in 0..200 {
            requests.push(script.next().await);
        }
        for request in requests.iter().rev() {
            script.answer(request, json!({})).await;
        }
    });
    assert!(replies.iter().all(|reply| reply.json()["result"] == json!({})));
}

#[tokio::test]
async fn ten_thousand_log_messages_cost_no_answer_and_are_delivered_or_counted() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    for burst in [1000, 10_000] {
        let message = call(1, "chatty");
        let (mut stream, ()) = tokio::join!(rig.post_stream(&session, &message), async {
            let request = script.next().await;
            let line = notification("notifications/message", json!({ "level": "info", "data": "x" }));
            let answer = json!({ "jsonrpc": "2.0", "id": request["id"], "result": { "done": true } });
            script.raw(format!("{}{answer}\n", format!("{line}\n").repeat(burst))).await;
        });
        let mut messages = 0;
        let answer = loop {
            let event = stream.event().await.unwrap().json();
            if event["method"] != "notifications/message" {
                break event;
            }
            messages += 1;
        };
        assert_eq!(answer["result"], json!({ "done": true }));
        assert_eq!(stream.event().await, None);
        let dropped: u64 = rig.proxy.undelivered().iter().map(|one| one.count).sum();
        assert_eq!(messages + usize::try_from(dropped).unwrap(), burst);
        assert!(burst > 4096 || dropped == 0, "{dropped}");
    }
}

#[tokio::test]
async fn a_flood_for_one_client_costs_no_other_one_of_its_calls() {
    let (rig, mut script) = Rig::start().await;
    let (flooded, other) = (rig.session().await, rig.session().await);
    let mut streams = [rig.get(&flooded, None).await, rig.get(&other, None).await];
    let log = notification("notifications/message", json!({ "level": "error", "data": "x".repeat(1000) }));
    let flood = format!("{log}\n").repeat(1000);
    let loud = call(1, "loud");
    let (reply, ()) = tokio::join!(rig.post_stream(&flooded, &loud), async {
        let at_server = script.next().await;
        for id in 0..10 {
            let quick = call(id, "quick");
            let (reply, ()) = tokio::join!(rig.post(&other, &quick), async {
                let request = script.next().await;
                script.raw(&flood).await;
                script.answer(&request, json!({ "quick": id })).await;
            });
            assert_eq!(reply.json()["result"]["quick"], id);
        }
        script.answer(&at_server, json!({})).await;
    });
    assert_eq!(reply.status, StatusCode::OK);
    // Its stream got nothing of that either.
    script.notify("notifications/tools/list_changed", json!({})).await;
    for stream in &mut streams {
        let event = stream.event().await.unwrap().json();
        assert_eq!(event["method"], "notifications/tools/list_changed");
    }
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

#[tokio::test]
async fn a_batch_that_cannot_be_taken_fails_the_only_call_and_a_log_in_brackets_does_not() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let batch = br#"[{"jsonrpc":"2.0","id":ID,"result":{"score":NaN}}]"#;
    assert_eq!(answered_with(&rig, &mut script, &session, batch).await.code(), -32603);
    let log =
        concat!(r#"[error] {"jsonrpc":"2.0","result":1}"#, "\n", r#"{"jsonrpc":"2.0","id":ID,"result":{}}"#);
    let reply = answered_with(&rig, &mut script, &session, log.as_bytes()).await;
    assert_eq!(reply.json()["result"], json!({}));
}
