//! A host of two workloads and one engine: records, locks and pure functions are the real ones, the engine and the
//! processes are simulated. Beside each real effect (`effects`) stands the expectation of a reader of the contract, also in
//! the operations (`steps`); records and views are compared with that (`look`).
mod effects;
mod look;
mod steps;

use std::collections::BTreeSet;
use wharf_model::{RestartPolicy, RunConfig, StatusRecord, Uid, WorkloadName};
use wharf_records::{LifeLock, OperationLock, StateDir, Store};
use wharf_sdk::Observation;

const HOST_ID: &str = "this host";
const NAMES: [&str; 2] = ["ant", "bee"];
const POLICIES: [RestartPolicy; 2] = [RestartPolicy::No, RestartPolicy::UnlessStopped];
const GARBAGE: &[u8] = b"{ \"uid\": ";

/// How the owner answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnerAnswer {
    Answers,
    Silent,
    Incomplete,
    AnotherInstance,
}

/// A file, as it should be.
#[derive(Clone, Debug, PartialEq)]
enum Expected<R> {
    Absent,
    Sound(R),
    Corrupt,
}

/// A command at work.
#[derive(Debug)]
struct Command {
    does: Does,
    #[expect(dead_code, reason = "held, not read")]
    operation: OperationLock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Start,
    Stop,
    Remove,
}

/// One name, and the expectations about it.
#[derive(Debug)]
struct Workload {
    name: WorkloadName,
    config: Expected<RunConfig>,
    status: Expected<StatusRecord>,
    command: Option<Command>,
    supervisor: Option<LifeLock>,
    /// The record that a second writer has read.
    read: Option<StatusRecord>,
    /// The last creation of this name that is gone.
    earlier: Option<Uid>,
}

#[derive(Debug)]
pub(crate) struct SimulatedHost {
    root: tempfile::TempDir,
    store: Store,
    workloads: Vec<Workload>,
    answer: OwnerAnswer,
    resources: Vec<Observation>,
    uids: BTreeSet<Uid>,
    boot: u8,
}

impl<R> Expected<R> {
    fn sound(&self) -> Option<&R> {
        match self {
            Self::Sound(record) => Some(record),
            Self::Absent | Self::Corrupt => None,
        }
    }
}

impl SimulatedHost {
    pub(crate) fn new() -> Self {
        // In memory if possible: thousands of writes are made durable, which proves nothing here.
        let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let store = Store::new(StateDir::new(root.path().join("state")));
        let workloads = NAMES.map(|name| Workload {
            name: WorkloadName::new(name).unwrap(),
            config: Expected::Absent,
            status: Expected::Absent,
            command: None,
            supervisor: None,
            read: None,
            earlier: None,
        });
        Self {
            root,
            store,
            workloads: workloads.into(),
            answer: OwnerAnswer::Answers,
            resources: Vec::new(),
            uids: BTreeSet::new(),
            boot: 0,
        }
    }
}
