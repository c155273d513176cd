//! The arguments of the tools. What a tool does not know is refused: nothing that is asked for is silently ignored.
use rmcp::model::JsonObject;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::time::Duration;
use utoipa::ToSchema;
use wharf_model::{Error, ErrorKind, Result, WorkloadName};

/// A day: what takes longer is a mistake.
const TIMEOUT_MAX_SECONDS: f64 = 86_400.0;
/// How long a workload may take to end by itself where nothing is said.
const TIMEOUT_SECONDS: f64 = 10.0;

/// Which workloads are listed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Also those that do not run and should not.
    pub(super) all: Option<bool>,
    /// Only those of this group.
    pub(super) group: Option<String>,
    /// Only those of this runtime.
    pub(super) runtime: Option<String>,
}

/// One workload.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct One {
    /// Its name.
    pub(super) name: String,
}

/// One workload that is ended.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ended {
    /// Its name.
    pub(super) name: String,
    /// Seconds that it may take to end by itself.
    pub(super) timeout: Option<f64>,
}

/// Which lines of which log.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    /// The workload's name.
    pub(super) name: String,
    /// The last so many lines; 100 where nothing is said, 1000 at most.
    pub(super) tail: Option<u64>,
    /// The log of its supervisor and proxy instead.
    pub(super) proxy: Option<bool>,
}

/// A call of a tool of a workload's server.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Calling {
    /// The workload's name.
    pub(super) name: String,
    /// The tool's name; without it, the server's tools are listed.
    pub(super) tool: Option<String>,
    /// Its arguments.
    #[schema(value_type = Option<Object>)]
    pub(super) arguments: Option<Map<String, Value>>,
}

/// No arguments.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Reads the arguments of a tool.
pub(super) fn read<T: DeserializeOwned>(arguments: Option<&JsonObject>) -> Result<T> {
    let arguments = Value::Object(arguments.cloned().unwrap_or_default());
    serde_json::from_value(arguments)
        .map_err(|error| Error::caused(ErrorKind::Usage, "the arguments make no sense", &error))
}

/// A name of a workload.
pub(super) fn name(text: &str) -> Result<WorkloadName> {
    Ok(WorkloadName::new(text)?)
}

/// How long a workload may take to end by itself.
pub(super) fn timeout(seconds: Option<f64>) -> Result<Duration> {
    let seconds = seconds.unwrap_or(TIMEOUT_SECONDS);
    if (0.0..=TIMEOUT_MAX_SECONDS).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(Error::new(ErrorKind::Usage, format!("'timeout' is from 0 to {TIMEOUT_MAX_SECONDS} seconds")))
}
