//! Performs a change through the command layer: the one place of this API that changes anything.
use crate::api::change::Change;
use crate::api::group_files;
use crate::api::operation::Kind;
use crate::commands::{self, Context, Ends, Host};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use wharf_model::{Error, ErrorKind, Result, WorkloadName};
use wharf_supervisor::Progress;

/// So many workloads are worked on at a time.
const AT_A_TIME: usize = 8;
/// How long the workloads of a group that is removed may take to end by themselves.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The outcome of a change.
pub(crate) struct Performed {
    /// The workloads that were changed.
    pub(crate) workloads: Vec<String>,
    /// The outcome; of several workloads, the reports on them.
    pub(crate) outcome: Value,
    /// Of several: all of them failed, or this is why.
    pub(crate) failed: Option<Error>,
}

impl Performed {
    fn one(name: String, outcome: Value) -> Self {
        Self { workloads: vec![name], outcome, failed: None }
    }
}

/// Performs a change.
pub(crate) async fn perform(
    host: &Arc<Host>,
    change: &Change,
    cancel: CancellationToken,
    progress: &mut dyn Progress,
) -> Result<Performed> {
    let context = host.context()?;
    match change {
        Change::Create(request) => {
            let request = request.to_run_request()?;
            let ends = Ends::Served(cancel);
            let started = commands::run_until(&context, &request, true, progress, ends).await?;
            Ok(Performed::one(started.name.clone(), told(&started)?))
        }
        Change::Edit(name, described, timeout) => {
            let change = |before| described.change(before);
            let ends = Ends::Served(cancel);
            let edited = commands::edit_until(&context, name, &change, *timeout, progress, ends).await?;
            Ok(Performed::one(edited.name.clone(), told(&edited)?))
        }
        Change::One(kind, name, timeout) => {
            let outcome = one(&context, *kind, name, *timeout, cancel, progress).await?;
            Ok(Performed::one(name.to_string(), outcome))
        }
        Change::CreateGroup(name) => {
            group_files::make(&context, name)?;
            Ok(Performed { workloads: Vec::new(), outcome: json!({ "name": name }), failed: None })
        }
        Change::RemoveGroup(name, with_workloads) => {
            let workloads = remove_group(&context, name, *with_workloads).await?;
            let outcome = json!({ "name": name, "result": "removed" });
            Ok(Performed { workloads, outcome, failed: None })
        }
        Change::Several(kind, names, timeout) => {
            let each = stream::iter(names.clone()).map(|name| {
                let (host, cancel) = (host.clone(), cancel.clone());
                async move { several(&host, *kind, &name, *timeout, cancel).await }
            });
            let reports: Vec<Value> = each.buffered(AT_A_TIME).collect().await;
            let failed = reports.iter().filter(|report| report["result"] == "failed").count();
            // Where some were changed, their reports tell which; where none was, nothing was done.
            let failed = (failed > 0 && failed == reports.len()).then(|| {
                let kind = serde_json::from_value(reports[0]["error"]["kind"].clone());
                let message = format!("all {failed} of them failed; the reports say why");
                Error::new(kind.unwrap_or(ErrorKind::Failed), message)
            });
            Ok(Performed { workloads: change.workloads(), outcome: Value::Array(reports), failed })
        }
    }
}

/// The group goes last: what is interrupted can be asked for again.
async fn remove_group(context: &Context, group: &str, with_workloads: bool) -> Result<Vec<String>> {
    let names = commands::names(context, Some(group))?;
    for name in &names {
        if with_workloads {
            commands::remove(context, name, REMOVE_TIMEOUT).await?;
        } else {
            commands::move_to_group(context, name, commands::DEFAULT_GROUP).await?;
        }
    }
    group_files::forget(context, group)?;
    Ok(names.iter().map(ToString::to_string).collect())
}

/// The change of one workload among several; its failure is in its report.
async fn several(
    host: &Arc<Host>,
    kind: Kind,
    name: &WorkloadName,
    timeout: Duration,
    cancel: CancellationToken,
) -> Value {
    let done = async {
        let context = host.context()?;
        one(&context, kind, name, timeout, cancel, &mut ()).await
    };
    match done.await {
        Ok(outcome) => outcome,
        Err(error) => json!({ "name": name, "result": "failed", "error": error }),
    }
}

async fn one(
    context: &Context,
    kind: Kind,
    name: &WorkloadName,
    timeout: Duration,
    cancel: CancellationToken,
    progress: &mut dyn Progress,
) -> Result<Value> {
    let mut ends = Ends::Served(cancel);
    match kind {
        Kind::Start => told(&commands::start_until(context, name, true, progress, Some(&mut ends)).await?),
        Kind::Restart => {
            told(&commands::restart_until(context, name, timeout, true, progress, Some(&mut ends)).await?)
        }
        Kind::Stop => told(&commands::stop(context, name, timeout).await?),
        Kind::Remove => {
            commands::remove(context, name, timeout).await?;
            Ok(json!({ "name": name, "result": "removed" }))
        }
        Kind::Create | Kind::Edit | Kind::CreateGroup | Kind::RemoveGroup => {
            Err(Error::new(ErrorKind::Failed, "this is not done with a workload that exists"))
        }
    }
}

fn told(outcome: &impl Serialize) -> Result<Value> {
    serde_json::to_value(outcome)
        .map_err(|error| Error::caused(ErrorKind::Failed, "the outcome cannot be told", &error))
}
