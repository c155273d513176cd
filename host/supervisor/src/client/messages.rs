//! The requests of commands on a supervisor's control socket, and its answers.
use crate::client::protocol::SupervisorReport;
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
    /// Give the start up that is under way.
    Cancel {},
    /// End, and leave the workload as it is.
    Leave {},
    /// Tell about yourself.
    Report {},
    /// Serve others than before.
    ChangeAccess(AccessChange),
}

/// A change of whom a proxy serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessChange {
    /// The way from now on; as before if nothing is said.
    #[serde(default)]
    pub auth: Option<ProxyAuth>,
    /// Those alone who are told the new secret.
    #[serde(default)]
    pub rotate: bool,
}

/// A supervisor's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// The supervisor ends now.
    Stopped {
        /// The end of the workload: the owner has shown it as ended, in the one answer that names its instance. None where
        /// the supervisor does not know, or has left the workload as it is.
        exit: Option<Exit>,
    },
    /// About the supervisor.
    Report(SupervisorReport),
    /// The proxy serves by what is in the files now.
    AccessChanged {},
    /// It cannot be done.
    Refused {
        /// The kind of failure; supervisors of earlier versions do not tell.
        #[serde(default = "untold")]
        kind: ErrorKind,
        /// Why.
        message: String,
        /// The way on; supervisors of earlier versions do not tell.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        advice: Vec<Advice>,
    },
}

pub(crate) const fn untold() -> ErrorKind {
    ErrorKind::Runtime
}

impl Answer {
    /// It cannot be done because of this.
    pub(crate) fn refused(error: Error) -> Self {
        Self::Refused { kind: error.kind, message: error.message, advice: error.advice }
    }
}
