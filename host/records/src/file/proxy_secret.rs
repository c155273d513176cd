//! [`ProxySecret`]: what a client must know to be served by a workload's proxy, in a file of its own.
//!
//! `proxy-secrets/NAME.json` is its owner's alone, like every file of the store, and in no record: records are exported,
//! shown and posted. It is written after the RunConfig and removed before it, under the record lock, so that it exists
//! only where its RunConfig does (R01); the uid in it keeps a workload from being served under the secret of an earlier
//! one of its name. A command that died in between leaves a RunConfig without one: whoever starts the workload makes it.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::effect::EffectError;
use crate::error::{Corruption, ReadError, StoreError};
use crate::file::atomic::{Folder, temporary_name};
use crate::file::locks::RecordLock;
use crate::file::state_dir::StateDir;
use crate::file::store::Store;
use wharf_model::SchemaVersion;
use wharf_model::WorkloadName;
use wharf_model::{IdError, Uid, random_hex};

/// A lock is held for the length of one write.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const FILE_BYTES_MAX: usize = 4096;

/// 128 random bits, as 32 lowercase hexadecimal digits. Its `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxySecret(String);

impl ProxySecret {
    /// The text itself: for a URL or a token, never for a message or a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ProxySecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ProxySecret(…)")
    }
}

#[derive(Serialize, Deserialize)]
struct Content {
    schema_version: SchemaVersion,
    uid: Uid,
    secret: String,
}

/// The secrets of many workloads, for a reader: the folder is opened once, and not before one is asked for.
pub struct ProxySecrets {
    state: StateDir,
    folder: OnceCell<Option<Folder>>,
}

impl ProxySecrets {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(state: StateDir) -> Self {
        Self { state, folder: OnceCell::new() }
    }

    /// The secret of one creation of a workload; that of another one is not found.
    pub fn read(&self, name: &WorkloadName, uid: &Uid) -> Result<ProxySecret, ReadError> {
        let path = || file_of(&self.state, name);
        if self.folder.get().is_none() {
            let _ = self.folder.set(Folder::open(&self.state.proxy_secrets())?);
        }
        let Some(folder) = self.folder.get().and_then(Option::as_ref) else {
            return Err(ReadError::NotFound { path: path() });
        };
        let bytes = folder.read(&file_name(name), FILE_BYTES_MAX)?;
        let content = decode(path, &bytes)?;
        if content.uid == *uid {
            Ok(ProxySecret(content.secret))
        } else {
            Err(ReadError::NotFound { path: path() })
        }
    }
}

impl Store {
    /// The secret of one creation of a workload.
    pub fn proxy_secret(&self, name: &WorkloadName, uid: &Uid) -> Result<ProxySecret, ReadError> {
        ProxySecrets::new(self.state().clone()).read(name, uid)
    }

    /// The same, made now if there is none, or none that can be used. For who holds the workload's operation lock.
    pub fn make_proxy_secret(&self, name: &WorkloadName, uid: &Uid) -> Result<ProxySecret, StoreError> {
        let _locked = self.lock_owned(name, uid)?;
        match self.proxy_secret(name, uid) {
            Err(error) if error.is_not_found() || error.is_corrupt() => self.write_secret(name, uid),
            Err(source) => Err(StoreError::Unreadable { name: name.clone(), source }),
            Ok(secret) => Ok(secret),
        }
    }

    /// Another secret in the place of the one that there is.
    pub fn renew_proxy_secret(&self, name: &WorkloadName, uid: &Uid) -> Result<ProxySecret, StoreError> {
        let _locked = self.lock_owned(name, uid)?;
        self.write_secret(name, uid)
    }

    /// The record lock of a workload whose RunConfig is of this creation: no other has a secret.
    fn lock_owned(&self, name: &WorkloadName, uid: &Uid) -> Result<RecordLock<'static>, StoreError> {
        let locked = RecordLock::acquire_blocking(self.state(), name, LOCK_WAIT)
            .map_err(|source| StoreError::Locking { name: name.clone(), source })?;
        let run = self
            .read_run_config(name)
            .map_err(|source| StoreError::Unreadable { name: name.clone(), source })?;
        if run.uid != *uid {
            return Err(StoreError::UidConflict {
                name: name.clone(),
                expected: uid.clone(),
                found: run.uid,
            });
        }
        Ok(locked)
    }

    fn write_secret(&self, name: &WorkloadName, uid: &Uid) -> Result<ProxySecret, StoreError> {
        let path = self.state().proxy_secrets();
        let randomness = |source: IdError| StoreError::NoRandomness { path: path.clone(), source };
        let secret = random_hex().map_err(randomness)?;
        let temporary = temporary_name(name.as_str()).map_err(randomness)?;
        let content = Content { schema_version: SchemaVersion::CURRENT, uid: uid.clone(), secret };
        let bytes = serde_json::to_vec(&content)
            .map_err(|source| StoreError::NotJson { name: name.clone(), source })?;
        let folder = Folder::open_or_make(&path)?;
        folder.sweep(name.as_str())?;
        let old = folder.read(&file_name(name), FILE_BYTES_MAX).ok();
        folder.replace(&temporary, &file_name(name), &bytes, old.as_deref())?;
        Ok(ProxySecret(content.secret))
    }
}

/// Removes the secret of a workload whose RunConfig is about to go. The caller holds the record lock.
pub(crate) fn remove(state: &StateDir, name: &WorkloadName) -> Result<(), StoreError> {
    let folder = Folder::open(&state.proxy_secrets());
    match folder.map_err(|source| StoreError::Unreadable { name: name.clone(), source })? {
        Some(folder) => Ok(remove_from(&folder, name)?),
        None => Ok(()),
    }
}

fn remove_from(folder: &Folder, name: &WorkloadName) -> Result<(), EffectError> {
    folder.sweep(name.as_str())?;
    folder.remove(&file_name(name))
}

fn file_name(name: &WorkloadName) -> OsString {
    OsString::from(format!("{name}.json"))
}

fn file_of(state: &StateDir, name: &WorkloadName) -> PathBuf {
    state.proxy_secrets().join(file_name(name))
}

/// A fault says nothing of what is in the file: the words of a JSON parser may quote it.
fn decode(path: impl Fn() -> PathBuf, bytes: &[u8]) -> Result<Content, ReadError> {
    let corrupt = |why| ReadError::Corrupt { path: path(), why };
    let content: Content = serde_json::from_slice(bytes).map_err(|_| corrupt(Corruption::NotASecret))?;
    if content.schema_version.is_newer() {
        let (found, known) = (content.schema_version, SchemaVersion::CURRENT);
        return Err(ReadError::Newer { path: path(), found, known });
    }
    // Of the same form as an id: an empty one would be known to everybody.
    match content.secret.parse::<Uid>() {
        Ok(_) => Ok(content),
        Err(_) => Err(corrupt(Corruption::NotASecret)),
    }
}
