//! [`State`]: everything that a supervisor's decisions depend on, small enough for a model checker to compare and count.
//! Errors, handles and exits stay with the run loop; the state has only their kinds.
use super::pauses::Pauses;
use wharf_model::{ErrorKind, RestartPolicy};

/// The circumstances of a supervisor's start, which never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// It was started by `run`: if the start fails and a client is told, nothing is left.
    pub creates: bool,
    /// A client waits for the start to be ready.
    pub attended: bool,
    /// The command stays in its user's terminal: a signal means that the user wants the workload stopped.
    pub foreground: bool,
}

/// Properties of the workload and its runtime, known once the owner is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Workload {
    /// Its server uses stdin and stdout.
    pub stdio: bool,
    /// It goes on when its supervisor ends, and the next supervisor finds it.
    pub survives: bool,
    /// Its runtime restarts it in place.
    pub in_place: bool,
    /// Its engine starts it again after an end, by itself; the supervisor follows.
    pub restarts_itself: bool,
    /// Its restart policy.
    pub policy: RestartPolicy,
}

/// The part of the workload that may exist, as far as this supervisor has made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Made {
    /// Nothing.
    Nothing,
    /// The handle of a deployment is known.
    Handle,
    /// A deployment was begun, and its outcome is unknown: a resource may exist, to be found by its uid.
    Unknown,
    /// A deployment missed its deadline and may still appear: another one would make a second resource of the same uid
    /// (R10).
    Late,
}

/// Whether a start may be repeated because the server's stdin was closed before the server began (docs/supervisor.md,
/// "Start").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Again {
    /// No: nothing was kept from an earlier attempt.
    No,
    /// Yes: a kept container was started, which may have exited at once because its stdin was closed.
    Possible,
    /// It was repeated already.
    Used,
}

/// The reason why a start is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// An effect failed.
    Failed(ErrorKind),
    /// A command asked for it.
    Stopped,
    /// SIGTERM or SIGINT came.
    Interrupted,
    /// The client that waited has gone.
    Abandoned,
}

/// The party for which the workload is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Behalf {
    /// A request on the control socket.
    Request,
    /// SIGTERM or SIGINT.
    Signal,
    /// The supervisor itself: the server closed its stdout and runs on.
    Own,
}

/// The situation in which the workload is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum During {
    /// It is up.
    Run,
    /// In a pause before a restart: nothing was begun.
    Pause,
    /// In a restart that may be half done.
    Restart,
    /// Its engine is starting it again.
    Follow,
}

/// The reason why a deployment is stopped or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clearing {
    /// An earlier supervisor left it.
    Earlier,
    /// Its stdin was closed before it was started; the start is repeated.
    Again,
    /// It ended and is restarted.
    Restart,
    /// A restart failed because the workload is no longer wanted.
    Unwanted,
    /// It ended too often.
    UsedUp,
    /// A restart was interrupted for this party.
    Interrupted(Behalf),
    /// The supervisor was asked to leave its workload while a deployment of a restart may still come.
    Leaving,
    /// A start is given up.
    GiveUp,
}

/// The answer that a supervisor waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// The life lock is being taken.
    TakingLife,
    /// The RunConfig is being read, and the owner connected and proven.
    Preparing,
    /// The control socket is being made.
    OpeningControl,
    /// The proxy's port is being bound and recorded.
    BindingPort,
    /// The supervisor is being recorded.
    RecordingSupervisor,
    /// The owner is asked what an earlier supervisor left.
    Looking,
    /// A server that an earlier supervisor left running is waited for.
    Resuming,
    /// A deployment is being stopped or removed.
    Clearing(Clearing),
    /// A listing must show that it is stopped or removed.
    Proving(Clearing),
    /// The workload is being deployed.
    Deploying,
    /// A listing of the recorded instance must show the deployment.
    ProvingMade,
    /// The handle is being recorded.
    RecordingHandle,
    /// It is being attached and started, and must answer.
    Starting,
    /// It did not answer; the owner is asked whether it exited with code 0.
    AskingExit,
    /// `running` is being recorded.
    RecordingReady,
    /// A creation failed: status record and RunConfig are being removed.
    RemovingRecords,
    /// A start failed: that is being recorded.
    RecordingFailure,
    /// The workload is up.
    Running,
    /// Its stdout is closed; its end is awaited for a while.
    StdoutClosed,
    /// It is being attached again.
    Reattaching,
    /// The owner must prove itself before the supervisor ends the workload on its own account.
    ProvingOwnerToEnd,
    /// The workload is being ended.
    Stopping(Behalf, During),
    /// A listing must show that it has ended.
    ProvingStopped(Behalf, During),
    /// A pause before the next attempt to restart it.
    Pausing,
    /// Before an attempt to restart it: the records are read to see whether it is still wanted.
    CheckingWanted,
    /// The owner must prove itself before an attempt.
    ProvingOwner,
    /// An attempt failed, perhaps because a command is at work: the records are read.
    CheckingFailure(ErrorKind),
    /// An end is being recorded after which its engine starts it again.
    RecordingExit,
    /// Its engine is starting it again: that is waited for, and the server must answer.
    Following,
    /// A pause before it is waited for anew.
    FollowingLater,
    /// The end is being recorded.
    RecordingEnd,
    /// The supervisor ends.
    Ended,
}

/// Everything that the next decision depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The circumstances.
    pub task: Task,
    /// The workload's properties; meaningless before [`At::OpeningControl`].
    pub workload: Workload,
    /// The answer that it waits for.
    pub at: At,
    /// The part of the workload that may exist.
    pub made: Made,
    /// It was ready, and the supervisor is bringing it back.
    pub restarting: bool,
    /// The supervisor has begun to end it on its own account, and nobody knows what came of that: an end that follows is its
    /// own doing, whatever the engine says.
    pub own_stop: bool,
    /// Whether the start may be repeated.
    pub again: Again,
    /// The reason why the start is given up, or will be if it is not repeated.
    pub cause: Option<Cause>,
    /// Pauses and attempts.
    pub pauses: Pauses,
    /// How often it was restarted.
    pub restarts: u32,
}

/// The sources of events that a supervisor listens to, beside the answer to its work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hears {
    /// Requests on the control socket. Those that come at another time wait.
    pub requests: bool,
    /// SIGTERM and SIGINT, and in the foreground the end of the command.
    pub signals: bool,
    /// The end of the client that waits for the start.
    pub client: bool,
    /// The loss of the RunConfig.
    pub config: bool,
    /// The workload's end.
    pub exit: bool,
    /// The end of its stdout.
    pub stdout: bool,
}

impl State {
    /// A supervisor whose process has just begun, and holds the operation lock. The first event is
    /// [`super::Event::Begin`].
    #[must_use]
    pub const fn new(task: Task) -> Self {
        Self {
            task,
            workload: Workload {
                stdio: false,
                survives: false,
                in_place: false,
                restarts_itself: false,
                policy: RestartPolicy::No,
            },
            at: At::TakingLife,
            made: Made::Nothing,
            restarting: false,
            own_stop: false,
            again: Again::No,
            cause: None,
            pauses: Pauses::new(),
            restarts: 0,
        }
    }

    /// True from the first record until the workload is ready, or the start is given up.
    #[must_use]
    pub const fn is_starting(&self) -> bool {
        let is_at = matches!(
            self.at,
            At::BindingPort
                | At::RecordingSupervisor
                | At::Looking
                | At::Resuming
                | At::Clearing(Clearing::Earlier | Clearing::Again)
                | At::Proving(Clearing::Earlier | Clearing::Again)
                | At::Deploying
                | At::ProvingMade
                | At::RecordingHandle
                | At::Starting
                | At::AskingExit
                | At::RecordingReady
        );
        is_at && !self.restarting
    }

    /// True between an end and the next time that the workload is up, as long as a request may interrupt the restart.
    #[must_use]
    pub const fn is_restarting(&self) -> bool {
        let is_at = matches!(
            self.at,
            At::Pausing
                | At::ProvingOwner
                | At::Clearing(Clearing::Restart)
                | At::Proving(Clearing::Restart)
                | At::Deploying
                | At::ProvingMade
                | At::Starting
        );
        is_at && self.restarting
    }

    /// The sources that are listened to now.
    ///
    /// While a record is written, there are none: if the write were dropped, it would still happen, at some later moment.
    /// There are none either while the workload is ended or a start is given up: no request could change that any more.
    #[must_use]
    pub const fn hears(&self) -> Hears {
        const NOTHING: Hears = Hears {
            requests: false,
            signals: false,
            client: false,
            config: false,
            exit: false,
            stdout: false,
        };
        match self.at {
            At::RecordingSupervisor | At::RecordingHandle | At::RecordingReady => NOTHING,
            At::Running => {
                Hears { requests: true, signals: true, config: true, exit: true, stdout: true, ..NOTHING }
            }
            At::StdoutClosed => Hears { requests: true, signals: true, config: true, exit: true, ..NOTHING },
            At::Following | At::FollowingLater => {
                Hears { requests: true, signals: true, config: true, ..NOTHING }
            }
            _ if self.is_starting() => Hears { requests: true, signals: true, client: true, ..NOTHING },
            _ if self.is_restarting() => Hears { requests: true, signals: true, ..NOTHING },
            _ => NOTHING,
        }
    }

    /// True if a start that fails leaves nothing on record. Records only vanish if a client is told of the failure.
    #[must_use]
    pub const fn is_dropped(&self) -> bool {
        self.task.creates && self.task.attended
    }
}
