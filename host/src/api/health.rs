//! Health, version and metrics.
use crate::api::problem::Problem;
use crate::api::state::Api;
use crate::commands::ListOptions;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Which version serves.
#[derive(Serialize, ToSchema)]
pub(crate) struct Version {
    /// The version.
    version: &'static str,
}

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(live))
        .routes(routes!(ready))
        .routes(routes!(health))
        .routes(routes!(version))
        .routes(routes!(metrics))
}

/// Whether somebody serves. Needs no token, and tells nothing else
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 204, description = "It serves")))]
async fn live() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Whether records can be read
#[utoipa::path(get, path = "/health/ready", tag = "health", responses(
    (status = 204, description = "They can"),
    (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
))]
async fn ready(State(api): State<Arc<Api>>) -> Result<StatusCode, Problem> {
    readable(&api)
}

/// The same, where ToolHive has it
#[utoipa::path(get, path = "/health", tag = "health", responses(
    (status = 204, description = "They can"),
    (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
))]
async fn health(State(api): State<Arc<Api>>) -> Result<StatusCode, Problem> {
    readable(&api)
}

fn readable(api: &Api) -> Result<StatusCode, Problem> {
    let context = api.context()?;
    crate::commands::names(&context, None)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which version serves
#[utoipa::path(get, path = "/api/v1beta/version", tag = "health", responses((status = 200, body = Version)))]
async fn version() -> Json<Version> {
    Json(Version { version: env!("CARGO_PKG_VERSION") })
}

/// The counters, for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "health", responses(
    (status = 200, description = "The metrics", body = String, content_type = "text/plain"),
    (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
))]
async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    let all = ListOptions { all: true, ..ListOptions::default() };
    let workloads = crate::commands::list(&api.context()?, &all).await?;
    let text = api.metrics.render(&workloads, api.operations.running());
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
