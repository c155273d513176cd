//! Where an HTTP server is served: whether it is ready, the path that it leads to, and others that it may be found at.
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::protocol::options::ProxyOptions;
use crate::reverse::handshake::{NotReady, OtherPlace};
use crate::reverse::proxy::HttpProxy;
use crate::reverse::upstream::Upstream;
use crate::tests::http_rig::{self, Seen, ask, listen};
use crate::tests::rig::{DEADLINE, POST, initialize, options, whole};

/// A server that answers by method, path, message and its own address.
async fn server(
    answer: impl Fn(&Method, &str, &Value, SocketAddr) -> Response + Clone + Send + Sync + 'static,
) -> (SocketAddr, Seen) {
    http_rig::server(move |asked| answer(&asked.method, &asked.place, &asked.message(), asked.address)).await
}

fn status(status: u16) -> Response {
    Response::builder().status(status).body(Body::empty()).unwrap()
}

/// An MCP server's answer.
fn served(message: &Value) -> Response {
    let result = json!({ "protocolVersion": "2025-06-18", "capabilities": {} });
    let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
    let is_asked = message.get("id").is_some();
    let head = Response::builder()
        .status(if is_asked { 200 } else { 202 })
        .header("content-type", "application/json");
    head.body(if is_asked { Body::from(answer.to_string()) } else { Body::empty() }).unwrap()
}

fn proxy(address: SocketAddr, target_path: Option<&str>) -> HttpProxy {
    let options = ProxyOptions { target_path: target_path.map(str::to_owned), ..options() };
    HttpProxy::new(options, Upstream::tcp(address))
}

/// A client's POST through the proxy.
async fn through(proxy: &HttpProxy, place: &str, body: &Value) -> (StatusCode, String) {
    let address = listen(proxy.router()).await;
    let reply = whole(ask((address, place), Method::POST, &POST, &body.to_string()).await).await;
    (reply.status, String::from_utf8(reply.body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_server_is_ready_once_it_has_answered_the_handshake_at_its_path() {
    let (address, seen) =
        server(|_, place, message, _| if place == "/mcp" { served(message) } else { status(404) }).await;
    proxy(address, None).greet(DEADLINE).await.unwrap();
    let methods: Vec<Value> =
        seen.lock().unwrap().iter().map(|asked| asked.message()["method"].clone()).collect();
    assert_eq!(methods, ["initialize", "notifications/initialized"]);
    let error = proxy(address, Some("/other")).greet(DEADLINE).await.unwrap_err();
    assert_eq!(error.to_string(), "it serves no MCP at /other: its answer has the HTTP status 404");
}

#[tokio::test]
async fn each_answer_that_is_no_handshake_is_told_apart() {
    let answered = async |reply: fn() -> Response| {
        let (address, _) = server(move |_, _, _, _| reply()).await;
        proxy(address, None).greet(DEADLINE).await.unwrap_err()
    };
    let later = |status, seconds: Option<u64>| NotReady::Later {
        status,
        retry_after: seconds.map(Duration::from_secs),
    };
    assert_eq!(answered(|| status(503)).await, later(503, None));
    let busy = || Response::builder().status(503).header("retry-after", "2").body(Body::empty()).unwrap();
    assert_eq!(answered(busy).await, later(503, Some(2)));
    assert_eq!(answered(|| status(401)).await, NotReady::Unauthorized { status: 401 });
    let what = |what: &str| NotReady::NoMcp { path: "/mcp".into(), what: what.into() };
    assert_eq!(answered(|| status(405)).await, what("its answer has the HTTP status 405"));
    assert_eq!(answered(|| Response::new(Body::from("<html>"))).await, what("its answer is no JSON-RPC"));
    let refused =
        || Response::new(Body::from(r#"{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"no key"}}"#));
    assert_eq!(answered(refused).await, NotReady::Refused { message: "no key".into() });
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(proxy(nobody, None).greet(DEADLINE).await, Err(NotReady::Silent));
}

#[tokio::test]
async fn a_revision_that_is_refused_over_http_is_asked_for_once_more() {
    for code in [200, 400] {
        let (address, seen) = server(move |_, _, message, _| {
            let asked = &message["params"]["protocolVersion"];
            if message["method"] != "initialize" || *asked == "2024-11-05" {
                return served(message);
            }
            let data = json!({ "supported": ["2024-11-05"], "requested": asked });
            let error = json!({ "code": -32602, "message": "Unsupported protocol version", "data": data });
            let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "error": error });
            Response::builder().status(code).body(Body::from(answer.to_string())).unwrap()
        })
        .await;
        let proxy = proxy(address, None);
        proxy.greet(DEADLINE).await.unwrap();
        proxy.ping(DEADLINE).await.unwrap();
        let asked = seen
            .lock()
            .unwrap()
            .iter()
            .map(|asked| asked.message()["params"]["protocolVersion"].clone())
            .collect::<Vec<_>>();
        assert_eq!(&asked[..2], ["2025-11-25", "2024-11-05"]);
    }
}

#[tokio::test]
async fn a_redirect_to_a_path_of_its_own_is_followed_and_learned_once() {
    for absolute in [false, true] {
        let (address, seen) = server(move |_, place, message, own| match place.split('?').next() {
            Some("/mcp/") => served(message),
            Some("/mcp") => {
                let location = if absolute { format!("http://{own}/mcp/") } else { "/mcp/".to_owned() };
                Response::builder().status(307).header("location", location).body(Body::empty()).unwrap()
            }
            _ => status(404),
        })
        .await;
        let proxy = proxy(address, None);
        let (code, body) = through(&proxy, "/mcp?a=b", &initialize("2025-06-18", json!({}))).await;
        assert!(code == StatusCode::OK && body.contains("\"id\":\"init\""), "{code} {body}");
        assert_eq!(proxy.target_path(), "/mcp/");
        through(&proxy, "/mcp", &initialize("2025-06-18", json!({}))).await;
        let seen = seen.lock().unwrap();
        let places: Vec<&str> = seen.iter().map(|asked| asked.place.as_str()).collect();
        assert_eq!(places, ["/mcp?a=b", "/mcp/?a=b", "/mcp/"], "method, query and body are kept");
        assert_eq!(seen[0].body, seen[1].body);
    }
}

#[tokio::test]
async fn a_redirect_elsewhere_is_refused() {
    for (code, location) in [
        (307, "http://127.0.0.1:1/mcp/"),
        (307, "https://example.com/mcp"),
        (307, "//example.com/mcp"),
        (307, "/mcp"),
        (302, "/mcp/"),
        (303, "/other"),
    ] {
        let (address, seen) = server(move |_, _, _, _| {
            Response::builder().status(code).header("location", location).body(Body::empty()).unwrap()
        })
        .await;
        let (status, _) = through(&proxy(address, None), "/mcp", &initialize("2025-06-18", json!({}))).await;
        assert_eq!((status, seen.lock().unwrap().len()), (StatusCode::BAD_GATEWAY, 1), "{code} {location}");
    }
    // A redirect that leads round in a circle is followed once.
    let (address, seen) = server(|_, place, _, _| {
        let location = if place == "/mcp" { "/mcp/" } else { "/mcp" };
        Response::builder().status(308).header("location", location).body(Body::empty()).unwrap()
    })
    .await;
    let (status, _) = through(&proxy(address, None), "/mcp", &initialize("2025-06-18", json!({}))).await;
    assert_eq!((status, seen.lock().unwrap().len()), (StatusCode::BAD_GATEWAY, 2));
}

#[tokio::test]
async fn a_server_at_another_path_or_of_the_old_transport_is_found() {
    let (address, _) =
        server(|_, place, message, _| if place == "/api/mcp" { served(message) } else { status(404) }).await;
    assert_eq!(proxy(address, None).look_elsewhere().await, Some(OtherPlace::Path("/api/mcp".into())));
    proxy(address, Some("/api/mcp")).greet(DEADLINE).await.unwrap();
    let (address, _) = server(|method, place, _, _| match (method, place) {
        (&Method::GET, "/sse") => Response::builder()
            .header("content-type", "text/event-stream")
            .body(Body::from("event: endpoint\n"))
            .unwrap(),
        _ => status(404),
    })
    .await;
    assert_eq!(proxy(address, None).look_elsewhere().await, Some(OtherPlace::Sse));
    let (address, _) = server(|_, _, _, _| status(404)).await;
    assert_eq!(proxy(address, None).look_elsewhere().await, None);
}
