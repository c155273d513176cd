//! Sends a real request to an HTTP server: an accepted connection proves nothing about the service behind the port.
use std::time::Duration;

use axum::http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::reverse::handshake::{self, NotReady};
use crate::reverse::own_request::post;
use crate::reverse::shared::{HttpShared, Opened};
use crate::stdio::upstream::connection::PingError;

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
            return Err(unhealthy(status));
        }
    }
    *opened = handshake::open(server).await.map_err(|error| match error {
        NotReady::Silent => PingError::NotConnected,
        NotReady::Later { status, .. } => PingError::Unhealthy { status },
        NotReady::Unauthorized { status } => PingError::Unauthorized { status },
        NotReady::NoMcp { what, .. } => PingError::Unusable { why: what },
        NotReady::Refused { message } => PingError::Unusable { why: message },
    })?;
    match ask(server, &opened, PING).await? {
        StatusCode::OK => Ok(asked_at.elapsed()),
        status => Err(unhealthy(status)),
    }
}

fn unhealthy(status: StatusCode) -> PingError {
    let number = status.as_u16();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => PingError::Unauthorized { status: number },
        _ => PingError::Unhealthy { status: number },
    }
}

/// Makes the handshake and keeps the session for pings.
pub(crate) async fn greet(server: &HttpShared) -> Result<(), NotReady> {
    let opened = handshake::open(server).await?;
    *server.health.lock().await = opened;
    Ok(())
}

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

async fn ask(server: &HttpShared, opened: &Opened, body: &str) -> Result<StatusCode, PingError> {
    let answer = post(server, &server.path(), opened, body.to_owned()).await?;
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
