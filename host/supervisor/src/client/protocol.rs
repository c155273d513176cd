//! The lines of JSON between a command and the supervisor that it starts.
use crate::config::Config;
use serde::{Deserialize, Serialize};
use wharf_model::Error;
use wharf_model::{Uid, WorkloadName};
use wharf_proxy::OperationCount;

/// A supervisor's task: the first line it is sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SupervisorRequest {
    /// The surroundings.
    pub config: Config,
    /// The workload's name.
    pub name: WorkloadName,
    /// The uid of its creation.
    pub uid: Uid,
    /// The consequence if it cannot be started.
    pub mode: StartMode,
    /// A client waits for it to be ready. If the client goes away meanwhile, the start is given up.
    pub attended: bool,
    /// The command that started the supervisor stays to the workload's end: if that command ends or is interrupted, the
    /// user wants the workload stopped.
    #[serde(default)]
    pub foreground: bool,
    /// The command that started it chose the proxy's port, and no client knows it yet.
    #[serde(default)]
    pub chosen_port: bool,
    /// The start goes on when the command has gone without a word: it serves others, and was only restarted.
    #[serde(default)]
    pub outlives_command: bool,
}

/// The reason for a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartMode {
    /// The workload is being created. If it cannot be started and a client is told so, nothing of it is left.
    Create,
    /// The workload exists. If it cannot be started, that is recorded.
    Start,
}

/// A supervisor's message while it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StartEvent {
    /// Its present step, for people.
    Progress {
        /// A few words.
        message: String,
        /// The part that is done, and the whole, where both are known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amount: Option<(u64, u64)>,
    },
    /// Something that its user should know.
    Warning {
        /// A sentence.
        message: String,
    },
    /// The workload is ready. The last line.
    Ready {
        /// The proxy's port.
        port: u16,
    },
    /// It could not be started, and everything of the start has been cleared up. The last line.
    Failed {
        /// The reason.
        error: Error,
    },
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A supervisor's report on itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SupervisorReport {
    /// Its process.
    pub pid: u32,
    /// Its version of wharf.
    pub version: String,
    /// How long the workload has been ready, in milliseconds; 0 while it is not.
    pub uptime_ms: u64,
    /// How often it has restarted the workload.
    pub restarts: u32,
    /// It is starting or restarting the workload.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub starting: bool,
    /// How often the workload has ended, or an attempt to restart it has failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ends: u32,
    /// How often in a row the workload has ended with exit code 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub zero_ends: u32,
    /// The time until the next attempt to restart the workload, in milliseconds, where one is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_ms: Option<u64>,
    /// How long the server took to answer a real request, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_us: Option<u64>,
    /// The reason why the server did not answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ping_error: String,
    /// The server's messages that reached no client since the supervisor was started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undelivered: Vec<Undelivered>,
    /// How the workload ended before it was started again; empty if it has not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_end: String,
    /// The reason why the last attempt to bring the workload back failed; empty once it runs again.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_failure: String,
}

impl SupervisorReport {
    /// True if the server wanted to ask a client, and several were at work.
    pub fn could_not_ask(&self) -> bool {
        let asked =
            |one: &Undelivered| (one.what.as_str(), one.why.as_str()) == wharf_proxy::REQUEST_AMBIGUOUS;
        self.undelivered.iter().any(asked)
    }
}

/// How many messages of one kind reached no client, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Undelivered {
    /// The kind of message: `log message`, `answer`, …
    pub what: String,
    /// The reason, in words.
    pub why: String,
    /// How many.
    pub count: u64,
}

/// A supervisor's counts since it was started, for metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisorCounts {
    /// Its process.
    pub pid: u32,
    /// How often it has restarted the workload.
    pub restarts: u32,
    /// It is starting or restarting the workload; supervisors of earlier versions do not send it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub starting: bool,
    /// The requests and notifications of the proxy's clients.
    #[serde(default)]
    pub operations: Vec<OperationsTold>,
}

/// The operations of one MCP method that ended in one way, as a supervisor tells them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationsTold {
    /// The method, or `other`.
    pub method: String,
    /// The `error.type` of OpenTelemetry's conventions; empty where there was no error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error_type: String,
    /// How many took no longer than each of [`wharf_proxy::DURATION_BOUNDS`] and longer than the one before, and how many more.
    pub buckets: Vec<u64>,
    /// The time of all of them, in microseconds.
    pub sum_us: u64,
}

impl OperationsTold {
    /// The counts by names that this process knows; `None` where its bounds are others.
    pub fn known(&self) -> Option<OperationCount> {
        OperationCount::told(&self.method, &self.error_type, &self.buckets, self.sum_us)
    }
}

impl From<OperationCount> for OperationsTold {
    fn from(count: OperationCount) -> Self {
        Self {
            method: count.method.to_owned(),
            error_type: count.error_type.to_owned(),
            buckets: count.buckets.to_vec(),
            sum_us: count.sum_us,
        }
    }
}

/// The outcome of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartOutcome {
    /// Ready, with the proxy's port.
    Ready(u16),
    /// Failed; nothing has to be cleared up.
    Failed(Error),
    /// The supervisor ended without a last line.
    Died {
        /// The end of its process, in words that follow its name.
        how: String,
    },
}

/// Shows the progress of a command to its user.
pub trait Progress: Send {
    /// The present step.
    fn step(&mut self, message: &str);
    /// Something that its user should know, in any case.
    fn warn(&mut self, message: &str) {
        self.step(message);
    }
    /// A path of this machine that an argument names, and that the workload will not see, although it could be opened to it.
    fn closed(&mut self, path: &str) {
        self.warn(&format!(
            "'{path}', which an argument names, is closed to the workload; a volume opens it"
        ));
    }
    /// The part that is done, and the whole, in bytes.
    fn amount(&mut self, message: &str, done: u64, total: u64) {
        let _ = (message, done, total);
    }
}

/// Shows nothing.
impl Progress for () {
    fn step(&mut self, _message: &str) {}
}
