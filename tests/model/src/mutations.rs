//! [`Mutation`]: a fault of a host that can be switched on in the model.
//!
//! The checker must find each of them: that it finds no fault in the host means something only if it is known to find
//! faults. A mutation of the supervisor changes the effects or the events of its machine, on the way from or to the host's
//! own function (`steps/supervisor.rs`).

use std::collections::BTreeSet;

/// A fault of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutation {
    // Known from other hosts.
    /// Every workload is held against one active runtime, whichever owns it.
    NoOwnerCheck,
    /// A listing asks the runtimes before it reads the files.
    SnapshotBeforeFiles,
    /// Compare-and-set compares the revision alone: another creation of the same name passes for this one.
    CompareWithoutUid,
    /// A listing records its conclusions.
    ReadThatWrites,
    /// A released lock's file is unlinked: one process that waited for it and the next that comes both hold "it".
    LockFileUnlinked,

    // Found by this model in the host; each names the place.
    /// Commands and take-over know resources by the recorded handle alone, and do not ask the owner by uid
    /// (`host/src/commands/{stop,remove}.rs`, `host/supervisor/src/deployment.rs`).
    HandleAlone,
    /// A stop through the supervisor is recorded when the supervisor is gone, without asking the owner whether the
    /// workload is (`host/src/commands/stop.rs`).
    SupervisorsEndIsStop,
    /// A row whose record is gone when it is read again is shown as it was assessed (`host/src/commands/list.rs`).
    GoneRowIsShown,
    /// A row is read again without its RunConfig, so an old RunConfig can be assessed by a new record
    /// (`host/src/commands/list.rs`).
    RunConfigNotReread,
    /// A row that changed is assessed again, and shown worse without a further look (`host/src/commands/list.rs`).
    AssessedAgainOnce,
    /// A deploy that exceeds its deadline counts as one that made nothing (`host/supervisor/src/machine`).
    DeadlineIsFailure,
    /// `run` clears up after its supervisor from values in memory, and makes a record for a RunConfig that the supervisor
    /// has removed already (`host/src/commands/hand_over.rs`, `host/src/commands/remove.rs`).
    UndoTrustsItsMemory,
    /// The owner's instance is proven before the call alone: another engine that answers the call has nothing of ours,
    /// says that all is well, and is believed (`host/src/commands/{stop,remove}.rs`, `host/supervisor/src/machine`).
    ProofBeforeTheCallAlone,
    /// After the call the instance is proven, and not in the same answer that nothing is left: the engine that
    /// answered the call may have gone again in between.
    ProofApartFromTheLook,
    /// A row without a record is shown as interrupted after two looks at the record and one at the operation lock
    /// (`host/src/commands/list.rs`, and the contract's R04: absence has no revision to compare).
    AbsenceAskedOnce,

    // Faults of the supervisor's machine; each was tried on it.
    /// A start that is given up drops its records although the deployment could not be removed.
    GivesUpTheRecord,
    /// The leavings of a dropped deployment are looked for without a proof of the instance: another engine, which has
    /// nothing of it, is believed (`host/supervisor/src/deployment.rs`, found by this model).
    NothingFoundElsewhere,
    /// The resource of a dropped deployment is looked for once, while its plugin still clears up behind it: "there is
    /// nothing" is believed, and later no longer true (`host/supervisor/src/deployment.rs`, each plugin's `list`).
    LooksOnce,
    /// A resource that is put out of the way of a deployment counts as gone as soon as it does not run: another engine that
    /// was asked to remove it has nothing of it, and a second one is made (`host/supervisor/src/machine`, found by this
    /// model).
    EndedIsGone,
    /// The handle is not recorded before the workload runs (R12).
    StartsUnrecorded,
    /// A supervisor whose RunConfig is gone goes on.
    OutlivesItsRunConfig,

    // The contract takes this for granted of an engine.
    /// An engine performs a client's request after that client died and after others have asked about the workload.
    EngineOutlivesItsClients,
}

/// How long the command stays that starts a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// Not at all: `--no-wait`.
    No,
    /// Until it is ready.
    Ready,
    /// To the end, in its user's terminal: `--foreground`.
    Stays,
}

/// The subject of one model: the mistakes in it, and the kind of its workloads.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The mistakes.
    pub mutations: BTreeSet<Mutation>,
    /// The number of names.
    pub names: usize,
    /// The supervisor restarts a workload that ends by itself.
    pub restarts: bool,
    /// A server with a port: it outlives its supervisor and is resumed by the next one. Else it is replaced.
    pub resumed: bool,
    /// Its runtime restarts it in place.
    pub in_place: bool,
    /// Its attempts to be restarted are used up.
    pub used_up: bool,
    /// It ends with exit code 0.
    pub succeeds: bool,
    /// Its commands wait so long.
    pub waits: Waits,
}

impl Rules {
    /// The protocol as the contract has it, for one name.
    #[must_use]
    pub fn contract() -> Self {
        Self {
            mutations: BTreeSet::new(),
            names: 1,
            restarts: true,
            resumed: true,
            in_place: false,
            used_up: false,
            succeeds: false,
            waits: Waits::Ready,
        }
    }

    /// Switches a mutation on.
    #[must_use]
    pub fn with(mut self, mutation: Mutation) -> Self {
        self.mutations.insert(mutation);
        self
    }

    /// True if this mistake is in it.
    #[must_use]
    pub fn has(&self, mutation: Mutation) -> bool {
        self.mutations.contains(&mutation)
    }
}
