//! `status` and `export`: one workload in depth.
use crate::commands::context::Context;
use crate::commands::list::{view, with_socket};
use crate::commands::lookup::{connect_to_owner, find_handle, read_run_config};
use crate::commands::url::shown_url;
use crate::commands::view::WorkloadView;
use serde::Serialize;
use std::time::Duration;
use wharf_model::Result;
use wharf_model::{RunConfig, StatusRecord, WorkloadName};
use wharf_sdk::{Capability, Confinement};
use wharf_supervisor::client::control;
use wharf_supervisor::{SupervisorReport, last_words, log_path};

/// How long a supervisor may take to tell about itself, its server's answer included.
const REPORT_DEADLINE: Duration = Duration::from_secs(5);

/// One workload in depth.
#[derive(Clone, Debug, Serialize)]
pub struct StatusReport {
    /// As the list shows it, but for the secret part of its URL: this is what users post when they ask for help.
    pub workload: WorkloadView,
    /// The endpoint through which its owner is reached.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime_endpoint: String,
    /// What is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<StatusRecord>,
    /// What holds it back, as its owner says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confinement: Option<Confinement>,
    /// What its supervisor says; none where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supervisor: Option<SupervisorReport>,
    /// Why its last supervisor ended in the middle of its work, as that said itself; told while it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supervisor_end: Option<String>,
}

/// One workload in depth. Writes nothing.
pub async fn status(context: &Context, name: &WorkloadName) -> Result<StatusReport> {
    let run = read_run_config(context, name)?;
    let (workload, recorded, confinement) = view(context, &run).await?;
    let mut workload = with_socket(context, workload, &run);
    if workload.is_reachable() {
        workload.url = shown_url(&run);
    }
    let confinement = match confinement {
        // Listings of engines do not say everything.
        None => inspected(context, &run, recorded.as_ref()).await,
        told => told,
    };
    let supervisor = control::report(context.store().state(), name, REPORT_DEADLINE).await.ok();
    let log = log_path(context.store().state(), name);
    // One that ended as it should has said nothing of the kind, or a later one has recorded its own end.
    let is_missed = recorded.as_ref().is_some_and(|record| record.supervisor.is_some());
    let supervisor_end = if supervisor.is_none() && is_missed { last_words(&log, 0) } else { None };
    let runtime_endpoint = run.runtime_endpoint;
    Ok(StatusReport { workload, runtime_endpoint, recorded, confinement, supervisor, supervisor_end })
}

/// What holds a workload back, as its owner tells of it alone; none where that is not to be had.
async fn inspected(context: &Context, run: &RunConfig, record: Option<&StatusRecord>) -> Option<Confinement> {
    let client = connect_to_owner(context, run).await.ok()?;
    if !client.stamp().has(&Capability::PERMISSION_PROFILE) {
        return None;
    }
    let handle = find_handle(context, run, record, &client).await.ok()??;
    client.inspect(&handle).await.ok()?.confinement
}

/// The RunConfig of a workload, to be given to `run --from-config`.
pub fn export(context: &Context, name: &WorkloadName) -> Result<RunConfig> {
    read_run_config(context, name)
}
