//! Streams: their shape, resuming, keep-alive, slow readers, batches (`docs/mcp.md`, 11).
use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::protocol::options::Limits;
use crate::tests::rig::{
    POST, Rig, Stream, WORK_AFTER_CALL, call, later, limited, notification, request, welcome,
};

/// Something for the only session, which is not gathered while its stream is away.
async fn changed(script: &mut crate::tests::rig::Script, text: &str) {
    script.notify("x/changed", json!({ "text": text })).await;
}

async fn text(stream: &mut Stream) -> Value {
    stream.event().await.unwrap().json()["params"]["text"].clone()
}

#[tokio::test]
async fn only_the_newest_revision_gets_a_first_empty_event() {
    let (rig, mut script) = Rig::start().await;
    for (version, primed) in [("2025-06-18", false), ("2025-11-25", true)] {
        let session = rig.open(version, json!({})).await;
        let mut stream = rig.get(&session, None).await;
        assert_eq!(stream.status, StatusCode::OK);
        assert_eq!(stream.headers["content-type"], "text/event-stream");
        assert_eq!(stream.headers["cache-control"], "no-cache");
        assert_eq!(stream.headers["x-accel-buffering"], "no");
        script.notify("notifications/tools/list_changed", json!({})).await;
        let first = stream.event().await.unwrap();
        assert_eq!(first.data.is_empty(), primed, "{version}");
        assert!(!first.id.is_empty());
        // The session before is at work no more.
        later(WORK_AFTER_CALL).await;
        let logged = call(1, "x");
        let (mut stream, ()) = tokio::join!(rig.post_stream(&session, &logged), async {
            let request = script.next().await;
            script.notify("notifications/message", json!({ "level": "error", "data": 1 })).await;
            script.answer(&request, json!({})).await;
        });
        assert_eq!(stream.event().await.unwrap().data.is_empty(), primed, "{version}");
    }
}

#[tokio::test]
async fn a_lost_stream_is_resumed_where_it_was_lost() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let mut stream = rig.get(&session, None).await;
    for name in ["one", "two"] {
        changed(&mut script, name).await;
    }
    let seen = stream.event().await.unwrap().id;
    assert_eq!(text(&mut stream).await, "two");
    drop(stream);
    changed(&mut script, "three").await;
    let mut resumed = rig.get(&session, Some(&seen)).await;
    assert_eq!((text(&mut resumed).await, text(&mut resumed).await), (json!("two"), json!("three")));
    changed(&mut script, "four").await;
    assert_eq!(text(&mut resumed).await, "four", "it goes on");
    let other = rig.session().await;
    for (session, id) in [(&other, seen.as_str()), (&session, "77-1"), (&session, "x"), (&session, "1-999")] {
        let headers =
            [("accept", "text/event-stream"), ("mcp-session-id", session.as_str()), ("last-event-id", id)];
        assert_eq!(rig.send(Method::GET, &headers, "").await.status(), StatusCode::BAD_REQUEST, "{id}");
    }
}

#[tokio::test]
async fn an_answer_on_a_lost_post_stream_is_found_by_resuming_it() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.open("2025-11-25", json!({})).await;
    let mut get = rig.get(&session, None).await;
    assert_eq!(get.event().await.unwrap().data, "");
    let slow = request(1, "tools/call", json!({ "name": "x", "_meta": { "progressToken": "t" } }));
    let (mut stream, request) = tokio::join!(rig.post_stream(&session, &slow), async {
        let request = script.next().await;
        script
            .notify("notifications/progress", json!({ "progressToken": request["id"], "progress": 1 }))
            .await;
        request
    });
    let primed = stream.event().await.unwrap().id;
    drop(stream);
    script.answer(&request, json!({ "found": true })).await;
    let mut resumed = rig.get(&session, Some(&primed)).await;
    assert_eq!(resumed.event().await.unwrap().json()["params"]["progressToken"], "t");
    let last = resumed.event().await.unwrap();
    assert_eq!(last.json(), json!({ "jsonrpc": "2.0", "id": 1, "result": { "found": true } }));
    assert_eq!(resumed.event().await, None);
    let mut again = rig.get(&session, Some(&primed)).await;
    again.event().await.unwrap();
    assert_eq!(again.event().await.unwrap(), last, "a finished stream is kept for a while");
    script.notify("notifications/tools/list_changed", json!({})).await;
    let on_get = get.event().await.unwrap().json();
    assert_eq!(on_get["method"], "notifications/tools/list_changed", "nothing of it moved to the GET stream");
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive_by_comments() {
    let limits = Limits { keep_alive: Duration::from_millis(20), ..Limits::default() };
    let (rig, _script) = Rig::with(limited(limits)).await;
    let session = rig.session().await;
    let mut stream = rig.get(&session, None).await;
    stream.comment().await;
    let default = Limits::default().keep_alive.as_secs();
    assert!((15..=30).contains(&default));
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_dropped_and_can_resume() {
    let limits = Limits { stream_queue_bytes: 1_000_000, ring_bytes: 100_000, ..Limits::default() };
    let (rig, mut script) = Rig::with(limited(limits)).await;
    let session = rig.session().await;
    let mut slow = tokio::net::TcpStream::connect(rig.address).await.unwrap();
    let head = format!(
        "GET /mcp HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\nmcp-session-id: {session}\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    slow.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    // Far more than the sockets' buffers and the queue hold together.
    for _ in 0..400 {
        changed(&mut script, &"x".repeat(50_000)).await;
    }
    // The session is served all the same, and the answer comes after all of that.
    let message = call(1, "x");
    let (reply, ()) = tokio::join!(rig.post(&session, &message), async {
        let request = script.next().await;
        script.answer(&request, json!({})).await;
    });
    assert_eq!(reply.status, StatusCode::OK);
    let mut all = Vec::new();
    let ended = slow.read_to_end(&mut all).await;
    assert!(ended.is_err() || !all.ends_with(b"0\r\n\r\n"), "cut off, not ended in order");
    let body = String::from_utf8_lossy(&all);
    let number = body
        .lines()
        .find_map(|line| line.strip_prefix("id: "))
        .unwrap()
        .split('-')
        .next()
        .unwrap()
        .to_owned();
    let mut resumed = rig.get(&session, Some(&format!("{number}-399"))).await;
    assert_eq!(resumed.status, StatusCode::OK);
    assert_eq!(text(&mut resumed).await.as_str().unwrap().len(), 50_000);
    let evicted = [
        ("accept", "text/event-stream"),
        ("mcp-session-id", &session),
        ("last-event-id", &format!("{number}-1")),
    ];
    assert_eq!(rig.send(Method::GET, &evicted, "").await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_burst_larger_than_the_ring_reaches_a_reader_that_keeps_up() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let mut stream = rig.get(&session, None).await;
    let count = Limits::default().ring_events * 3;
    let burst: String =
        (0..count).map(|n| format!("{}\n", notification("x/changed", json!({ "text": n })))).collect();
    script.raw(burst).await;
    for number in 0..count {
        assert_eq!(text(&mut stream).await, number);
    }
}

#[tokio::test]
async fn get_streams_of_a_session_are_bounded() {
    let (rig, _script) = Rig::with(limited(Limits { streams_per_session: 1, ..Limits::default() })).await;
    let session = rig.session().await;
    let _open = rig.get(&session, None).await;
    assert_eq!(rig.get(&session, None).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn batches_are_for_the_one_revision_that_has_them() {
    let (rig, mut script) = Rig::start().await;
    let batch = json!([
        call(1, "first"),
        request(2, "ping", json!({})),
        notification("notifications/initialized", json!({})),
        call("three", "second"),
        call(1, "again"),
    ]);
    for (session, status) in [
        (String::new(), StatusCode::BAD_REQUEST),
        ("nope".into(), StatusCode::NOT_FOUND),
        (rig.open("2025-06-18", json!({})).await, StatusCode::BAD_REQUEST),
    ] {
        let refused = rig.post(&session, &batch).await;
        assert_eq!((refused.status, refused.code()), (status, json!(-32600)));
        assert!(refused.json().get("id").is_none());
    }
    let session = rig.open("2025-03-26", json!({})).await;
    let (mut stream, ()) = tokio::join!(rig.post_stream(&session, &batch), async {
        let (first, second) = (script.next().await, script.next().await);
        script.answer(&second, json!({ "n": 2 })).await;
        script.answer(&first, json!({ "n": 1 })).await;
    });
    let mut answers = Vec::new();
    while let Some(event) = stream.event().await {
        answers.push(event.json());
    }
    let of = |id: Value| answers.iter().filter(|answer| answer["id"] == id).collect::<Vec<_>>();
    assert_eq!(of(json!(2))[0]["result"], json!({}));
    assert_eq!(of(json!("three"))[0]["result"], json!({ "n": 2 }));
    let ones = of(json!(1));
    assert_eq!((&ones[0]["error"]["code"], &ones[1]["result"]), (&json!(-32600), &json!({ "n": 1 })));
    let quiet = json!([notification("notifications/initialized", json!({}))]);
    assert_eq!(rig.post(&session, &quiet).await.status, StatusCode::ACCEPTED);
    let too_many = Value::Array(vec![quiet[0].clone(); Limits::default().in_flight_per_session + 1]);
    for bad in [
        json!([]),
        json!([[]]),
        json!([1]),
        json!([crate::tests::rig::initialize("2025-03-26", json!({}))]),
        too_many,
    ] {
        assert_eq!(rig.post(&session, &bad).await.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn batches_of_the_server_are_taken_apart() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let (one, two) = (call(1, "a"), call(2, "b"));
    let (a, b, ()) = tokio::join!(rig.post(&session, &one), rig.post(&session, &two), async {
        let (x, y) = (script.next().await, script.next().await);
        let answer = |request: &Value| json!({ "jsonrpc": "2.0", "id": request["id"], "result": {} });
        script.send(json!([answer(&x), 5, answer(&y)])).await;
    });
    assert_eq!((&a.json()["id"], &b.json()["id"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn a_message_of_a_servers_batch_that_cannot_be_taken_fails_its_call_and_no_other() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let (one, two) = (call(1, "a"), call(2, "b"));
    let (a, b, ()) = tokio::join!(rig.post(&session, &one), rig.post(&session, &two), async {
        let (x, y) = (script.next().await, script.next().await);
        let more: String = (0..10_001).map(|number| format!(",\"m{number}\":0")).collect();
        let full = format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{{}}{more}}}", x["id"]);
        let answer = json!({ "jsonrpc": "2.0", "id": y["id"], "result": { "of": y["params"]["name"] } });
        script.raw(format!("[{full},{answer}]\n")).await;
    });
    let (failed, answered) = if a.json()["error"].is_object() { (a, b) } else { (b, a) };
    assert_eq!(failed.code(), -32603);
    let why = failed.json()["error"]["message"].to_string();
    assert!(why.contains("too many members"), "{why}");
    assert!(answered.json()["result"]["of"].is_string(), "{answered:?}");
}

#[tokio::test]
async fn streams_outlive_the_server_that_they_were_opened_with() {
    let (rig, script) = Rig::start().await;
    let session = rig.session().await;
    let mut stream = rig.get(&session, None).await;
    drop(script);
    rig.proxy.disconnected().await;
    let _script = rig.connect(welcome()).await;
    assert!(stream.event().await.unwrap().data.contains("list_changed"));
    let headers = [POST[0], POST[1], ("mcp-session-id", &session)];
    let ping = rig.send(Method::POST, &headers, request(1, "ping", json!({})).to_string()).await;
    assert_eq!(ping.status(), StatusCode::OK);
}
