//! [`State`]: everything that survives a step: files, locks, engines and their resources, processes.

use crate::reading::Reading;
use wharf_model::Phase;
use wharf_supervisor::machine::{self, Ask, Effect};

/// The number of names.
pub const NAMES: usize = 2;
/// The number of runtimes.
pub const RUNTIMES: usize = 2;
/// The number of processes that run commands or read.
pub const PROCESSES: usize = 3;
/// The number of supervisors that one name may have at once (more than one only where a mutation breaks the locks).
pub const SUPERVISORS: usize = 2;

/// The whole system between two steps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The files, locks and resources of each name.
    pub places: [Place; NAMES],
    /// The engine that answers for each runtime.
    pub engines: [Engine; RUNTIMES],
    /// Commands.
    pub processes: [Process; PROCESSES],
    /// Supervisors of each name.
    pub supervisors: [[Option<Supervisor>; SUPERVISORS]; NAMES],
    /// The faults that may still come.
    pub budget: Budget,
    /// For which name reconciliation is due or under way, once all is quiet; `NAMES` when all is done.
    pub settling: Option<usize>,
    /// Facts for the properties, which no process can see.
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
    /// The resources that engines have of it.
    pub resources: Vec<Resource>,
    /// A deploy that exceeded its deadline: it may still make its resource.
    pub late: Option<Late>,
    /// The number of creations; uids are these numbers.
    pub creations: u8,
    /// The number of objects that engines made; object ids are these numbers.
    pub objects: u8,
}

/// A RunConfig, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// The creation.
    pub uid: u8,
    /// The runtime that owns it.
    pub owner: usize,
}

/// A status record, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// The creation.
    pub uid: u8,
    /// The number of times that it was written.
    pub revision: u8,
    /// The recorded phase.
    pub phase: Phase,
    /// It shall run.
    pub wanted: bool,
    /// The object in the recorded handle.
    pub handle: Option<u8>,
}

/// A lock on a byte range, and its holders.
///
/// Files have generations so that a mutation can unlink them; without it there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lock {
    /// The file that has the name now.
    pub generation: u8,
    /// The descriptions that hold a file.
    pub holders: Vec<Holder>,
}

/// One open file description that holds a lock: a command's, a supervisor's, or one that both have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Holder {
    /// The generation of the file.
    pub generation: u8,
    /// The command that has a copy.
    pub process: Option<usize>,
    /// The supervisor that has a copy.
    pub supervisor: Option<usize>,
}

/// Something that an engine made, labelled with its uid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    /// The runtime.
    pub runtime: usize,
    /// The uid in its labels.
    pub uid: u8,
    /// Its id.
    pub object: u8,
    /// It runs.
    pub running: bool,
}

/// A deploy whose outcome is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Late {
    /// The runtime.
    pub runtime: usize,
    /// The uid that its resource would be labelled with.
    pub uid: u8,
}

/// The engine that answers for a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// The recorded instance.
    Recorded,
    /// Nothing.
    Down,
    /// Another instance, which has nothing of ours.
    Another,
}

/// The command that a process was started for.
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
    /// Its command. `reconcile` turns into the command that it finds necessary.
    pub command: Command,
    /// On which name.
    pub name: usize,
    /// The step that it does next.
    pub at: At,
    /// The lock file that it opened and waits for, where that matters.
    pub opened: Option<u8>,
    /// The RunConfig that it read under the operation lock.
    pub config: Option<Config>,
    /// The record as it was last read.
    pub record: Option<Record>,
    /// The life lock was held when it was asked.
    pub supervised: bool,
    /// The owner said that it runs.
    pub runs: bool,
    /// The supervisor that it started.
    pub child: Option<usize>,
    /// The answer of the supervisor that it asked to stop.
    pub answer: Option<Answered>,
    /// The knowledge of a reader.
    pub reading: Option<Box<Reading>>,
}

impl Process {
    /// A process that will run this command.
    #[must_use]
    pub fn new(command: Command, name: usize) -> Self {
        Self { at: At::Begin, ..Self::done(command, name) }
    }

    /// A process that has run this command, and remembers nothing.
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
            answer: None,
            reading: None,
        }
    }
}

/// A supervisor's answer to a request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answered {
    /// It has stopped the workload, as the owner has shown.
    Stopped,
    /// It could not, and goes on.
    Refused,
}

/// The next step of a command.
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

/// A supervisor's process: the host's own machine, and its surroundings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Supervisor {
    /// The creation that it was started for.
    pub uid: u8,
    /// Its runtime.
    pub owner: usize,
    /// The host's machine.
    pub machine: machine::State,
    /// The effects that others can see and that it has not performed yet; the last may be under way.
    pub todo: Vec<Effect>,
    /// The work under way has had the first of its two effects.
    pub halfway: bool,
    /// The record as it read it under the record lock.
    pub base: Option<Record>,
    /// The object that it deployed or resumed.
    pub handle: Option<u8>,
    /// The object that an earlier one left.
    pub earlier: Option<u8>,
    /// A request waits on its control socket.
    pub request: Option<Ask>,
    /// Its word was "ready".
    pub ready: bool,
    /// It ended, and the command that waits for its outcome has not looked yet.
    pub ended: bool,
}

/// The faults that may still come.
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
    /// Effects of a supervisor that may fail, before they happen or after.
    pub faults: u8,
    /// Signals to supervisors, and starts that are given up on request.
    pub interruptions: u8,
    /// Names whose records may be removed by hand.
    pub losses: u8,
}

/// The facts that the properties look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ghost {
    /// A write replaced another record than the one that it was made from.
    pub lost_update: bool,
    /// A row was shown worse than recorded although it never was.
    pub false_verdict: bool,
    /// A reader wrote.
    pub reader_wrote: bool,
    /// A command said that it stopped a workload that ran on.
    pub empty_success: bool,
    /// Something ran that was not on record.
    pub ran_unrecorded: bool,
    /// The creation of each name whose records were removed by hand.
    pub lost: [Option<u8>; NAMES],
}
