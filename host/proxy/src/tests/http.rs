//! An HTTP server behind the same checks.
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::protocol::options::ProxyOptions;
use crate::reverse::proxy::HttpProxy;
use crate::reverse::upstream::{Dialer, Dialing, Duplex, Upstream};
use crate::stdio::upstream::connection::PingError;
use crate::tests::http_rig::{self, Asked, Seen, ask, listen};
use crate::tests::rig::{DEADLINE, POST, Reply, initialize, options, request, stream, whole};

/// The answer of a server to `initialize`.
const WELCOME: &str =
    r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{}}}"#;

/// A server that notes its requests and answers by their messages.
async fn server(answer: impl Fn(&Value) -> Response + Clone + Send + Sync + 'static) -> (SocketAddr, Seen) {
    http_rig::server(move |asked| answer(&asked.message())).await
}

fn plain(_: &Value) -> Response {
    Response::builder()
        .header("content-type", "application/json")
        .header("mcp-session-id", "theirs")
        .header("set-cookie", "a=b")
        .header("access-control-allow-origin", "*")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .header("x-kept", "1")
        .body(Body::from("{ \"jsonrpc\":\"2.0\" }"))
        .unwrap()
}

async fn served(upstream: SocketAddr) -> (HttpProxy, SocketAddr) {
    let options = ProxyOptions { allowed_origins: vec!["http://localhost:1".into()], ..options() };
    let proxy = HttpProxy::new(options, Upstream::tcp(upstream));
    let address = listen(proxy.router()).await;
    (proxy, address)
}

async fn send(
    address: SocketAddr,
    method: Method,
    headers: &[(&str, &str)],
    body: &str,
) -> axum::http::Response<hyper::body::Incoming> {
    ask((address, "/mcp"), method, headers, body).await
}

async fn post(address: SocketAddr, extra: &[(&str, &str)], body: &str) -> Reply {
    let headers: Vec<_> = POST.iter().chain(extra).copied().collect();
    whole(send(address, Method::POST, &headers, body).await).await
}

#[tokio::test]
async fn bodies_and_sessions_pass_and_identities_do_not() {
    let (upstream, seen) = server(plain).await;
    let (_proxy, address) = served(upstream).await;
    let body = "{ \"jsonrpc\":\"2.0\",\n \"id\": 1, \"method\":\"tools/list\" }";
    let reply = post(
        address,
        &[
            ("origin", "http://localhost:1"),
            ("authorization", "Bearer x"),
            ("cookie", "c=d"),
            ("x-custom", "kept"),
            ("mcp-session-id", "theirs"),
            ("x-forwarded-for", "1.2.3.4"),
            ("connection", "x-mine"),
            ("x-mine", "1"),
        ],
        body,
    )
    .await;
    assert_eq!((reply.status, &reply.body[..]), (StatusCode::OK, &b"{ \"jsonrpc\":\"2.0\" }"[..]));
    assert_eq!((reply.header("mcp-session-id"), reply.header("x-kept")), (Some("theirs"), Some("1")));
    assert_eq!(reply.header("content-length"), Some("19"), "its length stays known");
    assert_eq!((reply.header("set-cookie"), reply.header("x-hop")), (None, None));
    assert_eq!(reply.header("access-control-allow-origin"), Some("http://localhost:1"));
    let Asked { method, headers, body: sent, .. } = seen.lock().unwrap().remove(0);
    assert_eq!((method, &sent[..]), (Method::POST, body.as_bytes()), "the body is unchanged");
    assert_eq!(headers["host"], upstream.to_string());
    assert_eq!(
        (&headers["mcp-session-id"], &headers["x-custom"]),
        (&"theirs".parse().unwrap(), &"kept".parse().unwrap())
    );
    for name in ["origin", "authorization", "cookie", "x-forwarded-for", "x-mine"] {
        assert!(!headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn a_reverse_proxy_makes_the_same_checks_as_a_shared_server() {
    let (upstream, seen) = server(plain).await;
    let (_proxy, address) = served(upstream).await;
    let ping = request(1, "ping", json!({})).to_string();
    assert_eq!(post(address, &[("host", "evil.example")], &ping).await.status, StatusCode::FORBIDDEN);
    assert_eq!(post(address, &[("origin", "null")], &ping).await.status, StatusCode::FORBIDDEN);
    assert_eq!(post(address, &[], "{").await.code(), -32700);
    assert_eq!(
        post(address, &[], r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#).await.code(),
        -32600
    );
    let text = send(address, Method::POST, &[("content-type", "text/plain"), POST[1]], &ping).await;
    assert_eq!(text.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(send(address, Method::PUT, &[], "").await.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(send(address, Method::GET, &[], "").await.status(), StatusCode::NOT_ACCEPTABLE);
    let modern = request(
        "m",
        "server/discover",
        json!({ "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} } }),
    );
    let refused = post(address, &[("mcp-protocol-version", "2026-07-28")], &modern.to_string()).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::BAD_REQUEST, json!(-32601)));
    let large = "x".repeat(8 * 1024 * 1024 + 1);
    assert_eq!(post(address, &[], &large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(seen.lock().unwrap().is_empty(), "none of it reached the server");
    assert_eq!(
        post(address, &[], &initialize("2025-06-18", json!({})).to_string()).await.status,
        StatusCode::OK
    );
    assert_eq!(post(address, &[], "[]").await.status, StatusCode::OK, "batches are the server's to judge");
    assert_eq!(send(address, Method::DELETE, &[], "").await.status(), StatusCode::OK);
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_batch_passes_only_where_batches_are_and_opens_nothing() {
    let (upstream, seen) = server(plain).await;
    let (_proxy, address) = served(upstream).await;
    let batch = format!("[{}]", request(1, "ping", json!({})));
    let opening = format!("[{}]", initialize("2025-03-26", json!({})));
    assert_eq!(post(address, &[("mcp-protocol-version", "2025-06-18")], &batch).await.code(), -32600);
    assert_eq!(post(address, &[], &opening).await.code(), -32600);
    assert!(seen.lock().unwrap().is_empty());
    let passed =
        post(address, &[("mcp-protocol-version", "2025-03-26"), ("mcp-session-id", "s")], &batch).await;
    assert_eq!(passed.status, StatusCode::OK);
}

#[tokio::test]
async fn a_server_that_wants_a_login_sends_no_client_to_one() {
    let unauthorized = |_: &Value| Response::builder().status(401).body(Body::empty()).unwrap();
    let (upstream, _seen) = server(unauthorized).await;
    let (proxy, address) = served(upstream).await;
    let refused = post(address, &[], &request(1, "ping", json!({})).to_string()).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::SERVICE_UNAVAILABLE, json!(-32603)));
    // Its state says what to do, and so does the refusal.
    let state = proxy.ping(DEADLINE).await.unwrap_err();
    assert_eq!(state, PingError::Unauthorized { status: 401 });
    assert!(state.to_string().contains("let it serve without them"), "{state}");
}

#[tokio::test]
async fn events_pass_as_they_come() {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let receiver = Arc::new(Mutex::new(Some(receiver)));
    let (upstream, _seen) = server(move |_| {
        let receiver = receiver.lock().unwrap().take().unwrap();
        let events = futures_util::stream::unfold(receiver, async |mut receiver| {
            Some((receiver.recv().await?, receiver))
        });
        let body = Body::from_stream(events.map(Ok::<_, std::io::Error>));
        Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
    })
    .await;
    let (_proxy, address) = served(upstream).await;
    let mut events = stream(
        send(address, Method::GET, &[("accept", "text/event-stream"), ("last-event-id", "7")], "").await,
    );
    for text in ["one", "two"] {
        // The next is sent only after this one has arrived: nothing waits for more.
        sender.send(format!("id: {text}\ndata: {text}\n\n").into()).await.unwrap();
        assert_eq!(events.event().await.unwrap().data, text);
    }
}

#[tokio::test]
async fn a_server_that_is_down_or_points_elsewhere_is_a_bad_gateway() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (proxy, address) = served(unused).await;
    let ping = request("p", "ping", json!({})).to_string();
    let reply = post(address, &[], &ping).await;
    assert_eq!(
        (reply.status, reply.code(), &reply.json()["id"]),
        (StatusCode::BAD_GATEWAY, json!(-32603), &json!("p"))
    );
    assert_eq!(proxy.ping(DEADLINE).await, Err(PingError::NotConnected));
    let (redirecting, seen) = server(|_| {
        Response::builder()
            .status(307)
            .header("location", "http://127.0.0.1:1/steal")
            .body(Body::empty())
            .unwrap()
    })
    .await;
    let (_proxy, address) = served(redirecting).await;
    let reply = post(address, &[], &ping).await;
    assert_eq!((reply.status, reply.header("location")), (StatusCode::BAD_GATEWAY, None));
    assert_eq!(seen.lock().unwrap().len(), 1);
}

/// A server that answers the first request with these bytes, and then closes the connection.
async fn rude(answer: &'static [u8]) -> SocketAddr {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(answer).await.unwrap();
    });
    address
}

#[tokio::test]
async fn odd_answers_of_a_server_are_told_as_what_they_are() {
    let call = request("p", "tools/call", json!({})).to_string();
    let upgrade = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let (_proxy, address) = served(rude(upgrade).await).await;
    let reply = post(address, &[], &call).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::BAD_GATEWAY, json!(-32603)));
    let (_proxy, address) = served(rude(b"HTTP/1.1 304 Not Modified\r\n\r\n").await).await;
    assert_eq!(post(address, &[], &call).await.status, StatusCode::NOT_MODIFIED);
    // It dies in the middle of the call.
    let (_proxy, address) = served(rude(b"").await).await;
    let reply = post(address, &[], &call).await;
    assert_eq!((reply.status, &reply.json()["id"]), (StatusCode::BAD_GATEWAY, &json!("p")));
    let text = reply.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(text.contains("may or may not have been done"), "{text}");
}

/// The number of connections that may wait to be accepted.
const CONNECTIONS: usize = 16;

/// Makes connections within this process, to a server that listens on nothing.
struct InMemory(mpsc::Sender<DuplexStream>);

impl Dialer for InMemory {
    fn dial(&self) -> Dialing {
        let (near, far) = tokio::io::duplex(4096);
        let made = self.0.try_send(far).map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused));
        Box::pin(async move { made.map(|()| Box::new(near) as Box<dyn Duplex>) })
    }
}

/// The server's side of [`InMemory`].
struct Accepts(mpsc::Receiver<DuplexStream>);

impl axum::serve::Listener for Accepts {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(stream) => (stream, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A server with a name that gives bodies back, behind a dialer.
fn dialed(name: &'static str) -> Upstream {
    let (sender, receiver) = mpsc::channel(CONNECTIONS);
    let router = Router::new().fallback(move |request: Request| async move {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let head = Response::builder().header("content-type", "application/json");
        head.header("x-host", host).header("x-server", name).body(Body::from(body)).unwrap()
    });
    tokio::spawn(async move { axum::serve(Accepts(receiver), router).await });
    Upstream::dialed(4711, Arc::new(InMemory(sender)))
}

#[tokio::test]
async fn a_server_behind_a_dialer_is_served_like_one_with_an_address() {
    let proxy = HttpProxy::new(options(), dialed("first"));
    let address = listen(proxy.router()).await;
    // More than the connection holds, both ways.
    let body = request(1, "tools/list", json!({ "text": "x".repeat(256 * 1024) })).to_string();
    let reply = post(address, &[], &body).await;
    assert_eq!((reply.status, reply.header("x-host")), (StatusCode::OK, Some("127.0.0.1:4711")));
    assert!(reply.body == body.as_bytes() && reply.header("x-server") == Some("first"));
    // Another one in its place, with the same name in `Host`: the connection to the first, still open, is not used again.
    proxy.move_to(dialed("second"));
    assert_eq!(post(address, &[], &body).await.header("x-server"), Some("second"));
    proxy.move_to(Upstream::dialed(4711, Arc::new(InMemory(mpsc::channel(1).0))));
    let reply = post(address, &[], &body).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::BAD_GATEWAY, json!(-32603)));
}

#[tokio::test]
async fn a_ping_opens_a_session_keeps_it_and_opens_another_when_it_is_gone() {
    let sessions = Arc::new(Mutex::new(0));
    let counted = sessions.clone();
    let (upstream, seen) = server(move |message| {
        let response = Response::builder().header("content-type", "application/json");
        match message["method"].as_str() {
            Some("initialize") => {
                *counted.lock().unwrap() += 1;
                let session = format!("s{}", counted.lock().unwrap());
                response.header("mcp-session-id", session).body(Body::from(WELCOME)).unwrap()
            }
            Some("ping") => response.body(Body::from("{}")).unwrap(),
            _ => response.status(202).body(Body::empty()).unwrap(),
        }
    })
    .await;
    let (proxy, _address) = served(upstream).await;
    proxy.ping(DEADLINE).await.unwrap();
    proxy.ping(DEADLINE).await.unwrap();
    let methods: Vec<Value> =
        seen.lock().unwrap().iter().map(|asked| asked.message()["method"].clone()).collect();
    assert_eq!(methods, ["initialize", "notifications/initialized", "ping", "ping"]);
    assert!(seen.lock().unwrap()[2..].iter().all(|asked| asked.headers["mcp-session-id"] == "s1"));

    let first = Arc::new(Mutex::new(true));
    let (forgetful, _) = server(move |message| {
        let forgets = message["method"] == "ping" && std::mem::take(&mut *first.lock().unwrap());
        let status = if forgets { 404 } else { 200 };
        Response::builder().status(status).header("mcp-session-id", "x").body(Body::from(WELCOME)).unwrap()
    })
    .await;
    let (proxy, _address) = served(forgetful).await;
    assert_eq!(proxy.ping(DEADLINE).await, Err(PingError::Unhealthy { status: 404 }), "just opened and gone");
    proxy.ping(DEADLINE).await.unwrap();
    let (broken, _) = server(|_| Response::builder().status(500).body(Body::empty()).unwrap()).await;
    let (proxy, _address) = served(broken).await;
    assert_eq!(proxy.ping(DEADLINE).await, Err(PingError::Unhealthy { status: 500 }));
}

#[tokio::test]
async fn a_ping_names_the_revision_that_the_server_chose() {
    for events in [false, true] {
        let (upstream, seen) = server(move |message| {
            let result = json!({ "protocolVersion": "2025-03-26", "capabilities": {} });
            let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
            let response = Response::builder().header("mcp-session-id", "s");
            if events && message["method"] == "initialize" {
                // The stream stays open: its end must not be waited for.
                let event = Ok::<_, std::io::Error>(format!("event: message\ndata: {answer}\n\n"));
                let open = futures_util::stream::once(async { event }).chain(futures_util::stream::pending());
                return response
                    .header("content-type", "text/event-stream")
                    .body(Body::from_stream(open))
                    .unwrap();
            }
            response.header("content-type", "application/json").body(Body::from(answer.to_string())).unwrap()
        })
        .await;
        let (proxy, _address) = served(upstream).await;
        proxy.ping(DEADLINE).await.unwrap();
        let seen = seen.lock().unwrap();
        let version =
            |at: usize| seen[at].headers.get("mcp-protocol-version").map(|version| version.to_str().unwrap());
        assert_eq!([version(0), version(1), version(2)], [None, Some("2025-03-26"), Some("2025-03-26")]);
    }
}
