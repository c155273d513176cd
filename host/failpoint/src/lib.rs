//! Points between two effects, where a test ends a process as `kill -9` would, or lets an effect fail.
//!
//! Every effect that outlives its process has a point before and after it, in the one function that performs it and not at
//! its callers, so that none is forgotten: a file or folder of the state directory (`records/src/file/atomic.rs`), a lock
//! (`records/src/file/byte_lock.rs`), a call of a plugin that changes something (`runtimes/src/client.rs`), the control
//! socket, a log that is opened, put aside or removed, a process that is started or killed, a control group, the launcher's
//! state file and a workload's own folder. The other points stand between two steps of a command, a supervisor or the
//! launcher; their names tell which.
//!
//! There are no points for: the lines of a log, each of which may be lost; bytes sent over a socket, which end with the
//! process; the effects of a plugin within one of its calls, where tests kill at random moments; and the cache folder,
//! since copies of libraries are compared before each use, so that a half-written one is made again, and a verdict on a
//! library may be lost.
//!
//! The code calls [`reach`], or [`may_fail`] beside an effect that can fail; `main` arms the process by the environment:
//!
//! ```text
//! WHARF_FAILPOINT=[ROLE/]NAME[:NTH]=kill         the process kills itself when it is there for the NTH time
//! WHARF_FAILPOINT=[ROLE/]NAME[:NTH]=error=EIO    the effect fails with EIO, ENOSPC or EMFILE: before it, in the place of
//!                                                being performed; after it, it was performed and is reported failed
//! WHARF_FAILPOINT=[ROLE/]NAME[:NTH]=wait:FILE    from the NTH time on, waits while another process has locked FILE: a slow disk
//! WHARF_FAILPOINT=…=kill:FILE                    (or =error=EIO:FILE) of all processes only the first, which makes FILE
//! WHARF_FAILPOINT=FAULT,FAULT                    several, for processes of several roles
//! WHARF_FAILPOINT_TRACE=FILE                     each point that is reached is a line of FILE: ROLE PID NAME NTH, and
//!                                                `can-fail` where an error can be had there
//! ```
//!
//! Both are inherited from a command to its supervisor, to the launcher and to the process that becomes the workload, never
//! by the workload itself. `wharf __failpoints` prints all names, so that a test enumerates them.
//!
//! Invariant: builds without debug assertions, and so every release, have none of it: [`reach`] is empty there, and the
//! environment is not looked at.

#[cfg(debug_assertions)]
mod armed;

use std::io;
use std::process::Command;

/// The variable that names the points, and whether to end or to fail there.
pub const KILL_VARIABLE: &str = "WHARF_FAILPOINT";
/// The variable with the path of the file for the points that are reached.
pub const TRACE_VARIABLE: &str = "WHARF_FAILPOINT_TRACE";

/// True if this build has failpoints.
pub const ENABLED: bool = cfg!(debug_assertions);

macro_rules! points {
    ($($(#[doc = $doc:literal])* $point:ident = $name:literal,)*) => {
        /// A point. Its name says where it is; a test finds points that no code uses.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Point {
            $($(#[doc = $doc])* #[doc = $name] $point,)*
        }

        impl Point {
            const ALL: &[Self] = &[$(Self::$point,)*];

            const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }
        }
    };
}

points! {
    // The state directory: every effect on it (`records/src/file/atomic.rs`).
    MakeFolderBefore = "make-folder.before",
    MakeFolderAfter = "make-folder.after",
    CreateFileBefore = "create-file.before",
    CreateFileAfter = "create-file.after",
    WriteFileBefore = "write-file.before",
    WriteFileAfter = "write-file.after",
    SyncFileBefore = "sync-file.before",
    SyncFileAfter = "sync-file.after",
    LinkBefore = "link.before",
    LinkAfter = "link.after",
    RenameBefore = "rename.before",
    RenameAfter = "rename.after",
    UnlinkBefore = "unlink.before",
    UnlinkAfter = "unlink.after",
    SyncFolderBefore = "sync-folder.before",
    SyncFolderAfter = "sync-folder.after",
    // The locks.
    OperationTaken = "operation.taken",
    OperationHandedOver = "operation.handed-over",
    OperationInherited = "operation.inherited",
    OperationReleased = "operation.released",
    RecordTaken = "record.taken",
    RecordReleased = "record.released",
    LifeTaken = "life.taken",
    // Every call of a plugin that changes something (`runtimes/src/client.rs`).
    DeployBefore = "deploy.before",
    DeployAfter = "deploy.after",
    AttachBefore = "attach.before",
    AttachAfter = "attach.after",
    StartCallBefore = "start-call.before",
    StartCallAfter = "start-call.after",
    StopCallBefore = "stop-call.before",
    StopCallAfter = "stop-call.after",
    RemoveCallBefore = "remove-call.before",
    RemoveCallAfter = "remove-call.after",
    RecoverCallBefore = "recover-call.before",
    RecoverCallAfter = "recover-call.after",
    // The control socket (`supervisor/src/client/control.rs`).
    ControlBindBefore = "control-bind.before",
    ControlBound = "control.bound",
    ControlBindAfter = "control-bind.after",
    ControlUnlinkBefore = "control-unlink.before",
    ControlUnlinkAfter = "control-unlink.after",
    ControlClearBefore = "control-clear.before",
    ControlClearAfter = "control-clear.after",
    // The supervisor's log, and both logs of an earlier workload (`supervisor/src/log.rs`).
    ProxyLogOpenBefore = "proxy-log-open.before",
    ProxyLogOpenAfter = "proxy-log-open.after",
    ProxyLogAsideBefore = "proxy-log-aside.before",
    ProxyLogAsideAfter = "proxy-log-aside.after",
    LogsClearBefore = "logs-clear.before",
    LogsClearAfter = "logs-clear.after",
    // A command that creates or starts.
    RunConfigCreated = "run-config.created",
    ProxySecretMade = "proxy-secret.made",
    StartRecorded = "start.recorded",
    SupervisorSpawnBefore = "supervisor-spawn.before",
    SupervisorSpawnAfter = "supervisor-spawn.after",
    TaskWritten = "task.written",
    ReadyHeard = "ready.heard",
    // The supervisor.
    TaskReadBefore = "task-read.before",
    TaskReadAfter = "task-read.after",
    OwnerConnected = "owner.connected",
    PortBound = "port.bound",
    SupervisorRecorded = "supervisor.recorded",
    HandleRecorded = "handle.recorded",
    ReadyRecordBefore = "ready-record.before",
    ReadyRecordAfter = "ready-record.after",
    ReportBefore = "report.before",
    ReportAfter = "report.after",
    StopHeard = "stop.heard",
    StopDone = "stop.done",
    SupervisorEnds = "supervisor.ends",
    SessionOver = "session.over",
    SessionServerGone = "session-server.gone",
    GiveUpBefore = "give-up.before",
    GiveUpAfter = "give-up.after",
    // A command that stops or removes.
    StopRecorded = "stop.recorded",
    ControlStopBefore = "control-stop.before",
    ControlStopAfter = "control-stop.after",
    SupervisorGone = "supervisor.gone",
    EndRecorded = "end.recorded",
    RemovalRecorded = "removal.recorded",
    StatusRemoved = "status.removed",
    RunConfigRemoved = "run-config.removed",
    // A supervisor whose workload ended by itself.
    ExitHeard = "exit.heard",
    RestartBefore = "restart.before",
    RestartCleared = "restart.cleared",
    RestartAfter = "restart.after",
    EndRecordBefore = "end-record.before",
    EndRecordAfter = "end-record.after",
    // Commands beside the usual ones: reconciliation, adoption, and the ones for forgotten, orphaned and corrupt workloads.
    ReconcileDecided = "reconcile.decided",
    MissedEndRecorded = "missed-end.recorded",
    RecordOwnerBefore = "record-owner.before",
    RecordOwnerAfter = "record-owner.after",
    LeaveBefore = "leave.before",
    LeaveAfter = "leave.after",
    EditRecorded = "edit.recorded",
    EditUndone = "edit.undone",
    EditSettled = "edit.settled",
    FetchRecorded = "fetch.recorded",
    FetchCleared = "fetch.cleared",
    SupervisorKillBefore = "supervisor-kill.before",
    SupervisorKillAfter = "supervisor-kill.after",
    ImportRecorded = "import.recorded",
    StatusForgotten = "status.forgotten",
    RunConfigForgotten = "run-config.forgotten",
    SetAsideBefore = "set-aside.before",
    SetAsideAfter = "set-aside.after",
    // The launcher, and the process that becomes the workload.
    LauncherBegun = "launcher.begun",
    JobRead = "job.read",
    OwnFolderBefore = "own-folder.before",
    OwnFolderAfter = "own-folder.after",
    OwnFolderRemoveBefore = "own-folder-remove.before",
    OwnFolderRemoveAfter = "own-folder-remove.after",
    GroupMakeBefore = "group-make.before",
    GroupMakeAfter = "group-make.after",
    GroupJoinBefore = "group-join.before",
    GroupJoinAfter = "group-join.after",
    GroupRemoveBefore = "group-remove.before",
    GroupRemoveAfter = "group-remove.after",
    LogOpenBefore = "log-open.before",
    LogOpenAfter = "log-open.after",
    LogAsideBefore = "log-aside.before",
    LogAsideAfter = "log-aside.after",
    StageSpawnBefore = "stage-spawn.before",
    StageSpawnAfter = "stage-spawn.after",
    StageKillBefore = "stage-kill.before",
    StageKillAfter = "stage-kill.after",
    StateWriteBefore = "state-write.before",
    StateSynced = "state.synced",
    StateRenamed = "state.renamed",
    StateWriteAfter = "state-write.after",
    StateRemoveBefore = "state-remove.before",
    StateRemoveAfter = "state-remove.after",
    PreparedReported = "prepared.reported",
    GoRead = "go.read",
    ExecuteBefore = "execute.before",
    ExecuteAfter = "execute.after",
    StartedReported = "started.reported",
    TerminateBefore = "terminate.before",
    TerminateAfter = "terminate.after",
    KillAllBefore = "kill-all.before",
    KillAllAfter = "kill-all.after",
    ExitRecordBefore = "exit-record.before",
    ExitRecordAfter = "exit-record.after",
    StageReady = "stage.ready",
    OrderRead = "order.read",
    ExecBefore = "exec.before",
}

/// The names of all points.
pub fn names() -> impl Iterator<Item = &'static str> {
    Point::ALL.iter().map(|point| point.name())
}

/// In a build without debug assertions: does nothing.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn reach(_: Point) {}

/// In a build without debug assertions: never fails.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn may_fail(_: Point) -> io::Result<()> {
    Ok(())
}

#[cfg(debug_assertions)]
pub use armed::{may_fail, reach};

/// Performs an effect between its two points.
pub fn perform<T>(before: Point, after: Point, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    may_fail(before)?;
    let done = act();
    let told = may_fail(after);
    done.and_then(|done| told.map(|()| done))
}

/// Reads the environment, once, first thing; `role` names the kind of this process.
pub fn arm(role: &'static str) {
    #[cfg(debug_assertions)]
    armed::arm(role);
    #[cfg(not(debug_assertions))]
    let _ = role;
}

/// Passes the faults that this process is armed with to a child whose environment is cleared.
pub fn hand_on(command: &mut Command) {
    if ENABLED {
        let told = [KILL_VARIABLE, TRACE_VARIABLE].into_iter();
        command.envs(told.filter_map(|variable| Some((variable, std::env::var_os(variable)?))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_points_have_the_same_name() {
        let distinct: BTreeSet<_> = names().collect();
        assert_eq!(distinct.len(), Point::ALL.len());
    }
}
