//! Removes a workload's records: both, or none.
use crate::error::{ReadError, StoreError};
use crate::file::store::Store;
use wharf_failpoint::{Point, reach};
use wharf_model::Uid;
use wharf_model::WorkloadName;

impl Store {
    /// Removes both records of one creation of a workload, the RunConfig last (R01). If the RunConfig cannot be removed,
    /// the status is put back: a RunConfig alone is taken for an interrupted creation. `removed` are the failpoints after
    /// the two steps.
    ///
    /// # Errors
    /// One of them stays; or both are gone, but a crash of the machine might bring them back.
    pub fn remove_records(
        &self,
        name: &WorkloadName,
        expected: &Uid,
        removed: [Point; 2],
    ) -> Result<(), StoreError> {
        let is_gone = |error: &ReadError| error.is_not_found();
        let record = self.read_status(name);
        let status = self.remove_status(name, expected);
        if status.is_err() && !self.read_status(name).is_err_and(|error| is_gone(&error)) {
            return status;
        }
        reach(removed[0]);
        let config = self.remove_run_config(name, expected);
        if config.is_err() && !self.read_run_config(name).is_err_and(|error| is_gone(&error)) {
            if let Ok(record) = record {
                let restored = self.update_status::<StoreError>(name, expected, |_| Ok(record));
                if let Err(error) = restored {
                    tracing::warn!(%name, %error, "its RunConfig stays, and its status is lost");
                }
            }
            return config;
        }
        reach(removed[1]);
        status.and(config)
    }
}
