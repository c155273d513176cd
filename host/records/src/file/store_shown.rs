//! What is only shown of the records: the listings, and single records as a listing shows them. Reading takes no lock and
//! changes nothing (R05); a process that lives long reads what has changed since it last did.
use crate::error::ReadError;
use crate::file::document::Document;
use crate::file::folder::Folder;
use crate::file::listing::{Listing, file_name, list, read_one};
use crate::file::proxy_secret::ProxySecrets;
use crate::file::shelf::Shelf;
use crate::file::store::Store;
use std::path::Path;
use wharf_model::{RunConfig, StatusRecord, WorkloadName};

impl Store {
    /// One RunConfig as [`Self::list_run_configs`] shows it, for a caller that does not act on it.
    pub fn show_run_config(&self, name: &WorkloadName) -> Result<RunConfig, ReadError> {
        show(&self.state().run_configs(), name, self.recent.as_ref().map(|recent| &recent.run_configs))
    }

    /// One status record as [`Self::list_statuses`] shows it, for a caller that does not act on it.
    pub fn show_status(&self, name: &WorkloadName) -> Result<StatusRecord, ReadError> {
        show(&self.state().statuses(), name, self.recent.as_ref().map(|recent| &recent.statuses))
    }

    /// All RunConfigs. An unreadable one is in the list with its error; only a folder that cannot be read is an error.
    pub fn list_run_configs(&self) -> Result<Listing<RunConfig>, ReadError> {
        let Some(recent) = &self.recent else { return list(&self.state().run_configs(), None) };
        let listing = list(&self.state().run_configs(), Some(&recent.run_configs))?;
        let names: Vec<WorkloadName> = listing.iter().map(|(name, _)| name.clone()).collect();
        recent.secrets.keep_only(&names);
        Ok(listing)
    }

    /// All status records, including those without a RunConfig.
    pub fn list_statuses(&self) -> Result<Listing<StatusRecord>, ReadError> {
        list(&self.state().statuses(), self.recent.as_ref().map(|recent| &recent.statuses))
    }

    /// Reads the secrets of the workloads' proxies.
    #[must_use]
    pub fn secrets(&self) -> ProxySecrets {
        let kept = self.recent.as_ref().map(|recent| recent.secrets.clone());
        ProxySecrets::new(self.state().clone()).remembering(kept)
    }
}

fn show<D: Document>(folder: &Path, name: &WorkloadName, shelf: Option<&Shelf<D>>) -> Result<D, ReadError> {
    match Folder::open(folder)? {
        Some(folder) => read_one(&folder, shelf, name),
        None => Err(ReadError::NotFound { path: folder.join(file_name(name)) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::test_process::name;
    use crate::{RecentRecords, StateDir};
    use wharf_model::Uid;

    #[test]
    fn a_listing_shows_what_another_process_has_just_written_however_fast_it_writes() {
        let root = tempfile::tempdir().unwrap();
        let writer = Store::new(StateDir::new(root.path().join("state")));
        let reader = writer.clone().remembering(RecentRecords::default().into());
        let uid = Uid::random().unwrap();
        for revision in 0..100 {
            writer.write_status(&name("a"), &uid, revision, StatusRecord::new(uid.clone())).unwrap();
            for _ in 0..2 {
                let listing = reader.list_statuses().unwrap();
                assert_eq!(listing[0].1.as_ref().unwrap().revision, revision + 1);
                assert_eq!(reader.show_status(&name("a")).unwrap().revision, revision + 1);
            }
        }
        writer.remove_status(&name("a"), &uid).unwrap();
        assert!(reader.list_statuses().unwrap().is_empty());
        assert!(reader.show_status(&name("a")).is_err_and(|error| error.is_not_found()));
    }
}
