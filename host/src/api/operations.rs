//! [`Operations`]: whatever changes something, from the request to its outcome.
//!
//! Called by the routes. Each operation is a task of its own, which goes on when its client is gone; the file of one is
//! there before it begins. Bounded in number and age. It must not know what a change does.
use crate::api::audit::{Audit, Entry, Who};
use crate::api::change::Change;
use crate::api::metrics::Metrics;
use crate::api::operation::{Operation, OperationState, Step};
use crate::api::operation_files::{OperationFiles, Repeat, Stored};
use crate::api::perform::perform;
use crate::api::problem::{Problem, Refusal};
use crate::commands::Host;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wharf_model::{Error, ErrorKind, Result, random_hex};
use wharf_records::StateDir;
use wharf_supervisor::Progress;

/// So many may be under way at once.
const RUNNING_MAX: usize = 256;
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
        for mut stored in files.load()? {
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

    /// Begins a change, unless this key has begun it already: then it is that operation.
    ///
    /// # Errors
    /// Too much is under way, the key is another request's, or it cannot be recorded.
    pub(crate) fn begin(
        self: &Arc<Self>,
        change: Change,
        key: Option<IdempotencyKey>,
        who: Who,
    ) -> std::result::Result<Operation, Problem> {
        let repeat = key.map(|key| repeat_of(&key, &change)).transpose()?;
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
            if let Some(repeat) = &repeat
                && let Some(known) = find(&table, &repeat.key)
            {
                return match known.stored.repeat.as_ref() == Some(repeat) {
                    true => Ok(known.stored.operation.clone()),
                    false => Err(Refusal::KeyReused.because("send the new request with a key of its own")),
                };
            }
            if table.values().filter(|known| !known.stored.operation.is_finished()).count() >= RUNNING_MAX {
                return Err(Refusal::Busy.because(format!("{RUNNING_MAX} operations are under way")));
            }
            let stored = Stored { operation: operation.clone(), who, repeat };
            let is_recorded = match self.files.begin(&stored) {
                Ok(()) => true,
                Err(error) if stored.repeat.is_some() => return Err(error.into()),
                // A disk that takes nothing keeps nobody from stopping a workload.
                Err(error) => {
                    tracing::warn!(%error, "an operation goes on without a file");
                    false
                }
            };
            let is_cancellable = change.is_cancellable();
            let (cancel, ended) = (cancel.clone(), watch::Sender::new(false));
            table.insert(id.clone(), Known { stored, is_recorded, is_cancellable, cancel, ended });
        }
        let operations = self.clone();
        self.tasks.spawn(async move {
            let mut steps = Steps { operations: operations.clone(), id: id.clone() };
            let result = perform(&operations.host, &change, cancel.clone(), &mut steps).await;
            operations.end(&id, result, cancel.is_cancelled());
        });
        Ok(operation)
    }

    fn end(&self, id: &str, result: Result<(Vec<String>, serde_json::Value)>, was_cancelled: bool) {
        let mut table = self.table();
        let Some(known) = table.get_mut(id) else { return };
        let before = known.stored.clone();
        let operation = &mut known.stored.operation;
        operation.progress = None;
        operation.finished_at = Some(Timestamp::now());
        match result {
            Ok((workloads, outcome)) => {
                operation.state = OperationState::Done;
                operation.workloads = workloads;
                operation.outcome = Some(outcome);
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
        }
        note(&self.audit, &known.stored);
        self.metrics.operated(known.stored.operation.kind, known.stored.operation.state);
        known.ended.send_replace(true);
    }

    /// Forgets what is too much or too old, and has ended.
    fn prune(&self) {
        let mut table = self.table();
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
        let mut all: Vec<_> = self.table().values().map(|known| known.stored.operation.clone()).collect();
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
        if tokio::time::timeout(at_most, self.tasks.wait()).await.is_ok() {
            return;
        }
        let mut table = self.table();
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

fn find<'a>(table: &'a HashMap<String, Known>, key: &str) -> Option<&'a Known> {
    table.values().find(|known| known.stored.repeat.as_ref().is_some_and(|repeat| repeat.key == key))
}

fn repeat_of(key: &IdempotencyKey, change: &Change) -> Result<Repeat> {
    let request = serde_json::to_vec(change)
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
