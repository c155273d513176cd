//! Reads the recorded handle for the plugin that made it, and turns a plugin's exit into the form of a record.
use wharf_model::{Error, ErrorKind, Result};
use wharf_model::{LastExit, StatusRecord};
use wharf_sdk::{Exit, Handle};

/// The recorded handle, if there is one. The host reads only its uid and leaves the rest to the plugin.
pub fn handle_of(record: Option<&StatusRecord>) -> Result<Option<Handle>> {
    let Some(record) = record else { return Ok(None) };
    let Some(recorded) = &record.handle else { return Ok(None) };
    let handle: Handle = recorded
        .read()
        .map_err(|error| Error::caused(ErrorKind::Failed, "the recorded handle cannot be read", &error))?;
    if handle.uid != record.uid.as_str() {
        return Err(Error::new(ErrorKind::Failed, "the recorded handle is of another workload"));
    }
    Ok(Some(handle))
}

/// An exit in the form of a record.
pub fn last_exit(exit: &Exit) -> LastExit {
    let at = exit
        .at_ms
        .and_then(|ms| i64::try_from(ms).ok())
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or_else(jiff::Timestamp::now);
    LastExit {
        code: exit.code,
        signal: exit.signal,
        at,
        reason: (!exit.reason.is_empty()).then(|| exit.reason.clone()),
    }
}
