//! The clients and messages that get in, and the exact answer to all others (`docs/mcp.md`, 1 and 2).
use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::protocol::options::{Limits, ProxyOptions};
use crate::tests::rig::{POST, Rig, call, initialize, limited, notification, request, whole};

const EVENTS: (&str, &str) = ("accept", "text/event-stream");

#[tokio::test]
async fn every_refusal_has_a_body_that_says_why() {
    let (rig, _script) = Rig::start().await;
    let both = "application/json, text/event-stream";
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Method, Headers<'_>, u16, &str); 7] = [
        (Method::POST, &[("content-type", "text/plain"), ("accept", both)], 415, "Content-Type"),
        (Method::POST, &[("content-type", "application/json"), ("accept", "text/html")], 406, "Accept"),
        (Method::GET, &[("accept", "text/html")], 406, "text/event-stream"),
        (Method::GET, &[("accept", "text/event-stream")], 400, "Mcp-Session-Id"),
        (Method::PUT, &[], 405, "POST, GET and DELETE"),
        (Method::POST, &[("host", "evil.example")], 403, "Host not allowed"),
        (Method::POST, &[("origin", "https://evil.example")], 403, "Origin not allowed"),
    ];
    for (method, headers, status, why) in cases {
        let reply = rig.whole(method, headers, "").await;
        let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(reply.status == status && message.contains(why), "{status} {why}: {reply:?}");
    }
}

#[tokio::test]
async fn strangers_are_refused_before_anything_is_read() {
    let (rig, _script) = Rig::start().await;
    for (name, value) in
        [("host", "evil.example"), ("origin", "http://evil.example"), ("origin", "null"), ("origin", "")]
    {
        let mut headers = POST.to_vec();
        headers.push((name, value));
        let reply = rig.whole(Method::POST, &headers, initialize("2025-06-18", json!({})).to_string()).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{name} {value}");
        assert!(reply.json().get("id").is_none());
        assert!(reply.header("access-control-allow-origin").is_none());
        let elsewhere = whole(rig.send_to("/x", Method::GET, &[(name, value)], "").await).await;
        assert_eq!(elsewhere.status, StatusCode::FORBIDDEN, "who comes before what");
    }
}

#[tokio::test]
async fn allowed_pages_get_cors_headers_and_never_a_star() {
    let options =
        ProxyOptions { allowed_origins: vec!["https://app.example".into()], ..crate::tests::rig::options() };
    let (rig, _script) = Rig::with(options).await;
    for origin in ["https://app.example"] {
        let preflight = [("origin", origin), ("access-control-request-method", "POST")];
        let reply = rig.whole(Method::OPTIONS, &preflight, "").await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT);
        assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
        assert!(reply.header("access-control-allow-headers").unwrap().contains("Mcp-Session-Id"));
        let mut headers = POST.to_vec();
        headers.push(("origin", origin));
        let reply = rig.whole(Method::POST, &headers, initialize("2025-06-18", json!({})).to_string()).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
        assert_eq!(reply.header("access-control-expose-headers"), Some("Mcp-Session-Id"));
        assert_eq!(reply.header("vary"), Some("Origin"));
    }
    // With a secret in the URL, pages of loopback may call the proxy, see `access.rs`. Without one they may not: any
    // workload could serve such a page.
    for other in ["https://other.example", "http://localhost:5173"] {
        let preflight = [("origin", other), ("access-control-request-method", "POST")];
        assert_eq!(rig.whole(Method::OPTIONS, &preflight, "").await.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn paths_methods_and_types_are_checked_in_this_order() {
    let (rig, _script) = Rig::start().await;
    assert_eq!(rig.send_to("/", Method::POST, &POST, "{}").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(rig.send_to("/mcp/x", Method::GET, &[EVENTS], "").await.status(), StatusCode::NOT_FOUND);
    let wellknown = rig.send_to("/.well-known/oauth-protected-resource", Method::GET, &[], "").await;
    assert_eq!(wellknown.status(), StatusCode::NOT_FOUND);
    for method in [Method::PUT, Method::PATCH, Method::HEAD, Method::OPTIONS] {
        let reply = rig.whole(method, &[], "").await;
        assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(reply.header("allow"), Some("POST, GET, DELETE"));
    }
    let post = async |content: &str, accept: &str| {
        rig.send(Method::POST, &[("content-type", content), ("accept", accept)], "{").await.status()
    };
    let both = "application/json, text/event-stream";
    assert_eq!(post("text/plain", both).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(post("application/json", "application/json").await, StatusCode::NOT_ACCEPTABLE);
    assert_eq!(post("application/json", "text/event-stream").await, StatusCode::NOT_ACCEPTABLE);
    assert_eq!(post("application/json; charset=utf-8", "*/*").await, StatusCode::BAD_REQUEST);
    let no_accept = rig.send(Method::POST, &[("content-type", "application/json")], "{}").await;
    assert_eq!(no_accept.status(), StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn a_large_body_is_refused_unread_and_its_connection_closed() {
    let (rig, _script) = Rig::with(limited(Limits { body_bytes: 1000, ..Limits::default() })).await;
    let reply = rig.post_raw("", vec![b'x'; 1001]).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(reply.header("connection"), Some("close"));
    // Without a declared length, the body is counted while it comes.
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut raw = tokio::net::TcpStream::connect(rig.address).await.unwrap();
    let chunk = "x".repeat(600);
    let head = "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: */*\r\n\
                transfer-encoding: chunked\r\n\r\n";
    raw.write_all(format!("{head}258\r\n{chunk}\r\n258\r\n{chunk}\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    raw.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_no_message_gets_the_json_rpc_code_for_the_reason() {
    let (rig, _script) = Rig::start().await;
    let session = rig.session().await;
    let deep = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{}1{}}}",
        "{\"a\":".repeat(200),
        "}".repeat(200)
    );
    let cases: [(&[u8], i64, serde_json::Value); 9] = [
        (b"", -32700, json!(null)),
        (b"{\"jsonrpc\":", -32700, json!(null)),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}", -32700, json!(null)),
        (deep.as_bytes(), -32700, json!(null)),
        (b"17", -32600, json!(null)),
        (b"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", -32600, json!(null)),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}", -32600, json!(null)),
        (b"{\"jsonrpc\":\"2.0\",\"id\":\"k\",\"method\":\"ping\",\"method\":\"x\"}", -32600, json!("k")),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"x\",\"params\":{\"name\":1,\"name\":2}}",
            -32600,
            json!(7),
        ),
    ];
    for (body, code, id) in cases {
        let reply = rig.post_raw(&session, body.to_vec()).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert_eq!(reply.code(), code, "{}", String::from_utf8_lossy(body));
        assert_eq!(reply.json().get("id").cloned().unwrap_or_default(), id, "an unreadable id is absent");
        assert_eq!(reply.json().get("id").is_some(), !id.is_null());
    }
}

#[tokio::test]
async fn sessions_and_versions_are_required_as_the_table_says() {
    let (rig, _script) = Rig::start().await;
    let session = rig.session().await;
    let ping = request(1, "ping", json!({})).to_string();
    let post = async |extra: &[(&str, &str)], body: &str| {
        let headers: Vec<_> = POST.iter().chain(extra).copied().collect();
        rig.whole(Method::POST, &headers, body.to_owned()).await
    };
    let missing = post(&[], &ping).await;
    assert_eq!((missing.status, missing.code()), (StatusCode::BAD_REQUEST, json!(-32600)));
    assert_eq!(missing.json()["id"], 1);
    let unknown = post(&[("mcp-session-id", "nope")], &ping).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let version =
        async |version| post(&[("mcp-session-id", &session), ("mcp-protocol-version", version)], &ping).await;
    for served in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        assert_eq!(version(served).await.status, StatusCode::OK, "{served}");
    }
    assert_eq!(version("v999").await.status, StatusCode::BAD_REQUEST);
    let response = json!({ "jsonrpc": "2.0", "id": 1, "result": {} }).to_string();
    assert_eq!(post(&[], &response).await.status, StatusCode::BAD_REQUEST);
    let get = async |headers: &[(&str, &str)]| rig.send(Method::GET, headers, "").await.status();
    assert_eq!(get(&[]).await, StatusCode::NOT_ACCEPTABLE);
    assert_eq!(get(&[EVENTS]).await, StatusCode::BAD_REQUEST);
    assert_eq!(get(&[EVENTS, ("mcp-session-id", "nope")]).await, StatusCode::NOT_FOUND);
    let delete = async |headers: &[(&str, &str)]| rig.send(Method::DELETE, headers, "").await.status();
    assert_eq!(delete(&[]).await, StatusCode::BAD_REQUEST);
    assert_eq!(delete(&[("mcp-session-id", "nope")]).await, StatusCode::NOT_FOUND);
    assert_eq!(delete(&[("mcp-session-id", &session)]).await, StatusCode::NO_CONTENT);
    assert_eq!(delete(&[("mcp-session-id", &session)]).await, StatusCode::NOT_FOUND);
    assert_eq!(rig.post_raw(&session, ping).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_client_of_both_eras_falls_back_to_initialize() {
    let (rig, _script) = Rig::start().await;
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    for (method, meta, version) in [
        ("server/discover", meta.clone(), "2026-07-28"),
        ("tools/call", meta.clone(), "2026-07-28"),
        ("initialize", meta, "2026-07-28"),
        ("tools/call", json!({}), "2026-07-28"),
        ("tools/list", json!({ "io.modelcontextprotocol/protocolVersion": "2025-11-25" }), "2025-11-25"),
    ] {
        let message = request("probe", method, json!({ "_meta": meta, "name": "x" }));
        let headers = [POST[0], POST[1], ("mcp-protocol-version", version), ("mcp-method", method)];
        let reply = rig.whole(Method::POST, &headers, message.to_string()).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{message}");
        let code = reply.code().as_i64().unwrap();
        assert!(![-32020, -32021, -32022].contains(&code), "{code} would be read as a modern server");
        assert_eq!(code, -32601);
        assert_eq!(reply.json()["id"], "probe");
        assert!(!reply.json().to_string().contains("Mcp-Session-Id"));
        assert!(reply.header("mcp-session-id").is_none());
    }
    let headers = [POST[0], POST[1], ("mcp-protocol-version", "2026-07-28")];
    let notified =
        rig.send(Method::POST, &headers, notification("notifications/x", json!({})).to_string()).await;
    assert_eq!(notified.status(), StatusCode::ACCEPTED);
    for method in [Method::GET, Method::DELETE] {
        let headers = [EVENTS, ("mcp-protocol-version", "2026-07-28")];
        assert_eq!(rig.send(method, &headers, "").await.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
    let opened =
        rig.whole(Method::POST, &headers[..2], initialize("2025-11-25", json!({})).to_string()).await;
    assert_eq!(opened.status, StatusCode::OK);
}

#[tokio::test]
async fn a_session_belongs_to_who_opened_it() {
    let (rig, _script) = Rig::start().await;
    let headers = [POST[0], POST[1], ("authorization", "Bearer one")];
    let opened = rig.whole(Method::POST, &headers, initialize("2025-06-18", json!({})).to_string()).await;
    let session = opened.header("mcp-session-id").unwrap();
    let ping = request(1, "ping", json!({})).to_string();
    let ask = async |authorization: &[(&str, &str)]| {
        let headers: Vec<_> =
            POST.iter().chain([&("mcp-session-id", session)]).chain(authorization).copied().collect();
        rig.send(Method::POST, &headers, ping.clone()).await.status()
    };
    assert_eq!(ask(&[("authorization", "Bearer one")]).await, StatusCode::OK);
    assert_eq!(ask(&[("authorization", "Bearer two")]).await, StatusCode::NOT_FOUND);
    assert_eq!(ask(&[]).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_longest_idle_session_makes_room_and_busy_ones_do_not() {
    let limits = Limits { sessions: 2, in_flight_per_session: 1, in_flight: 2, ..Limits::default() };
    let (rig, mut script) = Rig::with(limited(limits)).await;
    let (first, second) = (rig.session().await, rig.session().await);
    let third = rig.session().await;
    assert_eq!(rig.post(&first, &request(1, "ping", json!({}))).await.status, StatusCode::NOT_FOUND);
    let busy = rig.get(&second, None).await;
    assert_eq!(busy.status, StatusCode::OK);
    let message = call(1, "slow");
    let waiting = rig.post_stream(&third, &message);
    tokio::pin!(waiting);
    let slow = tokio::select! {
        _ = &mut waiting => panic!("answered without an answer"),
        slow = script.next_of("tools/call") => slow,
    };
    let refused = rig.post("", &initialize("2025-06-18", json!({}))).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((refused.header("retry-after"), refused.code()), (Some("1"), json!(-32603)));
    let over = rig.post(&third, &call(2, "over")).await;
    assert_eq!(over.status, StatusCode::SERVICE_UNAVAILABLE);
    script.answer(&slow, json!({})).await;
    assert_eq!(waiting.await.status, StatusCode::OK);
}

#[tokio::test]
async fn sessions_that_never_called_anything_make_room_first() {
    let (rig, mut script) = Rig::with(limited(Limits { sessions: 3, ..Limits::default() })).await;
    let worker = rig.session().await;
    let message = call(1, "x");
    tokio::join!(rig.post(&worker, &message), async {
        let request = script.next_of("tools/call").await;
        script.answer(&request, json!({})).await;
    });
    for _ in 0..10 {
        rig.session().await;
    }
    let ping = request(2, "ping", json!({}));
    assert_eq!(rig.post(&worker, &ping).await.status, StatusCode::OK, "though it was idle longest");
}

#[tokio::test]
async fn sessions_with_streams_in_which_nothing_is_called_keep_nobody_out() {
    let (rig, mut script) = Rig::with(limited(Limits { sessions: 3, ..Limits::default() })).await;
    let worker = rig.session().await;
    let message = call(1, "x");
    tokio::join!(rig.post(&worker, &message), async {
        let request = script.next_of("tools/call").await;
        script.answer(&request, json!({})).await;
    });
    let _of_worker = rig.get(&worker, None).await;
    let (one, other) = (rig.session().await, rig.session().await);
    let _streams = [rig.get(&one, None).await, rig.get(&other, None).await];
    crate::tests::rig::later(std::time::Duration::from_secs(2)).await;
    rig.session().await;
    let ping = request(2, "ping", json!({}));
    assert_eq!(rig.post(&one, &ping).await.status, StatusCode::NOT_FOUND, "it never called anything");
    assert_eq!(rig.post(&worker, &ping).await.status, StatusCode::OK);
}

#[tokio::test]
async fn requests_in_flight_are_bounded_over_all_sessions() {
    let (rig, mut script) = Rig::with(limited(Limits { in_flight: 1, ..Limits::default() })).await;
    let (one, other) = (rig.session().await, rig.session().await);
    let first = call(1, "a");
    let (reply, ()) = tokio::join!(rig.post(&one, &first), async {
        let request = script.next_of("tools/call").await;
        assert_eq!(rig.post(&other, &call(1, "b")).await.status, StatusCode::SERVICE_UNAVAILABLE);
        script.answer(&request, json!({})).await;
    });
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn a_header_that_two_readers_may_take_differently_is_refused() {
    let (rig, mut script) = Rig::start().await;
    let session = rig.session().await;
    let list = request(1, "tools/list", json!({})).to_string();
    let id = ("mcp-session-id", session.as_str());
    let version = ("mcp-protocol-version", "2025-06-18");
    for extra in [
        [id, id, version],
        [id, ("mcp-session-id", "other"), version],
        [id, version, version],
        [id, version, ("mcp-protocol-version", "2026-07-28")],
        [id, ("mcp-protocol-version", "2025-06-18\u{e9}"), EVENTS],
    ] {
        for (method, body) in [(Method::POST, list.as_str()), (Method::GET, ""), (Method::DELETE, "")] {
            let headers: Vec<_> = POST.into_iter().chain(extra).collect();
            let reply = rig.whole(method, &headers, body.to_owned()).await;
            assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{extra:?}");
        }
    }
    let (reply, ()) = tokio::join!(rig.post_raw(&session, list), async {
        let request = script.next_of("tools/list").await;
        script.answer(&request, json!({})).await;
    });
    assert_eq!(reply.status, StatusCode::OK, "none of it ended the session or reached the server");
}
