//! `logs`: the workload's output from its owner, or the supervisor's own log.
use crate::commands::context::Context;
use crate::commands::lookup::{connect_to_owner, find_handle, read_record, read_run_config};
use std::path::PathBuf;
use tokio::io::AsyncRead;
use wharf_model::{Advice, WorkloadName};
use wharf_model::{Error, ErrorKind, Result};
use wharf_sdk::LogOptions;

/// The log to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSource {
    /// The workload's output.
    Workload,
    /// The supervisor's log.
    Proxy,
}

/// A log, to be read to its end; with `follow` it has none.
pub type LogReader = Box<dyn AsyncRead + Send + Unpin>;

/// Opens the workload's log, through its owner.
pub async fn logs(context: &Context, name: &WorkloadName, options: LogOptions) -> Result<LogReader> {
    let run = read_run_config(context, name)?;
    if run.is_remote() {
        let message = format!("'{name}' is a remote server, whose output is not seen here");
        return Err(Error::new(ErrorKind::NotFound, message)
            .advise(Advice::ReadSupervisorLog { name: name.to_string() }));
    }
    let record = read_record(context, name)?;
    let client = connect_to_owner(context, &run).await?;
    let Some(handle) = find_handle(context, &run, record.as_ref(), &client).await? else {
        return Err(Error::new(ErrorKind::NotFound, format!("'{name}' has not run yet, so it has no log")));
    };
    let log = client.logs(&handle, options).await?;
    log.into_reader().map_err(|error| Error::caused(ErrorKind::Failed, "the log cannot be read", &error))
}

/// The file of the supervisor's log. Needs no owner.
pub fn proxy_log(context: &Context, name: &WorkloadName) -> Result<PathBuf> {
    let path = wharf_supervisor::log_path(context.store().state(), name);
    if !path.exists() {
        // If the workload does not exist, that is the error.
        read_run_config(context, name)?;
        return Err(Error::new(ErrorKind::NotFound, format!("'{name}' has no supervisor's log yet")));
    }
    Ok(path)
}
