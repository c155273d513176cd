//! Where every request of a client enters.
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;

use super::{get, post, respond};
use crate::proxy::gate;
use crate::proxy::session::Principal;
use crate::proxy::stdio::Shared;

/// The one path that is served.
pub(crate) const PATH: &str = "/mcp";

/// The router of a stdio proxy. One fallback takes every path, because who asks is checked before what for.
pub(crate) fn router(proxy: Arc<Shared>) -> Router {
    Router::new().fallback(enter).with_state(proxy)
}

async fn enter(State(proxy): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let origin = match proxy.gate.admit(&parts) {
        Ok(origin) => origin,
        Err(refusal) => return respond::forbidden(refusal),
    };
    let is_browser = origin.is_some();
    let mut response = dispatch(&proxy, parts, body, is_browser).await;
    if let Some(origin) = origin {
        respond::allow_origin(response.headers_mut(), origin);
    }
    response
}

async fn dispatch(
    proxy: &Arc<Shared>,
    parts: axum::http::request::Parts,
    body: Body,
    is_browser: bool,
) -> Response {
    if parts.uri.path() != PATH {
        return respond::empty(StatusCode::NOT_FOUND);
    }
    match parts.method {
        Method::POST => post::post(proxy, &parts, body).await,
        Method::GET | Method::DELETE => match gate::era_headers(&parts.headers) {
            Ok(headers) if parts.method == Method::GET => get::get(proxy, &parts, headers),
            Ok(headers) => get::delete(proxy, &parts, headers),
            Err(error) => respond::invalid(None, &error.to_string()),
        },
        Method::OPTIONS if is_browser => respond::preflight(),
        _ => respond::method_not_allowed(),
    }
}

/// Whose session it would be: the digest of `Authorization`, or the local user.
pub(super) fn principal(headers: &axum::http::HeaderMap) -> Principal {
    use sha2::Digest;
    headers.get(axum::http::header::AUTHORIZATION).map(|value| sha2::Sha256::digest(value.as_bytes()).into())
}
