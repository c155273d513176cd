//! The documents that cross the boundary: operations, envelopes, their version.
//!
//! The same documents serve a plugin in the host's process and one in a process of its own.
pub use crate::context::{ConnectDocument, Event};
pub use crate::notification::{EVENT, LOG};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The version of all documents that this SDK writes; it reads this and every older one.
///
/// A field that is added with a default needs no new version. One is taken where a field changes its form or its meaning.
pub const VERSION: u32 = 2;

/// The oldest version that a library may speak; the host reads the version in a library's manifest and refuses older ones.
/// Version 1 was never released: its addresses and capabilities have other forms.
pub const OLDEST: u32 = 2;

/// The operations by name, as `call` and `open` take them.
pub mod operation {
    /// [`crate::Runtime::instance`].
    pub const INSTANCE: &str = "instance";
    /// [`crate::Runtime::health`].
    pub const HEALTH: &str = "health";
    /// [`crate::Runtime::validate`].
    pub const VALIDATE: &str = "validate";
    /// [`crate::Runtime::deploy`].
    pub const DEPLOY: &str = "deploy";
    /// [`crate::Runtime::start`].
    pub const START: &str = "start";
    /// [`crate::Runtime::stop`].
    pub const STOP: &str = "stop";
    /// [`crate::Runtime::remove`].
    pub const REMOVE: &str = "remove";
    /// [`crate::Runtime::inspect`].
    pub const INSPECT: &str = "inspect";
    /// [`crate::Runtime::list`].
    pub const LIST: &str = "list";
    /// [`crate::Runtime::wait`].
    pub const WAIT: &str = "wait";
    /// [`crate::Runtime::recover`].
    pub const RECOVER: &str = "recover";
    /// [`crate::Confine::confinement`].
    pub const CONFINEMENT: &str = "confinement";
    /// [`crate::Pin::pin`].
    pub const PIN: &str = "pin";
    /// [`crate::Discover::discover`].
    pub const DISCOVER: &str = "discover";
    /// [`crate::Probe::probe_network`].
    pub const PROBE_NETWORK: &str = "probe_network";
    /// [`crate::Logs::logs`], through `open`.
    pub const LOGS: &str = "logs";
    /// [`crate::Attach::attach`], through `open`.
    pub const ATTACH: &str = "attach";
    /// [`crate::Dial::dial`], through `open`.
    pub const DIAL: &str = "dial";
}

/// The wrapper of every document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Envelope_{T}"))]
pub struct Envelope<T> {
    /// [`VERSION`] of the writer. A reader refuses a version newer than its own.
    pub version: u32,
    /// In requests: how long the caller will wait, in milliseconds. None for calls that wait for an event, such as `wait`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// The document itself.
    pub body: T,
}

/// The body of operations on a workload that exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "OnWorkload_{O}"))]
pub struct OnWorkload<O = Nothing> {
    /// The workload's handle.
    pub handle: crate::Handle,
    /// The operation's options.
    pub options: O,
}

/// No options, or no answer: an empty object, to which fields may be added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Nothing {}

/// A log record of a plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogRecord {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// The module that wrote it.
    pub target: String,
    /// The text with its fields.
    pub message: String,
}

/// Why a document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The text is not the document that was expected.
    #[error("the document is not of the expected form")]
    Form {
        /// The error of the JSON parser.
        #[source]
        source: serde_json::Error,
    },
    /// A newer SDK wrote it.
    #[error("the document has version {found}, and only versions up to {VERSION} are known here")]
    Newer {
        /// The version of the document.
        found: u32,
    },
}

/// Writes a document.
pub fn write<T: Serialize>(body: T, deadline_ms: Option<u64>) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Envelope { version: VERSION, deadline_ms, body })
}

/// Reads a document, refusing one that is newer than this SDK.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<Envelope<T>, DocumentError> {
    #[derive(Deserialize)]
    struct VersionOnly {
        version: u32,
    }
    match serde_json::from_str::<Envelope<T>>(text) {
        Ok(envelope) if envelope.version > VERSION => Err(DocumentError::Newer { found: envelope.version }),
        Ok(envelope) => Ok(envelope),
        // The body of a newer document may have another form. Then its version is the cause to report, not the form.
        Err(source) => match serde_json::from_str::<VersionOnly>(text) {
            Ok(only) if only.version > VERSION => Err(DocumentError::Newer { found: only.version }),
            _ => Err(DocumentError::Form { source }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_document_is_refused_by_its_version_whatever_its_form() {
        let error = read::<Nothing>(r#"{"version":3,"body":"of another form"}"#).unwrap_err();
        assert!(matches!(error, DocumentError::Newer { found: 3 }));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = write(Nothing {}, Some(5)).unwrap();
        assert_eq!(read::<Nothing>(&text).unwrap().deadline_ms, Some(5));
    }
}
