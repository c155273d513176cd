//! A proxy on a real port, a scripted server, and a plain HTTP client.
#![expect(clippy::needless_pass_by_value, reason = "messages are written where they are sent")]
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::http::serve::{Listener, serve};
use crate::protocol::options::{Limits, ProxyOptions};
use crate::stdio::proxy::StdioProxy;
use crate::stdio::upstream::connection::{ConnectError, ServerInfo};

pub(crate) const DEADLINE: Duration = Duration::from_secs(3600);

/// The server's side of the pipes.
pub(crate) struct Script {
    pub(crate) input: Lines<BufReader<DuplexStream>>,
    pub(crate) output: DuplexStream,
}

impl Script {
    /// Both ends: the script, and (stdout, stdin) for the proxy.
    pub(crate) fn new() -> (Self, DuplexStream, DuplexStream) {
        let (output, stdout) = tokio::io::duplex(256 * 1024);
        let (stdin, input) = tokio::io::duplex(256 * 1024);
        (Self { input: BufReader::new(input).lines(), output }, stdout, stdin)
    }

    pub(crate) async fn next(&mut self) -> Value {
        let line = self.input.next_line().await.unwrap().expect("the proxy closed the server's input");
        serde_json::from_str(&line).unwrap()
    }

    pub(crate) async fn next_of(&mut self, method: &str) -> Value {
        let message = self.next().await;
        assert_eq!(message["method"], method, "{message}");
        message
    }

    pub(crate) async fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        self.output.write_all(bytes.as_ref()).await.unwrap();
    }

    pub(crate) async fn send(&mut self, message: Value) {
        self.raw(format!("{message}\n")).await;
    }

    pub(crate) async fn answer(&mut self, request: &Value, result: Value) {
        self.send(json!({ "jsonrpc": "2.0", "id": request["id"], "result": result })).await;
    }

    pub(crate) async fn notify(&mut self, method: &str, params: Value) {
        self.send(json!({ "jsonrpc": "2.0", "method": method, "params": params })).await;
    }

    /// Answers the handshake.
    pub(crate) async fn greet(&mut self, result: Value) -> Value {
        let initialize = self.next_of("initialize").await;
        self.answer(&initialize, result).await;
        self.next_of("notifications/initialized").await;
        initialize
    }
}

/// The result of most scripted servers' handshake.
pub(crate) fn welcome() -> Value {
    json!({
        "protocolVersion": "2025-11-25",
        "capabilities": { "tools": {}, "logging": {}, "tasks": {}, "resources": { "subscribe": true } },
        "serverInfo": { "name": "scripted", "version": "1" },
    })
}

/// A proxy being served.
pub(crate) struct Rig {
    pub(crate) proxy: StdioProxy,
    pub(crate) address: SocketAddr,
    pub(crate) client: Client<HttpConnector, Full<Bytes>>,
    _stop: DropGuard,
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn code(&self) -> Value {
        self.json()["error"]["code"].clone()
    }
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

/// A stream being read.
pub(crate) struct Stream {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    buffer: String,
    pub(crate) comments: usize,
}

impl Stream {
    /// The next event; `None` when the stream has ended in order.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.buffer = rest;
                if block.starts_with(':') {
                    self.comments += 1;
                    continue;
                }
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or_default().trim_start().to_owned()
                };
                return Some(Event { id: field("id:"), data: field("data:") });
            }
            self.more().await?;
        }
    }

    /// Reads one frame.
    pub(crate) async fn more(&mut self) -> Option<()> {
        let frame = self.body.frame().await?.expect("the stream broke").into_data().ok()?;
        self.buffer.push_str(std::str::from_utf8(&frame).unwrap());
        Some(())
    }

    pub(crate) async fn comment(&mut self) {
        while self.comments == 0 {
            if self.buffer.contains(":") {
                self.comments += 1;
            } else {
                self.more().await.unwrap();
            }
        }
    }
}

pub(crate) fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

pub(crate) fn options() -> ProxyOptions {
    ProxyOptions { workload: "demo".into(), ..ProxyOptions::default() }
}

pub(crate) fn limited(limits: Limits) -> ProxyOptions {
    ProxyOptions { limits, ..options() }
}

impl Rig {
    /// A proxy that is served, without a server.
    pub(crate) async fn unconnected(options: ProxyOptions) -> Self {
        Self::of(StdioProxy::new(options)).await
    }

    /// This proxy, served.
    pub(crate) async fn of(proxy: StdioProxy) -> Self {
        let options = proxy.shared.options.clone();
        // Tests let time pass, and connections rest meanwhile.
        let limits = Limits { connection_rest: DEADLINE, header_read: DEADLINE, ..options.limits.clone() };
        let access = options.access.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let router = proxy.router();
        let token = stop.clone();
        tokio::spawn(async move { serve(Listener::Port(listener), router, &limits, &access, token).await });
        Self { proxy, address, client: client(), _stop: stop.drop_guard() }
    }

    pub(crate) async fn with(options: ProxyOptions) -> (Self, Script) {
        let rig = Self::unconnected(options).await;
        let script = rig.connect(welcome()).await;
        (rig, script)
    }

    pub(crate) async fn start() -> (Self, Script) {
        Self::with(options()).await
    }

    /// Connects another scripted server.
    pub(crate) async fn connect(&self, result: Value) -> Script {
        self.try_connect(result).await.map(|(script, _)| script).unwrap()
    }

    pub(crate) async fn try_connect(&self, result: Value) -> Result<(Script, ServerInfo), ConnectError> {
        let (mut script, stdout, stdin) = Script::new();
        let connect = self.proxy.connect(stdout, stdin, DEADLINE);
        let (info, ()) = tokio::join!(connect, async {
            let initialize = script.next_of("initialize").await;
            script.answer(&initialize, result).await;
        });
        let info = info?;
        script.next_of("notifications/initialized").await;
        Ok((script, info))
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> axum::http::Response<Incoming> {
        self.send_to("/mcp", method, headers, body).await
    }

    pub(crate) async fn send_to(
        &self,
        path: &str,
        method: Method,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> axum::http::Response<Incoming> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.client.request(request.body(Full::new(body.into())).unwrap()).await.unwrap()
    }

    pub(crate) async fn whole(
        &self,
        method: Method,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        whole(self.send(method, headers, body).await).await
    }

    /// A POST as clients send it.
    pub(crate) async fn post(&self, session: &str, message: &Value) -> Reply {
        self.post_raw(session, message.to_string()).await
    }

    pub(crate) async fn post_raw(&self, session: &str, body: impl Into<Bytes>) -> Reply {
        whole(self.post_head(session, body).await).await
    }

    async fn post_head(&self, session: &str, body: impl Into<Bytes>) -> axum::http::Response<Incoming> {
        let mut headers = POST.to_vec();
        if !session.is_empty() {
            headers.push(("mcp-session-id", session));
        }
        self.send(Method::POST, &headers, body).await
    }

    /// A POST whose answer is a stream.
    pub(crate) async fn post_stream(&self, session: &str, message: &Value) -> Stream {
        stream(self.post_head(session, message.to_string()).await)
    }

    /// A GET stream.
    pub(crate) async fn get(&self, session: &str, last: Option<&str>) -> Stream {
        let mut headers = vec![("accept", "text/event-stream"), ("mcp-session-id", session)];
        if let Some(last) = last {
            headers.push(("last-event-id", last));
        }
        stream(self.send(Method::GET, &headers, "").await)
    }

    /// Opens a session.
    pub(crate) async fn open(&self, version: &str, capabilities: Value) -> String {
        let reply = self.post("", &initialize(version, capabilities)).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        reply.header("mcp-session-id").unwrap().to_owned()
    }

    pub(crate) async fn session(&self) -> String {
        self.open("2025-06-18", json!({})).await
    }
}

pub(crate) const POST: [(&str, &str); 2] =
    [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];

pub(crate) async fn whole(response: axum::http::Response<Incoming>) -> Reply {
    let (head, body) = response.into_parts();
    Reply { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}

pub(crate) fn stream(response: axum::http::Response<Incoming>) -> Stream {
    let (head, body) = response.into_parts();
    Stream { status: head.status, headers: head.headers, body, buffer: String::new(), comments: 0 }
}

pub(crate) fn initialize(version: &str, capabilities: Value) -> Value {
    json!({
        "jsonrpc": "2.0", "id": "init", "method": "initialize",
        "params": {
            "protocolVersion": version, "capabilities": capabilities,
            "clientInfo": { "name": "client", "version": "0" },
        },
    })
}

pub(crate) fn call(id: impl Into<Value>, name: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": "tools/call", "params": { "name": name } })
}

pub(crate) fn request(id: impl Into<Value>, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params })
}

pub(crate) fn notification(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

/// The default of [`Limits::work_after_call`].
pub(crate) const WORK_AFTER_CALL: Duration = Duration::from_secs(60);

/// Lets time pass.
pub(crate) async fn later(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Runs a call of which the server does `work` before it answers.
macro_rules! during {
    ($rig:ident, $session:expr, $script:ident, $message:expr, |$request:ident| $work:block) => {{
        let message = $message;
        let (stream, $request) = tokio::join!($rig.post_stream(&$session, &message), async {
            let $request = $script.next().await;
            $work
            $request
        });
        (stream, $request)
    }};
}
pub(crate) use during;
