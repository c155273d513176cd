//! A supervisor's changes of its workload's records, and its look at them before it acts on its own.
//!
//! During a start it holds the operation lock and writes the transition. Afterwards it records only events that nobody
//! asked for, and gives way to a command at work: each change is made under the record lock, to the record as it is then.
use crate::client::protocol::SupervisorRequest;
use crate::deployment::Deployment;
use crate::ending::is_disowned;
use crate::machine::End;
use crate::readiness::ENDS_BY_ITSELF;
use crate::record_change::{may_restart, update_if};
use std::sync::atomic::Ordering::Relaxed;
use wharf_failpoint::{Point, reach};
use wharf_model::{BootId, Desired, Event, Opaque, ProcessIdentity, StatusRecord, how};
use wharf_model::{Error, ErrorKind, Result};
use wharf_records::{Durability, Store};
use wharf_runtimes::last_exit;
use wharf_sdk::Exit;

impl Deployment {
    /// Records this process.
    pub(crate) async fn record_supervisor(&self) -> Result<()> {
        let own = BootId::current()
            .and_then(|boot| ProcessIdentity::current(&boot))
            .map_err(|error| Error::caused(ErrorKind::Failed, "this process cannot be identified", &error))?;
        // Where the machine goes down, so does this process: that it was recorded need not outlive it.
        update_if(&self.store, &self.run, Durability::WithNext, move |record| {
            record.set_supervisor(Some(own));
            Ok(true)
        })
        .await?;
        reach(Point::SupervisorRecorded);
        Ok(())
    }

    /// Records the handle, durably, before any of the workload's code runs (R12). A workload that is restarted in place may
    /// have the recorded handle already.
    ///
    /// # Errors
    /// A conflict, if this is a restart of the supervisor's own and the workload is no longer wanted.
    pub(crate) async fn record_handle(&self, restarting: bool) -> Result<()> {
        let recorded = self
            .handle
            .as_ref()
            .map(Opaque::of)
            .transpose()
            .map_err(|error| Error::caused(ErrorKind::Failed, "the handle cannot be written", &error))?;
        self.change_if(move |record| {
            if restarting && !may_restart(record) {
                return Err(Error::new(ErrorKind::Conflict, "the workload is no longer to run"));
            }
            let is_new = record.handle != recorded;
            record.handle = recorded;
            Ok(is_new)
        })
        .await?;
        reach(Point::HandleRecorded);
        Ok(())
    }

    /// Records that it is running.
    pub(crate) async fn record_ready(&self) -> Result<()> {
        reach(Point::ReadyRecordBefore);
        self.change(|record| {
            record.apply(Event::Ready).map_err(|error| Error::new(ErrorKind::Conflict, error.to_string()))?;
            record.started_at = Some(jiff::Timestamp::now());
            record.last_exit = None;
            record.restarts = 0;
            Ok(())
        })
        .await?;
        reach(Point::ReadyRecordAfter);
        self.keep_edit();
        Ok(())
    }

    /// Records an end after which the engine starts the workload again, and how often that has happened: whether it really
    /// does is not this host's decision. Phase and wish stay as they are. A command that is at work, or another wish, has the
    /// last word.
    pub(crate) async fn record_exit(&self, exit: &Exit, restarts: u32) -> Result<()> {
        let last = last_exit(exit);
        reach(Point::EndRecordBefore);
        let written = self.change_if(move |record| {
            let is_meant = may_restart(record);
            if is_meant {
                (record.last_exit, record.restarts) = (Some(last), restarts);
            }
            Ok(is_meant)
        });
        let written = written.await;
        reach(Point::EndRecordAfter);
        written
    }

    /// An edited workload stays as it is once it was ready. If that cannot be written, the next command does it: the record
    /// says that it was ready.
    fn keep_edit(&self) {
        let (name, uid) = (&self.run.name, &self.run.uid);
        if self.run.previous.is_none() {
            return;
        }
        match self.store.update_run_config(name, uid, |run| run.previous = None) {
            Ok(_) => reach(Point::EditSettled),
            Err(error) => tracing::warn!(%error, "that its edit is done is not recorded"),
        }
    }

    /// Records the end of a workload that is not restarted.
    pub(crate) async fn record_end(&self, end: End, exit: &Exit, restarts: u32) -> Result<()> {
        let is_completed = matches!(end, End::Completed | End::ByUser);
        let context = end_context(end, exit, self.zero_ends.load(Relaxed));
        let last = last_exit(exit);
        reach(Point::EndRecordBefore);
        let written = self.change(move |record| {
            // A command is stopping or removing it, and will write the transition itself.
            if record.phase.is_transitional() {
                return Ok(());
            }
            let event = if is_completed { Event::Completed } else { Event::Failed };
            record.apply(event).map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))?;
            if is_completed {
                record.desired = Desired::Stopped;
            }
            record.status_context = context;
            record.last_exit = Some(last);
            record.restarts = restarts;
            record.set_supervisor(None);
            Ok(())
        });
        let written = written.await;
        reach(Point::EndRecordAfter);
        written
    }

    /// True if the records no longer want the supervisor to restart the workload. Unreadable records are no evidence.
    pub(crate) fn is_unwanted(&self) -> bool {
        is_disowned(&self.store, &self.run.name, &self.run.uid)
            || match self.store.read_status(&self.run.name) {
                Ok(record) => record.uid != self.run.uid || !may_restart(&record),
                Err(error) => error.is_not_found(),
            }
    }

    /// Changes the record, on another thread than those that serve clients. A missing record is not made again.
    async fn change(
        &self,
        change: impl FnOnce(&mut StatusRecord) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        self.change_if(|record| change(record).map(|()| true)).await
    }

    /// The same for a change that may be on record already: then `change` returns false and nothing is written.
    async fn change_if(
        &self,
        change: impl FnOnce(&mut StatusRecord) -> Result<bool> + Send + 'static,
    ) -> Result<()> {
        update_if(&self.store, &self.run, Durability::Now, change).await
    }
}

/// Records that a start failed, with the reason.
pub(crate) fn record_failure(store: &Store, task: &SupervisorRequest, cause: &Error) -> Result<()> {
    store.update_status::<Error>(&task.name, &task.uid, |record| {
        let mut record = record.ok_or_else(|| Error::new(ErrorKind::NotFound, "the workload was removed"))?;
        let failed = record.fail_start(&cause.message);
        failed.map(|()| record).map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))
    })?;
    Ok(())
}

/// The reason for the end, in the words of `wharf status`; empty if it completed.
fn end_context(end: End, exit: &Exit, zero_ends: u32) -> String {
    match end {
        End::Completed | End::ByUser => String::new(),
        End::Failed => format!("it {}", how(exit)),
        End::CutOff => format!("it {}: its engine went away, and its input with it", how(exit)),
        End::UsedUp if zero_ends > 1 => {
            format!(
                "it ended {zero_ends} times in a row with exit code 0: a server that does so {ENDS_BY_ITSELF}"
            )
        }
        End::UsedUp => format!("it {}: it ended too often in a row", how(exit)),
    }
}

#[cfg(test)]
mod tests {
    use super::end_context;
    use crate::machine::End;
    use crate::record_change::may_restart;
    use wharf_model::{Desired, Phase, StatusRecord, Uid};
    use wharf_sdk::Exit;

    #[test]
    fn a_restart_needs_phase_and_desired_running() {
        let mut record = StatusRecord::new(Uid::random().unwrap());
        for phase in Phase::ALL {
            for desired in [Desired::Running, Desired::Stopped] {
                (record.phase, record.desired) = (phase, desired);
                let may = phase == Phase::Running && desired == Desired::Running;
                assert_eq!(may_restart(&record), may, "{phase} {desired:?}");
            }
        }
    }

    #[test]
    fn a_failed_end_has_a_reason() {
        let exit = Exit { code: Some(0), ..Exit::default() };
        assert_eq!(end_context(End::Completed, &exit, 1), "");
        assert!(end_context(End::CutOff, &exit, 1).ends_with("its engine went away, and its input with it"));
        assert!(end_context(End::UsedUp, &exit, 0).ends_with("it ended too often in a row"));
        assert!(
            end_context(End::UsedUp, &exit, 11).starts_with("it ended 11 times in a row with exit code 0: ")
        );
        let failed = Exit { code: Some(3), ..Exit::default() };
        assert!(end_context(End::Failed, &failed, 0).contains('3'));
    }
}
