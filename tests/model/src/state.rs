//! [`State`]: everything that survives a step: files, locks, engines and what is in them, processes.

use crate::reading::Reading;
use wharf_model::Phase;

/// How many names there are.
pub const NAMES: usize = 2;
/// How many runtimes.
pub const RUNTIMES: usize = 2;
/// How many processes run commands or read.
pub const PROCESSES: usize = 3;
/// How many supervisors one name may have at once (more than one only where a mutation breaks the locks).
pub const SUPERVISORS: usize = 2;

/// The whole world between two steps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// What exists under each name.
    pub places: [Place; NAMES],
    /// The engine that answers for each runtime.
    pub engines: [Engine; RUNTIMES],
    /// Commands.
    pub processes: [Process; PROCESSES],
    /// Supervisors of each name.
    pub supervisors: [[Option<Supervisor>; SUPERVISORS]; NAMES],
    /// What may still go wrong.
    pub budget: Budget,
    /// For which name reconciliation is due or under way, once all is quiet; `NAMES` when all is done.
    pub settling: Option<usize>,
    /// What the properties look at and no process can see.
    pub ghost: Ghost,
}

/// Files, locks and resources of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// `runconfigs/NAME.json`.
    pub config: Option<Config>,
    /// `statuses/NAME.json`.
    pub status: Option<Record>,
    /// The operation lock.
    pub operation: Lock,
    /// The record lock.
    pub record: Lock,
    /// The life lock: which supervisor holds it. Its file is never unlinked in any mutation.
    pub life: Option<usize>,
    /// What engines have of it.
    pub resources: Vec<Resource>,
    /// A deploy that exceeded its deadline: it may still make its resource.
    pub late: Option<Late>,
    /// How many creations there were; uids are these numbers.
    pub creations: u8,
    /// How many objects engines made; object ids are these numbers.
    pub objects: u8,
}

/// What of a RunConfig matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// The creation.
    pub uid: u8,
    /// The runtime that owns it.
    pub owner: usize,
}

/// What of a status record matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// The creation.
    pub uid: u8,
    /// How often it was written.
    pub revision: u8,
    /// The recorded phase.
    pub phase: Phase,
    /// Whether it shall run.
    pub wanted: bool,
    /// The object in the recorded handle.
    pub handle: Option<u8>,
}

/// A lock on a byte range, and who holds it.
///
/// Files have generations so that a mutation can unlink them; without it there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lock {
    /// The file that has the name now.
    pub generation: u8,
    /// Who holds which file.
    pub holders: Vec<Holder>,
}

/// One open file description that holds a lock: a command's, a supervisor's, or one that both have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Holder {
    /// Of which file.
    pub generation: u8,
    /// The command that has a copy.
    pub process: Option<usize>,
    /// The supervisor that has a copy.
    pub supervisor: Option<usize>,
}

/// Something that an engine made, labelled with its uid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    /// Where.
    pub runtime: usize,
    /// The uid in its labels.
    pub uid: u8,
    /// Its id.
    pub object: u8,
    /// Whether it runs.
    pub running: bool,
}

/// A deploy whose outcome is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Late {
    /// Where.
    pub runtime: usize,
    /// The uid that its resource would be labelled with.
    pub uid: u8,
}

/// What answers for a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// The recorded instance.
    Recorded,
    /// Nothing.
    Down,
    /// Another instance, which has nothing of ours.
    Another,
}

/// What a process was started to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// `run`, on this runtime.
    Run(usize),
    /// `start`.
    Start,
    /// `stop`.
    Stop,
    /// `rm`.
    Remove,
    /// `list`.
    List,
    /// `reconcile`.
    Reconcile,
}

/// A process that runs a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// What it does. `reconcile` turns into the command that it finds necessary.
    pub command: Command,
    /// On which name.
    pub name: usize,
    /// Where it is.
    pub at: At,
    /// The lock file that it opened and waits for, where that matters.
    pub opened: Option<u8>,
    /// The RunConfig that it read under the operation lock.
    pub config: Option<Config>,
    /// The record as it was last read.
    pub record: Option<Record>,
    /// What the life lock said.
    pub supervised: bool,
    /// What the owner said: it runs.
    pub runs: bool,
    /// The supervisor that it started.
    pub child: Option<usize>,
    /// What a reader has learned.
    pub reading: Option<Box<Reading>>,
}

impl Process {
    /// One that is to do this.
    #[must_use]
    pub fn new(command: Command, name: usize) -> Self {
        Self { at: At::Begin, ..Self::done(command, name) }
    }

    /// One that has done it, and remembers nothing.
    #[must_use]
    pub fn done(command: Command, name: usize) -> Self {
        Self {
            command,
            name,
            at: At::Done,
            opened: None,
            config: None,
            record: None,
            supervised: false,
            runs: false,
            child: None,
            reading: None,
        }
    }
}

/// Where a command is: what it does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// It has not begun.
    Begin,
    /// A reader's next step.
    Reading,
    /// It waits for the operation lock.
    WantOperation,
    /// `run` writes the RunConfig, exclusively.
    CreateConfig,
    /// Under the operation lock: reads RunConfig and record.
    Read,
    /// `start` and `stop` ask the owner which instance it is.
    AskOwner,
    /// Asks whether a supervisor lives.
    ProbeLife,
    /// `stop` asks the owner whether it runs.
    Inspect,
    /// Takes the record lock and reads.
    Take(Write),
    /// Writes and releases the record lock.
    Put(Write),
    /// Starts a supervisor, which inherits the operation lock.
    Spawn,
    /// Waits for the supervisor's word.
    Await,
    /// Sends the supervisor the request to stop.
    Tell,
    /// Waits until the supervisor is gone, to stop.
    AwaitEnd,
    /// Stops through the endpoint: whichever engine answers there.
    EngineStop,
    /// One list that tells its instance, and that nothing runs any more.
    ProveStop,
    /// Asks the owner once more, to remove.
    AskOwnerToRemove,
    /// Waits until no supervisor lives, to remove.
    AwaitGone,
    /// Removes through the endpoint.
    EngineRemove,
    /// One list that tells its instance, and that nothing is left.
    ProveRemoval,
    /// Removes the status record.
    RemoveStatus,
    /// Removes the RunConfig.
    RemoveConfig,
    /// Releases the operation lock.
    Release,
    /// It has ended, or was killed.
    Done,
}

/// A change of the record by a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// The first record of a creation.
    First,
    /// A start begins.
    StartBegun,
    /// A stop begins.
    StopBegun,
    /// A stop is done.
    Stopped,
    /// A removal begins.
    RemoveBegun,
    /// The supervisor died while it started the workload.
    StartFailed,
    /// `reconcile` found an exit that nobody recorded.
    ExitFound,
}

/// A supervisor's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Supervisor {
    /// The creation that it was started for.
    pub uid: u8,
    /// It was started by `run`: a failure leaves nothing behind.
    pub creates: bool,
    /// Its runtime.
    pub owner: usize,
    /// Where it is.
    pub at: Watching,
    /// It restarts the workload when it ends by itself.
    pub restarts: bool,
    /// It was ready, and brings the workload up again without a command.
    pub restarting: bool,
    /// What is deployed.
    pub handle: Option<u8>,
    /// The record as it read it under the record lock.
    pub base: Option<Record>,
    /// A request to stop waits.
    pub asked: bool,
    /// Its start failed, or it could not stop: what the command is told.
    pub failed: bool,
}

/// Where a supervisor is: what it does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Watching {
    /// Takes the life lock.
    TakeLife,
    /// Reads the RunConfig, asks the owner which instance it is.
    Prepare,
    /// Takes the record lock and reads.
    Take(Note),
    /// Writes and releases the record lock.
    Put(Note),
    /// Looks for what an earlier supervisor left.
    TakeOver,
    /// Deploys.
    Deploy,
    /// The deploy exceeded its deadline: asks by uid what became of it.
    Settle,
    /// Lets it run.
    Start,
    /// Waits until it is ready.
    AwaitReady,
    /// Releases the operation lock.
    ReleaseOperation,
    /// All is well.
    Watch,
    /// Stops the workload, as it was asked to.
    Stop,
    /// Removes what ended, to restart it.
    RemoveEnded,
    /// Removes what it deployed, since it is not wanted any more, and ends.
    Clear,
    /// A start failed: removes what was deployed.
    GiveUp,
    /// A creation failed: one list that tells its instance, and that nothing is left.
    ProveGiveUp,
    /// A start failed: removes the status record.
    GiveUpStatus,
    /// A start failed: removes the RunConfig.
    GiveUpConfig,
    /// Releases its locks and ends.
    End,
    /// It ended, and the command that waits for its word has not looked yet.
    Ended,
}

/// A change of the record by a supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    /// Itself.
    Supervisor,
    /// The handle, before anything runs.
    Handle,
    /// It is ready.
    Ready,
    /// Its start failed.
    StartFailed,
    /// It ended and is not restarted.
    Ended,
}

/// What may still go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Processes that may be killed.
    pub crashes: u8,
    /// Workloads that may end by themselves.
    pub exits: u8,
    /// Engines that may go away, or be replaced, and come back.
    pub outages: u8,
    /// Deploys that may exceed their deadline.
    pub deadlines: u8,
}

/// What the properties look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ghost {
    /// A write replaced something else than what it was made from.
    pub lost_update: bool,
    /// A row was shown worse than recorded although it never was.
    pub false_verdict: bool,
    /// A reader wrote.
    pub reader_wrote: bool,
    /// A command said that it stopped a workload that ran on.
    pub empty_success: bool,
}
