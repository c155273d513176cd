//! [`Event`]: what a supervisor can learn. Answers to what it does, and what comes from outside.
use super::state::{Made, Workload};
use std::time::Duration;
use wharf_model::ErrorKind;

/// A request on the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// End the workload, which may take so long to end by itself; then end.
    Stop(Duration),
    /// Give the start up.
    Cancel,
    /// End, and leave the workload as it is.
    Leave,
    /// Tell about yourself.
    Report,
    /// Change whom the proxy serves: answered where it is taken from the socket, so never rightly asked here.
    ChangeAccess,
}

/// The leavings of an earlier supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Earlier {
    /// Nothing, or nothing that the owner still has.
    Nothing,
    /// A server with a port that still runs and can be reached.
    Runs,
    /// Anything else.
    Left,
}

/// How a workload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ending {
    /// With exit code 0.
    pub succeeded: bool,
    /// Its owner could not be asked meanwhile: its engine may have taken its input along.
    pub was_away: bool,
    /// How long it had been up.
    pub ran_for: Duration,
}

/// Something that a supervisor learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Its process has begun.
    Begin,

    // Answers to what it does.
    /// It is done.
    Done,
    /// It failed; nothing of it is known to have happened.
    Failed(ErrorKind),
    /// The owner is connected and proven.
    Prepared(Workload),
    /// The leavings of an earlier supervisor.
    Found(Earlier),
    /// Deployed.
    Deployed {
        /// As what an earlier attempt left, with the handle that is on record.
        kept: bool,
    },
    /// Not deployed, or nobody knows.
    NotDeployed {
        /// The kind of the error.
        kind: ErrorKind,
        /// The part of it that may be there all the same.
        made: Made,
    },
    /// Whatever was there is removed.
    Removed {
        /// There was something.
        any: bool,
    },
    /// A deployment that missed its deadline was looked for.
    Settled {
        /// It came, and is removed.
        came: bool,
    },
    /// The records say if it is still wanted.
    Wanted(bool),

    // From outside; `Exited` also answers a stop that is proven, and the question how it ended.
    /// The workload has ended: the recorded instance says so.
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
    /// Its name, as the table in docs/supervisor.md has it.
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
