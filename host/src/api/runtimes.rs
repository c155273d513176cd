//! Runtimes, from the manifests of their plugins; none of them is loaded.
use crate::api::body::Part;
use crate::api::problem::Problem;
use crate::api::state::Api;
use crate::commands::Context;
use axum::Json as Answer;
use axum::extract::State;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wharf_model::{Error, ErrorKind};

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

/// A runtime that can be used.
#[derive(Serialize, ToSchema)]
pub(crate) struct RuntimeAnswer {
    /// Its name.
    name: String,
    /// The plugin that provides it.
    plugin: String,
    /// The version of that.
    version: String,
    /// The version of the interface that it was built for.
    abi: String,
    /// Its file.
    file: String,
    /// Its capabilities.
    capabilities: Vec<String>,
    /// Which kinds of servers it runs.
    accepts: Vec<String>,
    /// Which one is taken where several come into question: the highest.
    priority: i32,
}

/// The runtimes.
#[derive(Serialize, ToSchema)]
pub(crate) struct RuntimeList {
    /// By name.
    runtimes: Vec<RuntimeAnswer>,
}

impl RuntimeList {
    /// Those that can be used now.
    pub(crate) fn of(context: &Context) -> Self {
        Self { runtimes: runtimes(context) }
    }
}

fn runtimes(context: &Context) -> Vec<RuntimeAnswer> {
    let catalog = context.plugins().catalog();
    let mut all: Vec<_> = catalog
        .runtimes()
        .iter()
        .filter(|provided| !provided.shadowed)
        .filter_map(|provided| {
            let stamp = provided.library.stamp.as_ref().ok()?;
            Some(RuntimeAnswer {
                name: provided.runtime.name.clone(),
                plugin: stamp.plugin.clone(),
                version: stamp.version.clone(),
                abi: stamp.abi.clone(),
                file: provided.library.path.display().to_string(),
                capabilities: provided.runtime.capabilities.iter().map(|it| it.as_str().to_owned()).collect(),
                accepts: provided.runtime.accepts.clone(),
                priority: provided.runtime.priority,
            })
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// The runtimes
#[utoipa::path(get, path = "/api/v1beta/runtimes", operation_id = "listRuntimes", tag = "runtimes", responses(
    (status = 200, body = RuntimeList),
    (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
))]
async fn list(State(api): State<Arc<Api>>) -> Result<Answer<RuntimeList>, Problem> {
    Ok(Answer(RuntimeList::of(&api.context()?)))
}

/// One runtime
#[utoipa::path(get, path = "/api/v1beta/runtimes/{name}", operation_id = "getRuntime", tag = "runtimes",
    params(("name" = String, Path, description = "Its name")),
    responses(
        (status = 200, body = RuntimeAnswer),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn get(State(api): State<Arc<Api>>, Part(name): Part) -> Result<Answer<RuntimeAnswer>, Problem> {
    let found = runtimes(&api.context()?).into_iter().find(|runtime| runtime.name == name);
    let unknown = || Error::new(ErrorKind::NotFound, format!("there is no runtime '{name}'"));
    Ok(Answer(found.ok_or_else(unknown)?))
}
