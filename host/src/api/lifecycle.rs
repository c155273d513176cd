//! Start, stop and restart: of one workload, and of several or a group.
use crate::api::answers::{EndQuery, WaitQuery, accepted, as_it_is, outcome, workload_name};
use crate::api::body::{Asked, Json, Part};
use crate::api::change::Change;
use crate::api::group_files;
use crate::api::operation::{Kind, Operation};
use crate::api::problem::Problem;
use crate::api::state::{Api, Asker};
use crate::commands;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wharf_model::{Error, ErrorKind, WorkloadName};

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(start))
        .routes(routes!(stop))
        .routes(routes!(restart))
        .routes(routes!(start_several))
        .routes(routes!(stop_several))
        .routes(routes!(restart_several))
        .routes(routes!(delete_several))
}

async fn one(
    api: &Arc<Api>,
    kind: Kind,
    name: &str,
    query: &EndQuery,
    asker: Asker,
) -> Result<Response, Problem> {
    let asked = Change::One(kind, workload_name(name)?, query.stop_timeout()?);
    let operation = api.operations.begin(&asked, asker.parts(), api.existing(&asked)).await?;
    answered(api, operation, query).await
}

async fn answered(api: &Api, operation: Operation, query: &EndQuery) -> Result<Response, Problem> {
    match query.wait {
        Some(true) => Ok(outcome(api, operation, as_it_is).await),
        _ => Ok(accepted(&operation)),
    }
}

/// Starts a workload
#[utoipa::path(post, path = "/api/v1beta/workloads/{name}/start", operation_id = "startWorkload", tag = "workloads",
    params(
        ("name" = String, Path, description = "Its name"),
        WaitQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeated with it, this is the same operation")
    ),
    responses(
        (status = 200, description = "With `wait=true`, once it is ready", body = Operation),
        (status = 202, description = "It is under way", headers(("Location" = String, description = "The operation"))),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn start(
    State(api): State<Arc<Api>>,
    Part(name): Part,
    Asked(query): Asked<WaitQuery>,
    asker: Asker,
) -> Result<Response, Problem> {
    one(&api, Kind::Start, &name, &EndQuery::from(query), asker).await
}

/// Stops a workload
#[utoipa::path(post, path = "/api/v1beta/workloads/{name}/stop", operation_id = "stopWorkload", tag = "workloads",
    params(
        ("name" = String, Path, description = "Its name"),
        EndQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeated with it, this is the same operation")
    ),
    responses(
        (status = 200, description = "With `wait=true`, once it is stopped", body = Operation),
        (status = 202, description = "It is under way", headers(("Location" = String, description = "The operation"))),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn stop(
    State(api): State<Arc<Api>>,
    Part(name): Part,
    Asked(query): Asked<EndQuery>,
    asker: Asker,
) -> Result<Response, Problem> {
    one(&api, Kind::Stop, &name, &query, asker).await
}

/// Stops a workload if it runs, and starts it
#[utoipa::path(post, path = "/api/v1beta/workloads/{name}/restart", operation_id = "restartWorkload", tag = "workloads",
    params(
        ("name" = String, Path, description = "Its name"),
        EndQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeated with it, this is the same operation")
    ),
    responses(
        (status = 200, description = "With `wait=true`, once it is ready", body = Operation),
        (status = 202, description = "It is under way", headers(("Location" = String, description = "The operation"))),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn restart(
    State(api): State<Arc<Api>>,
    Part(name): Part,
    Asked(query): Asked<EndQuery>,
    asker: Asker,
) -> Result<Response, Problem> {
    one(&api, Kind::Restart, &name, &query, asker).await
}

/// Several workloads: by name, or a group.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Selection {
    /// Their names.
    names: Option<Vec<String>>,
    /// Their group.
    group: Option<String>,
}

impl Selection {
    fn names(&self, api: &Api) -> Result<Vec<WorkloadName>, Error> {
        /// More are not taken at once.
        const NAMES_MAX: usize = 250;
        let names = self.names.as_ref().filter(|names| !names.is_empty());
        let mut names = match (names, self.group.as_ref().filter(|group| !group.is_empty())) {
            (Some(names), None) => {
                names.iter().map(|name| workload_name(name)).collect::<Result<Vec<_>, _>>()?
            }
            (None, Some(group)) => {
                let context = api.context()?;
                // A group that is there may have no workloads.
                group_files::must_exist(&context, group)?;
                commands::names(&context, Some(group))?
            }
            (None, None) | (Some(_), Some(_)) => {
                return Err(Error::new(
                    ErrorKind::Usage,
                    "one of 'names' and 'group' is needed, and not both",
                ));
            }
        };
        names.sort();
        names.dedup();
        if names.len() > NAMES_MAX {
            return Err(Error::new(ErrorKind::Usage, format!("more than {NAMES_MAX} at once are not taken")));
        }
        Ok(names)
    }
}

async fn several(
    api: &Arc<Api>,
    kind: Kind,
    selection: Selection,
    query: &EndQuery,
    asker: Asker,
) -> Result<Response, Problem> {
    let timeout = query.stop_timeout()?;
    let selection = Arc::new(selection);
    let asked = (kind, &*selection, timeout);
    // The group may have other workloads by the time that the request is repeated.
    let change = {
        let (api, selection) = (api.clone(), selection.clone());
        move || Ok(Change::Several(kind, selection.names(&api)?, timeout))
    };
    let operation = api.operations.begin(&asked, asker.parts(), change).await?;
    answered(api, operation, query).await
}

/// Starts several workloads; the outcome has a report on each
#[utoipa::path(post, path = "/api/v1beta/workloads/start", operation_id = "startWorkloads", tag = "workloads",
    params(
        WaitQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeated with it, this is the same operation")
    ),
    request_body = Selection,
    responses(
        (status = 200, description = "With `wait=true`, once it is done", body = Operation),
        (status = 202, description = "It is under way", headers(("Location" = String, description = "The operation"))),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn start_several(
    State(api): State<Arc<Api>>,
    Asked(query): Asked<WaitQuery>,
    asker: Asker,
    Json(selection): Json<Selection>,
) -> Result<Response, Problem> {
    several(&api, Kind::Start, selection, &EndQuery::from(query), asker).await
}

/// Stops several workloads; the outcome has a report on each
#[utoipa::path(post, path = "/api/v1beta/workloads/stop", operation_id = "stopWorkloads", tag = "workloads",
    params(
        EndQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeated with it, this is the same operation")
    ),
    request_body = Selection,
    responses(
        (status = 200, description = "With `wait=true`, once it is done", body = Operation),
        (status = 202, description = "It is under way", headers(("Location" = String, description = "The operation"))),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn stop_several(
    State(api): State<Arc<Api>>,
    Asked(query): Asked<EndQuery>,
    asker: Asker,
    Json(selection): Json<Selection>,
) -> Result<Response, Problem> {
    several(&api, Kind::Stop, selection, &query, asker).await
}

/// Restarts several workloads; the outcome has a report on each
#[utoipa::path(post, path = "/api/v1beta/workloads/restart", operation_id = "restartWorkloads", tag = "workloads",
    params(
        EndQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeated with it, this is the same operation")
    ),
    request_body = Selection,
    responses(
        (status = 200, description = "With `wait=true`, once it is done", body = Operation),
        (status = 202, description = "It is under way", headers(("Location" = String, description = "The operation"))),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn restart_several(
    State(api): State<Arc<Api>>,
    Asked(query): Asked<EndQuery>,
    asker: Asker,
    Json(selection): Json<Selection>,
) -> Result<Response, Problem> {
    several(&api, Kind::Restart, selection, &query, asker).await
}

/// Removes several workloads; the outcome has a report on each
#[utoipa::path(post, path = "/api/v1beta/workloads/delete", operation_id = "removeWorkloads", tag = "workloads",
    params(
        EndQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeated with it, this is the same operation")
    ),
    request_body = Selection,
    responses(
        (status = 200, description = "With `wait=true`, once it is done", body = Operation),
        (status = 202, description = "It is under way", headers(("Location" = String, description = "The operation"))),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn delete_several(
    State(api): State<Arc<Api>>,
    Asked(query): Asked<EndQuery>,
    asker: Asker,
    Json(selection): Json<Selection>,
) -> Result<Response, Problem> {
    several(&api, Kind::Remove, selection, &query, asker).await
}
