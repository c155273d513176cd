//! The files of operations: they survive a kill of what serves, and so does what a repeated request is told.
//!
//! Called by [`crate::api::operations`] alone, in the one process that holds the lock of the API's folder.
use crate::api::audit::Who;
use crate::api::operation::Operation;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ffi::OsStr;
use wharf_model::{Advice, Error, ErrorKind, Result, chain};
use wharf_records::{OwnFiles, StateDir};

/// A larger file is none of ours.
const MAX_FILE_BYTES: usize = 1024 * 1024;

/// The content of such a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// The operation.
    pub(crate) operation: Operation,
    /// The client that asked for it.
    pub(crate) who: Who,
    /// The key by which a repeated request is recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repeat: Option<Repeat>,
    /// The server that was to run, for the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
}

/// The digests of an `Idempotency-Key`, and of the request that it came with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Repeat {
    /// Of the key.
    pub(crate) key: String,
    /// Of the request.
    pub(crate) request: String,
}

/// The folder.
pub(crate) struct OperationFiles(OwnFiles);

impl OperationFiles {
    /// The folder of a state directory.
    pub(crate) fn of(state: &StateDir) -> Self {
        Self(OwnFiles::new(state.api().join("operations")))
    }

    /// Records one that begins.
    pub(crate) fn begin(&self, stored: &Stored) -> Result<()> {
        let written = self.0.create(&file(stored), &bytes(stored)?);
        match written {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::new(ErrorKind::Failed, "an operation has the id of another one")),
            Err(error) => Err(unwritten(&error)),
        }
    }

    /// Records what became of one.
    pub(crate) fn end(&self, before: &Stored, after: &Stored) -> Result<()> {
        let old = bytes(before)?;
        self.0.replace(&file(after), &bytes(after)?, Some(&old)).map_err(|error| unwritten(&error))
    }

    /// Forgets one.
    pub(crate) fn remove(&self, stored: &Stored) {
        if let Err(error) = self.0.remove(OsStr::new(&file(stored))) {
            tracing::warn!(error = %chain(&error), "the file of an old operation stays");
        }
    }

    /// All that are there, and none of what a writer left that was killed.
    pub(crate) fn load(&self) -> Result<Vec<Stored>> {
        let mut all = Vec::new();
        for name in self.0.names()? {
            let Some(text) = name.to_str() else { continue };
            if text.starts_with('.') {
                // The lock of the folder is held: its writer is dead.
                let _ = self.0.remove(&name);
                continue;
            }
            let read = self.0.read(text, MAX_FILE_BYTES).map_err(|error| chain(&error));
            match read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string())) {
                Ok(stored) => all.push(stored),
                Err(why) => tracing::warn!(file = text, why, "the file of an operation makes no sense"),
            }
        }
        Ok(all)
    }
}

fn file(stored: &Stored) -> String {
    format!("{}.json", stored.operation.id)
}

/// A file stays for a day. So the URLs of clients, which hold a secret, and the last output of a server, which may hold one,
/// are left out: they are for the immediate answer alone.
fn bytes(stored: &Stored) -> Result<Vec<u8>> {
    let mut stored = stored.clone();
    if let Some(outcome) = &mut stored.operation.outcome {
        remove_urls(outcome);
    }
    if let Some(error) = &mut stored.operation.error {
        remove_notes(&mut error.advice);
    }
    serde_json::to_vec(&stored)
        .map_err(|error| Error::caused(ErrorKind::Failed, "an operation cannot be written", &error))
}

fn remove_urls(outcome: &mut Value) {
    match outcome {
        Value::Object(members) => {
            members.remove("url");
            if let Some(advice) = members.get_mut("error").and_then(|error| error["advice"].as_array_mut()) {
                advice.retain(|step| step["do"] != "note");
            }
        }
        Value::Array(reports) => reports.iter_mut().for_each(remove_urls),
        _ => {}
    }
}

fn remove_notes(advice: &mut Vec<Advice>) {
    advice.retain(|step| !matches!(step, Advice::Note { .. }));
}

fn unwritten(error: &(dyn std::error::Error + 'static)) -> Error {
    Error::caused(ErrorKind::Failed, "the operation cannot be recorded", error)
}
