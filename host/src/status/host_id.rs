//! The id of a host beside its records: one that is missing while workloads have owners is lost, not unborn.
//!
//! Everything that those workloads have was labelled with it. Read as "none", or made anew, it would turn them into
//! strangers: gone, as far as anybody could tell (R04, R09).
use super::fault::StoreError;
use super::id::HostId;
use super::store::Store;

impl Store {
    /// The id of this host; none if nothing was ever made here.
    ///
    /// # Errors
    /// Where it cannot be read, or is lost.
    pub fn host_id(&self) -> Result<Option<HostId>, StoreError> {
        let read = || self.state().host_id().map_err(|source| StoreError::HostId { source });
        if let Some(id) = read()? {
            return Ok(Some(id));
        }
        let configs = match self.list_run_configs() {
            Err(error) if !error.is_not_found() => return Err(StoreError::HostId { source: error }),
            configs => configs.unwrap_or_default(),
        };
        if !configs.iter().any(|(_, config)| config.as_ref().is_ok_and(|config| config.owner().is_some())) {
            return Ok(None);
        }
        // The first workload may have been made since: its id is older than its RunConfig.
        read()?.map(Some).ok_or_else(|| StoreError::HostIdLost { path: self.state().host_id_file() })
    }

    /// The id of this host, made now if nothing was ever made here.
    ///
    /// # Errors
    /// As [`Store::host_id`], and where it cannot be written.
    pub fn make_host_id(&self) -> Result<HostId, StoreError> {
        match self.host_id()? {
            Some(id) => Ok(id),
            None => self.state().make_host_id(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Owner, RunConfig, StateDir, Uid, WorkloadName};

    #[test]
    fn r09_a_lost_host_id_is_no_new_one() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(StateDir::new(root.path()));
        assert_eq!(store.host_id().unwrap(), None);
        let id = store.make_host_id().unwrap();
        let mut run = RunConfig::new(Uid::random().unwrap(), WorkloadName::new("time").unwrap(), "time");
        run.set_owner(Owner {
            runtime_name: "process".to_owned(),
            runtime_instance: "here".to_owned(),
            runtime_endpoint: String::new(),
        });
        store.create_run_config(&run).unwrap();
        assert_eq!(store.make_host_id().unwrap(), id);
        std::fs::remove_file(store.state().host_id_file()).unwrap();
        assert!(matches!(store.host_id(), Err(StoreError::HostIdLost { .. })));
        assert!(matches!(store.make_host_id(), Err(StoreError::HostIdLost { .. })));
        assert!(!store.state().host_id_file().exists());
    }
}
