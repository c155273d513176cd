//! HTTP servers for the proxy in front of one, and requests to both.
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::tests::rig::client;

/// A request to a server.
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) place: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The server's own address.
    pub(crate) address: SocketAddr,
}

impl Asked {
    /// Its body as JSON; null if it is none.
    pub(crate) fn message(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// The requests to a server.
pub(crate) type Seen = Arc<Mutex<Vec<Asked>>>;

/// Serves a router for as long as the test lasts.
pub(crate) async fn listen(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A server that notes its requests and answers by `answer`.
pub(crate) async fn server(
    answer: impl Fn(&Asked) -> Response + Clone + Send + Sync + 'static,
) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Seen::default());
    let noted = seen.clone();
    let router = Router::new().fallback(move |request: Request| {
        let (noted, answer) = (noted.clone(), answer.clone());
        async move {
            let (parts, body) = request.into_parts();
            let asked = Asked {
                method: parts.method,
                place: parts.uri.path_and_query().unwrap().as_str().to_owned(),
                headers: parts.headers,
                body: body.collect().await.unwrap().to_bytes(),
                address,
            };
            let response = answer(&asked);
            noted.lock().unwrap().push(asked);
            response
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, seen)
}

/// A request to a place of a proxy.
pub(crate) async fn ask(
    (address, place): (SocketAddr, &str),
    method: Method,
    headers: &[(&str, &str)],
    body: &str,
) -> axum::http::Response<hyper::body::Incoming> {
    let mut request = axum::http::Request::builder().method(method).uri(format!("http://{address}{place}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client().request(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await.unwrap()
}
