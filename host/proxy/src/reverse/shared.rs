//! [`HttpShared`]: the parts of a proxy in front of an HTTP server, and the way of one request to that server.
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{Mutex, Semaphore};

use crate::http::access::PATH;
use crate::http::admission::Gate;
use crate::http::budget::Budget;
use crate::protocol::options::ProxyOptions;
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
    /// A server that is started again may be reached elsewhere: engines choose its port anew.
    pub(crate) server: RwLock<Server>,
    pub(crate) places: Arc<Semaphore>,
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

impl HttpShared {
    /// Sends one request to the server. `Host` has the server's own name, whatever name the client used.
    pub(crate) async fn send(
        &self,
        method: Method,
        query: Option<&str>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<hyper::body::Incoming>, hyper_util::client::legacy::Error> {
        let mut request = axum::http::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        let path = query.map_or_else(|| PATH.to_owned(), |query| format!("{PATH}?{query}"));
        let Server { authority, client } = self.server.read().unwrap_or_else(PoisonError::into_inner).clone();
        let uri = Uri::builder().scheme("http").authority(authority.as_str()).path_and_query(path).build();
        *request.uri_mut() = uri.unwrap_or_else(|_| Uri::from_static(PATH));
        if let Ok(host) = HeaderValue::from_str(&authority) {
            request.headers_mut().insert(HOST, host);
        }
        client.request(request).await
    }
}
