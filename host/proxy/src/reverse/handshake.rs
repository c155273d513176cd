//! The MCP handshake with an HTTP server: the proof that it is ready, and the session that pings go through.
//!
//! Called by the supervisor when a server starts, and by [`crate::reverse::health`]. An accepted connection proves nothing
//! about the service behind a port, and an answer of HTTP nothing about the path.
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::http::admission::SESSION_ID;
use crate::protocol::forgiven::{after_mark, values};
use crate::protocol::negotiation::{named, offered};
use crate::protocol::revision::Revision;
use crate::reverse::own_request::{get, post};
use crate::reverse::shared::{HttpShared, Opened};
use crate::stdio::upstream::connection::excerpt;

/// How much of the answer to `initialize` is read.
const MOST_ANSWER_BYTES: usize = 1024 * 1024;
/// How long each of the other paths may take to answer.
const LOOK_WITHIN: Duration = Duration::from_secs(2);
/// The paths at which servers serve MCP, beside the usual one.
const OTHER_PATHS: [&str; 6] = ["/mcp", "/mcp/", "/", "/api/mcp", "/v1/mcp", "/mcp/v1"];
/// The path of servers that speak the transport of 2024-11-05.
const SSE_PATH: &str = "/sse";

const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// The reason why an HTTP server is not ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// Nobody answers, or not to the end.
    #[error("it gives no answer")]
    Silent,
    /// It says that it will be ready later.
    #[error("it answers with HTTP status {status}")]
    Later {
        /// The status.
        status: u16,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It wants to know who asks.
    #[error("it asks for credentials (HTTP status {status}), and a proxy passes none on")]
    Unauthorized {
        /// The status.
        status: u16,
    },
    /// It answers, and serves no MCP there.
    #[error("it serves no MCP at {path}: {what}")]
    NoMcp {
        /// The path that was asked.
        path: String,
        /// Its answer, in words.
        what: String,
    },
    /// It answered `initialize` with an error.
    #[error("it refused the MCP handshake: {message}")]
    Refused {
        /// Its text, escaped, and the revisions that it named.
        message: String,
    },
}

/// Another place where a server may be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OtherPlace {
    /// MCP, at this path.
    Path(String),
    /// The transport of 2024-11-05, which is not spoken here.
    Sse,
}

/// Makes the handshake. A server that refuses the newest revision and names what it speaks is asked once more.
pub(crate) async fn open(server: &HttpShared) -> Result<Opened, NotReady> {
    let path = server.path();
    let mut answer = initialize(server, &path, Revision::NEWEST).await?;
    if let Welcome::Refused(error) = &answer
        && let Some(revision) = offered(error, Revision::NEWEST)
    {
        answer = initialize(server, &path, revision).await?;
    }
    match answer {
        Welcome::Opened(opened) => {
            post(server, &server.path(), &opened, INITIALIZED.to_owned())
                .await
                .map_err(|_| NotReady::Silent)?;
            Ok(opened)
        }
        Welcome::Refused(error) => {
            let text = error.get("message").and_then(Value::as_str).unwrap_or("no message");
            let revisions = named(&error).collect::<Vec<_>>().join(", ");
            let more = if revisions.is_empty() {
                String::new()
            } else {
                format!("; it named the revisions {revisions}")
            };
            Err(NotReady::Refused { message: excerpt(format!("{text}{more}").as_bytes()) })
        }
    }
}

/// Looks for the server at the other usual paths.
pub(crate) async fn look_elsewhere(server: &HttpShared) -> Option<OtherPlace> {
    let asked = server.path();
    for path in OTHER_PATHS.into_iter().filter(|path| **path != *asked) {
        if let Ok(Ok(_)) = timeout(LOOK_WITHIN, initialize(server, path, Revision::NEWEST)).await {
            return Some(OtherPlace::Path(path.to_owned()));
        }
    }
    let events = timeout(LOOK_WITHIN, get(server, SSE_PATH)).await.ok()?.ok()?;
    (events.status() == StatusCode::OK && is_events(events.headers())).then_some(OtherPlace::Sse)
}

fn is_events(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// The answer to `initialize`.
enum Welcome {
    Opened(Opened),
    /// A JSON-RPC error.
    Refused(Value),
}

async fn initialize(server: &HttpShared, path: &str, revision: Revision) -> Result<Welcome, NotReady> {
    let initialize = json!({
        "jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": {
            "protocolVersion": revision.as_str(), "capabilities": {},
            "clientInfo": { "name": "wharf", "version": env!("CARGO_PKG_VERSION") },
        },
    });
    let answer = post(server, path, &Opened::default(), initialize.to_string()).await;
    let answer = answer.map_err(|_| NotReady::Silent)?;
    let (status, session) = (answer.status(), answer.headers().get(SESSION_ID).cloned());
    let no_mcp = |what: String| NotReady::NoMcp { path: path.to_owned(), what };
    match status {
        // Servers refuse a revision with either status.
        StatusCode::OK | StatusCode::BAD_REQUEST => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(NotReady::Unauthorized { status: status.as_u16() });
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            return Err(later(status, answer.headers()));
        }
        _ if status.is_server_error() => return Err(later(status, answer.headers())),
        _ => return Err(no_mcp(format!("its answer has the HTTP status {}", status.as_u16()))),
    }
    let answer = first_answer(answer.into_body()).await?;
    if let Some(error) = answer.get("error").filter(|error| error.is_object()) {
        return Ok(Welcome::Refused(error.clone()));
    }
    if status != StatusCode::OK {
        return Err(no_mcp(format!("its answer has the HTTP status {}", status.as_u16())));
    }
    let Some(result) = answer.get("result").filter(|result| result.is_object()) else {
        return Err(no_mcp("its answer is no JSON-RPC".to_owned()));
    };
    let version = result.get("protocolVersion").and_then(Value::as_str);
    let version = version.and_then(|version| HeaderValue::from_str(version).ok());
    Ok(Welcome::Opened(Opened { session, version }))
}

fn later(status: StatusCode, headers: &HeaderMap) -> NotReady {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    NotReady::Later { status: status.as_u16(), retry_after: seconds.map(Duration::from_secs) }
}

/// The first answer in a body, which is plain JSON or an event of a stream that stays open; null if there is none in it.
async fn first_answer(mut body: Incoming) -> Result<Value, NotReady> {
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| NotReady::Silent)?;
        text.extend_from_slice(frame.data_ref().map(|data| &data[..]).unwrap_or_default());
        if let Some(answer) = answer_in(&text) {
            return Ok(answer);
        }
        if text.len() > MOST_ANSWER_BYTES {
            break;
        }
    }
    Ok(Value::Null)
}

/// `None` while there is no answer yet. A null member is absent.
fn answer_in(text: &[u8]) -> Option<Value> {
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data:"));
    std::iter::once(after_mark(text)).chain(lines).find_map(|json| {
        let mut answer = values(json)?;
        answer.as_object_mut()?.retain(|_, member| !member.is_null());
        (answer.get("result").is_some() || answer.get("error").is_some()).then_some(answer)
    })
}
