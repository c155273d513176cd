//! [`RecentRecords`]: the records and secrets that a process which lives long has read, by their kinds.
//!
//! Its owner makes one, and gives it to each [`crate::Store`] of that process.
use crate::file::proxy_secret::Content;
use crate::file::shelf::Shelf;
use std::fmt;
use std::sync::Arc;
use wharf_model::{RunConfig, StatusRecord};

/// The records that were read, each as long as its file stays as it was.
#[derive(Default)]
pub struct RecentRecords {
    pub(crate) run_configs: Shelf<RunConfig>,
    pub(crate) statuses: Shelf<StatusRecord>,
    pub(crate) secrets: Arc<Shelf<Content>>,
}

/// Secrets are among them.
impl fmt::Debug for RecentRecords {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RecentRecords").finish_non_exhaustive()
    }
}
