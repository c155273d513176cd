//! [`Store`]: RunConfigs and status records as files.
//!
//! Synchronous: asynchronous callers use `spawn_blocking`. Reading takes no lock and changes nothing (R05). Each write
//! holds the record lock of its workload, reads again under it, compares uid and revision, and replaces the file as a
//! whole (R11). A record that cannot be read is never written over.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::error::{ReadError, StoreError};
use crate::file::atomic::{Durability, temporary_name};
use crate::file::document::{
    Document, Kept, RECORD_BYTES_MAX, decode, encode, encode_with, refuse_too_large, rewrite,
};
use crate::file::folder::Folder;
use crate::file::listing::file_name;
use crate::file::locks::{OperationLock, RecordLock};
use crate::file::proxy_secret;
use crate::file::recent::RecentRecords;
use crate::file::state_dir::StateDir;
use wharf_failpoint::{Point, reach};
use wharf_model::RunConfig;
use wharf_model::SchemaVersion;
use wharf_model::StatusRecord;
use wharf_model::Uid;
use wharf_model::WorkloadName;

/// A record lock is held for the length of one write. A wait that is longer than this means that the holder is a stopped
/// process.
const RECORD_LOCK_WAIT: Duration = Duration::from_secs(10);
/// At most this many corrupt files of one name are kept.
const SET_ASIDE_MAX: u32 = 100;
/// One of the two files of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// The definition of the workload.
    RunConfig,
    /// The status record of the workload.
    Status,
}

/// All records below a state directory.
#[derive(Debug, Clone)]
pub struct Store {
    state: StateDir,
    /// The records that were read to be shown, in a process that lives long; none in another one.
    pub(crate) recent: Option<Arc<RecentRecords>>,
}

impl Store {
    /// The records below `state`, which need not exist.
    #[must_use]
    pub fn new(state: StateDir) -> Self {
        Self { state, recent: None }
    }

    /// Keeps records that are only shown: for a process that lives long and is asked again and again. It reads those whose
    /// files have changed since.
    #[must_use]
    pub fn remembering(self, recent: Arc<RecentRecords>) -> Self {
        Self { recent: Some(recent), ..self }
    }

    /// The file of a RunConfig.
    #[must_use]
    pub fn run_config_file(&self, name: &WorkloadName) -> PathBuf {
        self.path(RecordKind::RunConfig, name)
    }

    /// The state directory.
    #[must_use]
    pub fn state(&self) -> &StateDir {
        &self.state
    }

    /// One RunConfig.
    pub fn read_run_config(&self, name: &WorkloadName) -> Result<RunConfig, ReadError> {
        self.read(RecordKind::RunConfig, name)
    }

    /// One status record.
    pub fn read_status(&self, name: &WorkloadName) -> Result<StatusRecord, ReadError> {
        self.read(RecordKind::Status, name)
    }

    /// Reserves the name and stores the RunConfig, durably. Fails if the name is taken, even by a corrupt file.
    pub fn create_run_config(&self, config: &RunConfig) -> Result<(), StoreError> {
        self.create_run_config_keeping(config, &Kept::new())
    }

    /// The same, with members of another product's file that this version does not know.
    pub fn create_run_config_keeping(&self, config: &RunConfig, kept: &Kept) -> Result<(), StoreError> {
        let name = &config.name;
        refuse_newer(name, config, || self.path(RecordKind::RunConfig, name))?;
        config.validate().map_err(|source| StoreError::Invalid { name: name.clone(), source })?;
        let bytes =
            encode_with(config, kept).map_err(|source| StoreError::NotJson { name: name.clone(), source })?;
        refuse_too_large(name, &bytes)?;
        let _locked = self.lock_record(name)?;
        let (folder, temporary) = self.open_to_write(RecordKind::RunConfig, name)?;
        match folder.create(&temporary, &file_name(name), &bytes) {
            Err(error) if error.is_already_there() => Err(StoreError::AlreadyExists { name: name.clone() }),
            done => Ok(done?),
        }
    }

    /// Changes a RunConfig. Unknown fields stay; name and uid cannot be changed.
    pub fn update_run_config(
        &self,
        name: &WorkloadName,
        expected: &Uid,
        change: impl FnOnce(&mut RunConfig),
    ) -> Result<RunConfig, StoreError> {
        let _locked = self.lock_record(name)?;
        let (old, before) = self.read_to_change::<RunConfig>(RecordKind::RunConfig, name)?;
        self.refuse_other(RecordKind::RunConfig, name, expected, &before)?;
        let mut after = before.clone();
        change(&mut after);
        if after.name != *name || after.uid != *expected {
            return Err(StoreError::IdentityChanged { name: name.clone() });
        }
        after.validate().map_err(|source| StoreError::Invalid { name: name.clone(), source })?;
        let bytes = rewrite(name, &old, &before, &after);
        self.replace(RecordKind::RunConfig, name, bytes, (Some(&old), Durability::Now))?;
        Ok(after)
    }

    /// Changes the status record of one creation of a workload: `change` gets the *present* record (none before the first
    /// write) and returns the new one, or refuses. It is called under the record lock and must not wait for anything. The
    /// store counts the revision and sets the time of the write.
    ///
    /// A supervisor that records an event refuses when there is no record: its workload was removed.
    pub fn update_status<E: From<StoreError>>(
        &self,
        name: &WorkloadName,
        expected: &Uid,
        change: impl FnOnce(Option<StatusRecord>) -> Result<StatusRecord, E>,
    ) -> Result<StatusRecord, E> {
        self.update_status_with(name, expected, Durability::Now, change)
    }

    /// The same. `durability` says whether a crash of the machine may undo the change until the folder changes again.
    pub fn update_status_with<E: From<StoreError>>(
        &self,
        name: &WorkloadName,
        expected: &Uid,
        durability: Durability,
        change: impl FnOnce(Option<StatusRecord>) -> Result<StatusRecord, E>,
    ) -> Result<StatusRecord, E> {
        let _locked = self.lock_record(name)?;
        self.change_status(name, expected, durability, change)
    }

    /// Writes a status record if the present one still has this uid and this revision (0: there is none).
    pub fn write_status(
        &self,
        name: &WorkloadName,
        expected: &Uid,
        revision: u64,
        record: StatusRecord,
    ) -> Result<StatusRecord, StoreError> {
        self.update_status(name, expected, |current| {
            let found = current.map_or(0, |current| current.revision);
            if found == revision {
                Ok(record)
            } else {
                Err(StoreError::RevisionConflict { name: name.clone(), expected: revision, found })
            }
        })
    }

    /// Removes the status record of one creation of a workload. A missing one is a success.
    pub fn remove_status(&self, name: &WorkloadName, expected: &Uid) -> Result<(), StoreError> {
        self.remove::<StatusRecord>(RecordKind::Status, name, expected)
    }

    /// Removes the RunConfig of one creation of a workload, before it the secret of its proxy, and so frees the name. It is
    /// the last step of every removal. A missing one is a success.
    pub fn remove_run_config(&self, name: &WorkloadName, expected: &Uid) -> Result<(), StoreError> {
        self.remove::<RunConfig>(RecordKind::RunConfig, name, expected)
    }

    /// Sets a corrupt file aside as `NAME.json.corrupt-N`, with all its bytes, and so frees its name. Only for a command
    /// that holds the workload's operation lock; the file is checked again first. Returns its new path.
    pub fn quarantine(&self, kind: RecordKind, operation: &OperationLock) -> Result<PathBuf, StoreError> {
        let name = operation.name();
        if *operation.state() != self.state {
            let (expected, found) = (self.state.root().to_owned(), operation.state().root().to_owned());
            return Err(StoreError::ForeignLock { name: name.clone(), expected, found });
        }
        let _locked = self.lock_record(name)?;
        let fault = match kind {
            RecordKind::RunConfig => self.read::<RunConfig>(kind, name).err(),
            RecordKind::Status => self.read::<StatusRecord>(kind, name).err(),
        };
        if !fault.is_some_and(|fault| fault.is_corrupt()) {
            return Err(StoreError::NotCorrupt { path: self.path(kind, name) });
        }
        if kind == RecordKind::RunConfig {
            // The name becomes free, so its secret is removed first.
            proxy_secret::remove(&self.state, name)?;
        }
        let folder = Folder::open_or_make(&self.folder(kind))?;
        for number in 1..=SET_ASIDE_MAX {
            let aside = OsString::from(format!("{name}.json.corrupt-{number}"));
            reach(Point::SetAsideBefore);
            match folder.set_aside(&file_name(name), &aside) {
                Ok(()) => {
                    reach(Point::SetAsideAfter);
                    return Ok(folder.path_of(&aside));
                }
                Err(error) if error.is_already_there() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::TooManySetAside { name: name.clone(), limit: SET_ASIDE_MAX })
    }
}

// Private steps of the store.

impl Store {
    fn folder(&self, kind: RecordKind) -> PathBuf {
        match kind {
            RecordKind::RunConfig => self.state.run_configs(),
            RecordKind::Status => self.state.statuses(),
        }
    }

    fn path(&self, kind: RecordKind, name: &WorkloadName) -> PathBuf {
        self.folder(kind).join(file_name(name))
    }

    fn read_bytes(&self, kind: RecordKind, name: &WorkloadName) -> Result<Vec<u8>, ReadError> {
        match Folder::open(&self.folder(kind))? {
            Some(folder) => folder.read(&file_name(name), RECORD_BYTES_MAX),
            None => Err(ReadError::NotFound { path: self.path(kind, name) }),
        }
    }

    fn read<D: Document>(&self, kind: RecordKind, name: &WorkloadName) -> Result<D, ReadError> {
        decode(|| self.path(kind, name), name, &self.read_bytes(kind, name)?)
    }

    fn lock_record(&self, name: &WorkloadName) -> Result<RecordLock<'static>, StoreError> {
        RecordLock::acquire_blocking(&self.state, name, RECORD_LOCK_WAIT)
            .map_err(|source| StoreError::Locking { name: name.clone(), source })
    }

    /// Under the record lock.
    pub(crate) fn change_status<E: From<StoreError>>(
        &self,
        name: &WorkloadName,
        expected: &Uid,
        durability: Durability,
        change: impl FnOnce(Option<StatusRecord>) -> Result<StatusRecord, E>,
    ) -> Result<StatusRecord, E> {
        let old = match self.read_to_change::<StatusRecord>(RecordKind::Status, name) {
            Ok(found) => Some(found),
            Err(StoreError::Unreadable { source, .. }) if source.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        if let Some((_, before)) = &old {
            self.refuse_other(RecordKind::Status, name, expected, before)?;
        }
        let mut after = change(old.as_ref().map(|(_, before)| before.clone()))?;
        if after.uid != *expected {
            return Err(StoreError::IdentityChanged { name: name.clone() }.into());
        }
        refuse_newer(name, &after, || self.path(RecordKind::Status, name))?;
        after.revision = old.as_ref().map_or(0, |(_, before)| before.revision) + 1;
        after.updated_at = Timestamp::now();
        let bytes = match &old {
            Some((bytes, before)) => rewrite(name, bytes, before, &after),
            None => encode(&after),
        };
        let old = old.as_ref().map(|(bytes, _)| bytes.as_slice());
        self.replace(RecordKind::Status, name, bytes, (old, durability))?;
        Ok(after)
    }

    /// The bytes of a file, and the record in it.
    fn read_to_change<D: Document>(
        &self,
        kind: RecordKind,
        name: &WorkloadName,
    ) -> Result<(Vec<u8>, D), StoreError> {
        let unreadable = |source| match source {
            ReadError::Newer { path, found, known } => {
                StoreError::Newer { name: name.clone(), path, found, known }
            }
            source => StoreError::Unreadable { name: name.clone(), source },
        };
        let bytes = self.read_bytes(kind, name).map_err(unreadable)?;
        let document = decode(|| self.path(kind, name), name, &bytes).map_err(unreadable)?;
        Ok((bytes, document))
    }

    fn refuse_other<D: Document>(
        &self,
        kind: RecordKind,
        name: &WorkloadName,
        expected: &Uid,
        found: &D,
    ) -> Result<(), StoreError> {
        refuse_newer(name, found, || self.path(kind, name))?;
        if found.uid() == expected {
            return Ok(());
        }
        let (expected, found) = (expected.clone(), found.uid().clone());
        Err(StoreError::UidConflict { name: name.clone(), expected, found })
    }

    fn remove<D: Document>(
        &self,
        kind: RecordKind,
        name: &WorkloadName,
        expected: &Uid,
    ) -> Result<(), StoreError> {
        let _locked = self.lock_record(name)?;
        match self.read_to_change::<D>(kind, name) {
            Ok((_, found)) => self.refuse_other(kind, name, expected, &found)?,
            Err(StoreError::Unreadable { source, .. }) if source.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        }
        if kind == RecordKind::RunConfig {
            proxy_secret::remove(&self.state, name)?;
        }
        let (folder, _) = self.open_to_write(kind, name)?;
        Ok(folder.remove(&file_name(name))?)
    }

    fn replace(
        &self,
        kind: RecordKind,
        name: &WorkloadName,
        bytes: serde_json::Result<Vec<u8>>,
        (old, durability): (Option<&[u8]>, Durability),
    ) -> Result<(), StoreError> {
        let bytes = bytes.map_err(|source| StoreError::NotJson { name: name.clone(), source })?;
        refuse_too_large(name, &bytes)?;
        let (folder, temporary) = self.open_to_write(kind, name)?;
        Ok(folder.replace(&temporary, &file_name(name), &bytes, (old, durability))?)
    }

    /// The folder, without temporary files of dead writers, and a name for a new one. To be called under the record lock.
    fn open_to_write(&self, kind: RecordKind, name: &WorkloadName) -> Result<(Folder, OsString), StoreError> {
        let path = self.folder(kind);
        let temporary = temporary_name(name.as_str())
            .map_err(|source| StoreError::NoRandomness { path: path.clone(), source })?;
        let folder = Folder::open_or_make(&path)?;
        folder.sweep(name.as_str())?;
        Ok((folder, temporary))
    }
}

fn refuse_newer<D: Document>(
    name: &WorkloadName,
    document: &D,
    path: impl FnOnce() -> PathBuf,
) -> Result<(), StoreError> {
    let found = document.schema_version();
    if found.is_newer() {
        return Err(StoreError::Newer {
            name: name.clone(),
            path: path(),
            found,
            known: SchemaVersion::CURRENT,
        });
    }
    Ok(())
}
