//! Requests of the proxy's own to an HTTP server. Called by the handshake and by pings.
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method};
use bytes::Bytes;
use hyper::body::Incoming;

use crate::http::admission::{PROTOCOL_VERSION, SESSION_ID};
use crate::reverse::shared::{HttpShared, Opened, ToServer};
use crate::stdio::upstream::connection::PingError;

type Answer = Result<axum::http::Response<Incoming>, PingError>;

/// Sends a message of the proxy's own.
pub(crate) async fn post(server: &HttpShared, path: &str, opened: &Opened, body: String) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    if let Some(version) = &opened.version {
        headers.insert(PROTOCOL_VERSION, version.clone());
    }
    if let Some(session) = &opened.session {
        headers.insert(SESSION_ID, session.clone());
    }
    send(server, path, Method::POST, headers, Bytes::from(body)).await
}

/// Asks for a stream of events.
pub(crate) async fn get(server: &HttpShared, path: &str) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    send(server, path, Method::GET, headers, Bytes::new()).await
}

async fn send(server: &HttpShared, path: &str, method: Method, headers: HeaderMap, body: Bytes) -> Answer {
    let answer = server.send_to(path, ToServer { method, query: None, headers, body }).await;
    answer.map_err(|_| PingError::NotConnected)
}
