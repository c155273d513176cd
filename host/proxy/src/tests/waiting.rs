//! Calls that take long, and clients that leave meanwhile (`docs/mcp.md`, 11.8, 6.11 and 11.12).
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::protocol::options::Limits;
use crate::tests::rig::{Rig, call, limited, notification, request};

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_long_becomes_a_stream_that_is_kept_alive() {
    let (rig, mut script) = Rig::start().await;
    for (version, primed) in [("2025-06-18", false), ("2025-11-25", true)] {
        let session = rig.open(version, json!({})).await;
        let message = call(1, "slow");
        let server = async {
            let request = script.next().await;
            // Longer than any limit that a call had by default before, and than a session may idle.
            tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
            request
        };
        let client = async {
            let began = tokio::time::Instant::now();
            let mut stream = rig.post_stream(&session, &message).await;
            assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
            assert_eq!(
                (stream.status, &stream.headers["content-type"]),
                (StatusCode::OK, &"text/event-stream".parse().unwrap())
            );
            if primed {
                assert_eq!(stream.event().await.unwrap().data, "");
            }
            stream.comment().await;
            stream
        };
        let (mut stream, request) = tokio::join!(client, server);
        script.answer(&request, json!({ "late": true })).await;
        assert_eq!(stream.event().await.unwrap().json()["result"], json!({ "late": true }));
        assert_eq!(stream.event().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_found_after_a_break() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.open("2025-11-25", json!({})).await;
    let message = call(1, "slow");
    let (mut stream, request) = tokio::join!(rig.post_stream(&session, &message), script.next());
    let primed = stream.event().await.unwrap().id;
    drop(stream);
    tokio::time::sleep(Duration::from_secs(30)).await;
    let mut resumed = rig.get(&session, Some(&primed)).await;
    script.answer(&request, json!({ "found": true })).await;
    assert_eq!(resumed.event().await.unwrap().json()["result"], json!({ "found": true }));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_client_is_gone_is_cancelled_after_a_while_and_gives_its_place_back() {
    let (rig, mut script) = Rig::with(limited(Limits { in_flight: 1, ..Limits::default() })).await;
    let session = rig.session().await;
    let slow = call(1, "slow");
    let began = tokio::time::Instant::now();
    let asked = tokio::select! {
        _ = rig.post(&session, &slow) => panic!("answered"),
        request = script.next() => request,
    };
    let cancelled = script.next_of("notifications/cancelled").await;
    assert_eq!(cancelled["params"]["requestId"], asked["id"]);
    let took = began.elapsed();
    assert!(took >= Limits::default().ring_keep && took < Duration::from_secs(120), "{took:?}");
    let next = call(2, "next");
    let (reply, ()) = tokio::join!(rig.post(&session, &next), async {
        let request = script.next().await;
        script.answer(&request, json!({})).await;
    });
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_call_has_a_limit_where_one_is_set_and_progress_defers_it() {
    let limits = Limits { call_timeout: Some(Duration::from_secs(300)), ..Limits::default() };
    let (rig, mut script) = Rig::with(limited(limits)).await;
    let session = rig.session().await;
    let began = tokio::time::Instant::now();
    let message = request(1, "tools/call", json!({ "name": "x", "_meta": { "progressToken": 5 } }));
    let server = async {
        let request = script.next().await;
        tokio::time::sleep(Duration::from_secs(200)).await;
        script
            .notify("notifications/progress", json!({ "progressToken": request["id"], "progress": 1 }))
            .await;
        let cancelled = script.next_of("notifications/cancelled").await;
        assert_eq!(cancelled["params"]["requestId"], request["id"]);
    };
    let client = async {
        let mut stream = rig.post_stream(&session, &message).await;
        let mut last = Value::Null;
        while let Some(event) = stream.event().await {
            last = event.json();
        }
        last
    };
    let (last, ()) = tokio::join!(client, server);
    assert_eq!(last["error"]["code"], -32603);
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(500) && took < Duration::from_secs(510), "{took:?}");
}

#[tokio::test]
async fn a_client_that_ends_its_side_gets_its_answer() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let mut raw = tokio::net::TcpStream::connect(rig.address).await.unwrap();
    let body = call(1, "x").to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: */*\r\n\
         mcp-session-id: {session}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    raw.write_all(head.as_bytes()).await.unwrap();
    raw.shutdown().await.unwrap();
    let request = script.next().await;
    // The proxy has read the end of the input by the time it has served somebody else.
    rig.post(&session, &notification("notifications/initialized", json!({}))).await;
    script.answer(&request, json!({ "heard": true })).await;
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut raw, &mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"heard\":true"), "{answer}");
}
