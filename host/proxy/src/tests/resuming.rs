//! Streams of an HTTP server that clients resume (`docs/mcp.md`, 11.13).
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::stream::once;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::http::serve::{Listener, serve};
use crate::protocol::options::Limits;
use crate::reverse::proxy::HttpProxy;
use crate::reverse::upstream::Upstream;
use crate::tests::http_rig::{ask, listen};
use crate::tests::memory::head;
use crate::tests::rig::{Reply, limited, request, whole};

/// A server that refuses a GET while a call of its session has a stream, as those of the official SDKs do.
#[derive(Clone, Default)]
struct Strict {
    /// The open streams of calls, by session.
    open: Arc<Mutex<HashMap<String, usize>>>,
    /// Has the calls answered.
    finish: CancellationToken,
}

/// A stream of a call. The server notices its end when this is dropped.
struct OpenCall(Strict, String);

impl OpenCall {
    fn new(server: &Strict, session: &str) -> Self {
        *server.open.lock().unwrap().entry(session.to_owned()).or_default() += 1;
        Self(server.clone(), session.to_owned())
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        *self.0.open.lock().unwrap().get_mut(&self.1).unwrap() -= 1;
    }
}

async fn answer(State(server): State<Strict>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    body.collect().await.unwrap();
    let session = parts.headers["mcp-session-id"].to_str().unwrap();
    let head = Response::builder().header("content-type", "text/event-stream");
    if parts.method == Method::GET {
        let open = server.open.lock().unwrap().get(session).copied().unwrap_or_default();
        return if open > 0 {
            Response::builder().status(StatusCode::CONFLICT).body(Body::empty()).unwrap()
        } else {
            head.body(Body::from("id: 2\ndata: resumed\n\n")).unwrap()
        };
    }
    let open = OpenCall::new(&server, session);
    let first = once(async { Ok::<_, std::io::Error>("id: 1\ndata: begun\n\n") });
    let last = once(async move {
        let _open = open;
        server.finish.cancelled().await;
        Ok::<_, std::io::Error>("id: 2\ndata: done\n\n")
    });
    head.body(Body::from_stream(first.chain(last))).unwrap()
}

/// A proxy in front of that server.
async fn served() -> (Strict, SocketAddr, DropGuard) {
    let server = Strict::default();
    let upstream = listen(Router::new().fallback(answer).with_state(server.clone())).await;
    let limits = Limits::default();
    let proxy = HttpProxy::new(limited(limits.clone()), Upstream::tcp(upstream));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, router, stop) = (listener.local_addr().unwrap(), proxy.router(), CancellationToken::new());
    let (token, access) = (stop.clone(), proxy.shared.options.access.clone());
    tokio::spawn(async move { serve(Listener::Port(listener), router, &limits, &access, token).await });
    (server, address, stop.drop_guard())
}

/// The client's end of a call whose stream has begun.
async fn call(address: SocketAddr, session: &str) -> TcpStream {
    let message = request(1, "tools/call", json!({})).to_string();
    let mut raw = TcpStream::connect(address).await.unwrap();
    raw.write_all((head(session, message.len()) + &message).as_bytes()).await.unwrap();
    // All of it: a socket that is closed with something unread is reset, which nobody has to look for.
    let seen = read_until(&mut raw, "begun\n\n\r\n").await;
    assert!(seen.starts_with("HTTP/1.1 200"), "{seen}");
    raw
}

async fn read_until(raw: &mut TcpStream, end: &str) -> String {
    let mut seen = String::new();
    while !seen.ends_with(end) {
        seen.push(char::from(raw.read_u8().await.unwrap_or_else(|error| panic!("{error} after {seen}"))));
    }
    seen
}

async fn get(address: SocketAddr, session: &str, more: &[(&str, &str)]) -> Reply {
    let fixed = [("accept", "text/event-stream"), ("mcp-session-id", session)];
    let headers: Vec<_> = fixed.iter().chain(more).copied().collect();
    whole(ask((address, "/mcp"), Method::GET, &headers, "").await).await
}

const RESUMING: (&str, &str) = ("last-event-id", "1");

#[tokio::test]
async fn a_client_that_is_gone_resumes_its_stream_at_once() {
    let (_server, address, _stop) = served().await;
    drop(call(address, "own").await);
    let resumed = get(address, "own", &[RESUMING]).await;
    assert_eq!((resumed.status, &resumed.body[..]), (StatusCode::OK, &b"id: 2\ndata: resumed\n\n"[..]));
}

#[tokio::test]
async fn a_client_that_has_ended_its_side_gets_its_answer_whatever_others_resume() {
    let (server, address, _stop) = served().await;
    let mut raw = call(address, "own").await;
    raw.shutdown().await.unwrap();
    // From now on the proxy knows that it has ended its side.
    read_until(&mut raw, ": keep-alive\n\n\r\n").await;
    assert_eq!(get(address, "other", &[RESUMING]).await.status, StatusCode::OK);
    let other_principal = [RESUMING, ("authorization", "Bearer other")];
    assert_eq!(get(address, "own", &other_principal).await.status, StatusCode::CONFLICT);
    assert_eq!(get(address, "own", &[]).await.status, StatusCode::CONFLICT, "it resumes nothing");
    server.finish.cancel();
    let rest = read_until(&mut raw, "\r\n0\r\n\r\n").await;
    assert!(rest.contains("data: done"), "{rest}");
}

#[tokio::test]
async fn a_stream_whose_client_is_there_is_not_ended_by_a_get() {
    let (server, address, _stop) = served().await;
    let mut raw = call(address, "own").await;
    assert_eq!(get(address, "own", &[RESUMING]).await.status, StatusCode::CONFLICT);
    // Another one of the same session is gone, which ends that one alone.
    drop(call(address, "own").await);
    assert_eq!(get(address, "own", &[RESUMING]).await.status, StatusCode::CONFLICT);
    while server.open.lock().unwrap()["own"] > 1 {
        sleep(Duration::from_millis(10)).await;
    }
    server.finish.cancel();
    let rest = read_until(&mut raw, "\r\n0\r\n\r\n").await;
    assert!(rest.contains("data: done"), "{rest}");
}
