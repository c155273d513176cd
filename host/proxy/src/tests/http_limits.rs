//! The bounds of the proxy in front of an HTTP server (`docs/mcp.md`, 15).
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::any;
use http_body_util::Full;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::http::budget::Holder;
use crate::http::serve::{Listener, serve};
use crate::protocol::options::Limits;
use crate::reverse::proxy::HttpProxy;
use crate::reverse::upstream::Upstream;
use crate::tests::memory::head;
use crate::tests::rig::{POST, client, limited, request, stream};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn bodies_that_an_http_server_does_not_take_make_room() {
    // It accepts connections, and answers nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = limited(Limits { memory_bytes: 3 * MIB, ..Limits::default() });
    let proxy = HttpProxy::new(options, Upstream::tcp(silent.local_addr().unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, router) = (listener.local_addr().unwrap(), proxy.router());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let message = request(1, "tools/call", json!({ "text": "z".repeat(MIB) })).to_string();
    let mut answers = Vec::new();
    for _ in 0..8 {
        let mut raw = TcpStream::connect(address).await.unwrap();
        raw.write_all((head("x", message.len()) + &message).as_bytes()).await.unwrap();
        answers.push(tokio::spawn(async move {
            let mut status = [0; 12];
            raw.read_exact(&mut status).await.unwrap();
            status
        }));
    }
    for _ in 0..6 {
        let (status, _, rest) = futures_util::future::select_all(answers).await;
        assert_eq!(&status.unwrap(), b"HTTP/1.1 503");
        answers = rest;
    }
    let held = proxy.shared.budget.used();
    assert!((MIB..=3 * MIB).contains(&held), "{held}");
}

#[tokio::test]
async fn a_body_that_an_http_server_answers_before_it_takes_it_stays_charged() {
    // It answers at once, and reads no more.
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::tcp(server.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            let mut socket = server.accept().await.unwrap().0;
            socket.read_exact(&mut [0; 256]).await.unwrap();
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await.unwrap();
            kept.push(socket);
        }
    });
    let options = limited(Limits { memory_bytes: 9 * MIB, ..Limits::default() });
    let proxy = HttpProxy::new(options, upstream);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, router) = (listener.local_addr().unwrap(), proxy.router());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut open = Vec::new();
    for (size, expected) in [(7 * MIB, b"HTTP/1.1 200"), (2 * MIB, b"HTTP/1.1 503"), (MIB, b"HTTP/1.1 200")] {
        let message = request(1, "tools/call", json!({ "text": "z".repeat(size) })).to_string();
        let mut raw = TcpStream::connect(address).await.unwrap();
        raw.write_all((head("x", message.len()) + &message).as_bytes()).await.unwrap();
        let mut status = [0; 12];
        raw.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, expected, "{size}");
        let held = proxy.shared.budget.used();
        assert!((7 * MIB..=9 * MIB).contains(&held), "{held}");
        open.push(raw);
    }
}

#[tokio::test]
async fn streams_that_stay_open_take_no_place_from_calls() {
    // A stream goes on for ever; everything else is answered.
    let answer = |request: Request| async move {
        if request.method() == Method::GET {
            let events = futures_util::stream::pending::<Result<&'static str, std::io::Error>>();
            let head = Response::builder().header("content-type", "text/event-stream");
            return head.body(Body::from_stream(events)).unwrap();
        }
        Response::new(Body::from(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#))
    };
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::tcp(server.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(server, any(answer).into_make_service()).await });
    let proxy = HttpProxy::new(limited(Limits { in_flight: 2, ..Limits::default() }), upstream);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, router) = (listener.local_addr().unwrap(), proxy.router());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let client = client();
    let ask = |method: Method, body: String| {
        let mut asked = axum::http::Request::builder().method(method).uri(format!("http://{address}/mcp"));
        for (name, value) in POST {
            asked = asked.header(name, value);
        }
        client.request(asked.body(Full::new(body.into())).unwrap())
    };
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(stream(ask(Method::GET, String::new()).await.unwrap()));
    }
    assert!(open.iter().all(|one| one.status == StatusCode::OK));
    let third = ask(Method::GET, String::new()).await.unwrap();
    assert_eq!(third.status(), StatusCode::SERVICE_UNAVAILABLE);
    let message = request(1, "tools/list", json!({})).to_string();
    assert_eq!(ask(Method::POST, message).await.unwrap().status(), StatusCode::OK);
}

/// A proxy with one place for calls, in which one is: its server says nothing after the head of the answer. And the client's
/// end of that call.
async fn silent_call(content_type: &'static str, limits: Limits) -> (HttpProxy, DropGuard, TcpStream) {
    let answer = async move |_: Request| {
        let nothing = futures_util::stream::pending::<Result<&'static str, std::io::Error>>();
        let head = Response::builder().header("content-type", content_type);
        head.body(Body::from_stream(nothing)).unwrap()
    };
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::tcp(server.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(server, any(answer).into_make_service()).await });
    let limits = Limits { in_flight: 1, ..limits };
    let proxy = HttpProxy::new(limited(limits.clone()), upstream);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, router, stop) = (listener.local_addr().unwrap(), proxy.router(), CancellationToken::new());
    let (token, access) = (stop.clone(), proxy.shared.options.access.clone());
    tokio::spawn(async move { serve(Listener::Port(listener), router, &limits, &access, token).await });
    let message = request(1, "tools/call", json!({})).to_string();
    let mut raw = TcpStream::connect(address).await.unwrap();
    raw.write_all((head("x", message.len()) + &message).as_bytes()).await.unwrap();
    // All of it: a socket that is closed with something unread is reset, which nobody has to look for.
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(raw.read_u8().await.unwrap());
    }
    assert!(seen.starts_with(b"HTTP/1.1 200") && proxy.shared.places.available_permits() == 0);
    (proxy, stop.drop_guard(), raw)
}

#[tokio::test]
async fn bodies_are_of_a_session_that_the_server_has_named_or_of_none() {
    let answer = async |_: Request| {
        let head = Response::builder().header("mcp-session-id", "opened");
        head.body(Body::from(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)).unwrap()
    };
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::tcp(server.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(server, any(answer).into_make_service()).await });
    let proxy = HttpProxy::new(limited(Limits::default()), upstream);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, router) = (listener.local_addr().unwrap(), proxy.router());
    tokio::spawn(async move { axum::serve(listener, router).await });
    assert_eq!(proxy.shared.holder(Some("opened")), Holder::NoSession);
    let message = request(1, "tools/list", json!({})).to_string();
    let mut raw = TcpStream::connect(address).await.unwrap();
    raw.write_all((head("made-up", message.len()) + &message).as_bytes()).await.unwrap();
    raw.read_exact(&mut [0; 12]).await.unwrap();
    assert_eq!(proxy.shared.holder(Some("opened")), proxy.shared.budget.session("opened"));
    assert_eq!(proxy.shared.holder(Some("made-up")), Holder::NoSession);
    assert_eq!(proxy.shared.holder(None), Holder::NoSession);
}

/// Resolves when the only place for calls is free.
async fn place_is_free(proxy: &HttpProxy) {
    let freed = tokio::time::timeout(Duration::from_secs(30), proxy.shared.places.acquire()).await;
    drop(freed.expect("the place is free again").unwrap());
}

#[tokio::test]
async fn a_client_that_leaves_a_silent_stream_of_an_http_server_gives_its_place_back() {
    let (proxy, _stop, raw) = silent_call("text/event-stream", Limits::default()).await;
    drop(raw);
    place_is_free(&proxy).await;
}

#[tokio::test]
async fn a_silent_stream_of_an_http_server_is_written_to_though_its_client_has_not_ended_its_side() {
    let limits = Limits { keep_alive: Duration::from_millis(50), ..Limits::default() };
    // Else one whose machine went away would never be noticed.
    let (proxy, _stop, mut raw) = silent_call("Text/Event-Stream; charset=utf-8", limits).await;
    let mut seen = String::new();
    while seen.matches(": keep-alive\n\n").count() < 3 {
        let byte = tokio::time::timeout(Duration::from_secs(30), raw.read_u8()).await;
        seen.push(char::from(byte.expect("comments are written").unwrap()));
    }
    assert_eq!(proxy.shared.places.available_permits(), 0);
}

#[tokio::test]
async fn a_client_that_has_ended_its_side_of_a_silent_stream_and_reads_keeps_it() {
    let limits = Limits { ring_keep: Duration::from_millis(100), ..Limits::default() };
    let (proxy, _stop, mut raw) = silent_call("text/event-stream", limits).await;
    raw.shutdown().await.unwrap();
    let (mut seen, mut piece) = (String::new(), [0; 1024]);
    while seen.matches(": keep-alive\n\n").count() < 3 {
        let read = raw.read(&mut piece).await.unwrap();
        assert!(read > 0, "{seen}");
        seen += std::str::from_utf8(&piece[..read]).unwrap();
    }
    assert_eq!(proxy.shared.places.available_permits(), 0);
}

#[tokio::test]
async fn an_answer_that_can_hold_no_comment_ends_when_its_client_was_away_for_too_long() {
    let limits = Limits { ring_keep: Duration::from_millis(300), ..Limits::default() };
    let (proxy, _stop, mut raw) = silent_call("application/json", limits).await;
    raw.shutdown().await.unwrap();
    place_is_free(&proxy).await;
}

#[tokio::test]
async fn where_no_place_is_left_at_an_http_server_a_large_body_is_not_read() {
    let (_proxy, _stop, held) = silent_call("text/event-stream", Limits::default()).await;
    let mut raw = TcpStream::connect(held.peer_addr().unwrap()).await.unwrap();
    raw.write_all(head("x", MIB).as_bytes()).await.unwrap();
    let mut status = [0; 12];
    raw.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 503");
}
