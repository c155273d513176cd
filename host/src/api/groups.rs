//! Groups: what workloads are listed under. One exists as long as a workload names it, or until it is removed where a client
//! has made it; `default` always does.
use crate::api::answers::outcome;
use crate::api::body::{Asked, Json, Part};
use crate::api::change::Change;
use crate::api::group_files;
use crate::api::problem::Problem;
use crate::api::state::{Api, Asker};
use crate::commands;
use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wharf_model::{Error, ErrorKind};

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, remove))
}

/// A group, in ToolHive's shape.
#[derive(Serialize, ToSchema)]
pub(crate) struct Group {
    /// Its name.
    name: String,
    /// wharf registers no clients.
    registered_clients: Vec<String>,
}

/// The groups.
#[derive(Serialize, ToSchema)]
pub(crate) struct GroupList {
    /// By name.
    groups: Vec<Group>,
}

fn group(name: String) -> Group {
    Group { name, registered_clients: Vec::new() }
}

/// The groups that workloads name
#[utoipa::path(get, path = "/api/v1beta/groups", operation_id = "listGroups", tag = "groups", responses(
    (status = 200, body = GroupList),
    (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
))]
async fn list(State(api): State<Arc<Api>>) -> Result<Answer<GroupList>, Problem> {
    let all = group_files::all(&api.context()?)?;
    Ok(Answer(GroupList { groups: all.into_iter().map(group).collect() }))
}

/// One group
#[utoipa::path(get, path = "/api/v1beta/groups/{name}", operation_id = "getGroup", tag = "groups",
    params(("name" = String, Path, description = "Its name")),
    responses(
        (status = 200, body = Group),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn get(State(api): State<Arc<Api>>, Part(name): Part) -> Result<Answer<Group>, Problem> {
    must_exist(&api, &name)?;
    Ok(Answer(group(name)))
}

fn must_exist(api: &Api, name: &str) -> Result<(), Error> {
    group_files::must_exist(&api.context()?, name)
}

/// A group to make, in ToolHive's shape.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGroup {
    /// Its name.
    name: String,
}

/// The name of a group, in ToolHive's shape.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeGroup {
    /// Its name.
    name: String,
}

/// Makes a group that no workload need name
#[utoipa::path(post, path = "/api/v1beta/groups", operation_id = "createGroup", tag = "groups",
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeated with it, this is the same operation")),
    request_body = NewGroup,
    responses(
        (status = 201, body = MadeGroup, headers(("Location" = String, description = "The operation"))),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn create(
    State(api): State<Arc<Api>>,
    asker: Asker,
    Json(new): Json<NewGroup>,
) -> Result<Response, Problem> {
    commands::check_group(&new.name)?;
    let asked = Change::CreateGroup(new.name.clone());
    let operation = api.operations.begin(&asked, asker.parts(), asked.as_it_is()).await?;
    Ok(outcome(&api, operation, |_| {
        (StatusCode::CREATED, Answer(MadeGroup { name: new.name })).into_response()
    })
    .await)
}

/// What becomes of its workloads.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemovalQuery {
    /// They are removed, too; else they are listed under the default group.
    #[serde(rename = "with-workloads")]
    #[param(rename = "with-workloads")]
    with_workloads: Option<bool>,
}

/// Removes a group; its workloads too, if that is asked for
#[utoipa::path(delete, path = "/api/v1beta/groups/{name}", operation_id = "removeGroup", tag = "groups",
    params(
        ("name" = String, Path, description = "Its name"),
        RemovalQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeated with it, this is the same operation")
    ),
    responses(
        (status = 204, description = "It is removed", headers(("Location" = String, description = "The operation"))),
        (status = 202, description = "It is under way", headers(("Location" = String, description = "The operation"))),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn remove(
    State(api): State<Arc<Api>>,
    Part(name): Part,
    Asked(query): Asked<RemovalQuery>,
    asker: Asker,
) -> Result<Response, Problem> {
    if name == commands::DEFAULT_GROUP {
        return Err(Error::new(ErrorKind::Usage, "the default group is not removed").into());
    }
    let asked = Change::RemoveGroup(name.clone(), query.with_workloads.unwrap_or(false));
    let change = {
        let (api, asked) = (api.clone(), asked.clone());
        move || must_exist(&api, &name).map(|()| asked)
    };
    let operation = api.operations.begin(&asked, asker.parts(), change).await?;
    Ok(outcome(&api, operation, |_| StatusCode::NO_CONTENT.into_response()).await)
}
