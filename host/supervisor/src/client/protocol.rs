//! The lines of JSON that a command and the supervisor that it starts exchange.
use crate::config::Config;
use serde::{Deserialize, Serialize};
use wharf_model::Error;
use wharf_model::{Uid, WorkloadName};

/// A supervisor's task: the first line it is sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SupervisorRequest {
    /// Where everything is.
    pub config: Config,
    /// Its workload.
    pub name: WorkloadName,
    /// Which creation of it.
    pub uid: Uid,
    /// The consequence if it cannot be started.
    pub mode: StartMode,
    /// A client waits for it to be ready: if it goes away meanwhile, the start is given up.
    pub attended: bool,
    /// The command that started it stays to its end: the end of that command, or its interrupt, is the user's wish to
    /// stop the workload.
    #[serde(default)]
    pub foreground: bool,
}

/// Why a workload is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartMode {
    /// It is being created: where it cannot be started, nothing of it is left, if somebody waits to be told.
    Create,
    /// It exists: where it cannot be started, that is recorded.
    Start,
}

/// A supervisor's word while it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StartEvent {
    /// Its present step, for people.
    Progress {
        /// In words.
        message: String,
        /// How far it is, of how much, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amount: Option<(u64, u64)>,
    },
    /// The workload is ready. The last line.
    Ready {
        /// The proxy's port.
        port: u16,
    },
    /// It could not be started, and what there was has been cleared up. The last line.
    Failed {
        /// Why.
        error: Error,
    },
}

/// A supervisor's word about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SupervisorReport {
    /// Its process.
    pub pid: u32,
    /// The version of wharf that it is.
    pub version: String,
    /// How long the workload has been ready, in milliseconds; 0 while it is not.
    pub uptime_ms: u64,
    /// How often it has restarted the workload.
    pub restarts: u32,
    /// It is bringing the workload up, or back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub starting: bool,
    /// How long the server took to answer a real request, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_us: Option<u64>,
    /// Why it did not answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ping_error: String,
    /// Messages of the server that reached no client since the supervisor was started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undelivered: Vec<Undelivered>,
}

/// How many messages of one kind reached no client, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undelivered {
    /// The kind of message: `log message`, `answer`, …
    pub what: String,
    /// The reason, in words.
    pub why: String,
    /// How many.
    pub count: u64,
}

/// How a start ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartOutcome {
    /// Ready, with the proxy's port.
    Ready(u16),
    /// Failed; nothing is left to clear up.
    Failed(Error),
    /// The supervisor ended without a word.
    Died {
        /// How, in words that follow its name.
        how: String,
    },
}

/// Where a command shows what is being done.
pub trait Progress: Send {
    /// The present step.
    fn step(&mut self, message: &str);
    /// How far it is: so much of so much, in bytes.
    fn amount(&mut self, message: &str, done: u64, total: u64) {
        let _ = (message, done, total);
    }
}

/// Shows nothing.
impl Progress for () {
    fn step(&mut self, _message: &str) {}
}
