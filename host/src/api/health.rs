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
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How long a list for metrics may take.
const LIST_WAIT: Duration = Duration::from_secs(3);

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
#[utoipa::path(get, path = "/health/live", operation_id = "isLive", tag = "health", responses(
    (status = 204, description = "It serves"),
    (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
))]
async fn live() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Whether records can be read
#[utoipa::path(get, path = "/health/ready", operation_id = "isReady", tag = "health", responses(
    (status = 204, description = "They can"),
    (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
))]
async fn ready(State(api): State<Arc<Api>>) -> Result<StatusCode, Problem> {
    readable(&api)
}

/// The same, where ToolHive has it
#[utoipa::path(get, path = "/health", operation_id = "isHealthy", tag = "health", responses(
    (status = 204, description = "They can"),
    (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
))]
async fn health(State(api): State<Arc<Api>>) -> Result<StatusCode, Problem> {
    readable(&api)
}

fn readable(api: &Api) -> Result<StatusCode, Problem> {
    let readable = || crate::commands::names(&api.context()?, None);
    match readable() {
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        // It may be ready later.
        Err(error) => {
            Err(Problem { status: StatusCode::SERVICE_UNAVAILABLE.as_u16(), ..Problem::from(error) })
        }
    }
}

/// Which version serves
#[utoipa::path(get, path = "/api/v1beta/version", operation_id = "getVersion", tag = "health", responses(
    (status = 200, body = Version),
    (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
))]
async fn version() -> Json<Version> {
    Json(Version { version: env!("CARGO_PKG_VERSION") })
}

/// The counters, for Prometheus
#[utoipa::path(get, path = "/metrics", operation_id = "getMetrics", tag = "health", responses(
    (status = 200, description = "The metrics", body = String, content_type = "text/plain"),
    (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
))]
async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    let all = ListOptions { all: true, ..ListOptions::default() };
    let context = api.context()?;
    // A scraper waits for ten seconds, as long as an engine that hangs may take.
    let listed = match tokio::time::timeout(LIST_WAIT, crate::commands::list(&context, &all)).await {
        Ok(workloads) => Some(workloads?),
        Err(_) => {
            tracing::debug!("the workloads of the last time are told");
            None
        }
    };
    if let Some(workloads) = &listed {
        api.metrics.seen(workloads);
    }
    let totals = api.workload_counts.gather(&context, listed.as_deref()).await;
    let text = api.metrics.render(api.operations.running(), api.host.plugin_calls(), &totals);
    drop(totals);
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
