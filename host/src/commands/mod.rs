//! The one command layer: create, start, stop, restart, remove, list, logs.
//!
//! Called by every front end (command line, later REST and MCP), which parses, calls and renders. Each command takes
//! the operation lock of its workload, changes records through the store alone, and goes to the owner or fails
//! loudly (R08). It must not print, and must not know any particular runtime.
mod adopt;
mod attended;
mod context;
mod create;
mod discovery;
mod forget;
pub mod import;
mod list;
mod logs;
mod nesting;
mod orphan;
mod reconcile;
mod remove;
mod request;
mod start;
mod status;
mod stop;
mod url;
mod view;
mod watch;

pub use adopt::{Adopted, Adoption};
pub use attended::Attendant;
pub use context::Manager;
pub use forget::Forgotten;
pub use import::report::{Import, ImportResult};
pub use list::ListOptions;
pub use logs::{LogReader, LogSource};
pub use orphan::{Orphan, OrphanId};
pub use reconcile::{Reconciled, Reconciliation};
pub use request::{RunRequest, Started};
pub use status::StatusReport;
pub use stop::{StopResult, Stopped};
pub use url::ClientUrl;
pub use view::WorkloadView;
pub use watch::WatchedList;
