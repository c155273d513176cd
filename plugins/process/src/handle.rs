//! [`HandleData`]: the plugin's part of a handle, which the host stores.
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use wharf_sdk::{Error, Handle, Result, process_identity::ProcessIdentity};

/// The version of the form below.
const VERSION: u32 = 1;

/// The processes of a handle, and the facts that cannot be learned from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HandleData {
    /// The workload's name.
    pub(crate) name: String,
    /// The launcher.
    pub(crate) launcher: ProcessIdentity,
    /// The workload's first process.
    pub(crate) workload: ProcessIdentity,
    /// The port on which it listens. None: the server uses stdin and stdout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target_port: Option<u16>,
    /// The file of its output.
    pub(crate) log_path: PathBuf,
}

impl HandleData {
    /// The handle of a workload with this data.
    pub(crate) fn to_handle(&self, uid: &str) -> Result<Handle> {
        let data = serde_json::to_value(self)
            .map_err(|error| Error::internal(format!("the handle cannot be written: {error}")))?;
        Ok(Handle { uid: uid.to_owned(), version: VERSION, data })
    }

    /// The data of a handle; a handle of another version, or of another runtime, is refused.
    pub(crate) fn read(handle: &Handle) -> Result<Self> {
        let data = handle.read(VERSION, "a process")?;
        check_uid(&handle.uid)?;
        Ok(data)
    }
}

/// The uid becomes a part of a path, so its form is checked.
pub(crate) fn check_uid(uid: &str) -> Result<()> {
    if uid.len() == 32 && uid.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "'{}' is no uid: expected 32 lowercase hexadecimal digits",
        uid.escape_default()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_sdk::ErrorCode;

    #[test]
    fn a_handle_of_a_newer_version_is_refused_in_words() {
        let handle = Handle { uid: "0".repeat(32), version: 2, data: serde_json::json!({}) };
        let error = HandleData::read(&handle).unwrap_err();
        assert_eq!(error.code, ErrorCode::Unsupported);
        assert!(error.message.contains("version 2"), "{error}");
    }

    #[test]
    fn a_uid_that_is_a_path_is_refused() {
        for bad in ["", "../../../../../../../../etc/passwd", &"A".repeat(32), &"0".repeat(31)] {
            assert!(check_uid(bad).is_err(), "{bad:?}");
        }
    }
}
