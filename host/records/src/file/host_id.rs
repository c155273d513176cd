//! The host id beside the records. If it is missing while there are workloads with owners, it was lost; a new one must not
//! be made.
//!
//! The resources of those workloads were labelled with the old id. If a lost id were read as "none", or made anew, they
//! would become foreign: their owners would answer that they are gone (R04, R09).
use crate::error::{Corruption, ReadError, StoreError};
use crate::file::atomic;
use crate::file::folder::Folder;
use crate::file::locks::RecordLock;
use crate::file::state_dir::StateDir;
use crate::file::store::Store;
use std::ffi::OsStr;
use std::time::Duration;
use wharf_model::HostId;
use wharf_model::WorkloadName;

const HOST_ID_BYTES_MAX: usize = 256;
const HOST_ID_WAIT: Duration = Duration::from_secs(10);

impl StateDir {
    /// The id of this host. None if nothing was ever created here.
    pub fn host_id(&self) -> Result<Option<HostId>, ReadError> {
        let Some(folder) = Folder::open(self.root())? else { return Ok(None) };
        let bytes = match folder.read(OsStr::new(Self::HOST_ID), HOST_ID_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(ReadError::NotFound { .. }) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        match String::from_utf8_lossy(&bytes).trim().parse() {
            Ok(id) => Ok(Some(id)),
            Err(source) => {
                let path = folder.path_of(OsStr::new(Self::HOST_ID));
                Err(ReadError::Corrupt { path, why: Corruption::NotAnId { source } })
            }
        }
    }

    /// The id of this host; a missing one is made. Of several processes that make one at once, one wins and all get its id.
    /// An unreadable id is an error and stays, since existing resources carry it.
    pub fn make_host_id(&self) -> Result<HostId, StoreError> {
        let read = || self.host_id().map_err(|source| StoreError::HostId { source });
        if let Some(id) = read()? {
            return Ok(id);
        }
        let randomness = |source| StoreError::NoRandomness { path: self.root().to_owned(), source };
        let id = HostId::random().map_err(randomness)?;
        let temporary = atomic::temporary_name(Self::HOST_ID).map_err(randomness)?;
        let folder = Folder::open_or_make(self.root())?;
        // The file's name is also a valid workload name, so its record lock can be used here; a workload of that name only
        // shares the wait.
        if let Ok(name) = WorkloadName::new(Self::HOST_ID) {
            let locked = RecordLock::acquire_blocking(self, &name, HOST_ID_WAIT);
            let _held = locked.map_err(|source| StoreError::Locking { name, source })?;
            // Another process may have made it while this one waited for the lock.
            if let Some(id) = read()? {
                return Ok(id);
            }
            folder.sweep(Self::HOST_ID)?;
            match folder.create(&temporary, OsStr::new(Self::HOST_ID), format!("{id}\n").as_bytes()) {
                Err(error) if !error.is_already_there() => return Err(error.into()),
                Ok(()) | Err(_) => {}
            }
        }
        let missing = || StoreError::HostId { source: ReadError::NotFound { path: self.host_id_file() } };
        read()?.ok_or_else(missing)
    }
}

impl Store {
    /// The id of this host. None if nothing was ever created here.
    ///
    /// # Errors
    /// It cannot be read, or is lost.
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
        // The first workload may have been created since the first read. Its RunConfig is written after the id, so the id
        // is read once more.
        read()?.map(Some).ok_or_else(|| StoreError::HostIdLost { path: self.state().host_id_file() })
    }

    /// The id of this host, which is made if nothing was ever created here.
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
    use crate::file::state_dir::StateDir;
    use wharf_model::{Owner, RunConfig, Uid, WorkloadName};

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
