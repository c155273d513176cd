//! [`UnderWay`]: which workloads are being deployed.
//!
//! Called by the ABI's entry for each deployment and each listing. It must not know what a deployment does.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};
use tokio::sync::watch;

/// The deployments under way, by uid. Without any, nothing is kept of a uid.
#[derive(Debug, Default)]
pub(super) struct UnderWay(Mutex<HashMap<String, Weak<watch::Sender<()>>>>);

/// A deployment of a workload, which is under way until the last mark of its uid is dropped.
#[derive(Debug)]
pub(super) struct Mark {
    _held: Arc<watch::Sender<()>>,
}

impl UnderWay {
    /// Marks a deployment as being under way.
    pub(super) fn begin(&self, uid: &str) -> Mark {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(_held) = marks.get(uid).and_then(Weak::upgrade) {
            return Mark { _held };
        }
        marks.retain(|_, mark| mark.strong_count() > 0);
        let _held = Arc::default();
        marks.insert(uid.to_owned(), Arc::downgrade(&_held));
        Mark { _held }
    }

    /// Waits until no deployment of this workload is under way.
    pub(super) async fn until_none(&self, uid: &str) {
        let mark = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(uid).and_then(Weak::upgrade);
        let Some(mut end) = mark.map(|mark| mark.subscribe()) else { return };
        // Nothing is ever sent: the channel closes with the last mark.
        while end.changed().await.is_ok() {}
    }
}
