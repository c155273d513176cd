//! [`LaunchError`]: the reason why a workload was not started.
use crate::sandbox::{Exchanged, Refusal};
use std::io;
use wharf_sdk::launch::{NAMESPACES, PROTOCOL};

/// The launcher reports it as [`wharf_sdk::launch::Report::Failed`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    /// The plugin's first line is no job.
    #[error("the job cannot be read")]
    Job {
        /// The parser's error.
        source: serde_json::Error,
    },
    /// The plugin's first line is longer than a job may be.
    #[error("the job is longer than {limit} bytes")]
    JobTooLong {
        /// The limit.
        limit: usize,
    },
    /// The line after the job is not `Go`.
    #[error("the command after the job is not known")]
    Command,
    /// A part of the confinement cannot be enforced.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A path that was to be opened leads elsewhere by now.
    #[error(transparent)]
    Exchanged(#[from] Exchanged),
    /// The plugin speaks another version of the protocol.
    #[error(
        "the plugin speaks version {theirs} of the launcher's protocol, and this wharf speaks version {PROTOCOL}; use \
         the plugin that came with it (in a build tree: cargo build --workspace)"
    )]
    Protocol {
        /// The plugin's version.
        theirs: u32,
    },
    /// A system call failed.
    #[error("{doing}")]
    System {
        /// The action.
        doing: String,
        /// The system's error.
        source: io::Error,
    },
    /// The workload could not be given namespaces of its own. This process may be in some of them by now.
    #[error("{reason}")]
    Namespaces {
        /// The reason.
        reason: String,
    },
    /// Init has no process id.
    #[error("the first process of the workload's namespaces was not started")]
    InitLost,
    /// The exec helper ended before it had a program to execute.
    #[error("the process that waits for `go` ended early")]
    ExecHelperLost,
    /// The program was not executed; the text comes from the exec helper.
    #[error("{message}")]
    NotExecuted {
        /// The failure and its cause.
        message: String,
        /// The system's error number.
        errno: Option<i32>,
    },
}

impl LaunchError {
    /// The error of a system call.
    pub(crate) fn system(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System { doing: doing.into(), source: source.into() }
    }

    /// The part of the specification that is the cause.
    pub(crate) fn field(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) => Some(refusal.field.to_owned()),
            Self::Exchanged(_) => Some("files".to_owned()),
            Self::Namespaces { .. } => Some(NAMESPACES.to_owned()),
            _ => None,
        }
    }

    /// The failure and its cause in one line, with the system's error number.
    pub(crate) fn describe(&self) -> (String, Option<i32>) {
        match self {
            Self::Job { source } => (format!("{self}: {source}"), None),
            Self::System { source, .. } => (format!("{self}: {source}"), source.raw_os_error()),
            Self::NotExecuted { message, errno } => (message.clone(), *errno),
            Self::JobTooLong { .. }
            | Self::Command
            | Self::InitLost
            | Self::ExecHelperLost
            | Self::Refused(_)
            | Self::Exchanged(_)
            | Self::Namespaces { .. }
            | Self::Protocol { .. } => (self.to_string(), None),
        }
    }
}
