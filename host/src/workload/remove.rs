//! `rm`.
use super::manager::Manager;
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint::{Point, reach};
use crate::status::{Event, OperationLock, RunConfig, StatusRecord, WorkloadName};
use crate::supervise::control;
use std::time::Duration;
use wharf_sdk::ErrorCode;

impl Manager {
    /// Removes a workload, stopping it if it runs: its resources first, then its status, the RunConfig last. Its logs
    /// stay.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Owner`] with nothing changed where the owner is absent or another one (R08).
    pub async fn remove(&self, name: &WorkloadName, timeout: Duration) -> Result<()> {
        self.run_config(name)?;
        let operation = self.lock_to_end(name).await?;
        if self.is_gone(name) {
            // It was being created; that was given up for this command.
            return Ok(());
        }
        let run = self.run_config(name)?;
        let record = self.record_or_set_aside(&operation)?;
        let removing = record.is_some_and(|record| record.phase == crate::status::Phase::Removing);
        if !removing {
            self.stop_locked(name, &operation, timeout).await?;
        }
        self.remove_locked(&run, &operation).await
    }

    pub(super) async fn remove_locked(&self, run: &RunConfig, operation: &OperationLock) -> Result<()> {
        let client = self.owner(run).await?;
        let record = self.store().update_status::<Error>(&run.name, &run.uid, |record| {
            let mut record = record.unwrap_or_else(|| StatusRecord::new(run.uid.clone()));
            record
                .apply(Event::RemoveBegun)
                .map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))?;
            Ok(record)
        })?;
        reach(Point::RemovalRecorded);
        // A removal that was interrupted may have left a supervisor at work.
        operation.supervisor_gone(Duration::from_secs(30)).await.map_err(|_| {
            Error::new(ErrorKind::Deadline, format!("the supervisor of '{}' does not end", run.name))
        })?;
        if let Some(handle) = self.handle(run, Some(&record), &client).await? {
            match client.remove(&handle).await {
                Err(error) if error.code() != Some(ErrorCode::NotFound) => return Err(error.into()),
                _ => {}
            }
        }
        // A restart that was cut short left what its record does not name. Where the runtime cannot tell, what the
        // record names is gone all the same, and anything else is an orphan that `list --all` shows.
        if let Ok(Some(left)) = client.find(&self.host_id()?, run.uid.as_str()).await {
            match client.remove(&left).await {
                Err(error) if error.code() != Some(ErrorCode::NotFound) => return Err(error.into()),
                _ => {}
            }
        }
        if let Err(error) = control::clear(self.store().state(), &run.name) {
            tracing::warn!(name = %run.name, %error, "the control socket of a dead supervisor stays");
        }
        self.store().remove_status(&run.name, &run.uid)?;
        reach(Point::StatusRemoved);
        self.store().remove_run_config(&run.name, &run.uid)?;
        reach(Point::RunConfigRemoved);
        Ok(())
    }
}
