//! The end of a workload's records: both go, or both stay.
use crate::error::{ReadError, StoreError};
use crate::file::store::Store;
use wharf_failpoint::{Point, reach};
use wharf_model::Uid;
use wharf_model::WorkloadName;

impl Store {
    /// Removes both records of one creation of a workload, the RunConfig last (R01). Where the RunConfig cannot be
    /// removed the status is there again: a RunConfig alone is taken for a creation that was interrupted, which
    /// reconciliation finishes. `removed` are the points behind the two steps.
    ///
    /// # Errors
    /// Where one of them stays; also where both are gone, and it is not known whether a crash of the machine would bring
    /// them back.
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
                    tracing::warn!(%name, %error, "its RunConfig stays, and its status is lost; remove it, or start it");
                }
            }
            return config;
        }
        reach(removed[1]);
        status.and(config)
    }
}
