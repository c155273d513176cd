//! Changes what a workload is: ToolHive's route and body, and the command layer's own edit behind it.
use crate::api::answers::{Created, EndQuery, accepted, outcome, workload_name};
use crate::api::body::{Asked, Json, Part};
use crate::api::change::Change;
use crate::api::create_request::CreateRequest;
use crate::api::problem::Problem;
use crate::api::state::{Api, Asker};
use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(edit))
}

/// Makes of a workload what the body describes; if it does not become ready, it is what it was before
#[utoipa::path(post, path = "/api/v1beta/workloads/{name}/edit", operation_id = "editWorkload", tag = "workloads",
    params(
        ("name" = String, Path, description = "Its name, which stays"),
        EndQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeated with it, this is the same operation")
    ),
    request_body = crate::api::create_request::Described,
    responses(
        (status = 200, description = "It runs as described; or it is not to run, and its next start is as described", body = Created, headers(("Location" = String, description = "The operation"))),
        (status = 202, description = "It is under way", headers(("Location" = String, description = "The operation"))),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn edit(
    State(api): State<Arc<Api>>,
    Part(name): Part,
    Asked(query): Asked<EndQuery>,
    asker: Asker,
    Json(described): Json<CreateRequest>,
) -> Result<Response, Problem> {
    let (name, timeout) = (workload_name(&name)?, query.stop_timeout()?);
    // A request that makes no sense by itself begins no operation.
    described.to_run_request()?;
    let asked = Change::Edit(name, Box::new(described), timeout);
    let operation = api.operations.begin(&asked, asker.parts(), api.existing(&asked)).await?;
    if query.wait == Some(false) {
        return Ok(accepted(&operation));
    }
    let edited = |operation| match Created::of(&api, operation) {
        Ok(edited) => Answer(edited).into_response(),
        Err(error) => Problem::from(error).into_response(),
    };
    Ok(outcome(&api, operation, edited).await)
}
