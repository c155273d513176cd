//! The requests of commands on a supervisor's control socket, and its answers.
use crate::client::protocol::{SupervisorCounts, SupervisorReport};
use serde::{Deserialize, Serialize};
use wharf_model::{Advice, Error, ErrorKind, ProxyAuth};
use wharf_sdk::Exit;

/// A command's request to a supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Stop the workload and end.
    Stop {
        /// How long the workload may take to end by itself.
        timeout_ms: u64,
    },
    /// Give up the start under way.
    Cancel {},
    /// End, and leave the workload as it is.
    Leave {},
    /// Report on itself.
    Report {},
    /// Tell the counts; the server is asked nothing.
    Counts {},
    /// Change who may use the proxy.
    ChangeAccess(AccessChange),
}

/// A change of who may use a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessChange {
    /// The new value of `proxy_auth`; as before if absent.
    #[serde(default)]
    pub auth: Option<ProxyAuth>,
    /// Replace the secret: only clients that are told the new one may go on.
    #[serde(default)]
    pub rotate: bool,
}

/// A supervisor's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// The supervisor ends now.
    Stopped {
        /// The workload's exit, once the recorded instance has shown that it ended. None if the supervisor does not know
        /// it, or has left the workload as it is.
        exit: Option<Exit>,
    },
    /// About the supervisor.
    Report(SupervisorReport),
    /// The counts.
    Counts(SupervisorCounts),
    /// The proxy now serves by the files.
    AccessChanged {},
    /// It cannot be done.
    Refused {
        /// The kind of failure; supervisors of earlier versions do not send it.
        #[serde(default = "untold")]
        kind: ErrorKind,
        /// The reason.
        message: String,
        /// The next steps; supervisors of earlier versions do not send them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        advice: Vec<Advice>,
    },
}

pub(crate) const fn untold() -> ErrorKind {
    ErrorKind::Runtime
}

impl Answer {
    /// The refusal for an error.
    pub(crate) fn refused(error: Error) -> Self {
        Self::Refused { kind: error.kind, message: error.message, advice: error.advice }
    }
}
