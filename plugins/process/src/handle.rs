//! What the host stores so that a process is found again.
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use wharf_sdk::launch::ProcessIdentity;
use wharf_sdk::{Error, ErrorCode, Handle, Result};

/// The version of [`Data`].
const VERSION: u32 = 1;

/// The plugin's part of a handle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Data {
    pub(crate) launcher: ProcessIdentity,
    pub(crate) workload: ProcessIdentity,
    /// The port on which it listens; none for one that speaks over stdin and stdout.
    pub(crate) target_port: Option<u16>,
    pub(crate) log_path: PathBuf,
    pub(crate) state_path: PathBuf,
    /// A folder of the workload's own, if it was given one.
    pub(crate) work_dir: Option<PathBuf>,
}

impl Data {
    pub(crate) fn into_handle(self, uid: &str) -> Result<Handle> {
        let data = serde_json::to_value(self)
            .map_err(|error| Error::internal(format!("the handle cannot be written: {error}")))?;
        Ok(Handle { uid: uid.to_owned(), version: VERSION, data })
    }

    pub(crate) fn of(handle: &Handle) -> Result<Self> {
        if handle.version != VERSION {
            let message = format!(
                "the handle has version {}, and this plugin knows {VERSION}; use the version of wharf that started it",
                handle.version
            );
            return Err(Error::new(ErrorCode::FailedPrecondition, message));
        }
        serde_json::from_value(handle.data.clone())
            .map_err(|error| Error::invalid(format!("the handle cannot be read: {error}")))
    }
}
