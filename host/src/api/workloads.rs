//! Workloads: list, create, look at, remove.
use crate::api::answers::{
    Created, EndQuery, StatusAnswer, WaitQuery, WorkloadList, accepted, as_it_is, outcome, workload_name,
};
use crate::api::body::{Asked, Json, Part};
use crate::api::change::Change;
use crate::api::create_request::{CreateRequest, Described};
use crate::api::group_files;
use crate::api::operation::{Kind, Operation};
use crate::api::problem::Problem;
use crate::api::state::{Api, Asker};
use crate::commands::{self, ListOptions};
use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wharf_model::{Error, ErrorKind};

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, remove))
        .routes(routes!(status))
        .routes(routes!(export))
        .routes(routes!(url))
}

/// Which workloads.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// `true`: also those that do not run and should not. Anything else, as with ToolHive, lists the others alone.
    #[param(value_type = Option<bool>)]
    all: Option<String>,
    /// Only those of this group; one that is not there is 404.
    group: Option<String>,
    /// Only those of this runtime; one that neither a plugin nor a workload has is 400.
    runtime: Option<String>,
    /// Only those with this label, as KEY=VALUE.
    label: Option<String>,
}

impl ListQuery {
    fn options(self) -> Result<ListOptions, Error> {
        let mut labels = BTreeMap::new();
        if let Some(label) = self.label {
            let (key, value) = label
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .ok_or_else(|| Error::new(ErrorKind::Usage, "'label' is KEY=VALUE"))?;
            labels.insert(key.to_owned(), value.to_owned());
        }
        let group = self.group.filter(|group| !group.is_empty());
        let all = self.all.as_deref() == Some("true");
        Ok(ListOptions { all, runtime: self.runtime, group, labels })
    }
}

/// The workloads; those that run or should, unless all are asked for
#[utoipa::path(get, path = "/api/v1beta/workloads", operation_id = "listWorkloads", tag = "workloads", params(ListQuery), responses(
    (status = 200, body = WorkloadList),
    (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
))]
async fn list(State(api): State<Arc<Api>>, Asked(query): Asked<ListQuery>) -> Result<Response, Problem> {
    let options = query.options()?;
    let make = {
        let (api, options) = (api.clone(), options.clone());
        move || async move { listed(&api, &options).await }
    };
    let body = api.listings.ask(options, make).await?;
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// The body of a list.
async fn listed(api: &Api, options: &ListOptions) -> Result<Bytes, Problem> {
    if let Some(runtime) = &options.runtime {
        api.host.take_back(runtime);
    }
    let context = api.context()?;
    if let Some(runtime) = &options.runtime {
        commands::must_know_runtime(&context, runtime).map_err(|error| match error.kind {
            // A name that nobody provides is the request's fault, and no trouble that passes by itself.
            ErrorKind::Owner => Error { kind: ErrorKind::Usage, ..error },
            _ => error,
        })?;
    }
    if let Some(group) = &options.group {
        group_files::must_exist(&context, group)?;
    }
    let workloads = commands::list(&context, options).await?;
    let body = serde_json::to_vec(&WorkloadList { workloads })
        .map_err(|error| Error::caused(ErrorKind::Failed, "the list cannot be told", &error))?;
    Ok(body.into())
}

/// Creates a workload and starts it
///
/// Answers when it is ready, or with `wait=false` at once: 202, with the operation in `Location`.
#[utoipa::path(post, path = "/api/v1beta/workloads", operation_id = "createWorkload", tag = "workloads",
    params(
        WaitQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeated with it, this is the same operation")
    ),
    request_body = Described,
    responses(
        (status = 201, body = Created, headers(("Location" = String, description = "The operation"))),
        (status = 202, description = "It is under way", headers(("Location" = String, description = "The operation"))),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn create(
    State(api): State<Arc<Api>>,
    Asked(query): Asked<WaitQuery>,
    asker: Asker,
    Json(request): Json<CreateRequest>,
) -> Result<Response, Problem> {
    // A request that makes no sense by itself begins no operation.
    let run = request.to_run_request()?;
    commands::check_request(&run)?;
    commands::check_group(&run.group)?;
    let asked = Change::Create(Box::new(request));
    let change = api.on_a_runtime_there(&asked);
    let operation = api.operations.begin(&asked, asker.parts(), change).await?;
    if query.wait == Some(false) {
        return Ok(accepted(&operation));
    }
    Ok(outcome(&api, operation, |operation| created(&api, operation)).await)
}

fn created(api: &Api, operation: Operation) -> Response {
    match Created::of(api, operation) {
        Ok(created) => (StatusCode::CREATED, Answer(created)).into_response(),
        Err(error) => Problem::from(error).into_response(),
    }
}

/// The description that a workload was made from
#[utoipa::path(get, path = "/api/v1beta/workloads/{name}", operation_id = "getWorkload", tag = "workloads",
    params(("name" = String, Path, description = "Its name")),
    responses(
        (status = 200, body = Described),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn get(State(api): State<Arc<Api>>, Part(name): Part) -> Result<Answer<Described>, Problem> {
    let run = commands::export(&api.context()?, &workload_name(&name)?)?;
    Ok(Answer(Described::of(&run)))
}

/// Removes a workload; one that runs is stopped first
#[utoipa::path(delete, path = "/api/v1beta/workloads/{name}", operation_id = "removeWorkload", tag = "workloads",
    params(
        ("name" = String, Path, description = "Its name"),
        EndQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeated with it, this is the same operation")
    ),
    responses(
        (status = 200, description = "With `wait=true`, once it is removed", body = Operation),
        (status = 202, description = "It is under way", headers(("Location" = String, description = "The operation"))),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn remove(
    State(api): State<Arc<Api>>,
    Part(name): Part,
    Asked(query): Asked<EndQuery>,
    asker: Asker,
) -> Result<Response, Problem> {
    let asked = Change::One(Kind::Remove, workload_name(&name)?, query.stop_timeout()?);
    let operation = api.operations.begin(&asked, asker.parts(), api.existing(&asked)).await?;
    match query.wait {
        Some(true) => Ok(outcome(&api, operation, as_it_is).await),
        _ => Ok(accepted(&operation)),
    }
}

/// The state of a workload, and what is known of it in depth
#[utoipa::path(get, path = "/api/v1beta/workloads/{name}/status", operation_id = "getWorkloadStatus", tag = "workloads",
    params(("name" = String, Path, description = "Its name")),
    responses(
        (status = 200, body = StatusAnswer),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn status(State(api): State<Arc<Api>>, Part(name): Part) -> Result<Answer<StatusAnswer>, Problem> {
    let name = workload_name(&name)?;
    api.must_exist(&name)?;
    let report = commands::status(&api.context()?, &name).await?;
    Ok(Answer(StatusAnswer { status: report.workload.status, report }))
}

/// Its RunConfig, as the command line exports it
#[utoipa::path(get, path = "/api/v1beta/workloads/{name}/export", operation_id = "exportWorkload", tag = "workloads",
    params(("name" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The RunConfig", body = ref("#/components/schemas/RunConfig")),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn export(State(api): State<Arc<Api>>, Part(name): Part) -> Result<Response, Problem> {
    let run = commands::export(&api.context()?, &workload_name(&name)?)?;
    Ok(Answer(run).into_response())
}

/// Where clients reach a workload, and what they must know.
#[derive(Serialize, ToSchema)]
pub(crate) struct Url {
    /// Its name.
    name: String,
    /// The URL, with its secret part if there is one.
    url: String,
    /// Whom the proxy serves: none, path or bearer.
    auth: &'static str,
    /// The token that clients send, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// The Unix socket on which its user is served without either, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    unix_socket: Option<String>,
}

/// Where clients reach it, with the secret part
#[utoipa::path(get, path = "/api/v1beta/workloads/{name}/url", operation_id = "getWorkloadUrl", tag = "workloads",
    params(("name" = String, Path, description = "Its name")),
    responses(
        (status = 200, body = Url),
        (status = "default", description = "Why not", body = Problem, content_type = "application/problem+json")
    )
)]
async fn url(State(api): State<Arc<Api>>, Part(name): Part) -> Result<Answer<Url>, Problem> {
    let url = commands::url(&api.context()?, &workload_name(&name)?)?;
    Ok(Answer(Url {
        name: url.name,
        url: url.url,
        auth: url.auth.as_str(),
        token: url.token.map(|token| token.expose().to_owned()),
        unix_socket: url.unix_socket.map(|path| path.display().to_string()),
    }))
}
