//! [`ProxySecret`]: the secret that a client must know to use a workload's proxy, in a file of its own.
//!
//! `proxy-secrets/NAME.json` is readable for its user alone, like every file of the store. The secret is in no record,
//! since records are exported, shown and posted. It is written after the RunConfig and removed before it, under the record
//! lock, so that it exists only where its RunConfig does (R01); the uid in it keeps a workload from being served under the
//! secret of an earlier one of its name. A command that died in between leaves a RunConfig without a secret: the next
//! command that starts the workload makes one.
//!
//! A change of `proxy_auth` (a path, a token) needs another secret and another RunConfig, which are two files. So the
//! secret for the new value is first written beside the one in force, as `next`, and the RunConfig decides which of them is
//! valid: if a command dies in between, either the old or the new way is in force, and nothing has to be cleared up.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::effect::EffectError;
use crate::error::{Corruption, ReadError, StoreError};
use crate::file::folder::Folder;
use crate::file::shelf::Shelf;
use crate::file::state_dir::StateDir;
use wharf_model::ProxyAuth;
use wharf_model::SchemaVersion;
use wharf_model::Uid;
use wharf_model::WorkloadName;

pub(crate) const FILE_BYTES_MAX: usize = 4096;
/// At most this many folders are set aside; then a person must look.
const SET_ASIDE_MAX: u32 = 100;

/// 128 random bits, as 32 lowercase hexadecimal digits. Its `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxySecret(pub(crate) String);

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

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) schema_version: SchemaVersion,
    pub(crate) uid: Uid,
    pub(crate) secret: String,
    /// In force once the RunConfig has this value of `proxy_auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<Next>,
}

/// The secret for the value of `proxy_auth` that a RunConfig is being changed to.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Next {
    pub(crate) auth: ProxyAuth,
    pub(crate) secret: String,
}

impl Content {
    /// The secret of a workload whose RunConfig has this value.
    fn in_force(self, auth: ProxyAuth) -> ProxySecret {
        ProxySecret(match self.next {
            Some(next) if next.auth == auth => next.secret,
            _ => self.secret,
        })
    }
}

/// Reads the secrets of many workloads; opens the folder once, when the first is asked for.
pub struct ProxySecrets {
    state: StateDir,
    folder: OnceCell<Option<Folder>>,
    kept: Option<Arc<Shelf<Content>>>,
}

impl ProxySecrets {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(state: StateDir) -> Self {
        Self { state, folder: OnceCell::new(), kept: None }
    }

    /// Secrets that were read are kept there, for as long as their files stay as they were.
    #[must_use]
    pub(crate) fn remembering(self, kept: Option<Arc<Shelf<Content>>>) -> Self {
        Self { kept, ..self }
    }

    /// The secret of one creation of a workload, whose RunConfig has this `auth`. A secret of another creation is not
    /// found.
    pub fn read(&self, name: &WorkloadName, uid: &Uid, auth: ProxyAuth) -> Result<ProxySecret, ReadError> {
        let path = || file_of(&self.state, name);
        if self.folder.get().is_none() {
            let _ = self.folder.set(Folder::open(&self.state.proxy_secrets())?);
        }
        let Some(folder) = self.folder.get().and_then(Option::as_ref) else {
            return Err(ReadError::NotFound { path: path() });
        };
        let file = file_name(name);
        let content = match &self.kept {
            Some(kept) => {
                kept.read((folder, file.as_os_str()), name, FILE_BYTES_MAX, |bytes| decode(path, bytes))?
            }
            None => decode(path, &folder.read(&file, FILE_BYTES_MAX)?)?,
        };
        if content.uid == *uid {
            Ok(content.in_force(auth))
        } else {
            Err(ReadError::NotFound { path: path() })
        }
    }
}

/// Removes the secret of a workload whose RunConfig is about to be removed. The caller holds the record lock.
pub(crate) fn remove(state: &StateDir, name: &WorkloadName) -> Result<(), StoreError> {
    let folder = Folder::open(&state.proxy_secrets());
    match folder.map_err(|source| StoreError::Unreadable { name: name.clone(), source })? {
        Some(folder) => Ok(remove_from(&folder, name)?),
        None => Ok(()),
    }
}

fn remove_from(folder: &Folder, name: &WorkloadName) -> Result<(), EffectError> {
    folder.sweep(name.as_str())?;
    clear_the_name(folder, name)?;
    folder.remove(&file_name(name))
}

/// Moves a folder aside that has the name of a workload's secret: as long as it is there, no secret can be written and the
/// workload cannot be removed. It is kept, since its maker may want its contents. The caller holds the record lock.
pub(crate) fn clear_the_name(folder: &Folder, name: &WorkloadName) -> Result<(), EffectError> {
    let file = file_name(name);
    if !folder.is_folder(&file) {
        return Ok(());
    }
    let others = (1..=SET_ASIDE_MAX).map(|number| OsString::from(format!("{name}.json.corrupt-{number}")));
    if let Some(aside) = folder.move_aside(&file, others)? {
        let aside = folder.path_of(&aside);
        tracing::warn!(%name, aside = %aside.display(), "a folder in the place of a secret was set aside");
    }
    Ok(())
}

pub(crate) fn file_name(name: &WorkloadName) -> OsString {
    OsString::from(format!("{name}.json"))
}

fn file_of(state: &StateDir, name: &WorkloadName) -> PathBuf {
    state.proxy_secrets().join(file_name(name))
}

/// The error of the JSON parser is dropped: it may quote the secret.
fn decode(path: impl Fn() -> PathBuf, bytes: &[u8]) -> Result<Content, ReadError> {
    let corrupt = |why| ReadError::Corrupt { path: path(), why };
    let content: Content = serde_json::from_slice(bytes).map_err(|_| corrupt(Corruption::NotASecret))?;
    if content.schema_version.is_newer() {
        let (found, known) = (content.schema_version, SchemaVersion::CURRENT);
        return Err(ReadError::Newer { path: path(), found, known });
    }
    // A secret must have the form of an id; an empty one, for instance, would be known to everybody.
    let next = content.next.iter().map(|next| &next.secret);
    if std::iter::once(&content.secret).chain(next).all(|secret| secret.parse::<Uid>().is_ok()) {
        Ok(content)
    } else {
        Err(corrupt(Corruption::NotASecret))
    }
}
