//! The bounds of the proxy in front of an HTTP server (`docs/mcp.md`, 15).
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::any;
use http_body_util::Full;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

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
