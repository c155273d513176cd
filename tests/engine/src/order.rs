//! What calls can be told to do.
use crate::{Call, State};
use serde::{Deserialize, Serialize};

/// An order for calls of one kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// For this operation.
    pub operation: String,
    /// For this workload; for every one if there is none.
    pub uid: Option<String>,
    /// For the next such call alone.
    pub once: bool,
    /// What to do.
    pub act: Act,
}

/// What a call is to do instead of what it should, or before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Takes so many milliseconds.
    Delay(u64),
    /// Never ends.
    Hang,
    /// Never comes back from the call that makes the future.
    Block,
    /// Fails with this code.
    Fail(String),
    /// Ends the process that asks.
    Abort,
    /// Panics in the call that makes the future.
    Panic,
    /// Never ends, and panics when it is given up.
    PanicInDrop,
    /// Is done by the engine once it catches up; the caller is told that its time is over.
    Late,
    /// Answers about the workload of another uid.
    OtherUid,
    /// Answers with the handle of another object of the same uid.
    OtherHandle,
    /// Answers with each object twice.
    Twice,
    /// Answers as another instance.
    OtherInstance,
    /// Reaches another engine, which has nothing and so has done what is asked.
    Elsewhere,
    /// Answers from a copy of another instance's storage: with its objects, whose labels show that instance.
    Copied,
    /// Answers with nothing, and that this may not be all.
    Incomplete,
    /// Answers with a gigabyte.
    Huge,
    /// Answers that the objects are another host's.
    OtherHost,
    /// Answers that the objects do this.
    Claim(State),
    /// Takes a while; if it is given up meanwhile, every later call of this kind about that workload fails.
    SpoiltIfGivenUp,
    /// Takes a while, and fails if another such call is under way.
    OneAtATime,
    /// Does not do what the contract says, in this way.
    Flawed(Flaw),
}

/// A way of not doing what the contract says. "Of this process" is what the process that is asked has deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    /// `validate` deploys.
    Deploys,
    /// `validate` accepts everything.
    AcceptsAll,
    /// `deploy` starts.
    Starts,
    /// `remove` keeps the name of what has run.
    KeepsName,
    /// `list` has other handles than those of `deploy`, of what runs and is of this process.
    OtherHandles,
    /// `list` has what other hosts have.
    AllHosts,
    /// `list` says that it is the instance that is presumed.
    BelievesPresumed,
    /// `list` takes no notice of what it was asked for.
    ListsAll,
    /// `list` of some workloads never says that it is complete.
    NeverComplete,
    /// `list` has only what is of this process.
    OwnProcessAlone,
    /// `start` refuses what runs.
    RefusesRunning,
    /// `start` of what is missing succeeds; `recover` finds it.
    MissingSucceeds,
    /// `stop` and `remove` of what is missing fail.
    MissingFails,
    /// `inspect` of what is missing is no evidence.
    MissingUnavailable,
    /// `wait` for what is missing waits for ever.
    MissingHangs,
    /// `inspect` shows what was idle, is stopped, and is of this process, as running.
    IdleForEver,
    /// `inspect` shows what is stopped and of another process as running.
    OthersForEver,
    /// `stop` does nothing to a workload that is deaf.
    AsksOnly,
    /// `stop` fails when it is called for the third time.
    TwiceAtMost,
    /// `stop` leaves a port open.
    LeavesPort,
    /// `remove` refuses what runs.
    KillsNothing,
    /// `remove` takes whatever has the same name.
    ByName,
    /// `wait` for what was idle and has ended waits for ever.
    EndedHangs,
    /// `wait` for what another process has deployed waits for ever.
    OthersHang,
    /// `wait` for what ends by itself, and `inspect`, do not know the exit code.
    NoCode,
    /// `recover` takes every handle for one of its own.
    AnyVersion,
    /// `logs` begin with the end.
    NewestFirst,
    /// `logs` are always all.
    AllLines,
    /// `logs` are never followed.
    NeverFollows,
    /// `attach`, or `dial`, changes bytes.
    Garbles,
    /// `attach`, or `dial`, ends after a mebibyte.
    Truncates,
    /// `attach`, or `dial`, does not pass on that the writing side has ended.
    NeverCloses,
    /// `inspect` tells an address that others reach.
    Everywhere,
    /// `deploy` takes no notice of the limit of memory.
    NoMemoryLimit,
    /// `deploy` takes no notice of the limit of processes.
    NoPidsLimit,
    /// `deploy` takes no notice of the limit of processors.
    NoCpuLimit,
    /// `stop` kills at once what would have ended politely.
    KillsAtOnce,
    /// `attach` to what is missing, and `dial` of it, succeed.
    AttachesToNone,
    /// `dial` leads to a port on which nobody listens.
    DialsAnyPort,
    /// What `dial` opened goes on when the workload has ended.
    OutlastsWorkload,
    /// `dial` ends the connections that it made before.
    DialsOnce,
    /// `deploy` lets what has no port and no network connect.
    ConnectsAnyway,
    /// `deploy` lets what has a port and no network connect.
    ConnectsWithPort,
    /// `deploy` puts nobody behind the port of what has no network: connections are accepted, and end.
    HidesPort,
    /// `deploy` lets nothing connect that has a profile with all networks.
    NeverConnects,
    /// `deploy` takes no notice of lists of ports.
    AnyPort,
    /// `deploy` takes no notice of lists of hosts.
    AnyHost,
    /// `validate` takes no notice of the network's name.
    AnyNetwork,
    /// `deploy` lets everything be read.
    ReadsAll,
    /// `deploy` lets everything be written.
    WritesAll,
    /// `deploy` grants nothing.
    GrantsNothing,
}

impl Order {
    /// For every call of this operation.
    pub fn always(operation: &str, act: Act) -> Self {
        Self { operation: operation.to_owned(), uid: None, once: false, act }
    }

    /// For the next call of this operation.
    pub fn once(operation: &str, act: Act) -> Self {
        Self { once: true, ..Self::always(operation, act) }
    }

    /// For calls about this workload alone.
    #[must_use]
    pub fn about(self, uid: &str) -> Self {
        Self { uid: Some(uid.to_owned()), ..self }
    }

    pub(crate) fn fits(&self, call: &Call) -> bool {
        self.operation == call.operation && self.uid.as_ref().is_none_or(|uid| *uid == call.uid)
    }
}
