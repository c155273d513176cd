//! [`State`]: everything that a supervisor's decisions depend on, small enough to be compared and counted by a model
//! checker. Errors, handles and exits themselves stay with the run loop; here is their kind alone.
use super::pauses::Pauses;
use wharf_model::{ErrorKind, RestartPolicy};

/// The circumstances of a supervisor: known when its process begins, and never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// It was started by `run`: a start that fails leaves nothing behind if a client is told.
    pub creates: bool,
    /// A client waits for the start to be ready.
    pub attended: bool,
    /// The command stays in its user's terminal: a signal is the user's wish to stop the workload.
    pub foreground: bool,
}

/// The properties of the workload and its runtime: known once the owner is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Workload {
    /// It speaks over stdin and stdout.
    pub stdio: bool,
    /// It goes on when its supervisor ends, and is found again by the next one.
    pub survives: bool,
    /// Its runtime restarts it in place.
    pub in_place: bool,
    /// When it is started again.
    pub policy: RestartPolicy,
}

/// The part of the workload that may be there, as far as this supervisor has made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Made {
    /// Nothing.
    Nothing,
    /// The handle of a deployment is known.
    Handle,
    /// A deployment was begun, and how it ended is not known: something may be there, to be found by its uid.
    Unknown,
    /// A deployment missed its deadline and may still come: another one would make a second of the same uid (R10).
    Late,
}

/// If a start may be made once more because its input was over before it began (docs/supervisor.md, "Start").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Again {
    /// Not now: nothing was kept from an earlier attempt.
    No,
    /// A kept container was taken up, which may have exited at once with its input at the end.
    Possible,
    /// It was made once more already.
    Used,
}

/// Why a start is given up.
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

/// On whose behalf the workload is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Behalf {
    /// A request on the control socket.
    Request,
    /// SIGTERM or SIGINT.
    Signal,
    /// The supervisor itself: the server closed its stdout and runs on.
    Own,
}

/// In which situation the workload is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum During {
    /// It is up.
    Run,
    /// In a pause before a restart: nothing was begun.
    Pause,
    /// In a restart that may have left something half made.
    Restart,
}

/// Why something is put out of the way of a deployment, or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clearing {
    /// An earlier supervisor left it.
    Earlier,
    /// Its input was over before it was started.
    Again,
    /// It ended and is restarted.
    Restart,
    /// A restart failed because the workload is no longer wanted.
    Unwanted,
    /// It ended too often.
    UsedUp,
    /// A restart was interrupted on somebody's behalf.
    Interrupted(Behalf),
    /// A start is given up.
    GiveUp,
}

/// Where a supervisor is: which answer it waits for.
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
    /// Something is being stopped or removed.
    Clearing(Clearing),
    /// A listing must show that.
    Proving(Clearing),
    /// The workload is being deployed.
    Deploying,
    /// A listing of the recorded instance must show what was made.
    ProvingMade,
    /// The handle is being recorded.
    RecordingHandle,
    /// It is being attached and started, and must answer.
    Starting,
    /// It did not answer; the owner is asked if it exited with code 0.
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
    /// The owner must prove itself before the workload is ended on the supervisor's own account.
    ProvingOwnerToEnd,
    /// The workload is being ended.
    Stopping(Behalf, During),
    /// A listing must show that it has ended.
    ProvingStopped(Behalf, During),
    /// A pause before the next attempt to restart it.
    Pausing,
    /// The records are read: is it still wanted? Before an attempt.
    CheckingWanted,
    /// The owner must prove itself before an attempt.
    ProvingOwner,
    /// An attempt failed in a way that a command's work may explain: the records are read.
    CheckingFailure(ErrorKind),
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
    /// The workload's properties; of no meaning before [`At::OpeningControl`].
    pub workload: Workload,
    /// Where it is.
    pub at: At,
    /// The part of the workload that may be there.
    pub made: Made,
    /// It was ready, and is being brought back without a command.
    pub restarting: bool,
    /// If the start may be made once more.
    pub again: Again,
    /// Why the start is given up, or would be if it is not made once more.
    pub cause: Option<Cause>,
    /// Pauses and attempts.
    pub pauses: Pauses,
    /// How often it was restarted.
    pub restarts: u32,
}

/// The sources that a supervisor listens to, beside the answer to its work.
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
            workload: Workload { stdio: false, survives: false, in_place: false, policy: RestartPolicy::No },
            at: At::TakingLife,
            made: Made::Nothing,
            restarting: false,
            again: Again::No,
            cause: None,
            pauses: Pauses::new(),
            restarts: 0,
        }
    }

    /// True from the first record to ready, until the start is given up.
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

    /// True between an end and the next time that the workload is up, as long as requests may change what comes.
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
    /// A record that is being written is waited for: dropped, it would be written all the same, at some later moment.
    /// While the workload is being ended, or a start given up, nothing else can be wanted of the supervisor.
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
            _ if self.is_starting() => Hears { requests: true, signals: true, client: true, ..NOTHING },
            _ if self.is_restarting() => Hears { requests: true, signals: true, ..NOTHING },
            _ => NOTHING,
        }
    }

    /// True if a start that fails leaves nothing on record: only what a client is told of may vanish.
    #[must_use]
    pub const fn is_dropped(&self) -> bool {
        self.task.creates && self.task.attended
    }
}
