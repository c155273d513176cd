//! The launchers' state files.
use std::path::{Path, PathBuf};
use wharf_sdk::launch::State;
use wharf_sdk::{Error, ErrorCode, Result};

/// The file of a workload.
pub(crate) fn path(data_dir: &Path, uid: &str) -> PathBuf {
    data_dir.join(format!("{uid}.json"))
}

/// Reads one; none if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<State>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::new(ErrorCode::Unavailable, format!("{}: {error}", path.display()))),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Error::internal(format!("{} cannot be read: {error}", path.display())))
}

/// All of a folder, and whether that is everything: one that cannot be read makes the answer incomplete.
pub(crate) fn read_all(data_dir: &Path) -> Result<(Vec<State>, bool)> {
    let entries = match std::fs::read_dir(data_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((Vec::new(), true)),
        Err(error) => {
            return Err(Error::new(ErrorCode::Unavailable, format!("{}: {error}", data_dir.display())));
        }
    };
    let (mut states, mut complete) = (Vec::new(), true);
    for entry in entries {
        let Ok(entry) = entry else {
            complete = false;
            continue;
        };
        if entry.path().extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        match read(&entry.path()) {
            Ok(Some(state)) => states.push(state),
            Ok(None) => {} // Removed since.
            Err(error) => {
                tracing::warn!(%error, "a state file was left out");
                complete = false;
            }
        }
    }
    Ok((states, complete))
}
