//! [`Begun`]: the workloads that this process has let run.
//!
//! Situation: the cluster starts a workload again after an end, and its supervisor follows with a start, which scales to one
//! where none is wanted; and somebody scales it to none in the same moment. Conclusion: a start that follows another one in
//! this process, with no deployment and no stop between, takes that for somebody's will and changes nothing.
use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Workloads that were started by this process, by uid.
#[derive(Default)]
pub(crate) struct Begun(Mutex<HashSet<String>>);

impl Begun {
    fn uids(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was let run.
    pub(crate) fn note(&self, uid: &str) {
        self.uids().insert(uid.to_owned());
    }

    /// It is deployed, stopped or removed: the next start is a first one.
    pub(crate) fn forget(&self, uid: &str) {
        self.uids().remove(uid);
    }

    /// True if a start now follows another one.
    pub(crate) fn has(&self, uid: &str) -> bool {
        self.uids().contains(uid)
    }
}
