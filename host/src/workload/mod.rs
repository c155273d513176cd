//! The one command layer: create, start, stop, restart, remove, list, logs.
//!
//! Called by every front end (command line, later REST and MCP), which parses, calls and renders. Each command takes
//! the operation lock of its workload, changes records through the store alone, and goes to the owner or fails
//! loudly (R08). It must not print, and must not know any particular runtime.
mod adopt;
mod attended;
mod create;
mod forget;
mod handle;
mod import;
mod import_report;
mod list;
mod logs;
mod manager;
mod nesting;
mod orphan;
mod owner;
mod private;
mod reconcile;
mod remove;
mod request;
mod server;
mod spec;
mod start;
mod status;
mod stop;
mod survey;
mod takeover;
mod url;
mod view;
mod watch;

pub use adopt::{Adopted, Adoption};
pub use attended::Attendant;
pub use forget::Forgotten;
pub(crate) use handle::last_exit;
pub use import_report::{Import, ImportResult};
pub use list::ListOptions;
pub use logs::{LogReader, LogSource};
pub use manager::Manager;
pub use orphan::{Orphan, OrphanId};
pub(crate) use owner::{connect_owner, look, prove_ended, prove_gone, prove_owner, prove_taken_gone};
pub use reconcile::{Reconciled, Reconciliation};
pub use request::{RunRequest, Started};
pub use server::ServerError;
pub use spec::{SecretReference, specification};
pub use status::StatusReport;
pub use stop::{StopResult, Stopped};
pub use url::ClientUrl;
pub use view::WorkloadView;
pub use watch::WatchedList;
