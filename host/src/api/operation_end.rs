//! The end of an operation: what its document says then, and the line of it in the audit log. Pure but for that line.
//!
//! Called by [`crate::api::operations`], which records the end. It must not know the table, the files, nor who waits.
use crate::api::audit::{Audit, Entry};
use crate::api::operation::{Operation, OperationState};
use crate::api::operation_files::Stored;
use crate::api::perform::Performed;
use jiff::Timestamp;
use wharf_model::{Advice, Error, ErrorKind, Result};

/// It has ended by itself, or since that was asked for.
pub(crate) fn finish(operation: &mut Operation, result: Result<Performed>, was_cancelled: bool) {
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
            operation.state = if was_cancelled { OperationState::Cancelled } else { OperationState::Failed };
            operation.error = Some(error);
        }
    }
}

/// What serves ended before it did.
pub(crate) fn interrupt(operation: &mut Operation) {
    operation.state = OperationState::Interrupted;
    operation.progress = None;
    operation.finished_at = Some(Timestamp::now());
    let message = "what serves this API ended before the operation; its outcome is not known";
    operation.error = Some(Error::new(ErrorKind::Deadline, message).advise(Advice::ListWorkloads));
}

/// Writes its line in the audit log.
pub(crate) fn note(audit: &Audit, stored: &Stored) {
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
