//! Performs a change through the command layer: the one place of this API that changes anything.
use crate::api::change::Change;
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

/// The workload that was changed, and the outcome.
pub(crate) async fn perform(
    host: &Arc<Host>,
    change: &Change,
    cancel: CancellationToken,
    progress: &mut dyn Progress,
) -> Result<(Vec<String>, Value)> {
    let context = host.context()?;
    match change {
        Change::Create(request) => {
            let request = request.to_run_request()?;
            let ends = Ends::Asked(cancel);
            let started = commands::run_until(&context, &request, true, progress, ends).await?;
            Ok((vec![started.name.clone()], told(&started)?))
        }
        Change::One(kind, name, timeout) => {
            let outcome = one(&context, *kind, name, *timeout, cancel, progress).await?;
            Ok((vec![name.to_string()], outcome))
        }
        Change::Several(kind, names, timeout) => {
            let each = stream::iter(names.clone()).map(|name| {
                let (host, cancel) = (host.clone(), cancel.clone());
                async move { several(&host, *kind, &name, *timeout, cancel).await }
            });
            let reports: Vec<Value> = each.buffered(AT_A_TIME).collect().await;
            Ok((change.workloads(), Value::Array(reports)))
        }
    }
}

/// One of several; what fails of it is in its report.
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
    let mut ends = Ends::Asked(cancel);
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
        Kind::Create => Err(Error::new(ErrorKind::Failed, "a workload is created by its description")),
    }
}

fn told(outcome: &impl Serialize) -> Result<Value> {
    serde_json::to_value(outcome)
        .map_err(|error| Error::caused(ErrorKind::Failed, "the outcome cannot be told", &error))
}
