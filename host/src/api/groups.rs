//! Groups: what workloads are listed under. One exists as long as a workload names it; `default` always does.
use crate::api::body::Part;
use crate::api::problem::Problem;
use crate::api::state::Api;
use axum::Json as Answer;
use axum::extract::State;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wharf_model::{Error, ErrorKind};

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
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

fn names(api: &Api) -> Result<BTreeSet<String>, Error> {
    let context = api.context()?;
    let configs = context.store().list_run_configs()?;
    let mut names: BTreeSet<String> =
        configs.into_iter().filter_map(|(_, config)| Some(config.ok()?.group)).collect();
    names.insert("default".to_owned());
    names.retain(|name| !name.is_empty());
    Ok(names)
}

fn group(name: String) -> Group {
    Group { name, registered_clients: Vec::new() }
}

/// The groups that workloads name
#[utoipa::path(get, path = "/api/v1beta/groups", tag = "groups", responses(
    (status = 200, body = GroupList),
    (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
))]
async fn list(State(api): State<Arc<Api>>) -> Result<Answer<GroupList>, Problem> {
    Ok(Answer(GroupList { groups: names(&api)?.into_iter().map(group).collect() }))
}

/// One group
#[utoipa::path(get, path = "/api/v1beta/groups/{name}", tag = "groups",
    params(("name" = String, Path, description = "Its name")),
    responses(
        (status = 200, body = Group),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn get(State(api): State<Arc<Api>>, Part(name): Part) -> Result<Answer<Group>, Problem> {
    if names(&api)?.contains(&name) {
        return Ok(Answer(group(name)));
    }
    Err(Error::new(ErrorKind::NotFound, format!("there is no group '{name}'")).into())
}
