//! [`Operations`]: whatever changes something, from the request to its outcome.
//!
//! Called by the routes. Each operation is a task of its own, which goes on when its client is gone; the file of one is
//! there before it begins. Bounded in number and age. It must not know what a change does.
use crate::api::audit::{Audit, Entry, Who};
use crate::api::change::Change;
use crate::api::metrics::Metrics;
use crate::api::operation::{Operation, OperationState, Step};
use crate::api::operation_files::{OperationFiles, Repeat, Stored};
use crate::api::perform::{Performed, perform};
use crate::api::problem::{Problem, Refusal};
use crate::commands::Host;
use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wharf_model::{Error, ErrorKind, Result, random_hex};
use wharf_records::StateDir;
use wharf_supervisor::Progress;

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

/// All operations.
pub(crate) struct Operations {
    host: Arc<Host>,
    files: OperationFiles,
    audit: Audit,
    metrics: Arc<Metrics>,
    table: Mutex<HashMap<String, Known>>,
    tasks: TaskTracker,
}

/// One of them.
struct Known {
    stored: Stored,
    /// It has a file.
    is_recorded: bool,
    /// What is in its file, if the end could not be written: that is tried again.
    outdated: Option<Stored>,
    is_cancellable: bool,
    cancel: CancellationToken,
    ended: watch::Sender<bool>,
}

/// The key by which a repeated request is recognised, as the client sent it.
pub(crate) struct IdempotencyKey(pub(crate) String);

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Operations {
    /// Those that are on record. What was under way when its process ended has ended with it: that is recorded.
    ///
    /// # Errors
    /// The files cannot be read.
    pub(crate) fn load(
        host: Arc<Host>,
        state: &StateDir,
        audit: Audit,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>> {
        let files = OperationFiles::of(state);
        let mut table = HashMap::new();
        let told = audit.told();
        for mut stored in files.load()? {
            if stored.operation.is_finished() && !told.contains(&stored.operation.id) {
                // What served ended between the record and the line.
                note(&audit, &stored);
            }
            if !stored.operation.is_finished() {
                let before = stored.clone();
                interrupt(&mut stored.operation);
                if let Err(error) = files.end(&before, &stored) {
                    tracing::warn!(%error, "that an operation was interrupted is not recorded");
                }
                note(&audit, &stored);
            }
            let known = Known {
                stored,
                is_recorded: true,
                outdated: None,
                is_cancellable: false,
                cancel: CancellationToken::new(),
                ended: watch::Sender::new(true),
            };
            table.insert(known.stored.operation.id.clone(), known);
        }
        let table = Mutex::new(table);
        let operations = Arc::new(Self { host, files, audit, metrics, table, tasks: TaskTracker::new() });
        operations.prune();
        Ok(operations)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a change, unless this key has begun it already: then it is that operation. `asked` is the request as the client
    /// made it, by which a repeated one is recognised; `change` makes the change of it, and is not called for a repeated one:
    /// what it concerned may be gone.
    ///
    /// # Errors
    /// Those of `change`; too much is under way, the key is another request's, or it cannot be recorded.
    pub(crate) fn begin(
        self: &Arc<Self>,
        asked: &impl Serialize,
        (key, who): (Option<IdempotencyKey>, Who),
        change: impl FnOnce() -> Result<Change>,
    ) -> std::result::Result<Operation, Problem> {
        let repeat = key.map(|key| repeat_of(&key, asked)).transpose()?;
        if let Some(known) = repeated(&self.table(), repeat.as_ref())? {
            return Ok(known);
        }
        let change = change()?;
        let id = random_hex()
            .map_err(|error| Error::caused(ErrorKind::Failed, "no random id can be made", &error))?;
        let operation = Operation {
            id: id.clone(),
            kind: change.kind(),
            workloads: change.workloads(),
            state: OperationState::Running,
            requested_at: Timestamp::now(),
            finished_at: None,
            progress: None,
            outcome: None,
            error: None,
        };
        let cancel = CancellationToken::new();
        {
            let mut table = self.table();
            if let Some(known) = repeated(&table, repeat.as_ref())? {
                return Ok(known);
            }
            refuse_too_many(&table, &change)?;
            let stored = Stored { operation: operation.clone(), who, repeat, server: change.server() };
            let is_recorded = match self.files.begin(&stored) {
                Ok(()) => true,
                // To end something twice is to end it once.
                Err(error) if stored.repeat.is_some() && !change.ends_something() => return Err(error.into()),
                // A disk that takes nothing keeps nobody from stopping a workload.
                Err(error) => {
                    tracing::warn!(%error, "an operation goes on without a file");
                    false
                }
            };
            let is_cancellable = change.is_cancellable();
            let (cancel, ended) = (cancel.clone(), watch::Sender::new(false));
            let known = Known { stored, is_recorded, outdated: None, is_cancellable, cancel, ended };
            table.insert(id.clone(), known);
        }
        let operations = self.clone();
        self.tasks.spawn(async move {
            let mut steps = Steps { operations: operations.clone(), id: id.clone() };
            let performed = perform(&operations.host, &change, cancel.clone(), &mut steps);
            // A panic must not leave it under way for ever.
            let result = AssertUnwindSafe(performed).catch_unwind().await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Failed, "the operation broke; what it did is not known")
                    .advise(wharf_model::Advice::ListWorkloads))
            });
            operations.end(&id, result, cancel.is_cancelled());
        });
        Ok(operation)
    }

    fn end(&self, id: &str, result: Result<Performed>, was_cancelled: bool) {
        let mut table = self.table();
        let Some(known) = table.get_mut(id) else { return };
        let before = known.stored.clone();
        let operation = &mut known.stored.operation;
        operation.progress = None;
        operation.finished_at = Some(Timestamp::now());
        match result {
            Ok(Performed { workloads, outcome, failed }) => {
                operation.state = match &failed {
                    None => OperationState::Done,
                    Some(_) if was_cancelled => OperationState::Cancelled,
                    Some(_) => OperationState::Failed,
                };
                operation.workloads = workloads;
                operation.outcome = Some(outcome);
                operation.error = failed;
            }
            Err(error) => {
                operation.state =
                    if was_cancelled { OperationState::Cancelled } else { OperationState::Failed };
                operation.error = Some(error);
            }
        }
        self.record_end(&before, known);
        drop(table);
        self.prune();
    }

    /// Records that one has ended, and tells who waits for it.
    fn record_end(&self, before: &Stored, known: &mut Known) {
        if known.is_recorded
            && let Err(error) = self.files.end(before, &known.stored)
        {
            tracing::warn!(%error, "the outcome of an operation is not recorded");
            known.outdated = Some(before.clone());
        }
        note(&self.audit, &known.stored);
        self.metrics.operated(known.stored.operation.kind, known.stored.operation.state);
        known.ended.send_replace(true);
    }

    /// Writes the ends that a disk did not take before.
    fn catch_up(&self, table: &mut HashMap<String, Known>) {
        for known in table.values_mut() {
            if let Some(before) = &known.outdated
                && self.files.end(before, &known.stored).is_ok()
            {
                known.outdated = None;
            }
        }
    }

    /// Forgets what is too much or too old, and has ended.
    fn prune(&self) {
        let mut table = self.table();
        self.catch_up(&mut table);
        let oldest = Timestamp::now().checked_sub(KEPT_FOR).unwrap_or(Timestamp::MIN);
        let mut ended: Vec<_> = table
            .iter()
            .filter_map(|(id, known)| Some((known.stored.operation.finished_at?, id.clone())))
            .collect();
        ended.sort();
        let too_many = ended.len().saturating_sub(KEPT_MAX);
        for (at, (finished_at, id)) in ended.into_iter().enumerate() {
            if (at < too_many || finished_at < oldest)
                && let Some(known) = table.remove(&id)
                && known.is_recorded
            {
                self.files.remove(&known.stored);
            }
        }
    }

    /// One operation.
    pub(crate) fn get(&self, id: &str) -> Option<Operation> {
        self.table().get(id).map(|known| known.stored.operation.clone())
    }

    /// How many are under way.
    pub(crate) fn running(&self) -> usize {
        self.table().values().filter(|known| !known.stored.operation.is_finished()).count()
    }

    /// All of them, the latest first.
    pub(crate) fn all(&self) -> Vec<Operation> {
        self.prune();
        // Outcomes of actions on many workloads are long: each is told where it is asked for.
        let without_outcome = |known: &Known| Operation { outcome: None, ..known.stored.operation.clone() };
        let mut all: Vec<_> = self.table().values().map(without_outcome).collect();
        all.sort_by(|a, b| (b.requested_at, &b.id).cmp(&(a.requested_at, &a.id)));
        all
    }

    /// Asks one to end before it is done.
    ///
    /// # Errors
    /// There is none, it has ended, or what it does is not given up half way.
    pub(crate) fn cancel(&self, id: &str) -> Result<Operation> {
        let table = self.table();
        let known = table.get(id).ok_or_else(|| unknown(id))?;
        if known.stored.operation.is_finished() {
            return Err(Error::new(ErrorKind::Conflict, "the operation has ended"));
        }
        if !known.is_cancellable {
            let message = "the operation ends something, and is not given up half way";
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        known.cancel.cancel();
        Ok(known.stored.operation.clone())
    }

    /// One operation once it has ended, or as it is after this time.
    pub(crate) async fn wait(&self, id: &str, at_most: Duration) -> Option<Operation> {
        let mut ended = self.table().get(id)?.ended.subscribe();
        // The sender lives as long as the operation is remembered.
        let _ = tokio::time::timeout(at_most, ended.wait_for(|ended| *ended)).await;
        self.get(id)
    }

    /// No operation begins any more; those that are under way get this time. What is left is recorded as interrupted: its
    /// supervisors go on by themselves.
    pub(crate) async fn shut_down(&self, at_most: Duration) {
        self.tasks.close();
        let is_done = tokio::time::timeout(at_most, self.tasks.wait()).await.is_ok();
        let mut table = self.table();
        self.catch_up(&mut table);
        if is_done {
            return;
        }
        for known in table.values_mut().filter(|known| !known.stored.operation.is_finished()) {
            let before = known.stored.clone();
            interrupt(&mut known.stored.operation);
            self.record_end(&before, known);
        }
    }
}

/// There is no such operation.
pub(crate) fn unknown(id: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no operation '{id}'"))
        .hint("operations are forgotten after a day")
}

/// The operation that this repeats.
fn repeated(
    table: &HashMap<String, Known>,
    repeat: Option<&Repeat>,
) -> std::result::Result<Option<Operation>, Problem> {
    let Some(repeat) = repeat else { return Ok(None) };
    let has_key = |known: &&Known| known.stored.repeat.as_ref().is_some_and(|it| it.key == repeat.key);
    match table.values().find(has_key) {
        None => Ok(None),
        Some(known) if known.stored.repeat.as_ref() == Some(repeat) => {
            Ok(Some(known.stored.operation.clone()))
        }
        Some(_) => Err(Refusal::KeyReused.because("send the new request with a key of its own")),
    }
}

/// Refuses one more, unless it ends something and others do not.
fn refuse_too_many(table: &HashMap<String, Known>, change: &Change) -> std::result::Result<(), Problem> {
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

fn repeat_of(key: &IdempotencyKey, asked: &impl Serialize) -> Result<Repeat> {
    let request = serde_json::to_vec(asked)
        .map_err(|error| Error::caused(ErrorKind::Failed, "the request cannot be remembered", &error))?;
    Ok(Repeat { key: digest(key.0.as_bytes()), request: digest(&request) })
}

fn interrupt(operation: &mut Operation) {
    operation.state = OperationState::Interrupted;
    operation.progress = None;
    operation.finished_at = Some(Timestamp::now());
    let message = "what serves this API ended before the operation; its outcome is not known";
    operation.error =
        Some(Error::new(ErrorKind::Deadline, message).advise(wharf_model::Advice::ListWorkloads));
}

fn note(audit: &Audit, stored: &Stored) {
    let operation = &stored.operation;
    audit.note(&Entry {
        at: operation.finished_at.unwrap_or_else(Timestamp::now),
        who: &stored.who,
        kind: operation.kind,
        workloads: &operation.workloads,
        operation: &operation.id,
        outcome: operation.state,
        error: operation.error.as_ref().map(|error| error.kind),
        server: stored.server.as_deref(),
    });
}

/// The progress of an operation, for who asks for it meanwhile.
struct Steps {
    operations: Arc<Operations>,
    id: String,
}

impl Steps {
    fn set(&self, step: Step) {
        if let Some(known) = self.operations.table().get_mut(&self.id) {
            known.stored.operation.progress = Some(step);
        }
    }
}

impl Progress for Steps {
    fn step(&mut self, message: &str) {
        self.set(Step { message: message.to_owned(), done: None, total: None });
    }

    fn amount(&mut self, message: &str, done: u64, total: u64) {
        self.set(Step { message: message.to_owned(), done: Some(done), total: Some(total) });
    }
}
