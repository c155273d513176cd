//! [`Reading`]: a reader's knowledge between two steps. It dies with the reader (R05).

use crate::state::{Config, NAMES, RUNTIMES, Record};

/// The knowledge of a reader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reading {
    /// Its next step, counted.
    pub step: ReadStep,
    /// The rows.
    pub rows: [Row; NAMES],
    /// The answers of the runtimes.
    pub answers: [Answer; RUNTIMES],
}

/// A reader's next step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReadStep {
    /// Decides what comes first.
    #[default]
    Begin,
    /// Reads a RunConfig.
    Config(usize),
    /// Reads a record.
    Status(usize),
    /// Asks a runtime.
    Ask(usize),
    /// Asks about the life lock.
    Life(usize),
    /// Asks about the operation lock, and assesses the row.
    Assess(usize),
    /// The row is about to be shown worse: reads the record again.
    RereadStatus(usize),
    /// The row has no record: asks about the operation lock again.
    Reprobe(usize),
    /// The RunConfig is read again.
    RereadConfig(usize),
}

/// One row of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Row {
    /// The RunConfig as read.
    pub config: Option<Config>,
    /// The record as read.
    pub record: Option<Record>,
    /// The record is newer than the answers, so that they say nothing about it.
    pub renewed: bool,
    /// It was read again and not assessed since.
    pub unassessed: bool,
    /// The life lock was held when it was asked.
    pub life: bool,
    /// Ghost: since the records were read, and while they stood, the workload really was worse than they say.
    pub really_worse: bool,
}

/// A runtime's answer about each name: sets of uids, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It was not asked, or gave no answer.
    #[default]
    None,
    /// A complete list.
    Complete {
        /// From the recorded instance.
        recorded: bool,
        /// The uids that it has.
        has: [u8; NAMES],
        /// The uids that run.
        running: [u8; NAMES],
        /// The uids that it has twice.
        twice: [u8; NAMES],
    },
}
