//! The operations that are known, in memory: how a repeated request is recognised, and how many may be under way.
//!
//! Called by [`crate::api::operations`], which holds the lock of the table. It must not touch a file: whoever asks for an
//! operation would wait for the disk of another one.
use crate::api::change::Change;
use crate::api::operation::Operation;
use crate::api::operation_files::{Repeat, Stored};
use crate::api::problem::{Problem, Refusal};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wharf_model::Error;

/// So many may be under way at once,
const RUNNING_MAX: usize = 256;
/// so many more that end something,
const ENDING_MAX: usize = 64;
/// and so many with one workload: they take turns.
const OF_ONE_MAX: usize = 8;
/// So many that have ended are remembered,
const KEPT_MAX: usize = 1000;
/// and for so long.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);

/// All operations, by id.
pub(crate) type Table = HashMap<String, Known>;

/// An operation that is known.
pub(crate) struct Known {
    pub(crate) stored: Stored,
    /// It has a file.
    pub(crate) is_recorded: bool,
    /// The content of its file, if the end could not be written, which is tried again.
    pub(crate) outdated: Option<Stored>,
    /// Its end is being written, by its own thread.
    pub(crate) is_ending: bool,
    pub(crate) is_cancellable: bool,
    pub(crate) cancel: CancellationToken,
    pub(crate) begun: watch::Sender<Begun>,
    pub(crate) ended: watch::Sender<bool>,
}

/// Whether an operation has begun: its client is answered then, and not before.
#[derive(Clone, Debug)]
pub(crate) enum Begun {
    /// Its file is being written.
    NotYet,
    /// It is there, or need not be.
    Yes,
    /// It cannot be written, so nothing is begun.
    Refused(Error),
}

/// An operation whose beginning can be waited for.
pub(crate) struct Beginning {
    operation: Operation,
    begun: watch::Receiver<Begun>,
}

impl Beginning {
    /// The operation, once it has begun.
    ///
    /// # Errors
    /// It cannot be recorded.
    pub(crate) async fn begun(mut self) -> wharf_model::Result<Operation> {
        let begun = self.begun.wait_for(|begun| !matches!(begun, Begun::NotYet)).await;
        match begun.map(|begun| begun.clone()) {
            Ok(Begun::Refused(error)) => Err(error),
            // Its thread is gone without a word: the operation tells the rest.
            Ok(Begun::Yes | Begun::NotYet) | Err(_) => Ok(self.operation),
        }
    }
}

impl Known {
    /// An operation that was found in a file, and has ended.
    pub(crate) fn found(stored: Stored) -> Self {
        Self {
            stored,
            is_recorded: true,
            outdated: None,
            is_ending: false,
            is_cancellable: false,
            cancel: CancellationToken::new(),
            begun: watch::Sender::new(Begun::Yes),
            ended: watch::Sender::new(true),
        }
    }

    /// An operation that is about to begin.
    pub(crate) fn new(stored: Stored, is_cancellable: bool, cancel: CancellationToken) -> Self {
        let (begun, ended) = (watch::Sender::new(Begun::NotYet), watch::Sender::new(false));
        let (is_recorded, is_ending, outdated) = (false, false, None);
        Self { stored, is_recorded, outdated, is_ending, is_cancellable, cancel, begun, ended }
    }

    /// Its beginning.
    pub(crate) fn beginning(&self) -> Beginning {
        Beginning { operation: self.stored.operation.clone(), begun: self.begun.subscribe() }
    }

    /// Whether a client may know of it.
    pub(crate) fn is_told(&self, oldest: Timestamp) -> bool {
        matches!(*self.begun.borrow(), Begun::Yes) && !self.is_older(oldest)
    }

    fn is_older(&self, oldest: Timestamp) -> bool {
        self.stored.operation.finished_at.is_some_and(|at| at < oldest)
    }
}

/// Operations that ended before this are forgotten.
pub(crate) fn oldest() -> Timestamp {
    Timestamp::now().checked_sub(KEPT_FOR).unwrap_or(Timestamp::MIN)
}

/// The ids of those that are too many or too old, and have ended.
pub(crate) fn too_many_or_too_old(table: &Table) -> Vec<String> {
    let oldest = oldest();
    let mut ended: Vec<_> = table
        .iter()
        .filter_map(|(id, known)| Some((known.stored.operation.finished_at?, id.clone())))
        .collect();
    ended.sort();
    let too_many = ended.len().saturating_sub(KEPT_MAX);
    let ended = ended.into_iter().enumerate();
    ended
        .filter(|(at, (finished_at, _))| *at < too_many || *finished_at < oldest)
        .map(|(_, (_, id))| id)
        .collect()
}

/// The operation that this repeats.
pub(crate) fn repeated(table: &Table, repeat: Option<&Repeat>) -> Result<Option<Beginning>, Problem> {
    let Some(repeat) = repeat else { return Ok(None) };
    let has_key = |known: &&Known| known.stored.repeat.as_ref().is_some_and(|it| it.key == repeat.key);
    match table.values().find(has_key) {
        None => Ok(None),
        Some(known) if known.stored.repeat.as_ref() == Some(repeat) => Ok(Some(known.beginning())),
        Some(_) => Err(Refusal::KeyReused.because("send the new request with a key of its own")),
    }
}

/// Refuses one more, unless it ends something and others do not.
pub(crate) fn refuse_too_many(table: &Table, change: &Change) -> Result<(), Problem> {
    let under_way = || table.values().map(|known| &known.stored.operation).filter(|it| !it.is_finished());
    let limit = if change.ends_something() { RUNNING_MAX + ENDING_MAX } else { RUNNING_MAX };
    if under_way().count() >= limit {
        return Err(Refusal::Busy.because(format!("{RUNNING_MAX} operations are under way")));
    }
    if change.ends_something() {
        return Ok(());
    }
    for name in change.workloads() {
        if under_way().filter(|operation| operation.workloads.contains(&name)).count() >= OF_ONE_MAX {
            return Err(Refusal::Busy.because(format!("{OF_ONE_MAX} operations on '{name}' are under way")));
        }
    }
    Ok(())
}
