//! Operations as resources: list, look at, wait for, cancel.
use crate::api::answers::located;
use crate::api::body::{Asked, Part};
use crate::api::operation::Operation;
use crate::api::operations::unknown;
use crate::api::problem::Problem;
use crate::api::state::Api;
use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The longest time that a request waits for the end of an operation.
const WAIT_MAX: Duration = Duration::from_secs(60);

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, cancel))
}

/// The operations of the last day.
#[derive(Serialize, ToSchema)]
pub(crate) struct OperationList {
    /// The latest first, without their outcomes.
    operations: Vec<Operation>,
}

/// The operations that are under way, and the latest that have ended
#[utoipa::path(get, path = "/api/v1beta/operations", operation_id = "listOperations", tag = "operations",
    responses(
        (status = 200, body = OperationList),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn list(State(api): State<Arc<Api>>) -> Answer<OperationList> {
    Answer(OperationList { operations: api.operations.all() })
}

/// How an answer is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PollQuery {
    /// Answer when it has ended, or after a minute.
    wait: Option<bool>,
}

/// One operation
#[utoipa::path(get, path = "/api/v1beta/operations/{id}", operation_id = "getOperation", tag = "operations",
    params(("id" = String, Path, description = "Its id"), PollQuery),
    responses(
        (status = 200, body = Operation),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn get(
    State(api): State<Arc<Api>>,
    Part(id): Part,
    Asked(query): Asked<PollQuery>,
) -> Result<Answer<Operation>, Problem> {
    let at_most = if query.wait == Some(true) { WAIT_MAX } else { Duration::ZERO };
    let operation = api.wait(&id, at_most).await;
    Ok(Answer(operation.ok_or_else(|| unknown(&id))?))
}

/// Asks an operation to end before it is done: a creation, a start or a restart
#[utoipa::path(delete, path = "/api/v1beta/operations/{id}", operation_id = "cancelOperation", tag = "operations",
    params(("id" = String, Path, description = "Its id")),
    responses(
        (status = 202, description = "It was asked to", headers(("Location" = String, description = "The operation"))),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn cancel(State(api): State<Arc<Api>>, Part(id): Part) -> Result<Response, Problem> {
    let operation = api.operations.cancel(&id)?;
    Ok(located(&operation.id, StatusCode::ACCEPTED))
}
