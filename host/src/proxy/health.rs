//! A real question to an HTTP server: a port that accepts connections says nothing about the service behind it.
use std::time::Duration;

use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use tokio::time::Instant;

use super::gate::{PROTOCOL_VERSION, SESSION_ID};
use super::http_upstream::HttpShared;
use super::revision::Revision;
use super::upstream::PingError;

/// Asks once; opens the session anew if the server has forgotten it.
pub(super) async fn ping(server: &HttpShared) -> Result<Duration, PingError> {
    let mut session = server.health.lock().await;
    let asked_at = Instant::now();
    if session.is_some() {
        let status = ask(server, session.as_ref(), PING).await?;
        if status == StatusCode::OK {
            return Ok(asked_at.elapsed());
        }
        if status != StatusCode::NOT_FOUND && status != StatusCode::BAD_REQUEST {
            return Err(PingError::Unhealthy { status: status.as_u16() });
        }
    }
    *session = open(server).await?;
    match ask(server, session.as_ref(), PING).await? {
        StatusCode::OK => Ok(asked_at.elapsed()),
        status => Err(PingError::Unhealthy { status: status.as_u16() }),
    }
}

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Opens a session; `None` inside when the server has none.
async fn open(server: &HttpShared) -> Result<Option<HeaderValue>, PingError> {
    let initialize = json!({
        "jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": {
            "protocolVersion": Revision::NEWEST.as_str(), "capabilities": {},
            "clientInfo": { "name": "wharf", "version": env!("CARGO_PKG_VERSION") },
        },
    });
    let answer = send(server, None, initialize.to_string()).await?;
    if answer.status() != StatusCode::OK {
        return Err(PingError::Unhealthy { status: answer.status().as_u16() });
    }
    let session = answer.headers().get(SESSION_ID).cloned();
    first_bytes(answer.into_body()).await?;
    send(server, session.as_ref(), INITIALIZED.to_owned()).await?;
    Ok(session)
}

async fn ask(
    server: &HttpShared,
    session: Option<&HeaderValue>,
    body: &str,
) -> Result<StatusCode, PingError> {
    let answer = send(server, session, body.to_owned()).await?;
    let status = answer.status();
    if status == StatusCode::OK {
        first_bytes(answer.into_body()).await?;
    }
    Ok(status)
}

/// An answer has come when its body begins: a stream's head alone shows only that HTTP works.
async fn first_bytes(mut body: Incoming) -> Result<(), PingError> {
    match body.frame().await {
        Some(Ok(_)) => Ok(()),
        _ => Err(PingError::Disconnected),
    }
}

async fn send(
    server: &HttpShared,
    session: Option<&HeaderValue>,
    body: String,
) -> Result<axum::http::Response<Incoming>, PingError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(Revision::NEWEST.as_str()));
    if let Some(session) = session {
        headers.insert(SESSION_ID, session.clone());
    }
    server.send(Method::POST, None, headers, Bytes::from(body)).await.map_err(|_| PingError::NotConnected)
}
