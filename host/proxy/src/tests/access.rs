//! The clients that are served: the secret path, the token, their replacement, and what is answered to everybody else.
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::http::access::{Access, AccessRule};
use crate::protocol::options::ProxyOptions;
use crate::reverse::proxy::HttpProxy;
use crate::reverse::upstream::Upstream;
use crate::tests::rig::{POST, Reply, Rig, client, initialize, options, stream, whole};

const PART: &str = "00112233445566778899aabbccddeeff";
const OTHER: &str = "ffeeddccbbaa99887766554433221100";

fn by(rule: AccessRule) -> (Access, ProxyOptions) {
    let access = Access::new(rule);
    let options = ProxyOptions {
        access: access.clone(),
        allowed_origins: vec!["https://app.example".into()],
        ..options()
    };
    (access, options)
}

/// Method, headers and body of a request.
type Asked = (Method, Vec<(&'static str, &'static str)>, &'static str);

/// Everything of an answer but its date.
fn told(reply: &Reply) -> String {
    let headers: Vec<_> = reply.headers.iter().filter(|(name, _)| *name != "date").collect();
    format!("{} {headers:?} {:?}", reply.status, reply.body)
}

async fn open_at(rig: &Rig, path: &str, more: &[(&str, &str)]) -> Reply {
    let headers: Vec<_> = POST.iter().chain(more).copied().collect();
    let body = initialize("2025-06-18", json!({})).to_string();
    whole(rig.send_to(path, Method::POST, &headers, body).await).await
}

#[tokio::test]
async fn without_the_secret_path_every_request_gets_the_same_answer() {
    let (_, options) = by(AccessRule::path(PART));
    let (rig, _script) = Rig::with(options).await;
    assert_eq!(open_at(&rig, &format!("/{PART}/mcp"), &[]).await.status, StatusCode::OK);
    let wrong = [
        "/".to_owned(),
        "/mcp".to_owned(),
        "//mcp".to_owned(),
        format!("/{OTHER}/mcp"),
        format!("/{}/mcp", &PART[..31]),
        format!("/{PART}0/mcp"),
        format!("/{}/mcp", PART.to_uppercase()),
        format!("/%30{}/mcp", &PART[1..]),
        format!("/{PART}"),
        format!("/{PART}/"),
        format!("/{PART}/mcp/"),
        format!("/{PART}/sse"),
        format!("/mcp?{PART}"),
        format!("/x/../{PART}/mcp"),
        "/.well-known/oauth-protected-resource/mcp".to_owned(),
        format!("/{}", "x".repeat(20_000)),
    ];
    let requests: [Asked; 9] = [
        (Method::POST, POST.to_vec(), "{}"),
        (Method::POST, vec![], "no JSON"),
        (Method::POST, [POST.to_vec(), vec![("authorization", "Bearer x")]].concat(), "[]"),
        (Method::GET, vec![("accept", "text/event-stream"), ("mcp-session-id", "x")], ""),
        (Method::GET, vec![("host", "evil.example")], ""),
        (Method::GET, vec![("origin", "https://evil.example")], ""),
        (
            Method::OPTIONS,
            vec![("origin", "https://app.example"), ("access-control-request-method", "POST")],
            "",
        ),
        (Method::DELETE, vec![("mcp-protocol-version", "v999")], ""),
        (Method::PUT, vec![("origin", "http://localhost:3000")], ""),
    ];
    let mut answers = std::collections::BTreeSet::new();
    for path in &wrong {
        for (method, headers, body) in &requests {
            let reply = whole(rig.send_to(path, method.clone(), headers, (*body).to_owned()).await).await;
            assert_eq!(reply.status, StatusCode::NOT_FOUND, "{method} {path}");
            answers.insert(told(&reply));
        }
    }
    assert_eq!(answers.len(), 1, "one answer for all of them: {answers:?}");
    // A client that knows it is checked as ever.
    for (name, value, status) in [
        ("host", "evil.example", StatusCode::FORBIDDEN),
        ("origin", "https://evil.example", StatusCode::FORBIDDEN),
        ("origin", "null", StatusCode::FORBIDDEN),
        ("origin", "http://localhost:6274", StatusCode::OK),
        ("origin", "https://app.example", StatusCode::OK),
    ] {
        let reply = open_at(&rig, &format!("/{PART}/mcp"), &[(name, value)]).await;
        assert_eq!(reply.status, status, "{name} {value}");
    }
}

/// Connections are few: a flood of requests that are refused keeps none of them.
#[tokio::test]
async fn a_client_without_the_secret_keeps_no_connection() {
    for (rule, status) in [(AccessRule::path(PART), "404"), (AccessRule::bearer(PART), "401")] {
        let (_, options) = by(rule);
        let (rig, _script) = Rig::with(options).await;
        let mut socket = TcpStream::connect(rig.address).await.unwrap();
        let asked = "GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2);
        socket.write_all(asked.as_bytes()).await.unwrap();
        let mut told = Vec::new();
        // A connection that rests lives for two minutes. The second request is not read: the end may be a reset.
        let ended =
            tokio::time::timeout(std::time::Duration::from_secs(30), socket.read_to_end(&mut told)).await;
        ended.expect("the connection ends").ok();
        let told = String::from_utf8_lossy(&told);
        assert_eq!(told.matches(&format!("HTTP/1.1 {status}")).count(), 1, "{told}");
    }
}

#[tokio::test]
async fn a_request_without_the_token_gets_401_with_a_challenge() {
    let (_, options) = by(AccessRule::bearer(PART));
    let (rig, _script) = Rig::with(options).await;
    let wrong = [
        vec![],
        vec![("authorization", OTHER.to_owned())],
        vec![("authorization", format!("Bearer {OTHER}"))],
        vec![("authorization", format!("Basic {PART}"))],
        vec![("authorization", format!("Bearer{PART}"))],
        vec![("authorization", "Bearer ".to_owned())],
        vec![("authorization", format!("Bearer {}", &PART[..31]))],
        vec![("authorization", format!("Bearer {PART}")), ("authorization", format!("Bearer {OTHER}"))],
    ];
    for headers in &wrong {
        for method in [Method::POST, Method::GET, Method::DELETE, Method::OPTIONS, Method::PUT] {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let reply = whole(rig.send_to("/mcp", method, &headers, "{}").await).await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{headers:?}");
            let challenge = reply.header("www-authenticate").unwrap();
            assert!(challenge.starts_with("Bearer realm=\"wharf\""), "{challenge}");
            assert_eq!(challenge.contains("invalid_token"), !headers.is_empty());
        }
    }
    for path in ["/", "/x", &format!("/{PART}/mcp")] {
        assert_eq!(open_at(&rig, path, &[]).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let right = format!("bearer {PART}");
    let right = ("authorization", right.as_str());
    // Its name there may be any: the token proves more.
    for host in ["localhost", "mcp.example", "192.0.2.7:4100"] {
        assert_eq!(open_at(&rig, "/mcp", &[right, ("host", host)]).await.status, StatusCode::OK, "{host}");
    }
    // A page may learn that a token is needed, and asks first without one, as browsers do.
    for (origin, is_allowed) in
        [("https://app.example", true), ("http://localhost:6274", true), ("https://evil.example", false)]
    {
        let asked = [("origin", origin), ("access-control-request-method", "POST")];
        let preflight = whole(rig.send_to("/mcp", Method::OPTIONS, &asked, "").await).await;
        let (allowed, refused) =
            (open_at(&rig, "/mcp", &[right, asked[0]]).await, open_at(&rig, "/mcp", &[asked[0]]).await);
        let (ok, unauthorized, empty) = match is_allowed {
            true => (StatusCode::OK, StatusCode::UNAUTHORIZED, StatusCode::NO_CONTENT),
            false => (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN, StatusCode::FORBIDDEN),
        };
        assert_eq!([preflight.status, allowed.status, refused.status], [empty, ok, unauthorized], "{origin}");
        for reply in [preflight, allowed, refused] {
            assert_eq!(reply.header("access-control-allow-origin"), is_allowed.then_some(origin));
        }
    }
}

#[tokio::test]
async fn without_access_control_a_page_of_loopback_is_refused_unless_it_is_listed() {
    let (_, options) = by(AccessRule::Everybody);
    let (rig, _script) = Rig::with(options).await;
    for (origin, status) in [
        ("http://localhost:3000", StatusCode::FORBIDDEN),
        ("http://127.0.0.1:8080", StatusCode::FORBIDDEN),
        ("http://[::1]", StatusCode::FORBIDDEN),
        ("https://app.example", StatusCode::OK),
    ] {
        assert_eq!(open_at(&rig, "/mcp", &[("origin", origin)]).await.status, status, "{origin}");
    }
}

/// Posts on a connection that stays, and reads the whole answer; its status.
async fn ask(connection: &mut TcpStream, path: &str) -> std::io::Result<String> {
    let body = initialize("2025-06-18", json!({})).to_string();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    connection.write_all(head.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
    connection.read_exact(&mut body).await?;
    Ok(head[9..12].to_owned())
}

#[tokio::test]
async fn a_new_secret_refuses_the_old_one_and_cuts_what_was_open() {
    let path = |part| format!("/{part}/mcp");
    let (access, options) = by(AccessRule::path(PART));
    let (mut rig, _script) = Rig::with(options).await;
    let opened = open_at(&rig, &path(PART), &[]).await;
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let events = [("accept", "text/event-stream"), ("mcp-session-id", session.as_str())];
    let mut stream = stream(rig.send_to(&path(PART), Method::GET, &events, "").await);
    assert_eq!(stream.status, StatusCode::OK);
    let mut kept = TcpStream::connect(rig.address).await.unwrap();
    assert_eq!(ask(&mut kept, &path(PART)).await.unwrap(), "200");

    // The same again is no change.
    access.replace(AccessRule::path(PART));
    access.replace(AccessRule::path(OTHER));
    assert!(ask(&mut kept, &path(PART)).await.is_err(), "the connection is cut off");
    let broken = tokio::spawn(async move { stream.event().await }).await;
    assert!(broken.is_err(), "so is the stream: its reader would hear on");
    // Without the connections that were cut off.
    rig.client = client();
    assert_eq!(open_at(&rig, &path(PART), &[]).await.status, StatusCode::NOT_FOUND);
    // The session belongs to the same principal, for a client that knows the new path.
    let resumed = rig.send_to(&path(OTHER), Method::GET, &events, "").await;
    assert_eq!(resumed.status(), StatusCode::OK);
    access.replace(AccessRule::bearer(OTHER));
    rig.client = client();
    assert_eq!(open_at(&rig, &path(OTHER), &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(open_at(&rig, "/mcp", &[]).await.status, StatusCode::UNAUTHORIZED);
    access.replace(AccessRule::Everybody);
    rig.client = client();
    assert_eq!(open_at(&rig, "/mcp", &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_server_with_a_port_never_learns_the_secret() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = seen.clone();
    let server = Router::new().fallback(move |request: Request| {
        noted.lock().unwrap().push(format!("{} {:?}", request.uri(), request.headers()));
        async { Response::new(Body::from("{}")) }
    });
    let listen = async |router: Router| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    };
    let upstream = listen(server).await;
    for (rule, path) in
        [(AccessRule::path(PART), format!("/{PART}/mcp")), (AccessRule::bearer(PART), "/mcp".into())]
    {
        let (_, options) = by(rule);
        let address = listen(HttpProxy::new(options, Upstream::tcp(upstream)).router()).await;
        let send = async |path: &str| {
            let uri: Uri = format!("http://{address}{path}?q=1").parse().unwrap();
            let token = format!("Bearer {PART}");
            let request = axum::http::Request::builder()
                .method(Method::POST)
                .uri(&uri)
                .header("content-type", "application/json")
                .header("accept", "*/*")
                .header("authorization", token)
                .header("referer", uri.to_string())
                .body(http_body_util::Full::new(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.into()));
            client().request(request.unwrap()).await.unwrap().status()
        };
        assert_eq!(send(&path).await, StatusCode::OK);
        assert_eq!(send("/other").await, StatusCode::NOT_FOUND);
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    for request in &*seen {
        assert!(request.starts_with("/mcp?q=1 ") && !request.contains(PART), "{request}");
    }
}

#[test]
fn nothing_that_is_printed_holds_the_secret() {
    let (access, options) = by(AccessRule::path(PART));
    for text in [format!("{access:?}"), format!("{options:?}"), format!("{:?}", AccessRule::bearer(PART))] {
        assert!(!text.contains(&PART[..8]), "{text}");
    }
}
