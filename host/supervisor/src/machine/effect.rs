//! [`Effect`]: what a supervisor does. [`Work`] takes its time and is answered by one event; there is at most one at a
//! time, and a new one takes the place of the one before it, which is dropped. Everything else is done at once.
use super::state::Cause;
use std::time::Duration;

/// Something that takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// Take the life lock.
    TakeLife,
    /// Read the RunConfig; connect the owner and prove it.
    Prepare,
    /// Make the control socket, take signals.
    OpenControl,
    /// Bind the proxy's port, record it.
    BindPort,
    /// Record this process.
    RecordSupervisor,
    /// Ask the owner what an earlier supervisor left.
    LookForEarlier,
    /// Wait until a server that was left running answers.
    AwaitResumed,
    /// Stop what an earlier supervisor left; remove it if the runtime does not restart it in place.
    PutEarlierAside,
    /// Make everything that a start needs; nothing of the workload runs yet.
    Deploy,
    /// One listing of the recorded instance must show what was made.
    ProveMade,
    /// Record the handle, durably (R12). A restart: only if the workload is still wanted.
    RecordHandle,
    /// Attach, start, wait until it answers.
    Start,
    /// Ask the owner if what was started exited with code 0.
    AskExit,
    /// Record `running`.
    RecordReady,
    /// Stop what is deployed; remove it if the runtime does not restart it in place.
    PutAside,
    /// Stop what is deployed, which stays for its user to look at.
    StopKept,
    /// Remove what is deployed, or what the owner has of this uid.
    Remove,
    /// Look for a deployment that missed its deadline, for a while, and remove it.
    Settle,
    /// One listing of the recorded instance must show nothing of it as running.
    ProveEnded,
    /// One listing of the recorded instance must show nothing of it.
    ProveGone,
    /// Remove status record and RunConfig.
    RemoveRecords,
    /// Record that the start failed.
    RecordFailure(Left),
    /// Do nothing for so long.
    Wait(Duration),
    /// Attach to a workload that runs, and make the handshake again.
    Reattach,
    /// The recorded instance must answer.
    ProveOwner,
    /// End the workload: answer its clients, close stdin, stop it after so long.
    Stop(Duration),
    /// One listing of the recorded instance must show it as ended; its exit with it.
    ProveStopped,
    /// Read the records: is the workload still this supervisor's to bring back?
    CheckWanted,
    /// Record the end.
    RecordEnd(End),
}

/// The leavings of a start that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Left {
    /// Nothing, or what its runtime keeps.
    Nothing,
    /// Something that could not be removed.
    Resource,
    /// Records that could not be removed.
    Records,
}

/// As what an end is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// It completed.
    Completed,
    /// It failed.
    Failed,
    /// Its engine went away, and its input with it: no completion.
    CutOff,
    /// It ended too often in a row.
    UsedUp,
    /// Its user stopped it in the foreground.
    ByUser,
}

/// An answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// Nothing runs any more, or the workload is left alone; the supervisor ends.
    Ends,
    /// The workload has ended like this; the supervisor ends.
    Stopped,
    /// It failed, with the error of what was done last.
    Refused,
    /// There is no start that could be given up.
    NotStarting,
    /// It cannot be asked here.
    OutOfTurn,
    /// About the supervisor.
    Report,
}

/// Something that a supervisor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Begin something that takes its time.
    Work(Work),
    /// Answer the request that waits.
    Answer(Reply),
    /// Keep the error of what failed: the start may have failed of it.
    KeepError,
    /// Give the start up.
    GiveUp(Cause),
    /// Everything of a start that was given up is cleared up.
    GivenUp,
    /// Serve clients, release the operation lock, report ready.
    ReportReady,
    /// Ask for the workload's end, from now on and without a break; its stdout too.
    WatchEnd,
    /// It ended: tell its clients, and ask no more.
    HearExit,
    /// An attempt to restart it begins.
    BeginRestart,
    /// Nothing is in its way any more.
    Cleared,
    /// It is back.
    Back,
    /// An attempt failed, and this is why it is not up.
    NoteFailure,
    /// It could not be removed.
    TellUncleared,
    /// It could not be ended.
    TellUnstopped,
    /// End.
    End,
}

impl Effect {
    /// Its name, as the table in docs/supervisor.md has it.
    #[must_use]
    pub fn name(&self) -> String {
        let debug = match self {
            Self::Work(Work::Wait(_)) => "Wait".to_owned(),
            Self::Work(Work::Stop(_)) => "Stop".to_owned(),
            Self::Work(work) => format!("{work:?}"),
            Self::GiveUp(_) => "GiveUp".to_owned(),
            other => format!("{other:?}"),
        };
        words(&debug)
    }
}

/// `RecordEnd(UsedUp)` as "record end (used up)".
pub(super) fn words(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        match letter {
            '(' => text.push_str(" ("),
            ',' => text.push(','),
            _ => {
                if letter.is_uppercase() && !text.is_empty() && !text.ends_with(['(', ' ']) {
                    text.push(' ');
                }
                text.extend(letter.to_lowercase());
            }
        }
    }
    text
}
