//! One budget of bytes (`docs/mcp.md`, 15): the largest holder loses its bytes, and no other.
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::protocol::options::Limits;
use crate::stdio::upstream::connection::ConnectError;
use crate::tests::rig::{DEADLINE, Rig, Script, call, limited, notification, request, welcome};

const MIB: usize = 1024 * 1024;

async fn rig(memory_bytes: usize) -> (Rig, Script) {
    // On a busy machine large answers take longer than a head is held back.
    Rig::with(limited(Limits { memory_bytes, head_hold: DEADLINE, ..Limits::default() })).await
}

fn held(rig: &Rig) -> usize {
    rig.proxy.shared.budget.used()
}

pub(super) fn head(session: &str, length: usize) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: */*\r\n\
         mcp-session-id: {session}\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// A client that sends a request and reads nothing of the answer.
async fn deaf(rig: &Rig, session: &str, message: &Value) -> TcpStream {
    let mut raw = TcpStream::connect(rig.address).await.unwrap();
    let body = message.to_string();
    raw.write_all((head(session, body.len()) + &body).as_bytes()).await.unwrap();
    raw
}

async fn is_served(rig: &Rig, script: &mut Script, session: &str) {
    let message = call(99, "quick");
    let (reply, ()) = tokio::join!(rig.post(session, &message), async {
        let request = script.next().await;
        script.answer(&request, json!({ "quick": true })).await;
    });
    assert_eq!(reply.json()["result"], json!({ "quick": true }));
}

/// More than the buffers of a connection on both sides hold.
fn large() -> Value {
    json!({ "text": "y".repeat(12 * MIB) })
}

#[tokio::test]
async fn answers_that_nobody_reads_cost_their_own_session_and_no_more_than_the_budget() {
    let (rig, mut script) = rig(16 * MIB).await;
    let (greedy, modest) = (rig.session().await, rig.session().await);
    let mut deaf_ones = Vec::new();
    for id in 0..6 {
        deaf_ones.push(deaf(&rig, &greedy, &call(id, "large")).await);
        let request = script.next().await;
        script.answer(&request, large()).await;
        is_served(&rig, &mut script, &modest).await;
        assert!(held(&rig) <= 16 * MIB, "{}", held(&rig));
    }
    let lost = rig.proxy.undelivered();
    let lost = lost.iter().find(|one| one.what == "answer").unwrap();
    assert!(lost.why.contains("memory") && (4..=6).contains(&lost.count), "{lost:?}");
    drop(deaf_ones);
}

#[tokio::test]
async fn a_stream_on_which_a_large_answer_is_stuck_loses_its_connection_and_its_client_is_told() {
    let (rig, mut script) = rig(16 * MIB).await;
    let (greedy, modest) = (rig.open("2025-11-25", json!({})).await, rig.session().await);
    let mut deaf_ones = Vec::new();
    for id in 0..4 {
        let message = request(id, "tools/call", json!({ "name": "x", "_meta": { "progressToken": id } }));
        deaf_ones.push(deaf(&rig, &greedy, &message).await);
        let request = script.next().await;
        let progress = json!({ "progressToken": request["id"], "progress": 1 });
        script.notify("notifications/progress", progress).await;
        script.answer(&request, large()).await;
        is_served(&rig, &mut script, &modest).await;
        assert!(held(&rig) <= 16 * MIB, "{}", held(&rig));
    }
    // The connection is closed, so its end comes though nothing was read before.
    let mut seen = Vec::new();
    let _ = deaf_ones.remove(0).read_to_end(&mut seen).await;
    assert!(seen.len() < 12 * MIB, "not all of the answer");
    let mut resumed = rig.get(&greedy, Some("1-1")).await;
    let told = resumed.event().await.unwrap().json();
    assert_eq!((&told["id"], &told["error"]["code"]), (&json!(0), &json!(-32603)));
}

#[tokio::test]
async fn a_large_answer_whose_connection_breaks_is_an_error_for_who_resumes() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.open("2025-11-25", json!({})).await;
    let message = request(1, "tools/call", json!({ "name": "x", "_meta": { "progressToken": 1 } }));
    let raw = deaf(&rig, &session, &message).await;
    let request = script.next().await;
    for progress in 1..=2 {
        let progress = json!({ "progressToken": request["id"], "progress": progress });
        script.notify("notifications/progress", progress).await;
    }
    script.answer(&request, large()).await;
    is_served(&rig, &mut script, &session).await;
    drop(raw);
    // After the one before the answer, and after the first, behind which the other one is gone.
    for seen in ["1-2", "1-1"] {
        let mut resumed = rig.get(&session, Some(seen)).await;
        let told = resumed.event().await.unwrap().json();
        assert!(told["error"]["message"].as_str().unwrap().contains("the connection broke"), "{told}");
        assert_eq!(resumed.event().await, None);
    }
}

#[tokio::test]
async fn a_welcome_that_each_client_would_get_a_copy_of_is_bounded() {
    let rig = Rig::unconnected(limited(Limits::default())).await;
    let mut result = welcome();
    result["instructions"] = json!("i".repeat(2 * MIB));
    let refused = rig.try_connect(result).await.map(drop).unwrap_err();
    assert!(matches!(refused, ConnectError::Unusable { .. }), "{refused}");
    // And whole: of more members than are noted, each client would get the first ones alone.
    for part in ["/capabilities", ""] {
        let mut result = welcome();
        for number in 0..10_001 {
            result.pointer_mut(part).unwrap()[format!("m{number}")] = json!({});
        }
        let refused = rig.try_connect(result).await.map(drop).unwrap_err();
        assert!(refused.to_string().contains("too many members"), "{part}: {refused}");
    }
}

#[tokio::test]
async fn an_answer_for_which_there_is_no_memory_is_an_error_that_says_so() {
    // One is charged once it is read, the other one while it is read.
    for (memory, length) in [(MIB / 2, MIB - 4096), (16 * MIB, 20 * MIB)] {
        let (rig, mut script) = rig(memory).await;
        let session = rig.session().await;
        let message = call(2, "large");
        let (reply, ()) = tokio::join!(rig.post(&session, &message), async {
            let request = script.next().await;
            script.answer(&request, json!({ "text": "y".repeat(length) })).await;
        });
        let error = &reply.json()["error"];
        assert_eq!((reply.status, &error["code"]), (StatusCode::OK, &json!(-32603)));
        assert!(error["message"].as_str().unwrap().contains("memory"), "{error}");
        is_served(&rig, &mut script, &session).await;
        assert_eq!(held(&rig), 0);
    }
}

#[tokio::test]
async fn an_answer_that_is_coming_in_takes_the_place_of_one_that_nobody_reads() {
    let (rig, mut script) = rig(16 * MIB).await;
    let session = rig.session().await;
    let mut deaf = deaf(&rig, &session, &call(1, "large")).await;
    let request = script.next().await;
    script.answer(&request, large()).await;
    let message = call(2, "large");
    let (reply, ()) = tokio::join!(rig.post(&session, &message), async {
        let request = script.next().await;
        script.answer(&request, large()).await;
    });
    assert_eq!(reply.json()["result"], large());
    let mut seen = Vec::new();
    let _ = deaf.read_to_end(&mut seen).await;
    assert!(seen.len() < 12 * MIB, "its connection was ended");
}

#[tokio::test]
async fn a_large_answer_that_was_read_to_its_end_is_held_no_longer() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.open("2025-11-25", json!({})).await;
    for id in 0..20 {
        let message = request(id, "tools/call", json!({ "name": "x", "_meta": { "progressToken": id } }));
        let (mut stream, ()) = tokio::join!(rig.post_stream(&session, &message), async {
            let request = script.next().await;
            let progress = json!({ "progressToken": request["id"], "progress": 1 });
            script.notify("notifications/progress", progress).await;
            script.answer(&request, json!({ "text": "y".repeat(2 * MIB) })).await;
        });
        while stream.event().await.is_some() {}
        assert!(held(&rig) < MIB, "{}", held(&rig));
    }
}

#[tokio::test]
async fn bodies_that_do_not_end_make_room() {
    let (rig, mut script) = rig(3 * MIB).await;
    let (greedy, modest) = (rig.session().await, rig.session().await);
    let mut open = Vec::new();
    for _ in 0..8 {
        let mut raw = TcpStream::connect(rig.address).await.unwrap();
        raw.write_all(head(&greedy, MIB).as_bytes()).await.unwrap();
        raw.write_all(&vec![b' '; MIB - 1]).await.unwrap();
        open.push(raw);
    }
    is_served(&rig, &mut script, &modest).await;
    // At least five of them had to make room.
    let mut refused = Vec::new();
    for mut raw in open {
        refused.push(tokio::spawn(async move {
            let mut status = [0; 12];
            raw.read_exact(&mut status).await.unwrap();
            status
        }));
    }
    for _ in 0..5 {
        let (status, _, rest) = futures_util::future::select_all(refused).await;
        assert_eq!(&status.unwrap(), b"HTTP/1.1 503");
        refused = rest;
    }
    assert!(held(&rig) <= 3 * MIB);
    is_served(&rig, &mut script, &modest).await;
}

#[tokio::test]
async fn a_large_body_of_no_session_is_refused_before_it_is_read() {
    let (rig, _script) = Rig::start().await;
    for (session, status) in [("unknown", "404"), ("", "413")] {
        let mut raw = TcpStream::connect(rig.address).await.unwrap();
        let head = head(session, MIB);
        let head = if session.is_empty() { head.replace("mcp-session-id: \r\n", "") } else { head };
        raw.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        raw.read_exact(&mut answer).await.unwrap();
        assert_eq!(std::str::from_utf8(&answer).unwrap(), format!("HTTP/1.1 {status}"));
    }
}

#[tokio::test]
async fn texts_of_clients_that_a_proxy_keeps_are_bounded() {
    let (rig, mut script) = rig(MIB).await;
    let session = rig.session().await;
    let long = rig.post(&session, &request("i".repeat(2000), "tools/list", json!({}))).await;
    assert_eq!((long.status, long.code()), (StatusCode::BAD_REQUEST, json!(-32600)));
    assert!(long.json().get("id").is_none(), "it is not repeated");
    let token = json!({ "_meta": { "progressToken": "t".repeat(2000) } });
    assert_eq!(rig.post(&session, &request(1, "tools/list", token)).await.code(), -32600);
    assert_eq!(rig.post(&session, &request(1, &"m".repeat(2000), json!({}))).await.code(), -32600);
    let subscribe = |uri: String| request(1, "resources/subscribe", json!({ "uri": uri }));
    assert_eq!(rig.post(&session, &subscribe("u".repeat(9000))).await.code(), -32602);
    let mut accepted = 0;
    loop {
        let message = subscribe(format!("{accepted:08000}"));
        let reply = tokio::select! {
            reply = rig.post(&session, &message) => reply,
            () = async {
                loop {
                    let request = script.next_of("resources/subscribe").await;
                    script.answer(&request, json!({})).await;
                }
            } => unreachable!(),
        };
        if reply.status == StatusCode::SERVICE_UNAVAILABLE {
            break;
        }
        accepted += 1;
    }
    assert_eq!(accepted, MIB / 4 / 16_000, "a quarter of the memory is for tables");
    rig.send(axum::http::Method::DELETE, &[("mcp-session-id", &session)], "").await;
    assert_eq!(held(&rig), 0, "and comes back");
}

#[tokio::test]
async fn the_bodies_of_a_session_count_as_a_sum_and_cost_no_other_session_its_answer() {
    let (rig, mut script) = rig(8 * MIB).await;
    let (greedy, modest) = (rig.session().await, rig.session().await);
    let mut open = Vec::new();
    for _ in 0..6 {
        let mut raw = TcpStream::connect(rig.address).await.unwrap();
        raw.write_all(head(&greedy, MIB).as_bytes()).await.unwrap();
        raw.write_all(&vec![b' '; MIB - 1]).await.unwrap();
        open.push(raw);
    }
    let all_read = async {
        while held(&rig) < 6 * (MIB - 1) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all_read).await.expect("the bodies are read");
    let answer = json!({ "text": "y".repeat(3 * MIB) });
    let message = call(1, "large");
    let (reply, ()) = tokio::join!(rig.post(&modest, &message), async {
        let request = script.next().await;
        script.answer(&request, answer.clone()).await;
    });
    assert_eq!(reply.json()["result"], answer);
}

/// The status of the answer to a request whose large body does not come.
async fn early_status(rig: &Rig, session: &str, header: &str) -> String {
    let mut raw = TcpStream::connect(rig.address).await.unwrap();
    raw.write_all(head(session, MIB).replace("\r\n\r\n", &format!("\r\n{header}\r\n")).as_bytes())
        .await
        .unwrap();
    let mut status = [0; 12];
    raw.read_exact(&mut status).await.unwrap();
    String::from_utf8(status.to_vec()).unwrap()
}

#[tokio::test]
async fn what_is_refused_whatever_it_holds_is_refused_before_a_large_body_is_read() {
    let (rig, mut script) =
        Rig::with(limited(Limits { in_flight_per_session: 1, ..Limits::default() })).await;
    let session = rig.open("2025-06-18", json!({ "sampling": {} })).await;
    let refused = early_status(&rig, &session, "mcp-protocol-version: v999\r\n").await;
    assert_eq!(refused, "HTTP/1.1 400");
    let message = call(1, "slow");
    let (_, ()) = tokio::join!(rig.post(&session, &message), async {
        let request = script.next().await;
        assert_eq!(early_status(&rig, &session, "").await, "HTTP/1.1 503");
        script.answer(&request, json!({})).await;
    });
    drop(script);
    rig.proxy.disconnected().await;
    assert_eq!(early_status(&rig, &session, "").await, "HTTP/1.1 503");
}

/// The beginning of the answer to a message that comes in one chunk.
async fn chunked(rig: &Rig, session: &str, message: &Value) -> String {
    let mut raw = TcpStream::connect(rig.address).await.unwrap();
    let body = message.to_string();
    let head =
        head(session, 0).replace("content-length: 0", "connection: close\r\ntransfer-encoding: chunked");
    raw.write_all(format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes()).await.unwrap();
    let mut answer = String::new();
    raw.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn what_needs_no_place_is_taken_in_chunks_though_none_is_left() {
    let (rig, mut script) =
        Rig::with(limited(Limits { in_flight_per_session: 1, ..Limits::default() })).await;
    let session = rig.session().await;
    let message = call(1, "slow");
    let (_, ()) = tokio::join!(rig.post(&session, &message), async {
        script.next().await;
        let pinged = chunked(&rig, &session, &request(2, "ping", json!({}))).await;
        assert!(pinged.starts_with("HTTP/1.1 200 ") && pinged.contains("\"result\":{}"), "{pinged}");
        let refused = chunked(&rig, &session, &call("three", "other")).await;
        assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("\"three\""), "{refused}");
        let cancellation = notification("notifications/cancelled", json!({ "requestId": 1 }));
        let cancelled = chunked(&rig, &session, &cancellation).await;
        assert!(cancelled.starts_with("HTTP/1.1 202 "), "{cancelled}");
    });
    script.next_of("notifications/cancelled").await;
}

#[tokio::test]
async fn an_answer_to_the_server_is_read_though_no_place_is_left() {
    let (rig, mut script) = Rig::with(limited(Limits { in_flight: 1, ..Limits::default() })).await;
    let session = rig.open("2025-06-18", json!({ "sampling": {} })).await;
    let message = call(1, "asks");
    let (mut stream, request) = tokio::join!(rig.post_stream(&session, &message), async {
        let request = script.next().await;
        script.send(request_of_server()).await;
        request
    });
    let asked = stream.event().await.unwrap().json();
    let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "image": "z".repeat(MIB) } });
    assert_eq!(rig.post(&session, &answer).await.status, StatusCode::ACCEPTED);
    assert_eq!(script.next().await["id"], "q");
    script.answer(&request, json!({})).await;
}

fn request_of_server() -> Value {
    request("q", "sampling/createMessage", json!({ "messages": [] }))
}
