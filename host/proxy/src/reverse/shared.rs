//! [`HttpShared`]: the parts of a proxy in front of an HTTP server, and the way of one request to that server.
use std::sync::{Arc, Mutex as StdMutex, PoisonError, RwLock};
use std::time::Duration;

use axum::http::header::{HOST, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{Mutex, Semaphore};

use crate::http::access::PATH;
use crate::http::admission::{Gate, SESSION_ID};
use crate::http::budget::{Budget, Holder};
use crate::http::serve::CONNECTION_BUFFER;
use crate::protocol::options::ProxyOptions;
use crate::reverse::known_sessions::KnownSessions;
use crate::reverse::open_streams::OpenStreams;
use crate::reverse::upstream::Upstream;

/// How long an unused connection is kept.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

/// The server as it is reached now.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    authority: String,
    client: Client<Upstream, Full<Bytes>>,
}

impl Server {
    /// With new connections: those to an earlier process of the server are not used again.
    pub(crate) fn at(upstream: Upstream) -> Self {
        let authority = upstream.authority().to_string();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .http1_max_buf_size(CONNECTION_BUFFER)
            .build(upstream);
        Self { authority, client }
    }
}

/// The part that clones of the proxy and its connections share.
#[derive(Debug)]
pub(crate) struct HttpShared {
    pub(crate) options: ProxyOptions,
    pub(crate) gate: Gate,
    /// The memory of the proxy: bodies.
    pub(crate) budget: Arc<Budget>,
    /// The sessions that the server has opened.
    pub(crate) sessions: StdMutex<KnownSessions>,
    /// The streams that go to clients.
    pub(crate) streams: Arc<OpenStreams>,
    /// A server that is started again may be reached elsewhere: engines choose its port anew.
    pub(crate) server: RwLock<Server>,
    /// The path at which the server serves MCP.
    pub(crate) path: RwLock<Arc<str>>,
    pub(crate) places: Arc<Semaphore>,
    /// Places of GET streams, which may last for hours: they take none from calls.
    pub(crate) stream_places: Arc<Semaphore>,
    /// The session that pings go through.
    pub(crate) health: Mutex<Opened>,
}

/// The server's answer when it was asked to open a session; both members go back with every later request.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// `None` when the server has no sessions.
    pub(crate) session: Option<HeaderValue>,
    /// The revision that it chose: older servers refuse a header that names a newer one.
    pub(crate) version: Option<HeaderValue>,
}

/// A request to the server, but for its path.
#[derive(Clone)]
pub(crate) struct ToServer {
    pub(crate) method: Method,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The server's answer, of which the head has come.
pub(crate) type Answer = Result<Response<hyper::body::Incoming>, hyper_util::client::legacy::Error>;

impl HttpShared {
    /// Notes the session that the server names in the head of an answer.
    pub(crate) fn note_session(&self, answer: &HeaderMap) {
        let Some(id) = answer.get(SESSION_ID).and_then(|id| id.to_str().ok()) else { return };
        let session = self.budget.session(id.trim());
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).note(session);
    }

    /// Whose a body is that a client sends in this session.
    pub(crate) fn holder(&self, session: Option<&str>) -> Holder {
        let Some(id) = session else { return Holder::NoSession };
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).holder(self.budget.session(id))
    }

    /// The path at which the server serves MCP.
    pub(crate) fn path(&self) -> Arc<str> {
        self.path.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends one request to the server's path.
    pub(crate) async fn send(&self, request: ToServer) -> Answer {
        self.send_to(&self.path(), request).await
    }

    /// Sends one request to a path of the server. Where the server leads to another path of its own with a redirect that
    /// keeps method and body, that one is asked, and from then on it is the server's path.
    pub(crate) async fn send_to(&self, path: &str, request: ToServer) -> Answer {
        let answer = self.send_once(path, request.clone()).await?;
        let Some(own) = self.leads_to(path, &answer) else { return Ok(answer) };
        tracing::debug!(workload = %self.options.workload, path = own, "the server leads to another path of its own");
        if path == &*self.path() {
            *self.path.write().unwrap_or_else(PoisonError::into_inner) = own.as_str().into();
        }
        self.send_once(&own, request).await
    }

    /// The path of the server itself that a redirect leads to. One that leads elsewhere is not followed.
    fn leads_to<B>(&self, path: &str, answer: &Response<B>) -> Option<String> {
        if !matches!(answer.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
            return None;
        }
        let location: Uri = answer.headers().get(LOCATION)?.to_str().ok()?.parse().ok()?;
        if location.scheme().is_some_and(|scheme| scheme.as_str() != "http") {
            return None;
        }
        let own = self.server.read().unwrap_or_else(PoisonError::into_inner).authority.clone();
        let is_own = location.authority().is_none_or(|authority| authority.as_str() == own);
        let led = location.path();
        (is_own && led.starts_with('/') && !led.starts_with("//") && led != path).then(|| led.to_owned())
    }

    /// Sends one request to the server. `Host` has the server's own name, whatever name the client used.
    async fn send_once(&self, path: &str, request: ToServer) -> Answer {
        let ToServer { method, query, headers, body } = request;
        let mut request = axum::http::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        let path = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        let Server { authority, client } = self.server.read().unwrap_or_else(PoisonError::into_inner).clone();
        let uri = Uri::builder().scheme("http").authority(authority.as_str()).path_and_query(path).build();
        *request.uri_mut() = uri.unwrap_or_else(|_| Uri::from_static(PATH));
        if let Ok(host) = HeaderValue::from_str(&authority) {
            request.headers_mut().insert(HOST, host);
        }
        client.request(request).await
    }
}
