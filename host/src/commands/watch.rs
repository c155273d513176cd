//! `list --watch`: the list, and again whenever it changes.
//!
//! A change of a record causes an event, which is waited for. Changes without an event (an engine stops, a supervisor is
//! killed) are found by asking the owners and the locks again every few seconds.
use crate::commands::context::Context;
use crate::commands::list::{ListOptions, list};
use crate::commands::view::WorkloadView;
use std::time::{Duration, Instant};
use wharf_model::{Error, ErrorKind, Result};
use wharf_records::Watch;

/// The pause between an event and the list. A command changes several files, one right after the other, and none of them
/// says that it is the last: without a pause each would be a list of its own. So there is one pause for each list that an
/// event causes, and the events that came meanwhile cause no further one.
const RECORD_CHANGE_WAIT: Duration = Duration::from_millis(50);
/// After this long without an event, the owners are asked again.
const QUIET_MAX: Duration = Duration::from_secs(2);
/// The pause is at least this many times the duration of the last list.
const PAUSE_PER_LIST: u32 = 10;

/// A list that is being watched. Like the list itself it writes nothing and takes no lock (R05).
pub struct WatchedList<'a> {
    context: &'a Context,
    options: ListOptions,
    watch: Watch,
    last: Option<Vec<WorkloadView>>,
    /// The duration of the last list.
    took: Duration,
}

/// Watches the workloads that [`list`] would show.
pub fn watch(context: &Context, options: ListOptions) -> Result<WatchedList<'_>> {
    let watch = Watch::new().map_err(|error| unwatched(&error))?;
    Ok(WatchedList { context, options, watch, last: None, took: Duration::ZERO })
}

impl WatchedList<'_> {
    /// The list: at once the first time, later as soon as it differs from the last one.
    pub async fn next(&mut self) -> Result<Vec<WorkloadView>> {
        loop {
            if self.last.is_some() {
                self.something_happened().await?;
            }
            // The watches begin before the records are read: a change during the read leads to another round.
            for folder in
                [self.context.store().state().run_configs(), self.context.store().state().statuses()]
            {
                self.watch.folder(&folder).map_err(|error| unwatched(&error))?;
            }
            let began = Instant::now();
            let rows = list(&self.context.renewed()?, &self.options).await?;
            self.took = began.elapsed();
            if self.last.as_ref() != Some(&rows) {
                self.last = Some(rows.clone());
                return Ok(rows);
            }
        }
    }

    async fn something_happened(&mut self) -> Result<()> {
        let quiet = QUIET_MAX.max(self.took * PAUSE_PER_LIST);
        if let Ok(changed) = tokio::time::timeout(quiet, self.watch.changed()).await {
            changed.map_err(|error| unwatched(&error))?;
            tokio::time::sleep(RECORD_CHANGE_WAIT.max(self.took)).await;
            // All that has changed until now is read by the list that follows.
            self.watch.pass_over().map_err(|error| unwatched(&error))?;
        }
        Ok(())
    }
}

fn unwatched(error: &std::io::Error) -> Error {
    Error::caused(ErrorKind::Failed, "the records cannot be watched", error)
        .hint("the system's limits are fs.inotify.max_user_instances and fs.inotify.max_user_watches")
}
