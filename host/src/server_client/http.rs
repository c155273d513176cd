//! [`LoopbackHttp`]: streamable HTTP for `rmcp` on the HTTP stack that wharf has already: a connection of its own for each
//! request, no redirects, no proxies, no TLS. What is read is bounded.
use crate::server_client::lost_answer::{or_lost, unresumed};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, ErrorData, JsonRpcMessage, RequestId, ServerJsonRpcMessage,
};
use rmcp::transport::streamable_http_client::{
    StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::{Error as SseError, Sse, SseStream};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpStream;

/// A larger answer is refused.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// So much of an error that is no message is told.
const DIAGNOSTIC_BYTES_MAX: usize = 4096;
const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const SESSION: &str = "mcp-session-id";

/// Why a request could not be made or answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// Nobody listens: nothing was sent.
    #[error("the proxy cannot be reached")]
    Connection(#[source] std::io::Error),
    /// The answer is no HTTP, or broke off.
    #[error("the proxy's answer cannot be read")]
    Exchange(#[source] hyper::Error),
    /// The URL makes no sense.
    #[error("the URL makes no sense")]
    Url(#[source] hyper::http::Error),
    /// The answer is too large, or broke off.
    #[error("the answer cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A message cannot be written or read.
    #[error("the message is not valid")]
    Json(#[source] serde_json::Error),
    /// An event is too large.
    #[error("an event has more than {ANSWER_BYTES_MAX} bytes")]
    Event,
}

/// The error of `rmcp` around it.
pub(super) type Failure = StreamableHttpError<HttpError>;

/// The address that is connected to, whatever the URL says.
#[derive(Clone, Debug)]
pub(crate) struct LoopbackHttp {
    /// `HOST:PORT`.
    authority: Arc<str>,
    /// The request that was sent last: this client waits for one answer at a time.
    asked: Arc<Mutex<Option<RequestId>>>,
}

impl LoopbackHttp {
    /// A client of the proxy at `HOST:PORT`.
    pub(crate) fn new(authority: Arc<str>) -> Self {
        Self { authority, asked: Arc::default() }
    }

    fn asked(&self) -> MutexGuard<'_, Option<RequestId>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(
        &self,
        method: Method,
        uri: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, HttpError> {
        let stream = TcpStream::connect(&*self.authority).await.map_err(HttpError::Connection)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(HttpError::Exchange)?;
        // It ends with the answer.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a proxy broke");
            }
        });
        let path = uri.parse::<hyper::Uri>().map_err(|error| HttpError::Url(error.into()))?;
        let path = path.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let mut request =
            Request::builder().method(method).uri(path).body(Full::new(body)).map_err(HttpError::Url)?;
        *request.headers_mut() = headers;
        sender.send_request(request).await.map_err(HttpError::Exchange)
    }

    fn headers(
        &self,
        session: Option<&str>,
        token: Option<&str>,
        custom: HashMap<HeaderName, HeaderValue>,
    ) -> Result<HeaderMap, Failure> {
        let value = |text: &str| {
            HeaderValue::from_str(text)
                .map_err(|error| StreamableHttpError::Client(HttpError::Url(error.into())))
        };
        let mut headers: HeaderMap = custom.into_iter().collect();
        headers.insert(HOST, value(&self.authority)?);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        if let Some(session) = session {
            headers.insert(SESSION, value(session)?);
        }
        if let Some(token) = token {
            let mut token = value(&format!("Bearer {token}"))?;
            token.set_sensitive(true);
            headers.insert(AUTHORIZATION, token);
        }
        Ok(headers)
    }
}

/// Whether the type of a body is this one.
fn is(headers: &HeaderMap, kind: &str) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
    given.split(';').next().is_some_and(|given| given.trim().eq_ignore_ascii_case(kind))
}

async fn whole(body: Incoming, limit: usize) -> Result<Bytes, Failure> {
    let collected = Limited::new(body, limit).collect().await;
    collected.map(|body| body.to_bytes()).map_err(|error| StreamableHttpError::Client(HttpError::Body(error)))
}

/// The events of a body, none of which is larger than an answer may be.
fn events(body: Incoming) -> BoxStream<'static, Result<Sse, SseError>> {
    SseStream::from_bytes_stream(bounded(
        body.into_data_stream().map_err(HttpError::Exchange),
        ANSWER_BYTES_MAX,
    ))
    .boxed()
}

/// Ends a stream with an error once one event has more bytes than this. An empty line ends an event.
fn bounded(
    bytes: impl Stream<Item = Result<Bytes, HttpError>> + Send + 'static,
    limit: usize,
) -> impl Stream<Item = Result<Bytes, HttpError>> + Send + 'static {
    let (mut of_event, mut of_line) = (0_usize, 0_usize);
    bytes.map(move |chunk| {
        let chunk = chunk?;
        for byte in &chunk {
            match byte {
                b'\n' | b'\r' if of_line == 0 => of_event = 0,
                b'\n' | b'\r' => of_line = 0,
                _ => (of_event, of_line) = (of_event + 1, of_line + 1),
            }
            if of_event > limit {
                return Err(HttpError::Event);
            }
        }
        Ok(chunk)
    })
}

/// A refusal of the first question of the newer era by a server of the older one: the client goes on in that.
fn refused_discovery(
    message: &ClientJsonRpcMessage,
    error: &ErrorData,
) -> Option<StreamableHttpPostResponse> {
    let ClientJsonRpcMessage::Request(request) = message else { return None };
    if !matches!(request.request, ClientRequest::DiscoverRequest(_)) {
        return None;
    }
    let error = ServerJsonRpcMessage::error(error.clone(), Some(request.id.clone()));
    Some(StreamableHttpPostResponse::Json(error, None))
}

impl StreamableHttpClient for LoopbackHttp {
    type Error = HttpError;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let body =
            serde_json::to_vec(&message).map_err(|e| StreamableHttpError::Client(HttpError::Json(e)))?;
        if let ClientJsonRpcMessage::Request(request) = &message {
            *self.asked() = Some(request.id.clone());
        }
        let mut headers = self.headers(session_id.as_deref(), auth_header.as_deref(), custom_headers)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        let response = self.send(Method::POST, &uri, headers, body.into()).await;
        let response = response.map_err(StreamableHttpError::Client)?;
        let (status, headers) = (response.status(), response.headers().clone());
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if status == StatusCode::NOT_FOUND && session_id.is_some() {
            return Err(StreamableHttpError::SessionExpired);
        }
        let session = headers.get(SESSION).and_then(|id| id.to_str().ok()).map(str::to_owned);
        if !status.is_success() {
            let limit = if is(&headers, JSON) { ANSWER_BYTES_MAX } else { DIAGNOSTIC_BYTES_MAX };
            let body = whole(response.into_body(), limit).await.unwrap_or_default();
            let Ok(JsonRpcMessage::Error(mut told)) = serde_json::from_slice::<ServerJsonRpcMessage>(&body)
            else {
                let text =
                    String::from_utf8_lossy(&body[..body.len().min(DIAGNOSTIC_BYTES_MAX)]).into_owned();
                let text = format!("HTTP {status}: {text}");
                let error = ErrorData::invalid_request(text.clone(), None);
                let is_auth = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
                return match refused_discovery(&message, &error)
                    .filter(|_| !is_auth && status.is_client_error())
                {
                    Some(refused) => Ok(refused),
                    None => Err(StreamableHttpError::UnexpectedServerResponse(text.into())),
                };
            };
            // The proxy refuses a body that it has not read without an id, and `rmcp` drops such an error.
            if let (None, ClientJsonRpcMessage::Request(request)) = (&told.id, &message) {
                told.id = Some(request.id.clone());
            }
            if let Some(refused) = refused_discovery(&message, &told.error).filter(|_| session_id.is_none()) {
                return Ok(refused);
            }
            return Ok(StreamableHttpPostResponse::Json(JsonRpcMessage::Error(told), session));
        }
        if is(&headers, EVENTS) {
            let events = events(response.into_body());
            let events = match &message {
                ClientJsonRpcMessage::Request(request) => or_lost(events, request.id.clone()),
                _ => events,
            };
            return Ok(StreamableHttpPostResponse::Sse(events, session));
        }
        if !matches!(message, ClientJsonRpcMessage::Request(_)) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let body = whole(response.into_body(), ANSWER_BYTES_MAX).await?;
        let parsed =
            serde_json::from_slice(&body).map_err(|e| StreamableHttpError::Client(HttpError::Json(e)))?;
        Ok(StreamableHttpPostResponse::Json(parsed, session))
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failure> {
        let headers = self.headers(Some(&session_id), auth_header.as_deref(), custom_headers)?;
        let sent = self.send(Method::DELETE, &uri, headers, Bytes::new()).await;
        sent.map(drop).map_err(StreamableHttpError::Client)
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failure> {
        let mut headers = self.headers(session_id.as_deref(), auth_header.as_deref(), custom_headers)?;
        headers.insert(ACCEPT, HeaderValue::from_static(EVENTS));
        let is_resumed = last_event_id.is_some();
        if let Some(Ok(last)) = last_event_id.as_deref().map(HeaderValue::from_str) {
            headers.insert("last-event-id", last);
        }
        let response = self.send(Method::GET, &uri, headers, Bytes::new()).await;
        let response = response.map_err(StreamableHttpError::Client)?;
        // The session is no more, and no answer comes in it.
        if response.status() == StatusCode::NOT_FOUND
            && is_resumed
            && let Some(id) = &*self.asked()
        {
            return Ok(unresumed(id));
        }
        match response.status() {
            StatusCode::METHOD_NOT_ALLOWED => Err(StreamableHttpError::ServerDoesNotSupportSse),
            StatusCode::OK if is(response.headers(), EVENTS) => Ok(events(response.into_body())),
            status => Err(StreamableHttpError::UnexpectedServerResponse(
                format!("HTTP {status} for a stream").into(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn passes(chunks: &[&'static str], limit: usize) -> bool {
        let chunks: Vec<_> = chunks.iter().map(|text| Ok(Bytes::from_static(text.as_bytes()))).collect();
        bounded(futures_util::stream::iter(chunks), limit).all(|chunk| async move { chunk.is_ok() }).await
    }

    #[tokio::test]
    async fn an_event_without_end_is_given_up_and_many_events_are_not() {
        assert!(passes(&["data: 12\n\n", "data: 34\r\n\r\n", "data: 56\n\n"], 8).await);
        assert!(!passes(&["data: 1", "23\n"], 8).await);
        assert!(!passes(&["data: 1\n", "data: 2\n"], 8).await);
    }
}
