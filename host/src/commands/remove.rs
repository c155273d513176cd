//! `rm`.
use crate::commands::context::{AtOwner, Manager};
use std::time::Duration;
use wharf_failpoint::{Point, reach};
use wharf_model::{Desired, Event, RunConfig, StatusRecord, WorkloadName};
use wharf_model::{Error, ErrorKind, Result};
use wharf_records::OperationLock;
use wharf_runtimes::{CallError, handle_of, look, prove_gone};
use wharf_sdk::ErrorCode;
use wharf_supervisor::client::control;

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
        let removing = record.is_some_and(|record| record.phase == wharf_model::Phase::Removing);
        let owner = match removing {
            true => self.owner_of(&run).await?,
            false => self.stop_at_owner(name, &operation, timeout, Desired::Stopped).await?.1,
        };
        self.remove_at_owner(&run, &operation, owner).await
    }

    /// The owner, asked what it has of the workload. R03: of a remote server no runtime has anything.
    async fn owner_of(&self, run: &RunConfig) -> Result<Option<AtOwner>> {
        if run.is_remote() { Ok(None) } else { self.ask_owner(run).await.map(Some) }
    }

    /// Everything that the owner has of it, and the proof that it was the owner who said so.
    async fn remove_resources(&self, run: &RunConfig, record: &StatusRecord, owner: &AtOwner) -> Result<()> {
        let client = &owner.client;
        let missing_is_fine = |removed: std::result::Result<(), CallError>| match removed {
            Err(error) if error.code() != Some(ErrorCode::NotFound) => Err(Error::from(error)),
            _ => Ok(()),
        };
        let handle = handle_of(Some(record))?.or(owner.shown_handle(run)?);
        if let Some(handle) = handle.or_else(|| run.taken_over()) {
            missing_is_fine(client.remove(&handle).await)?;
        }
        let host_id = self.host_id()?;
        // A restart that was cut short left what its record does not name.
        let Some(left) = look(client, &host_id, run).await? else { return Ok(()) };
        if let Some(handle) = &left.handle {
            missing_is_fine(client.remove(handle).await)?;
        }
        prove_gone(client, &host_id, run).await
    }

    pub(crate) async fn remove_locked(&self, run: &RunConfig, operation: &OperationLock) -> Result<()> {
        let owner = self.owner_of(run).await?;
        self.remove_at_owner(run, operation, owner).await
    }

    async fn remove_at_owner(
        &self,
        run: &RunConfig,
        operation: &OperationLock,
        owner: Option<AtOwner>,
    ) -> Result<()> {
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
        if let Some(owner) = owner {
            self.remove_resources(run, &record, &owner).await?;
        }
        if let Err(error) = control::clear(self.store().state(), &run.name) {
            tracing::warn!(name = %run.name, %error, "a socket of a dead supervisor stays");
        }
        let points = [Point::StatusRemoved, Point::RunConfigRemoved];
        let removed = self.store().remove_records(&run.name, &run.uid, points);
        removed.map_err(|error| {
            if !self.is_gone(&run.name) {
                return error.into();
            }
            let done = format!("'{}' was removed, and may be back after a crash of this machine", run.name);
            Error::from(error).while_doing(done)
        })
    }
}
