//! Answers in ToolHive's shapes, and the way from an operation to an answer.
use crate::api::operation::Operation;
use crate::api::problem::{BASE, Problem};
use crate::api::schemas::Refer;
use crate::api::state::Api;
use crate::commands::{StatusReport, WorkloadView};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};
use wharf_model::{EffectiveState, Error, ErrorKind, Result, WorkloadName};

/// How long an answer is waited for; what takes longer is answered with the operation.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// How long a workload may take to end by itself where nothing is said.
const STOP_TIMEOUT_SECONDS: f64 = 10.0;
/// A day: what takes longer is not waited for, but a mistake.
const STOP_TIMEOUT_MAX_SECONDS: f64 = 86_400.0;

/// The workloads of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct WorkloadList {
    /// By name.
    #[schema(schema_with = Refer::workloads)]
    pub(crate) workloads: Vec<WorkloadView>,
}

/// A workload that was created. ToolHive has the name and the port.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct Created {
    /// Its name.
    pub(crate) name: String,
    /// The port of its proxy.
    pub(crate) port: u16,
    /// Its uid.
    pub(crate) uid: String,
    /// Its runtime.
    pub(crate) runtime_name: String,
    /// Where clients reach it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) url: String,
}

impl Created {
    /// Of an operation that has ended. The file of one has no URL: it is told as it is now.
    pub(crate) fn of(api: &Api, operation: Operation) -> Result<Self> {
        let mut created: Self = serde_json::from_value(operation.outcome.unwrap_or_default())
            .map_err(|error| Error::caused(ErrorKind::Failed, "the outcome makes no sense", &error))?;
        if created.url.is_empty() {
            let context = api.context()?;
            let name = workload_name(&created.name)?;
            let is_it =
                crate::commands::export(&context, &name).is_ok_and(|run| *run.uid.as_str() == *created.uid);
            if is_it && let Ok(url) = crate::commands::url(&context, &name) {
                created.url = url.url;
            }
        }
        Ok(created)
    }
}

/// The state of a workload. ToolHive has the first field.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatusAnswer {
    /// The effective state.
    #[schema(schema_with = Refer::state)]
    pub(crate) status: EffectiveState,
    /// The workload in depth.
    #[schema(schema_with = Refer::report)]
    pub(crate) report: StatusReport,
}

/// How an answer is wanted, where nothing is ended.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitQuery {
    /// Answer with the outcome; else with 202 and the operation in `Location`.
    pub(crate) wait: Option<bool>,
}

/// How an answer is wanted, where a workload is ended.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndQuery {
    /// Answer with the outcome; else with 202 and the operation in `Location`.
    pub(crate) wait: Option<bool>,
    /// Seconds that a workload may take to end by itself; 10 where nothing is said.
    #[param(minimum = 0.0, maximum = 86400.0)]
    pub(crate) timeout: Option<f64>,
}

impl From<WaitQuery> for EndQuery {
    fn from(query: WaitQuery) -> Self {
        Self { wait: query.wait, timeout: None }
    }
}

impl EndQuery {
    /// How long a workload may take to end by itself.
    pub(crate) fn stop_timeout(&self) -> Result<Duration> {
        let seconds = self.timeout.unwrap_or(STOP_TIMEOUT_SECONDS);
        if (0.0..=STOP_TIMEOUT_MAX_SECONDS).contains(&seconds) {
            return Ok(Duration::from_secs_f64(seconds));
        }
        let message = format!("'timeout' is from 0 to {STOP_TIMEOUT_MAX_SECONDS} seconds");
        Err(Error::new(ErrorKind::Usage, message))
    }
}

/// A name of a path.
pub(crate) fn workload_name(text: &str) -> Result<WorkloadName> {
    Ok(WorkloadName::new(text)?)
}

/// An answer with the operation's place beside it.
pub(crate) fn located(id: &str, answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    if let Ok(place) = HeaderValue::from_str(&format!("{BASE}/operations/{id}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

/// 202, as ToolHive answers: an empty body. The operation is in `Location`.
pub(crate) fn accepted(operation: &Operation) -> Response {
    located(&operation.id, StatusCode::ACCEPTED)
}

/// Waits for an operation: its outcome as `done` renders it, its error as a problem, or 202 where it takes too long.
pub(crate) async fn outcome(
    api: &Api,
    operation: Operation,
    done: impl FnOnce(Operation) -> Response,
) -> Response {
    let id = operation.id.clone();
    let operation = api.wait(&id, WAIT_MAX).await.unwrap_or(operation);
    match &operation.error {
        // Several workloads have a report each.
        Some(error) if operation.outcome.is_none() => located(&id, Problem::from(error.clone())),
        _ if operation.is_finished() => located(&id, done(operation)),
        _ => accepted(&operation),
    }
}

/// The operation itself, with 200.
pub(crate) fn as_it_is(operation: Operation) -> Response {
    Json(operation).into_response()
}
