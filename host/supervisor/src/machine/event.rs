//! [`Event`]: an input of the machine. Some answer its work, others come from outside.
use super::state::{Made, Workload};
use std::time::Duration;
use wharf_model::ErrorKind;

/// A request on the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// End the workload, which may take this long to end by itself; then end the supervisor.
    Stop(Duration),
    /// Give up the start.
    Cancel,
    /// End the supervisor, and leave the workload as it is.
    Leave,
    /// Report on itself.
    Report,
    /// Change who may use the proxy. It is answered when it is taken from the socket; if it reaches the machine all the
    /// same, that is a mistake.
    ChangeAccess,
}

/// The resource that an earlier supervisor left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Earlier {
    /// There is none, or its owner has nothing of it any more.
    Nothing,
    /// A server with a port that still runs and can be reached.
    Runs,
    /// Anything else, which must be stopped or removed.
    Left,
}

/// The end of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ending {
    /// With exit code 0.
    pub succeeded: bool,
    /// Its owner could not be asked meanwhile, so its engine may have closed its input.
    pub was_away: bool,
    /// Its engine starts it again, by itself.
    pub restarts: bool,
    /// How long it was up.
    pub ran_for: Duration,
}

/// An input of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Its process has begun.
    Begin,

    // Answers to its work.
    /// The work is done.
    Done,
    /// The work failed; as far as is known, nothing of it happened.
    Failed(ErrorKind),
    /// The owner is connected and proven.
    Prepared(Workload),
    /// The resource that an earlier supervisor left was looked for.
    Found(Earlier),
    /// The deployment was made.
    Deployed {
        /// It was made from the resource that an earlier attempt left, and has the handle on record.
        kept: bool,
    },
    /// The deployment failed, or its outcome is unknown.
    NotDeployed {
        /// The kind of the error.
        kind: ErrorKind,
        /// The part of it that may exist all the same.
        made: Made,
    },
    /// Everything that existed is removed.
    Removed {
        /// Something existed.
        any: bool,
    },
    /// A deployment that missed its deadline was looked for.
    Settled {
        /// It appeared, and was removed.
        came: bool,
    },
    /// Whether the records still want the workload.
    Wanted(bool),

    // From outside. `Exited` also answers a proven stop, the question for the exit, and the wait for a server that ended once
    // more before it answered.
    /// The workload has ended, as the recorded instance has shown.
    Exited(Ending),
    /// A request.
    Request(Ask),
    /// SIGTERM or SIGINT.
    Signalled,
    /// The client that waited for the start has gone.
    ClientGone,
    /// The RunConfig is gone, or is another creation's.
    ConfigRemoved,
    /// The server has closed its stdout.
    StdoutClosed,
}

impl Event {
    /// Its name in the table of docs/supervisor.md.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Done => "done",
            Self::Failed(_) => "failed",
            Self::Prepared(_) => "prepared",
            Self::Found(Earlier::Nothing) => "found: nothing",
            Self::Found(Earlier::Runs) => "found: runs",
            Self::Found(Earlier::Left) => "found: left",
            Self::Deployed { .. } => "deployed",
            Self::NotDeployed { .. } => "not deployed",
            Self::Removed { any: true } => "removed",
            Self::Removed { any: false } => "there was nothing",
            Self::Settled { came: true } => "it came",
            Self::Settled { came: false } => "it did not come",
            Self::Wanted(true) => "wanted",
            Self::Wanted(false) => "not wanted",
            Self::Exited(_) => "exited",
            Self::Request(Ask::Stop(_)) => "request: stop",
            Self::Request(Ask::Cancel) => "request: cancel",
            Self::Request(Ask::Leave) => "request: leave",
            Self::Request(Ask::Report) => "request: report",
            Self::Request(Ask::ChangeAccess) => "request: access",
            Self::Signalled => "signal",
            Self::ClientGone => "client gone",
            Self::ConfigRemoved => "config removed",
            Self::StdoutClosed => "stdout closed",
        }
    }
}
