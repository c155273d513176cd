//! [`Effect`]: an action of a supervisor. [`Work`] takes time and is answered by one event; there is at most one at a time,
//! and a new one replaces the one before it, which is dropped. All other effects are done at once.
use super::state::Cause;
use std::time::Duration;

/// An action that takes time.
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
    /// Ask the owner for the resource that an earlier supervisor left.
    LookForEarlier,
    /// Wait until a server that was left running answers.
    AwaitResumed,
    /// Stop the deployment of an earlier supervisor; remove it if the runtime does not restart it in place.
    PutEarlierAside,
    /// Make everything that a start needs; none of the workload's code runs yet.
    Deploy,
    /// One listing of the recorded instance must show the deployment.
    ProveMade,
    /// Record the handle, durably (R12). A restart: only if the workload is still wanted.
    RecordHandle,
    /// Attach, start, wait until it answers.
    Start,
    /// Ask the owner whether the started workload exited with code 0.
    AskExit,
    /// Record `running`.
    RecordReady,
    /// Stop the deployment; remove it if the runtime does not restart it in place.
    PutAside,
    /// Stop the deployment and keep it, for its user to look at.
    StopKept,
    /// Remove the deployment, or the owner's resource with this uid.
    Remove,
    /// Look for a deployment that missed its deadline, for a while, and remove it.
    Settle,
    /// One listing of the recorded instance must show that nothing of it runs.
    ProveEnded,
    /// One listing of the recorded instance must show nothing of it.
    ProveGone,
    /// Remove status record and RunConfig.
    RemoveRecords,
    /// Record that the start failed.
    RecordFailure(Left),
    /// Wait for this time.
    Wait(Duration),
    /// Attach to a running workload, and make the handshake again.
    Reattach,
    /// The recorded instance must answer.
    ProveOwner,
    /// End the workload: answer its clients, close stdin, stop it after this time.
    Stop(Duration),
    /// One listing of the recorded instance must show that it has ended, and its exit.
    ProveStopped,
    /// Read the records: is the workload still this supervisor's to bring back?
    CheckWanted,
    /// Record an end after which its engine starts it again, and how often that happened.
    RecordExit,
    /// Attach, wait until its engine has started it again, and until it answers.
    Follow,
    /// Record the end.
    RecordEnd(End),
}

/// The part of a failed start that stays on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Left {
    /// Nothing, apart from resources that the runtime keeps for the workload.
    Nothing,
    /// Something that could not be removed.
    Resource,
    /// Records that could not be removed.
    Records,
    /// Whatever there is while the owner cannot be asked. The records stay as they are, and only the command is told.
    Interrupted,
}

/// The kind of end that is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// It completed.
    Completed,
    /// It failed.
    Failed,
    /// Its engine went away and closed its input, so it has not completed.
    CutOff,
    /// It ended too often in a row.
    UsedUp,
    /// Its user stopped it in the foreground.
    ByUser,
}

/// An answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// Nothing runs any more, or the workload is left running; the supervisor ends.
    Ends,
    /// The workload has ended, with this exit; the supervisor ends.
    Stopped,
    /// It failed, with the error of the last work.
    Refused,
    /// There is no start to give up.
    NotStarting,
    /// This request cannot be answered here.
    OutOfTurn,
    /// The supervisor's report on itself.
    Report,
}

/// An action of a supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Begin a work.
    Work(Work),
    /// Answer the waiting request.
    Answer(Reply),
    /// Keep the error of the work that failed: it may be the reason why the start fails.
    KeepError,
    /// Give the start up.
    GiveUp(Cause),
    /// The start was given up, and everything of it is cleared up.
    GivenUp,
    /// Serve clients, release the operation lock, report ready.
    ReportReady,
    /// Wait for the workload's end from now on, in one wait without a gap; also for the end of its stdout.
    WatchEnd,
    /// The workload ended: tell its clients, and wait no more.
    HearExit,
    /// An attempt to restart it begins.
    BeginRestart,
    /// Everything in the way of the attempt is removed.
    Cleared,
    /// It is up again.
    Back,
    /// An attempt failed; keep the reason why it is not up.
    NoteFailure,
    /// Report that it could not be removed.
    TellUncleared,
    /// Report that it could not be ended.
    TellUnstopped,
    /// End the process.
    End,
}

impl Effect {
    /// Its name in the table of docs/supervisor.md.
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
