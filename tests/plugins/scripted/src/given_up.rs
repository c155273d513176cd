//! Deployments that were given up, of an engine that makes what it was asked for all the same.
use crate::ordered_call::A_WHILE;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;
use wharf_sdk::ListQuery;
use wharf_test_engine::{Engine, Object};

/// So many listings that ask for the workload do not show it yet.
const LISTINGS: u32 = 2;

/// The objects that will be made, by uid, each with the number of listings until then.
static PENDING: Mutex<BTreeMap<String, (Object, u32)>> = Mutex::new(BTreeMap::new());

fn pending() -> MutexGuard<'static, BTreeMap<String, (Object, u32)>> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes an object when the deployment is dropped before it was made.
struct Notes(Option<Object>);

impl Drop for Notes {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            pending().insert(object.uid.clone(), (object, LISTINGS));
        }
    }
}

/// Takes a while, in which the deployment can be given up.
pub(crate) async fn noted(object: Object) {
    pending().remove(&object.uid);
    let mut notes = Notes(Some(object));
    tokio::time::sleep(A_WHILE).await;
    notes.0 = None;
}

/// The uids whose objects are being made at this moment.
static MAKING: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
static MADE: Notify = Notify::const_new();

fn making() -> MutexGuard<'static, BTreeSet<String>> {
    MAKING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An object is being made as long as this is there.
pub(crate) struct Making(String);

impl Making {
    pub(crate) fn of(uid: &str) -> Self {
        making().insert(uid.to_owned());
        Self(uid.to_owned())
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        making().remove(&self.0);
        MADE.notify_waiters();
    }
}

/// Resolves once nothing that was asked for is being made: a deployment that is dropped in the middle of that ends with it.
pub(crate) async fn settled(query: &ListQuery) {
    loop {
        let made = MADE.notified();
        if !query.uids.iter().flatten().any(|uid| making().contains(uid)) {
            return;
        }
        made.await;
    }
}

/// Called by each listing: makes the objects whose time has come.
pub(crate) fn listed(engine: &Engine, query: &ListQuery) -> io::Result<()> {
    let mut pending = pending();
    for uid in query.uids.iter().flatten() {
        let Some((_, left)) = pending.get_mut(uid) else { continue };
        if *left > 0 {
            *left -= 1;
        } else if let Some((object, _)) = pending.remove(uid) {
            engine.make(&object)?;
        }
    }
    Ok(())
}
