//! `status` and `export`: everything about one workload.
use crate::commands::context::Context;
use crate::commands::list::{view, with_socket};
use crate::commands::lookup::{connect_to_owner, find_handle, read_run_config};
use crate::commands::url::shown_url;
use crate::commands::view::WorkloadView;
use serde::Serialize;
use std::time::Duration;
use wharf_model::{Advice, Instances, Result, RunConfig, Setting, StatusRecord, WorkloadName};
use wharf_sdk::{Capability, Confinement};
use wharf_supervisor::client::control;
use wharf_supervisor::{SupervisorReport, last_words, log_path};

/// How long a supervisor may take to report, including its server's answer to a ping.
const REPORT_DEADLINE: Duration = Duration::from_secs(5);

/// How long an owner that has answered once may take to tell the details.
const DETAILS_DEADLINE: Duration = Duration::from_secs(10);

/// Everything about one workload.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatusReport {
    /// The row of the list, with the secret part of the URL hidden: users post this output when they ask for help.
    pub workload: WorkloadView,
    /// The endpoint through which its owner is reached.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime_endpoint: String,
    /// The status record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<StatusRecord>,
    /// Its confinement, as its owner reports it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confinement: Option<Confinement>,
    /// Its supervisor's report; none if it has no supervisor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supervisor: Option<SupervisorReport>,
    /// The reason why its last supervisor ended in the middle of its work, from its log; only while it has no supervisor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supervisor_end: Option<String>,
}

/// Everything about one workload. Writes nothing.
pub async fn status(context: &Context, name: &WorkloadName) -> Result<StatusReport> {
    let run = read_run_config(context, name)?;
    // Asked at the same time: an engine that is silent, and a server that does not answer, cost the longer of both waits.
    let (seen, supervisor) =
        tokio::join!(view(context, &run), control::report(context.store().state(), name, REPORT_DEADLINE));
    let (workload, recorded, confinement) = seen?;
    let supervisor = supervisor.ok();
    let mut workload = with_socket(context, workload, &run);
    if workload.is_reachable() {
        workload.url = shown_url(&run);
    }
    let confinement = match confinement {
        // The engine is silent, or away: it is not waited for again.
        None if workload.stale => None,
        // A listing of an engine does not have every detail, so the workload is inspected.
        None => {
            let inspected = inspected(context, &run, recorded.as_ref());
            tokio::time::timeout(DETAILS_DEADLINE, inspected).await.ok().flatten()
        }
        told => told,
    };
    if run.instances.is_shared() && supervisor.as_ref().is_some_and(SupervisorReport::could_not_ask) {
        let value = Some(Instances::PerSession.as_str().to_owned());
        workload.advice.push(Advice::Choose { setting: Setting::Instances, value });
    }
    let log = log_path(context.store().state(), name);
    // Only if the record still names a supervisor: one that ended as it should has removed itself from the record.
    let is_missed = recorded.as_ref().is_some_and(|record| record.supervisor.is_some());
    let supervisor_end = if supervisor.is_none() && is_missed { last_words(&log, 0) } else { None };
    let runtime_endpoint = run.runtime_endpoint;
    Ok(StatusReport { workload, runtime_endpoint, recorded, confinement, supervisor, supervisor_end })
}

/// The confinement of a workload, from an inspection; none if the owner cannot be asked.
async fn inspected(context: &Context, run: &RunConfig, record: Option<&StatusRecord>) -> Option<Confinement> {
    let client = connect_to_owner(context, run).await.ok()?;
    if !client.stamp().has(&Capability::PERMISSION_PROFILE) {
        return None;
    }
    let handle = find_handle(context, run, record, &client).await.ok()??;
    client.inspect(&handle).await.ok()?.confinement
}

/// The RunConfig of a workload, in the form that `run --from-config` takes.
pub fn export(context: &Context, name: &WorkloadName) -> Result<RunConfig> {
    // The workload before an edit that is not settled is no part of it now.
    Ok(RunConfig { previous: None, ..read_run_config(context, name)? })
}
