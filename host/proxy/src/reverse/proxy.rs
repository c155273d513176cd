//! [`HttpProxy`]: an MCP server that speaks streamable HTTP itself, behind the same checks as a stdio one.
//!
//! Bodies, ids and sessions pass unchanged; sessions are the server's. These are not passed on: everything about the sender
//! (`Origin`, cookies and `Authorization`, since a local workload must not get the user's tokens; `docs/mcp.md`, 14),
//! hop-by-hop headers, and redirects.
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use crate::http::access::PATH;
use crate::http::admission as gate;
use crate::http::admission::{Admission, Gate};
use crate::http::body::{Memory, is_longer};
use crate::http::budget::{Budget, Listed};
use crate::http::classify::{Era, EraHeaders, MODERN_REFUSAL, classify};
use crate::http::guarded::Guarded;
use crate::http::respond::{closing, empty, rpc_error, unavailable};
use crate::http::serve::ConnectionAbort;
use crate::protocol::forgiven::without_mark;
use crate::protocol::json;
use crate::protocol::message::{Id, Message, MessageError, code};
use crate::protocol::operation_counts::{Method as McpMethod, Operation, Outcome};
use crate::protocol::options::{Busy, Limits, ProxyOptions};
use crate::protocol::own_error::{
    GIVEN_UP_FOR_ROOM, NOT_IN_TIME, OTHER_PROTOCOL, REDIRECTED, SERVER_ENDED, UNREACHABLE,
};
use crate::protocol::revision::{Revision, is_modern};
use crate::reverse::handshake::{self, NotReady, OtherPlace};
use crate::reverse::health;
use crate::reverse::passing::Passing;
use crate::reverse::shared::{HttpShared, Server, ToServer};
use crate::reverse::upstream::Upstream;
use crate::stdio::upstream::connection::PingError;

/// A checked reverse proxy in front of one HTTP server. Clones are the same proxy.
#[derive(Debug, Clone)]
pub struct HttpProxy {
    pub(crate) shared: Arc<HttpShared>,
}

impl HttpProxy {
    /// A proxy in front of that server.
    pub fn new(options: ProxyOptions, upstream: Upstream) -> Self {
        let shared = HttpShared {
            gate: Gate::new(&options),
            places: Arc::new(Semaphore::new(options.limits.in_flight)),
            stream_places: Arc::new(Semaphore::new(options.limits.in_flight)),
            budget: Budget::new(options.limits.memory_bytes),
            path: RwLock::new(options.target_path.as_deref().unwrap_or(PATH).into()),
            options,
            sessions: std::sync::Mutex::default(),
            streams: Arc::default(),
            server: RwLock::new(Server::at(upstream)),
            health: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The server is reached in another way from now on: it was started again. Requests under way stay where they are.
    pub fn move_to(&self, upstream: Upstream) {
        *self.shared.server.write().unwrap_or_else(PoisonError::into_inner) = Server::at(upstream);
    }

    /// The HTTP front: the one path that is served, and 404 elsewhere.
    pub fn router(&self) -> Router {
        Router::new().fallback(enter).with_state(self.shared.clone())
    }

    /// Resolves when much memory was held for clients, and is no more. One at a time may wait for that.
    pub async fn at_rest(&self) {
        self.shared.budget.at_rest().await;
    }

    /// Makes the MCP handshake: the server is ready once this succeeds. The session is kept for pings.
    ///
    /// # Errors
    /// No answer came in time, or not that of an MCP server.
    pub async fn greet(&self, deadline: Duration) -> Result<(), NotReady> {
        timeout(deadline, health::greet(&self.shared)).await.unwrap_or(Err(NotReady::Silent))
    }

    /// Where else the server may be served, once it has answered that it serves no MCP at its path.
    pub async fn look_elsewhere(&self) -> Option<OtherPlace> {
        handshake::look_elsewhere(&self.shared).await
    }

    /// The path at which the server serves MCP: the one that was named, or where the server led to.
    pub fn target_path(&self) -> String {
        self.shared.path().to_string()
    }

    /// Asks the server for something real: a `ping` in a session that is opened for the purpose and kept.
    ///
    /// # Errors
    /// No answer came, or not one of a server in order.
    pub async fn ping(&self, deadline: Duration) -> Result<Duration, PingError> {
        timeout(deadline, health::ping(&self.shared))
            .await
            .unwrap_or(Err(PingError::TimedOut { after: deadline }))
    }
}

async fn enter(State(proxy): State<Arc<HttpShared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Admission { origin, refusal } = proxy.gate.admit(&parts);
    let mut response = match refusal {
        Some(refusal) => crate::http::respond::refused(refusal),
        None => dispatch(&proxy, &parts, body).await,
    };
    if let Some(origin) = origin {
        crate::http::respond::allow_origin(response.headers_mut(), origin);
    }
    response
}

async fn dispatch(proxy: &HttpShared, parts: &Parts, body: Body) -> Response {
    let headers = match gate::era_headers(&parts.headers) {
        Ok(headers) => headers,
        Err(error) => return crate::http::respond::invalid(None, &error.to_string()),
    };
    match parts.method {
        Method::POST => post(proxy, parts, headers, body).await,
        Method::GET | Method::DELETE if headers.version.is_some_and(is_modern) => {
            crate::http::respond::method_not_allowed()
        }
        Method::GET if !gate::accepts_events(&parts.headers) => {
            crate::http::respond::not_acceptable("text/event-stream")
        }
        Method::GET | Method::DELETE => proxy.forward(parts, Bytes::new(), None, None).await,
        Method::OPTIONS if parts.headers.contains_key(ORIGIN) => crate::http::respond::preflight(),
        _ => crate::http::respond::method_not_allowed(),
    }
}

async fn post(proxy: &HttpShared, parts: &Parts, headers: EraHeaders<'_>, body: Body) -> Response {
    let limits = &proxy.options.limits;
    if let Err(response) = crate::stdio::downstream::post::check_post_head(parts, limits) {
        return *response;
    }
    if is_longer(&parts.headers, limits.opening_bytes) && proxy.places.available_permits() == 0 {
        return closing(unavailable(None, Busy::TooManyCalls, limits));
    }
    let budget = &proxy.budget;
    let free_memory = || while budget.is_over() && budget.drop_body(&budget.bodies_by_holder(), None) {};
    let memory = Memory { budget, holder: proxy.holder(headers.session), free_memory: &free_memory };
    let body = match crate::http::body::read_body(body, limits.body_bytes, limits, &memory).await {
        Ok(body) => body,
        Err(error) => return error.response(),
    };
    // It waits for the server from now on.
    let (body, listed) = body.charged(&memory);
    let answer = tokio::select! {
        answer = pass_on(proxy, parts, headers, without_mark(&body)) => Some(answer),
        () = dropped(listed.as_ref()) => None,
    };
    drop(body);
    // A server may answer before it has taken the whole body, which its connection holds then until it has.
    let stays = listed.is_none_or(|listed| listed.stays());
    answer.filter(|_| stays).unwrap_or_else(|| {
        rpc_error(StatusCode::SERVICE_UNAVAILABLE, None, code::INTERNAL, GIVEN_UP_FOR_ROOM)
    })
}

/// Resolves when the body has to make room for others.
async fn dropped(listed: Option<&Listed>) {
    match listed {
        Some(listed) => listed.dropped.cancelled().await,
        None => std::future::pending().await,
    }
}

async fn pass_on(proxy: &HttpShared, parts: &Parts, headers: EraHeaders<'_>, body: Bytes) -> Response {
    let limits = &proxy.options.limits;
    if body.trim_ascii_start().first() == Some(&b'[') {
        return match check_batch(headers, &body, limits.json_depth) {
            Ok(()) => {
                let operation = proxy.options.operations.begin(McpMethod::OTHER);
                proxy.forward(parts, body, None, Some(operation)).await
            }
            Err(refusal) => *refusal,
        };
    }
    let message = match Message::parse(&body, limits.json_depth) {
        Ok(message) => message,
        Err(error) => return crate::http::respond::malformed(&error),
    };
    // An answer of a client is no operation.
    let mut operation = message.method().map(|method| proxy.options.operations.begin(McpMethod::of(method)));
    match classify(headers, &message) {
        Era::Modern => {
            end(&mut operation, Outcome::MethodNotFound);
            rpc_error(StatusCode::BAD_REQUEST, message.id(), code::METHOD_NOT_FOUND, MODERN_REFUSAL)
        }
        Era::ModernNotification => {
            end(&mut operation, Outcome::Done);
            empty(StatusCode::ACCEPTED)
        }
        // A server may serve without sessions: what misses one is the server's to judge.
        Era::LegacyOpening | Era::LegacySession(_) | Era::Neither(_) => {
            let id = message.id().cloned();
            // The body goes on alone: the call may last.
            drop(message);
            proxy.forward(parts, body, id.as_ref(), operation).await
        }
    }
}

/// An array passes only where batches may be: in a session of 2025-03-26, or one whose revision only the server knows.
/// No element opens a session, or is of the other era: such a one would pass unseen.
fn check_batch(headers: EraHeaders<'_>, body: &Bytes, depth: usize) -> Result<(), Box<Response>> {
    if headers.version.is_some_and(|version| version != Revision::V2025_03_26.as_str()) {
        return Err(Box::new(crate::http::respond::invalid(None, "this revision has no batches")));
    }
    let malformed = |error: &MessageError| Box::new(crate::http::respond::malformed(error));
    json::scan(body, depth.saturating_add(1)).1.map_err(|error| malformed(&MessageError::Json(error)))?;
    let elements: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|_| Box::new(crate::http::respond::invalid(None, "the batch is no array of messages")))?;
    for element in elements {
        let element = body.slice_ref(element.get().as_bytes());
        let message = Message::parse(&element, depth).map_err(|error| malformed(&error))?;
        if matches!(classify(headers, &message), Era::Modern | Era::ModernNotification | Era::LegacyOpening) {
            return Err(Box::new(crate::http::respond::invalid(None, "a batch holds no such request")));
        }
    }
    Ok(())
}

/// Says how an operation ended, if it is one.
fn end(operation: &mut Option<Operation>, outcome: Outcome) {
    if let Some(operation) = operation {
        operation.outcome = outcome;
    }
}

impl HttpShared {
    /// Passes a request on. The operation ends with the body of the answer; the server's errors in that body pass unread.
    async fn forward(
        &self,
        parts: &Parts,
        body: Bytes,
        id: Option<&Id>,
        mut operation: Option<Operation>,
    ) -> Response {
        let places = if parts.method == Method::GET { &self.stream_places } else { &self.places };
        let Ok(place) = places.clone().try_acquire_owned() else {
            end(&mut operation, Outcome::Internal);
            return unavailable(id, Busy::TooManyCalls, &self.options.limits);
        };
        let request = ToServer {
            method: parts.method.clone(),
            query: parts.uri.query().map(str::to_owned),
            headers: passing(&parts.headers, |name| !stays_here(name)),
            body,
        };
        let answer = self.send_of_client(parts, request);
        let answer = in_time(parts, &self.options.limits, answer).await;
        // Everything but the server's own answer is an error of the proxy's.
        end(&mut operation, Outcome::Internal);
        match answer {
            Ok(Ok(answer)) if answer.status().is_informational() => bad_gateway(id, OTHER_PROTOCOL),
            // 304 leads nowhere: it says that the client has the answer.
            Ok(Ok(answer))
                if answer.status().is_redirection() && answer.status() != StatusCode::NOT_MODIFIED =>
            {
                bad_gateway(id, REDIRECTED)
            }
            // A local server gets no credentials from the proxy, so a client that was asked to log in would do so in vain.
            Ok(Ok(answer)) if matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                let text = PingError::Unauthorized { status: answer.status().as_u16() }.to_string();
                rpc_error(StatusCode::SERVICE_UNAVAILABLE, id, code::INTERNAL, &text)
            }
            Ok(Ok(answer)) => {
                let (head, body) = answer.into_parts();
                self.note_session(&head.headers);
                let is_error = head.status.is_client_error() || head.status.is_server_error();
                end(&mut operation, if is_error { Outcome::OtherError } else { Outcome::Done });
                let connection = parts.extensions.get::<ConnectionAbort>();
                let body = Passing::new(body, &head.headers, connection, &self.options.limits);
                let noted = self.note_stream(parts, &head.headers);
                // The place is taken until the body has ended: a stream may go on for hours.
                let mut response =
                    Response::new(Body::new(Guarded { body, _guard: (place, operation, noted) }));
                *response.status_mut() = head.status;
                *response.headers_mut() = passing(&head.headers, |name| !stays_there(name));
                if head.status == StatusCode::METHOD_NOT_ALLOWED {
                    response.headers_mut().insert(ALLOW, crate::http::respond::ALLOWED_METHODS);
                }
                response
            }
            Ok(Err(error)) => {
                tracing::debug!(workload = %self.options.workload, %error, "the server gave no answer");
                if error.is_connect() { bad_gateway(id, UNREACHABLE) } else { bad_gateway(id, SERVER_ENDED) }
            }
            Err(GivenUp) => rpc_error(StatusCode::GATEWAY_TIMEOUT, id, code::INTERNAL, NOT_IN_TIME),
        }
    }
}

/// The call is given up: its time is over, or its client was away for too long.
struct GivenUp;

/// Waits for the head of an answer: as long as a call may take, and as long as its client may be away.
async fn in_time<T>(parts: &Parts, limits: &Limits, answer: impl Future<Output = T>) -> Result<T, GivenUp> {
    let phase = parts.extensions.get::<ConnectionAbort>().map(|connection| connection.phase.clone());
    let client_gone = async {
        match phase {
            Some(phase) => phase.half_closed().await,
            None => std::future::pending().await,
        }
        tokio::time::sleep(limits.ring_keep).await;
    };
    let too_long = async {
        match limits.call_timeout {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        answer = answer => Ok(answer),
        () = client_gone => Err(GivenUp),
        () = too_long => Err(GivenUp),
    }
}

fn bad_gateway(id: Option<&Id>, text: &str) -> Response {
    rpc_error(StatusCode::BAD_GATEWAY, id, code::INTERNAL, text)
}

/// The headers that may pass; those that `Connection` names never do.
fn passing(headers: &HeaderMap, may_pass: impl Fn(&str) -> bool) -> HeaderMap {
    let of_hop: Vec<HeaderName> = headers
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    headers
        .iter()
        .filter(|(name, _)| may_pass(name.as_str()) && !of_hop.contains(*name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn is_of_one_hop(name: &str) -> bool {
    matches!(
        name,
        "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade" | "content-length"
    ) || name.starts_with("proxy-")
}

/// Request headers that the server does not get.
fn stays_here(name: &str) -> bool {
    is_of_one_hop(name)
        || matches!(name, "host" | "origin" | "authorization" | "cookie" | "referer" | "forwarded" | "expect")
        || ["x-forwarded-", "sec-", "access-control-"].iter().any(|prefix| name.starts_with(prefix))
}

/// Response headers that the client does not get.
fn stays_there(name: &str) -> bool {
    is_of_one_hop(name)
        || matches!(name, "set-cookie" | "www-authenticate" | "forwarded" | "location")
        || name.starts_with("access-control-")
}
