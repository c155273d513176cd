//! Why a workload was not started.
use crate::sandbox::{Exchanged, Refusal};
use std::io;
use wharf_sdk::launch::{NAMESPACES, PROTOCOL};

/// Becomes a [`wharf_sdk::launch::Report::Failed`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    /// The plugin sent something else than a job.
    #[error("the job cannot be read")]
    Job {
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// The plugin sent more than a job may have.
    #[error("the job is longer than {limit} bytes")]
    JobTooLong {
        /// What it may have.
        limit: usize,
    },
    /// Something else than `go` came after the job.
    #[error("the command after the job is not known")]
    Command,
    /// It cannot be held back as it must be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What is to be opened to it is not what it was.
    #[error(transparent)]
    Exchanged(#[from] Exchanged),
    /// The plugin is of another version.
    #[error(
        "the plugin speaks version {theirs} of the launcher's protocol, and this wharf speaks version {PROTOCOL}; use \
         the plugin that came with it (in a build tree: cargo build --workspace)"
    )]
    Protocol {
        /// What the plugin speaks.
        theirs: u32,
    },
    /// A step of the system's failed.
    #[error("{doing}")]
    System {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be given namespaces of its own, though that was to be tried; this process may be in some by now.
    #[error("{reason}")]
    Namespaces {
        /// Why not.
        reason: String,
    },
    /// Stage two ended before it had anything to execute.
    #[error("the process that waits for the word ended early")]
    StageLost,
    /// The program was not executed; the text is stage two's.
    #[error("{message}")]
    NotExecuted {
        /// What failed and why.
        message: String,
        /// The system's error number.
        errno: Option<i32>,
    },
}

impl LaunchError {
    /// A step of the system's that failed.
    pub(crate) fn system(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System { doing: doing.into(), source: source.into() }
    }

    /// The part of the specification that is the reason.
    pub(crate) fn field(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) => Some(refusal.field.to_owned()),
            Self::Exchanged(_) => Some("files".to_owned()),
            Self::Namespaces { .. } => Some(NAMESPACES.to_owned()),
            _ => None,
        }
    }

    /// What happened and why, in one line, with the system's error number.
    pub(crate) fn describe(&self) -> (String, Option<i32>) {
        match self {
            Self::Job { source } => (format!("{self}: {source}"), None),
            Self::System { source, .. } => (format!("{self}: {source}"), source.raw_os_error()),
            Self::NotExecuted { message, errno } => (message.clone(), *errno),
            Self::JobTooLong { .. }
            | Self::Command
            | Self::StageLost
            | Self::Refused(_)
            | Self::Exchanged(_)
            | Self::Namespaces { .. }
            | Self::Protocol { .. } => (self.to_string(), None),
        }
    }
}
