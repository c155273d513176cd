//! [`Operations`]: whatever changes something, from the request to its outcome.
//!
//! Called by the routes. Each operation has a thread of its own from its file to its end, and goes on when its client is
//! gone; the file of one is there before it begins. So a disk that is slow holds up the operations that write to it, and
//! nobody who asks about them: no file is touched while the table is locked, or by a thread that serves requests. Bounded in
//! number and age. It must not know what a change does.
use crate::api::audit::{Audit, Who};
use crate::api::change::Change;
use crate::api::metrics::Metrics;
use crate::api::operation::{Operation, OperationState, Step};
use crate::api::operation_end::{finish, interrupt, note};
use crate::api::operation_files::{OperationFiles, Repeat, Stored};
use crate::api::operation_table::{
    Beginning, Begun, Known, Table, oldest, refuse_too_many, repeated, too_many_or_too_old,
};
use crate::api::perform::{Performed, perform};
use crate::api::problem::Problem;
use crate::commands::Host;
use futures_util::FutureExt;
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wharf_model::{Error, ErrorKind, Result, random_hex};
use wharf_records::StateDir;
use wharf_supervisor::Progress;

/// How long the end of what serves waits for a disk that does not take the last records.
const LAST_RECORDS: Duration = Duration::from_secs(5);

/// All operations.
pub(crate) struct Operations {
    host: Arc<Host>,
    files: OperationFiles,
    audit: Audit,
    metrics: Arc<Metrics>,
    table: Mutex<Table>,
    /// Held by who removes old files, and writes what a disk did not take before.
    tidying: Mutex<()>,
    tasks: TaskTracker,
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
        let mut table = Table::new();
        let told = audit.told();
        for mut stored in files.load()? {
            if stored.operation.is_finished() && !told.contains(&stored.operation.id) {
                // The process that served ended between the record and the line.
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
            table.insert(stored.operation.id.clone(), Known::found(stored));
        }
        let (table, tidying) = (Mutex::new(table), Mutex::default());
        let tasks = TaskTracker::new();
        let operations = Arc::new(Self { host, files, audit, metrics, table, tidying, tasks });
        operations.tidy();
        Ok(operations)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a change, unless this key has begun it already: then it is that operation. `asked` is the request as the client
    /// made it, by which a repeated one is recognised; `change` makes the change of it, and is not called for a repeated one:
    /// what it concerned may be gone. Resolves once the operation is on record.
    ///
    /// # Errors
    /// Those of `change`; too much is under way, the key is another request's, or it cannot be recorded.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        asked: &impl Serialize,
        (key, who): (Option<IdempotencyKey>, Who),
        change: impl FnOnce() -> Result<Change> + Send + 'static,
    ) -> std::result::Result<Operation, Problem> {
        let repeat = key.map(|key| repeat_of(&key, asked)).transpose()?;
        let known = repeated(&self.table(), repeat.as_ref())?;
        if let Some(known) = known {
            return Ok(known.begun().await?);
        }
        // It reads records, and so may wait for a disk.
        let change = tokio::task::spawn_blocking(change).await.map_err(|error| {
            Error::caused(ErrorKind::Failed, "the request broke; nothing was begun", &error)
        })??;
        Ok(self.enter(repeat, who, change)?.begun().await?)
    }

    /// Gives an operation its place in the table, and its thread.
    fn enter(
        self: &Arc<Self>,
        repeat: Option<Repeat>,
        who: Who,
        change: Change,
    ) -> std::result::Result<Beginning, Problem> {
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
        let mut table = self.table();
        // Another request with this key may have been faster.
        if let Some(known) = repeated(&table, repeat.as_ref())? {
            return Ok(known);
        }
        refuse_too_many(&table, &change)?;
        let stored = Stored { operation, who, repeat, server: change.server() };
        let known = Known::new(stored.clone(), change.is_cancellable(), cancel.clone());
        let beginning = known.beginning();
        table.insert(id, known);
        drop(table);
        let operations = self.clone();
        self.tasks.spawn_blocking(move || operations.carry_out(&stored, &change, &cancel));
        Ok(beginning)
    }

    /// An operation from its file to its end: on its own thread, which may wait for a disk as long as it likes.
    fn carry_out(self: Arc<Self>, stored: &Stored, change: &Change, cancel: &CancellationToken) {
        let id = &stored.operation.id;
        let begun = match self.files.begin(stored) {
            Ok(()) => Ok(true),
            // To end something twice is to end it once.
            Err(error) if stored.repeat.is_some() && !change.ends_something() => Err(error),
            // A disk that takes nothing keeps nobody from stopping a workload.
            Err(error) => {
                tracing::warn!(%error, "an operation goes on without a file");
                Ok(false)
            }
        };
        if !self.has_begun(id, begun) {
            return;
        }
        let mut steps = Steps { operations: self.clone(), id: id.clone() };
        let performed = perform(&self.host, change, cancel.clone(), &mut steps);
        // A panic must not leave it under way for ever.
        let result = Handle::current().block_on(AssertUnwindSafe(performed).catch_unwind());
        let result = result.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Failed, "the operation broke; what it did is not known")
                .advise(wharf_model::Advice::ListWorkloads))
        });
        self.end(id, result, cancel.is_cancelled());
    }

    /// Tells who waits whether an operation has begun, and with a file; false if it has not, and is not to go on.
    fn has_begun(&self, id: &str, begun: Result<bool>) -> bool {
        let mut table = self.table();
        match begun {
            Ok(is_recorded) => {
                let Some(known) = table.get_mut(id) else { return false };
                known.is_recorded = is_recorded;
                known.begun.send_replace(Begun::Yes);
                // The operation may have ended meanwhile.
                !known.stored.operation.is_finished()
            }
            Err(error) => {
                if let Some(known) = table.remove(id) {
                    known.begun.send_replace(Begun::Refused(error));
                }
                false
            }
        }
    }

    fn end(&self, id: &str, result: Result<Performed>, was_cancelled: bool) {
        self.record_end(id, |operation| finish(operation, result, was_cancelled));
        self.tidy();
    }

    /// Records that one has ended, and tells who waits for it. Nothing is done if it has ended already, or is ending.
    fn record_end(&self, id: &str, ended: impl FnOnce(&mut Operation)) {
        let (before, is_recorded) = {
            let mut table = self.table();
            let Some(known) = table.get_mut(id) else { return };
            if known.is_ending || known.stored.operation.is_finished() {
                return;
            }
            known.is_ending = true;
            (known.stored.clone(), known.is_recorded)
        };
        let mut after = before.clone();
        ended(&mut after.operation);
        let written = if is_recorded { self.files.end(&before, &after) } else { Ok(()) };
        note(&self.audit, &after);
        self.metrics.operated(after.operation.kind, after.operation.state);
        let mut table = self.table();
        let Some(known) = table.get_mut(id) else { return };
        if let Err(error) = written {
            tracing::warn!(%error, "the outcome of an operation is not recorded");
            known.outdated = Some(before);
        }
        known.stored = after;
        known.ended.send_replace(true);
    }

    /// Writes the ends that a disk did not take before, and forgets what is too much or too old.
    fn tidy(&self) {
        // A thread that is at it already does it for all.
        let Ok(_turn) = self.tidying.try_lock() else { return };
        self.catch_up();
        let forgotten: Vec<Known> = {
            let mut table = self.table();
            too_many_or_too_old(&table).into_iter().filter_map(|id| table.remove(&id)).collect()
        };
        for known in forgotten.iter().filter(|known| known.is_recorded) {
            self.files.remove(&known.stored);
        }
    }

    fn catch_up(&self) {
        let outdated: Vec<(Stored, Stored)> = {
            let table = self.table();
            let both = |known: &Known| Some((known.outdated.clone()?, known.stored.clone()));
            table.values().filter_map(both).collect()
        };
        for (before, after) in outdated {
            if self.files.end(&before, &after).is_ok()
                && let Some(known) = self.table().get_mut(&after.operation.id)
            {
                known.outdated = None;
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
    pub(crate) fn all(self: &Arc<Self>) -> Vec<Operation> {
        let oldest = oldest();
        // Outcomes of actions on many workloads are long: each is told where it is asked for.
        let without_outcome = |known: &Known| Operation { outcome: None, ..known.stored.operation.clone() };
        let (mut all, is_tidy): (Vec<_>, bool) = {
            let table = self.table();
            let told = table.values().filter(|known| known.is_told(oldest)).map(without_outcome);
            (told.collect(), too_many_or_too_old(&table).is_empty())
        };
        if !is_tidy {
            let operations = self.clone();
            self.tasks.spawn_blocking(move || operations.tidy());
        }
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
    pub(crate) async fn shut_down(self: &Arc<Self>, at_most: Duration) {
        self.tasks.close();
        let is_done = tokio::time::timeout(at_most, self.tasks.wait()).await.is_ok();
        let operations = self.clone();
        let last = tokio::task::spawn_blocking(move || {
            operations.catch_up();
            if is_done {
                return;
            }
            let ids: Vec<String> = operations.table().keys().cloned().collect();
            ids.iter().for_each(|id| operations.record_end(id, interrupt));
        });
        if tokio::time::timeout(LAST_RECORDS, last).await.is_err() {
            tracing::warn!("the disk does not take what became of operations; the next start records it");
        }
    }
}

/// There is no such operation.
pub(crate) fn unknown(id: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no operation '{id}'"))
        .hint("operations are forgotten after a day")
}

fn repeat_of(key: &IdempotencyKey, asked: &impl Serialize) -> Result<Repeat> {
    let request = serde_json::to_vec(asked)
        .map_err(|error| Error::caused(ErrorKind::Failed, "the request cannot be remembered", &error))?;
    Ok(Repeat { key: digest(key.0.as_bytes()), request: digest(&request) })
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
