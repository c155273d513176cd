//! Orders of tests for the calls of a runtime.
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
    /// The act to perform.
    pub act: Act,
}

/// An act that a call performs instead of its work, or before it.
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
    /// The engine performs the effect later; the caller gets the error that its time is over.
    Late,
    /// Answers about the workload of another uid.
    OtherUid,
    /// Answers with the handle of another object of the same uid.
    OtherHandle,
    /// Answers with each object twice.
    Twice,
    /// Answers as another instance.
    OtherInstance,
    /// The call reaches another engine, which has no objects, and so returns success without effect.
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
    /// Says of an end that the engine starts the workload again.
    GoesOn,
    /// Breaks the contract in this way.
    Flawed(Flaw),
}

/// A way of breaking the contract. "Of this process" means that the process that is called has deployed the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    /// `health` has its remedy in the message.
    RemedyInMessage,
    /// `validate` deploys.
    Deploys,
    /// `validate` accepts everything.
    AcceptsAll,
    /// `pin` accepts everything.
    PinsAll,
    /// `pin` calls the last argument closed.
    CallsClosed,
    /// `deploy` starts.
    Starts,
    /// `deploy` takes a while; if it is given up, its engine makes the workload all the same, some listings later.
    MadeLate,
    /// `remove` keeps the name of a workload that ran.
    KeepsName,
    /// `list` returns other handles than `deploy`, for running workloads of this process.
    OtherHandles,
    /// `list` says of nothing whose it is.
    NoParent,
    /// `list` has what other hosts have.
    AllHosts,
    /// `list` says that it is the instance that is presumed.
    BelievesPresumed,
    /// `list` ignores its query.
    ListsAll,
    /// `list` of some workloads never says that it is complete.
    NeverComplete,
    /// `list` returns only workloads of this process.
    OwnProcessAlone,
    /// `start` refuses what runs.
    RefusesRunning,
    /// `start` of a missing workload succeeds; `recover` finds it.
    MissingSucceeds,
    /// `stop` and `remove` of a missing workload fail.
    MissingFails,
    /// `inspect` of a missing workload returns no evidence.
    MissingUnavailable,
    /// `wait` for a missing workload never resolves.
    MissingHangs,
    /// `inspect` shows a stopped idle workload of this process as running.
    IdleForEver,
    /// `inspect` shows a stopped workload of another process as running.
    OthersForEver,
    /// `inspect` says that somebody has paused the workload.
    AllPaused,
    /// `stop` does nothing to a workload that is deaf.
    AsksOnly,
    /// `stop` fails when it is called for the third time.
    TwiceAtMost,
    /// `stop` leaves a port open.
    LeavesPort,
    /// `remove` refuses what runs.
    KillsNothing,
    /// `remove` removes any workload with the same name.
    ByName,
    /// `wait` for an idle workload that has ended never resolves.
    EndedHangs,
    /// `wait` for a workload of another process never resolves.
    OthersHang,
    /// `wait` and `inspect` do not know the exit code of a workload that ended by itself.
    NoCode,
    /// `wait` says of no end that the engine starts the workload again.
    NeverGoesOn,
    /// `start` of a workload that the engine starts again returns at once.
    FollowsNothing,
    /// A trial of networks leaves what it made.
    LeavesTrial,
    /// A trial of networks leaves what it made if it is given up.
    LeavesTrialGivenUp,
    /// `validate` takes no notice of the verdict that networks are closed.
    IgnoresVerdict,
    /// `recover` accepts every handle.
    AnyVersion,
    /// `logs` begin with the end.
    NewestFirst,
    /// `logs` are always all.
    AllLines,
    /// `logs` are never followed.
    NeverFollows,
    /// `logs` have no times.
    NoTimes,
    /// `attach`, or `dial`, changes bytes.
    Garbles,
    /// `attach`, or `dial`, ends after a mebibyte.
    Truncates,
    /// `attach`, or `dial`, does not pass on that the writing side has ended.
    NeverCloses,
    /// `inspect` returns an address that other machines can reach.
    Everywhere,
    /// `deploy` takes no notice of the limit of memory.
    NoMemoryLimit,
    /// `deploy` takes no notice of the limit of processes.
    NoPidsLimit,
    /// `deploy` takes no notice of the limit of processors.
    NoCpuLimit,
    /// `stop` kills at once what would have ended politely.
    KillsAtOnce,
    /// `attach` and `dial` of a missing workload succeed.
    AttachesToNone,
    /// `dial` leads to a port on which nobody listens.
    DialsAnyPort,
    /// A stream of `dial` goes on after the workload has ended.
    OutlastsWorkload,
    /// `dial` ends the connections that it made before.
    DialsOnce,
    /// `deploy` gives a network to a workload without a port that must have none.
    ConnectsAnyway,
    /// `deploy` gives a network to a workload with a port that must have none.
    ConnectsWithPort,
    /// `deploy` connects nobody to the port of a workload without a network: connections are accepted, and end.
    HidesPort,
    /// `deploy` lets nothing connect that has a profile with all networks.
    NeverConnects,
    /// `deploy` takes no notice of lists of ports.
    AnyPort,
    /// `deploy` takes no notice of lists of hosts.
    AnyHost,
    /// `validate` takes no notice of the network's name.
    AnyNetwork,
    /// `deploy` lets everything be read where nothing is mounted.
    ReadsAll,
    /// `deploy` opens the host's own folders with one that holds them.
    MountsAll,
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
