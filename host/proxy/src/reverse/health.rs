//! Sends a real request to an HTTP server: an accepted connection proves nothing about the service behind the port.
use std::time::Duration;

use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::http::admission::{PROTOCOL_VERSION, SESSION_ID};
use crate::protocol::revision::Revision;
use crate::reverse::shared::{HttpShared, Opened};
use crate::stdio::upstream::connection::PingError;

/// How much of the answer to `initialize` is read.
const MOST_ANSWER_BYTES: usize = 1024 * 1024;

/// Asks once; opens the session anew if the server has forgotten it.
pub(crate) async fn ping(server: &HttpShared) -> Result<Duration, PingError> {
    let mut opened = server.health.lock().await;
    let asked_at = Instant::now();
    if opened.session.is_some() {
        let status = ask(server, &opened, PING).await?;
        if status == StatusCode::OK {
            return Ok(asked_at.elapsed());
        }
        if status != StatusCode::NOT_FOUND && status != StatusCode::BAD_REQUEST {
            return Err(PingError::Unhealthy { status: status.as_u16() });
        }
    }
    *opened = open(server).await?;
    match ask(server, &opened, PING).await? {
        StatusCode::OK => Ok(asked_at.elapsed()),
        status => Err(PingError::Unhealthy { status: status.as_u16() }),
    }
}

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Opens a session.
async fn open(server: &HttpShared) -> Result<Opened, PingError> {
    let initialize = json!({
        "jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": {
            "protocolVersion": Revision::NEWEST.as_str(), "capabilities": {},
            "clientInfo": { "name": "wharf", "version": env!("CARGO_PKG_VERSION") },
        },
    });
    let answer = send(server, &Opened::default(), initialize.to_string()).await?;
    if answer.status() != StatusCode::OK {
        return Err(PingError::Unhealthy { status: answer.status().as_u16() });
    }
    let session = answer.headers().get(SESSION_ID).cloned();
    let version = negotiated(answer.into_body()).await?;
    let opened = Opened { session, version };
    send(server, &opened, INITIALIZED.to_owned()).await?;
    Ok(opened)
}

/// The revision in the answer to `initialize`, which is plain JSON or an event of a stream that stays open.
async fn negotiated(mut body: Incoming) -> Result<Option<HeaderValue>, PingError> {
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| PingError::Disconnected)?;
        text.extend_from_slice(frame.data_ref().map(|data| &data[..]).unwrap_or_default());
        if let Some(version) = version_of(&text) {
            return Ok(version);
        }
        if text.len() > MOST_ANSWER_BYTES {
            return Ok(None);
        }
    }
    if text.is_empty() { Err(PingError::Disconnected) } else { Ok(None) }
}

/// `None` while there is no answer yet; `None` inside when it names no revision.
fn version_of(text: &[u8]) -> Option<Option<HeaderValue>> {
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data:"));
    std::iter::once(text).chain(lines).find_map(|json| {
        let answer: Value = serde_json::from_slice(json).ok()?;
        answer.get("result").or(answer.get("error"))?;
        let version = answer.pointer("/result/protocolVersion").and_then(Value::as_str);
        Some(version.and_then(|version| HeaderValue::from_str(version).ok()))
    })
}

async fn ask(server: &HttpShared, opened: &Opened, body: &str) -> Result<StatusCode, PingError> {
    let answer = send(server, opened, body.to_owned()).await?;
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
    opened: &Opened,
    body: String,
) -> Result<axum::http::Response<Incoming>, PingError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    if let Some(version) = &opened.version {
        headers.insert(PROTOCOL_VERSION, version.clone());
    }
    if let Some(session) = &opened.session {
        headers.insert(SESSION_ID, session.clone());
    }
    server.send(Method::POST, None, headers, Bytes::from(body)).await.map_err(|_| PingError::NotConnected)
}
