//! One change of a workload's status record, and whether it allows a restart.
use wharf_model::{Desired, Error, ErrorKind, Phase, Result, RunConfig, StatusRecord};
use wharf_records::{Durability, Store};

/// Changes a workload's record, on another thread than those that serve clients. It is on
/// disk when this returns. A missing record is not made again.
pub(crate) async fn update(
    store: &Store,
    run: &RunConfig,
    change: impl FnOnce(&mut StatusRecord) -> Result<()> + Send + 'static,
) -> Result<()> {
    update_if(store, run, Durability::Now, |record| change(record).map(|()| true)).await
}

/// The same for a change that may be on record already: then `change` returns false and nothing is written.
/// `durability` says whether the change is on disk when this returns, or with the next one that must be.
pub(crate) async fn update_if(
    store: &Store,
    run: &RunConfig,
    durability: Durability,
    change: impl FnOnce(&mut StatusRecord) -> Result<bool> + Send + 'static,
) -> Result<()> {
    let (store, name, uid) = (store.clone(), run.name.clone(), run.uid.clone());
    let work = tokio::task::spawn_blocking(move || {
        store.update_status_with::<Unwritten>(&name, &uid, durability, |record| {
            let gone = || Error::new(ErrorKind::NotFound, "the workload was removed");
            let mut record = record.ok_or_else(gone)?;
            if change(&mut record)? { Ok(record) } else { Err(Unwritten::Same) }
        })
    });
    match work.await {
        Ok(Ok(_) | Err(Unwritten::Same)) => Ok(()),
        Ok(Err(Unwritten::Failed(error))) => Err(error),
        Err(error) => Err(Error::caused(ErrorKind::Failed, "the record was not written", &error)),
    }
}

/// The reason why a record was not written.
enum Unwritten {
    /// The record already has these values.
    Same,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Unwritten {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// True if a supervisor may restart its workload by itself: it is wanted, and no command, which would start or stop it
/// itself, is at work.
pub(crate) fn may_restart(record: &StatusRecord) -> bool {
    record.desired == Desired::Running && record.phase == Phase::Running
}
