//! The entry of every request of a client.
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::Response;

use crate::http::admission as gate;
use crate::http::admission::Admission;
use crate::http::respond;
use crate::stdio::downstream::{get, post};
use crate::stdio::shared::Shared;

/// The router of a stdio proxy. One fallback takes every path, because the sender is checked before the path, and the valid
/// path depends on a secret.
pub(crate) fn router(proxy: Arc<Shared>) -> Router {
    Router::new().fallback(enter).with_state(proxy)
}

async fn enter(State(proxy): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Admission { origin, refusal } = proxy.gate.admit(&parts);
    let mut response = match refusal {
        Some(refusal) => respond::refused(refusal),
        None => dispatch(&proxy, parts, body, origin.is_some()).await,
    };
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
    if parts.method == Method::POST {
        return post::post(proxy, &parts, body).await;
    }
    let proxy = &proxy.serving(&parts.headers);
    match parts.method {
        Method::GET | Method::DELETE => match gate::era_headers(&parts.headers) {
            Ok(headers) if parts.method == Method::GET => get::get(proxy, &parts, headers),
            Ok(headers) => get::delete(proxy, &parts, headers),
            Err(error) => respond::invalid(None, &error.to_string()),
        },
        Method::OPTIONS if is_browser => respond::preflight(),
        _ => respond::method_not_allowed(),
    }
}
